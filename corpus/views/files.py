"""PDFs: uploaded to a paper or as a new one, shown at a page, downloaded, removed."""

from __future__ import annotations

import uuid

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from corpus.documents import newcomers, queue, shelf
from corpus.documents.forms import DetailsForm
from corpus.models import Paper, PaperFile, Passage
from corpus.sentences import sentences
from inference.errors import InferenceError, Unavailable

NO_FILE = "No file came with the request. Choose a PDF and try again."
# The browser never renders the file itself: it is saved, or fetched by the viewer's script.
ALONE = "default-src 'none'; sandbox"


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def paper_files(request: HttpRequest, key: str) -> HttpResponse:
    """The reader's PDFs of a paper; POST adds one, their own unless staff shares it with everyone."""
    paper = _paper(request, key)
    if request.method == "POST":
        return _add(request, paper)
    if not request.headers.get("HX-Request"):
        return redirect(paper)
    return render(request, "corpus/paper_files.html#list", {"paper": paper})


def _add(request: HttpRequest, paper: Paper) -> HttpResponse:
    upload = request.FILES.get("file")
    if upload is None:
        return _problem(request, 422, NO_FILE)
    try:
        file = shelf.add(paper, _owner_of_new(request, paper), upload)
    except shelf.TooLarge as error:
        return _problem(request, 413, str(error))
    except InferenceError as error:
        return _problem(request, 422, str(error))
    if file.is_being_read:
        queue.to_be_read(file)
    if request.headers.get("HX-Request"):
        return render(request, "corpus/paper_files.html", {"paper": paper})
    return redirect(f"{paper.get_absolute_url()}#lit-files")


def _owner_of_new(request: HttpRequest, paper: Paper) -> int | None:
    """None, which is everyone, only where staff says so and everyone sees the paper."""
    assert isinstance(request.user, User)
    shared = request.user.is_staff and "shared" in request.POST and paper.owner_id is None
    return None if shared else request.user.pk


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new_paper(request: HttpRequest) -> HttpResponse:
    """A paper of one's own from nothing but its PDF; then the form that corrects what was read."""
    if request.method != "POST":
        return render(request, "corpus/new_paper.html")
    upload = request.FILES.get("file")
    if upload is None:
        return _problem(request, 422, NO_FILE)
    assert request.user.pk is not None
    try:
        file = newcomers.add(request.user.pk, upload)
    except shelf.TooLarge as error:
        return _problem(request, 413, str(error))
    except Unavailable as error:
        return _problem(request, 503, str(error))
    except InferenceError as error:
        return _problem(request, 422, str(error))
    queue.to_be_read(file)
    return _go(request, reverse("corpus:paper-details", args=[file.paper.key]))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def paper_details(request: HttpRequest, key: str) -> HttpResponse:
    """Title, authors, year, venue and DOI of a paper of one's own, corrected by hand."""
    paper = get_object_or_404(Paper, owner=request.user.pk, key=key.replace("\0", ""))
    form = DetailsForm(request.POST) if request.method == "POST" else DetailsForm.of(paper)
    if request.method == "POST" and form.is_valid():
        form.save(paper)
        queue.to_be_refreshed([paper.pk])
        return redirect(paper)
    status = 422 if form.errors else 200
    return render(request, "corpus/paper_details.html", {"paper": paper, "form": form}, status=status)


@login_required
@require_safe
def file(request: HttpRequest, file_id: uuid.UUID) -> HttpResponse:
    """The PDF at `?page=`, with the passage `?passage=` marked. Of a removed PDF only the cited passage is left."""
    found = get_object_or_404(_visible(request).select_related("paper"), pk=file_id)
    passage = _passage(request, found)
    if not found.is_there and passage is None:
        raise Http404("The PDF was removed.")
    page = _page(request, found) or (passage.page if passage else None) or 1
    context = {
        "file": found,
        "paper": found.paper,
        "page": page,
        "passage": passage,
        "quotes": [passage.text[start:end] for start, end in sentences(passage.text)] if passage else [],
        "page_text": _text_of(found, page),
        "mine": found.owner_id == request.user.pk,
    }
    return render(request, "corpus/file.html", context)


def _page(request: HttpRequest, file: PaperFile) -> int | None:
    """The page that is asked for, or None where it is none of this file's."""
    asked = request.GET.get("page", "")
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 0
    return number if 0 < number <= (file.pages or 1) else None


def _passage(request: HttpRequest, file: PaperFile) -> Passage | None:
    asked = request.GET.get("passage", "")
    if not (asked.isascii() and asked.isdigit() and len(asked) < 16):
        return None
    return Passage.objects.visible_to(request.user.pk).filter(file=file, pk=int(asked)).first()


def _text_of(file: PaperFile, page: int) -> str:
    """The text of one page, for those who read without the viewer."""
    starts = [*file.page_starts, len(file.text)]
    return file.text[starts[page - 1] : starts[page]].strip() if page < len(starts) else ""


@login_required
@require_safe
def pdf(request: HttpRequest, file_id: uuid.UUID) -> HttpResponse:
    """The PDF itself, to be saved or fetched by the viewer; never opened by the browser as a page of this site."""
    found = get_object_or_404(_visible(request).exclude(file=""), pk=file_id)
    try:
        with found.file.open("rb") as opened:
            body = opened.read()
    except OSError as error:
        raise Http404("The PDF is no longer on the disk.") from error
    response = HttpResponse(body, content_type="application/pdf")
    name = found.name if found.name.lower().endswith(".pdf") else f"{found.name}.pdf"
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name) or "attachment"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = ALONE
    response["Cache-Control"] = "private, max-age=3600"
    return response


@login_required
@require_POST
def remove(request: HttpRequest, file_id: uuid.UUID) -> HttpResponse:
    """Removes a PDF of one's own; one shared with everyone only by staff."""
    assert isinstance(request.user, User)
    there = _visible(request).exclude(file="").select_related("paper")
    mine = there if request.user.is_staff else there.filter(owner=request.user.pk)
    found = get_object_or_404(mine, pk=file_id)
    shelf.remove(found)
    queue.to_be_refreshed([found.paper_id])
    if request.headers.get("HX-Request"):
        return render(request, "corpus/paper_files.html", {"paper": found.paper})
    return redirect(f"{found.paper.get_absolute_url()}#lit-files")


def _visible(request: HttpRequest) -> QuerySet[PaperFile]:
    """The files that the reader may see, of papers that they may see."""
    reader = request.user.pk
    return PaperFile.objects.visible_to(reader).filter(paper__in=Paper.objects.visible_to(reader))


def _paper(request: HttpRequest, key: str) -> Paper:
    found = Paper.objects.all().named(key, request.user.pk)
    if found is None:
        raise Http404("There is no such paper.")
    return found


def _problem(request: HttpRequest, status: int, line: str) -> HttpResponse:
    """One sentence with its status: shown in place by htmx, on a page of its own without."""
    if request.headers.get("HX-Request"):
        return HttpResponse(line, status=status, content_type="text/plain; charset=utf-8")
    return render(request, "problem.html", {"line": line, "status": status}, status=status)


def _go(request: HttpRequest, to: str) -> HttpResponse:
    """A redirect, for a form sent with or without htmx."""
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": to})
    return redirect(to)
