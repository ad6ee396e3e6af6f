"""The draft of related work over chosen papers: page, Markdown, Word."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from corpus.chosen import chosen
from corpus.related_work import NOTICE, as_markdown, draft
from corpus.related_work_docx import MEDIA_TYPE, as_docx
from corpus.views.exports import attached


@login_required
@require_safe
def related_work(request: HttpRequest) -> HttpResponse:
    """The draft on a page."""
    found = chosen(request.GET, request.user.pk)
    context = {"found": found, "draft": draft(found.papers, request.user.pk), "notice": NOTICE}
    return render(request, "corpus/related_work.html", context)


@login_required
@require_safe
def related_work_file(request: HttpRequest, form: str) -> HttpResponse:
    """The draft as a file. Its citations are keys of the BibTeX export of the same papers."""
    found = chosen(request.GET, request.user.pk)
    drafted = draft(found.papers, request.user.pk)
    if form == "md":
        text = as_markdown(drafted, request.build_absolute_uri)
        return attached(text, "text/markdown; charset=utf-8", "related-work.md")
    if form == "docx":
        return attached(as_docx(drafted, found.papers), MEDIA_TYPE, "related-work.docx")
    raise Http404("There is no such format.")
