"""Files to save: the clean copy of an image, masks, measurements. Each is made for its owner, when asked for."""

import uuid

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from assistant import downloads
from assistant.models import Annotation, Artifact, Image
from assistant.views.answers import problem
from inference.errors import InferenceError, Unavailable


def saved(content: bytes, kind: str, name: str) -> HttpResponse:
    """Never shown by the browser, whatever it is."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return HttpResponse(content, content_type=kind, headers=headers)


@login_required
@require_safe
def deidentified(request: HttpRequest, image_id: uuid.UUID) -> HttpResponse:
    image = get_object_or_404(Image.objects.visible_to(request.user), pk=image_id)
    content, suffix = downloads.clean_copy(image)
    kinds = downloads.TYPES | {"zip": "application/zip"}
    return saved(content, kinds.get(suffix, "application/octet-stream"), downloads.file_name(image, "clean", suffix))


@login_required
@require_safe
def artifact_mask(request: HttpRequest, artifact_id: uuid.UUID, form: str) -> HttpResponse:
    found = Artifact.objects.visible_to(request.user).filter(kind=Artifact.MASK).select_related("image", "tool_call")
    return _mask(request, get_object_or_404(found, pk=artifact_id), form)


@login_required
@require_safe
def annotation_mask(request: HttpRequest, annotation_id: uuid.UUID, form: str) -> HttpResponse:
    found = Annotation.objects.visible_to(request.user).filter(kind=Annotation.MASK).select_related("image")
    return _mask(request, get_object_or_404(found, pk=annotation_id), form)


def _mask(request: HttpRequest, marked: downloads.Marked, form: str) -> HttpResponse:
    if form not in downloads.TYPES or marked.image is None:
        raise Http404("A mask is saved as png, nii.gz or dcm.")
    wanted = request.GET.get("frame", "")
    try:
        content = downloads.mask_file(
            marked, form, int(wanted) if wanted.isdecimal() else None, request.GET.get("grid", "file")
        )
    except Unavailable as error:
        return problem(request, 503, str(error))
    except InferenceError as error:
        return problem(request, 422, str(error))
    return saved(content, downloads.TYPES[form], downloads.file_name(marked.image, marked.label, form))


@login_required
@require_safe
def measurements(request: HttpRequest, image_id: uuid.UUID, form: str) -> HttpResponse:
    image = get_object_or_404(Image.objects.visible_to(request.user), pk=image_id)
    rows = downloads.measurements(image)
    name = downloads.file_name(image, "measurements", form)
    if form == "json":
        response: HttpResponse = JsonResponse({"image": str(image.pk), "measurements": rows})
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response
    if form != "csv":
        raise Http404("Measurements are saved as csv or json.")
    return saved(downloads.as_csv(rows).encode(), "text/csv; charset=utf-8", name)
