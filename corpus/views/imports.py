"""Bringing literature: the form, how far an import is, and what became of each record."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from corpus.imports import report, work
from corpus.imports.formats import NAMES
from corpus.imports.records import MAX_BYTES, MAX_RECORDS
from corpus.models import Import

LINES = 100  # of a report on one page


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """The form; what is sent with it begins an import, and its page opens."""
    if request.method != "POST":
        return _form(request)
    assert isinstance(request.user, User)
    form, shared = request.POST.get("format", ""), request.POST.get("shared") == "on"
    try:
        row = work.submit(request.user, *_sent(request), form, shared=shared)
    except work.Refusal as error:
        return _form(request, str(error))
    return redirect(row)


def _sent(request: HttpRequest) -> tuple[bytes, str]:
    """(what was sent, its name): a file, else what was pasted."""
    file = request.FILES.get("file")
    if file is not None:
        return file.read(MAX_BYTES + 1), file.name or "import"
    return request.POST.get("text", "").encode("utf-8", "ignore"), "pasted text"


def _form(request: HttpRequest, problem: str = "") -> HttpResponse:
    context = {
        "formats": NAMES,
        "problem": problem,
        "text": request.POST.get("text", ""),
        "format": request.POST.get("format", ""),
        "megabytes": MAX_BYTES // 1024**2,
        "records": f"{MAX_RECORDS:,}",
        "lookups": settings.LOOKUPS,
    }
    return render(request, "corpus/import_new.html", context, status=422 if problem else 200)


@login_required
@require_safe
def show(request: HttpRequest, import_id: uuid.UUID) -> HttpResponse:
    """How far an import is, and its report. HTMX asks for the progress alone, and reloads once it is over."""
    row = _own(request, import_id)
    if request.headers.get("HX-Request"):
        response = render(request, "corpus/import.html#progress", {"row": row, "active": _active(row)})
        if not _active(row):
            response["HX-Refresh"] = "true"
        return response
    return render(request, "corpus/import.html", {"row": row, "active": _active(row)} | _report(request, row))


def _report(request: HttpRequest, row: Import) -> dict[str, Any]:
    outcome = request.GET.get("outcome", "")
    lines = [
        line | {"said": report.OUTCOMES[line["outcome"]]} for line in row.report if outcome in ("", line["outcome"])
    ]
    return {
        "counts": report.counts(row.report),
        "outcome": outcome,
        "page": Paginator(lines, LINES).get_page(request.GET.get("page")),
        "format_name": NAMES.get(row.format, ""),
        "repaired": default_storage.exists(work.repaired_list(row)),
    }


@login_required
@require_POST
def cancel(request: HttpRequest, import_id: uuid.UUID) -> HttpResponse:
    """Stops an import; what was added stays."""
    row = _own(request, import_id)
    work.cancel(row)
    return redirect(row)


@login_required
@require_safe
def report_file(request: HttpRequest, import_id: uuid.UUID) -> HttpResponse:
    """The report as Markdown, to be saved."""
    row = _own(request, import_id)
    return _download(report.as_markdown(row).encode(), f"import-{row.created_at:%Y-%m-%d}-report.md")


@login_required
@require_safe
def repaired_list(request: HttpRequest, import_id: uuid.UUID) -> HttpResponse:
    """A reading list as the list doctor has mended it."""
    row = _own(request, import_id)
    place = work.repaired_list(row)
    if not default_storage.exists(place):
        raise Http404("There is no such list.")
    with default_storage.open(place) as file:
        return _download(file.read(), "reading-list-repaired.md")


def _own(request: HttpRequest, import_id: uuid.UUID) -> Import:
    return get_object_or_404(Import.objects.filter(owner=request.user.pk), pk=import_id)


def _active(row: Import) -> bool:
    return row.state in work.ACTIVE


def _download(body: bytes, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return HttpResponse(body, content_type="text/markdown; charset=utf-8", headers=headers)
