"""The list of papers: everyone's, and those of the reader's own library."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from corpus import catalogue
from corpus.browse import Row, State
from corpus.models import Paper, Passage

PAGE_SIZE = 20
PATIENCE = 4.0  # seconds that a page waits for the corpus worker before it falls back to matching words


@login_required
@require_safe
def browse(request: HttpRequest) -> HttpResponse:
    """The list with its filters; HTMX gets only what a changed filter changes."""
    state = State.of(request.GET)
    reader = request.user.pk
    found = catalogue.find(state.q, state.facets, PATIENCE, read=state.read, reader=reader)
    page = Paginator(found.papers, PAGE_SIZE).get_page(state.page)
    shown = state.with_read(found.result.facets) if found.result else state
    choices = catalogue.choices(found.papers, shown.facets)
    swap = bool(request.headers.get("HX-Request")) and not request.headers.get("HX-History-Restore-Request")
    context = {
        "state": state,
        "found": found,
        "page": page,
        "pages": state.pages(page.paginator.num_pages),
        "shown": shown,
        "chips": shown.chips(choices, given=state),
        "menus": shown.menus(choices),
        "years": catalogue.years(reader),
        "rows": _rows(page.object_list, found),
        "reading": bool(found.result and found.result.facets),
        "swap": swap,
    }
    response = render(request, "corpus/browse.html#answer" if swap else "corpus/browse.html", context)
    if swap:
        response["HX-Push-Url"] = state.address()
    patch_vary_headers(response, ["HX-Request"])
    return response


def _rows(papers: Iterable[Paper], found: catalogue.Found) -> list[Row]:
    """The papers of one page; of a ranked search each with the passage that speaks best to the question.

    Prose before lists: data sets and figures lead only where nothing of the annotation was found.
    """
    found_ids = {hit.pk: hit.passage_ids for hit in found.result.results} if found.result else {}
    wanted = [passage for paper in papers for passage in found_ids.get(paper.pk, ())]
    passages = Passage.objects.select_related("paper").in_bulk(wanted)
    rows = []
    for paper in papers:
        best = [passages[pk] for pk in found_ids.get(paper.pk, ()) if pk in passages]
        best.sort(key=lambda passage: passage.kind != Passage.Kind.ANNOTATION)
        rows.append(Row.of(paper, best[0] if best else None))
    return rows
