"""Papers as files for reference managers, and as formatted references."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from corpus.bibliography import MOST, STYLES, references
from corpus.chosen import Chosen, chosen
from corpus.csl import items
from corpus.exports import FORMATS


@login_required
@require_safe
def export(request: HttpRequest, form: str) -> HttpResponse:
    """The chosen papers (`corpus.chosen`) as BibTeX, RIS or CSL-JSON."""
    if form not in FORMATS:
        raise Http404("There is no such format.")
    found = _of(request)
    kind = FORMATS[form]
    return attached(kind.write(items(found.papers)), kind.media_type, f"{found.name}.{kind.ending}")


@login_required
@require_safe
def bibliography(request: HttpRequest) -> HttpResponse:
    """The chosen papers as formatted references, as a page or (`as=txt`) as plain text."""
    style = request.GET.get("style", "apa")
    if style not in STYLES:
        raise Http404("There is no such style.")
    found = _of(request)
    formatted = references(items(found.papers[:MOST]), style)
    if request.GET.get("as") == "txt":
        text = "".join(f"{reference.text}\n" for reference in formatted)
        return attached(text, "text/plain; charset=utf-8", f"{found.name}-{style}.txt")
    context = {
        "found": found,
        "references": formatted,
        "left_out": len(found.papers) - len(formatted),
        "styles": STYLES,
        "style": style,
        "formats": FORMATS,
        # What a form must carry on so that the same papers are chosen.
        "carried": [
            (name, value) for name, values in request.GET.lists() if name not in ("style", "as") for value in values
        ],
    }
    return render(request, "corpus/references.html", context)


def attached(body: str | bytes, media_type: str, name: str) -> HttpResponse:
    """A file to keep; its name begins with the program's."""
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "-" for letter in name)
    response = HttpResponse(body, content_type=media_type)
    response["Content-Disposition"] = f'attachment; filename="lightbox-{plain}"'
    return response


def _of(request: HttpRequest) -> Chosen:
    """What the address chooses. Papers named that the reader cannot see: 404."""
    found = chosen(request.GET, request.user.pk)
    if found.missing:
        raise Http404("There is no such paper.")
    return found
