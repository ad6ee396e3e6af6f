"""The pages of the literature. It belongs to nobody, so whoever has signed in may read all of it."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from corpus import catalogue
from corpus.browse import Row, State, readings
from corpus.models import Label, Paper, Passage
from corpus.vocabulary import Term, term

PAGE_SIZE = 20
PATIENCE = 4.0  # seconds that a page waits for the corpus worker before it falls back to matching words


@login_required
@require_safe
def browse(request: HttpRequest) -> HttpResponse:
    """The list with its filters; HTMX gets only what a changed filter changes."""
    state = State.of(request.GET)
    found = catalogue.find(state.q, state.facets, PATIENCE, read=state.read)
    page = Paginator(found.papers, PAGE_SIZE).get_page(state.page)
    swap = bool(request.headers.get("HX-Request")) and not request.headers.get("HX-History-Restore-Request")
    context = {
        "state": state,
        "found": found,
        "page": page,
        "pages": state.pages(page.paginator.num_pages),
        "menus": state.menus(catalogue.choices(found.papers, state.facets)),
        "years": catalogue.years(),
        "rows": _rows(page.object_list, found),
        "readings": readings(found.result.facets) if found.result else [],
        "swap": swap,
    }
    response = render(request, "corpus/browse.html#answer" if swap else "corpus/browse.html", context)
    if swap:
        response["HX-Push-Url"] = state.address()
    patch_vary_headers(response, ["HX-Request"])
    return response


@login_required
@require_safe
def paper(request: HttpRequest, key: str) -> HttpResponse:
    """One paper: what is known of it, and the passages that answers cite."""
    papers = Paper.objects.prefetch_related("labels", "passages")
    found = get_object_or_404(papers, key=key.replace("\0", " "))  # PostgreSQL has no NUL in texts
    passages = list(found.passages.all())
    context = {
        "paper": found,
        "annotation": [p for p in passages if p.current and p.kind == Passage.Kind.ANNOTATION],
        "facts": [p for p in passages if p.current and p.kind == Passage.Kind.RESULTS],
        "retired": [p for p in passages if not p.current],
        "labels": _labels(found),
    }
    return render(request, "corpus/paper.html", context)


def _rows(papers: Iterable[Paper], found: catalogue.Found) -> list[Row]:
    """The papers of one page; of a ranked search each with the passage that speaks best to the question.

    Prose before lists: data sets and figures lead only where nothing of the annotation was found.
    """
    found_ids = {hit.key: hit.passage_ids for hit in found.result.results} if found.result else {}
    wanted = [passage for paper in papers for passage in found_ids.get(paper.key, ())]
    passages = Passage.objects.in_bulk(wanted)
    rows = []
    for paper in papers:
        best = [passages[pk] for pk in found_ids.get(paper.key, ()) if pk in passages]
        best.sort(key=lambda passage: passage.kind != Passage.Kind.ANNOTATION)
        rows.append(Row.of(paper, best[0] if best else None))
    return rows


def _labels(paper: Paper) -> list[tuple[str, list[tuple[Term, str, str]]]]:
    """(facet's name, [(term, source, address of the browse page with it)]) in the order of the facets."""
    parameters = {facet: parameter for parameter, facet in catalogue.PARAMETERS.items()}
    groups = []
    for facet in Label.Facet:
        rows = [
            (term(facet, label.value), label.source, State.address_of(parameters.get(facet, ""), label.value))
            for label in paper.labels.all()
            if label.facet == facet
        ]
        if rows:
            groups.append((str(facet.label), rows))
    return groups
