"""The page of one paper."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from corpus import catalogue
from corpus.browse import State
from corpus.catalogue import labels_for
from corpus.models import Label, Paper, Passage
from corpus.vocabulary import Term, term


@login_required
@require_safe
def paper(request: HttpRequest, key: str) -> HttpResponse:
    """One paper: what is known of it, and the passages that answers cite."""
    reader = request.user.pk
    found = Paper.objects.prefetch_related(labels_for(reader)).named(key, reader)
    if found is None:
        raise Http404("There is no such paper.")
    passages = list(found.passages.visible_to(reader))
    context = {
        "paper": found,
        "annotation": [p for p in passages if p.current and p.kind == Passage.Kind.ANNOTATION],
        "abstract": [p for p in passages if p.current and p.kind == Passage.Kind.ABSTRACT],
        "facts": [p for p in passages if p.current and p.kind == Passage.Kind.RESULTS],
        "retired": [p for p in passages if not p.current],
        "labels": _labels(found),
    }
    return render(request, "corpus/paper.html", context)


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
