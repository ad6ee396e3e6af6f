"""Files of a call for a worker on another machine: given and taken by signed reference only (docs/workers.md).

Who holds the reference is the worker that was asked; there is no session. A reference names one file and ends.
"""

from pathlib import Path

from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from inference import references
from inference.errors import BadInput

TOO_LARGE = "This result is larger than an upload may be (LIGHTBOX_UPLOAD_MB)."
PART = 1024 * 1024


@csrf_exempt  # there is no session to ride on: the signature is the right
@require_http_methods(["GET", "HEAD", "PUT"])
def exchange(request: HttpRequest, reference: str) -> HttpResponseBase:
    try:
        found = references.verify(settings.EXCHANGE_KEY, reference, write=request.method == "PUT")
        path = references.located(settings.EXCHANGE_DIR, found)
    except BadInput as error:
        raise Http404(str(error)) from error
    if request.method == "PUT":
        return _take(request, path)
    if not path.is_file():
        raise Http404("There is no such file.")
    return FileResponse(path.open("rb"), content_type="application/octet-stream")


def _take(request: HttpRequest, path: Path) -> HttpResponse:
    if not path.parent.is_dir():
        raise Http404("This call is over.")
    begun, size = path.with_name(f"begun-{path.name}"), 0
    try:
        with begun.open("wb") as file:
            while part := request.read(PART):
                size += len(part)
                if size > settings.UPLOAD_LIMIT:
                    return HttpResponse(TOO_LARGE, status=413, content_type="text/plain")
                file.write(part)
        begun.replace(path)
    finally:
        begun.unlink(missing_ok=True)
    return HttpResponse(status=204)
