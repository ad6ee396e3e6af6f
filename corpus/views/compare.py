"""The comparison of chosen papers: page, CSV, Markdown."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from corpus.chosen import chosen
from corpus.compare import as_csv, as_markdown, table
from corpus.csl import citation_keys
from corpus.views.exports import attached

MOST = 30  # papers side by side on the page; files hold all
FILES = {
    "csv": ("text/csv; charset=utf-8", as_csv),
    "md": ("text/markdown; charset=utf-8", as_markdown),
}


@login_required
@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """The table on a page. Keys under which the reader sees nothing are named there."""
    found = chosen(request.GET, request.user.pk)
    compared = table(found.papers[:MOST], request.user.pk)
    context = {"found": found, "table": compared, "left_out": max(len(found.papers) - MOST, 0)}
    return render(request, "corpus/compare.html", context)


@login_required
@require_safe
def compare_file(request: HttpRequest, form: str) -> HttpResponse:
    """The table as a file."""
    if form not in FILES:
        raise Http404("There is no such format.")
    found = chosen(request.GET, request.user.pk)
    compared = table(found.papers, request.user.pk)
    media_type, write = FILES[form]
    keys = citation_keys(row.paper for row in compared.rows)
    return attached(write(compared, keys), media_type, f"comparison.{form}")
