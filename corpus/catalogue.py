"""The literature as lists, counts and dictionaries, for the pages and the API. Only the database, no model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, Max, Min, OuterRef, Prefetch

from corpus import client
from corpus.lexicon import content_words, read_facets
from corpus.models import Label, Paper, PaperQuerySet
from corpus.models.papers import LabelQuerySet
from corpus.results import LABEL_FACETS, Facets, SearchResult
from corpus.vocabulary import Term, term, terms
from inference.errors import Unavailable

Values = str | Sequence[str] | None

# The facets of the browse page, and what each is called in its address.
PARAMETERS = {
    "task": "task",
    "strategy": "learning_strategy",
    "technique": "technique",
    "modality": "modality",
    "dimension": "dimension",
    "anatomy": "anatomy",
}
RANKED = 60  # how many papers a question brings at most


@dataclass(frozen=True, slots=True)
class Found:
    """Papers in order. `ranked` tells a search by meaning from a plain match of words, `reason` why it was plain."""

    papers: list[Paper]
    ranked: bool = False
    reason: str = ""
    result: SearchResult | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a facet in a menu: how many of the papers shown carry it, and whether it is chosen."""

    term: Term
    count: int
    chosen: bool


def facets_of(
    task: Values = None,
    strategy: Values = None,
    technique: Values = None,
    modality: Values = None,
    year_min: int | None = None,
    year_max: int | None = None,
    dimension: Values = None,
    anatomy: Values = None,
) -> Facets:
    """Facets from the parameters of an address: each one value, several (all must hold), or none."""
    return Facets(
        tasks=_several(task),
        learning_strategies=_several(strategy),
        techniques=_several(technique),
        modalities=_several(modality),
        dimensions=_several(dimension),
        anatomy=_several(anatomy),
        year_min=year_min,
        year_max=year_max,
    )


def find(
    q: str,
    facets: Facets,
    timeout: float = 5.0,
    *,
    reader: int | None,
    read: bool = True,
    limit: int = RANKED,
) -> Found:
    """The papers for a question and facets; without a question, all that fulfil the facets, newest first.

    When the corpus worker does not answer, falls back to what needs no model, unranked, and says why.
    """
    papers = Paper.objects.visible_to(reader).filter_facets(facets, reader).prefetch_related(labels_for(reader))
    if not q.strip():
        return Found(list(papers))
    try:
        result = client.search(q, facets, limit, timeout, read=read, reader=reader)
    except Unavailable as error:
        return _plainly(papers, q, read, str(error), limit, reader)
    rows = papers.in_bulk([hit.pk for hit in result.results])
    ordered = [rows[hit.pk] for hit in result.results if hit.pk in rows]
    return Found(ordered, ranked=True, result=result)


def _plainly(papers: PaperQuerySet, q: str, read: bool, reason: str, limit: int, reader: int | None) -> Found:
    """Without ranking: the papers of the facets that the question states, or else those with all of its words."""
    if read and (stated := read_facets(q)):
        named = SearchResult(facets=stated.as_dict())
        return Found(list(papers.filter_facets(stated, reader)[:limit]), reason=reason, result=named)
    return Found(list(papers.matching_words(" ".join(content_words(q)))[:limit]), reason=reason)


def labels_for(reader: int | None) -> Prefetch[str]:
    """Prefetches the labels of papers as this reader has corrected them: what was struck out is not among them."""
    return Prefetch("labels", corrected_labels(reader))


def corrected_labels(reader: int | None) -> LabelQuerySet:
    """The labels of all papers as this reader has corrected them; which papers they may see is another question."""
    struck = Label.objects.filter(
        owner=reader, rejected=True, paper=OuterRef("paper"), facet=OuterRef("facet"), value=OuterRef("value")
    )
    labels = Label.objects.standing(reader)
    return labels if reader is None else labels.exclude(Exists(struck))


def choices(papers: Iterable[Paper], chosen: Facets) -> dict[str, list[Choice]]:
    """{facet: its values with counts among these papers}, in the vocabulary's order; anatomy, which has none, by count.

    Since every chosen value must hold, a count is the number of papers left when that value is chosen as well.
    """
    counts = _counts(papers)
    picked = chosen.labels()
    menus = {}
    for facet in PARAMETERS.values():
        others = sorted((value for of, value in counts if of == facet), key=lambda v: (-counts[facet, v], v))
        values = dict.fromkeys([*terms().get(facet, ()), *others, *picked.get(facet, ())])
        menus[facet] = [
            Choice(term(facet, value), counts.get((facet, value), 0), value in picked.get(facet, ()))
            for value in values
        ]
    return menus


def years(reader: int | None) -> tuple[int, int] | None:
    """The first and last year of what the reader may see, or None while it is empty."""
    bounds = Paper.objects.visible_to(reader).aggregate(first=Min("year"), last=Max("year"))
    return None if bounds["first"] is None else (bounds["first"], bounds["last"])


def list_papers(
    q: str = "",
    task: Values = None,
    strategy: Values = None,
    technique: Values = None,
    modality: Values = None,
    year_min: int | None = None,
    year_max: int | None = None,
    limit: int = 50,
    *,
    reader: int | None,
) -> list[dict[str, Any]]:
    """Papers as dictionaries (`paper_as_dict`): by relevance for a question, else newest first. JSON types only."""
    facets = facets_of(task, strategy, technique, modality, year_min, year_max)
    return [paper_as_dict(paper) for paper in find(q, facets, limit=limit, reader=reader).papers[:limit]]


def paper_as_dict(paper: Paper) -> dict[str, Any]:
    """One paper as JSON types."""
    labels = list(paper.labels.all())
    data: dict[str, Any] = {
        "key": paper.key,
        "title": paper.title,
        "model_name": paper.model_name,
        "authors": paper.authors,
        "authors_complete": paper.authors_complete,
        "year": paper.year,
        "venue": paper.venue,
        "doi": paper.doi,
        "arxiv_id": paper.arxiv_id,
        "url": paper.url,
        "code_url": paper.code_url,
        "annotation": paper.annotation,
        "evidence": paper.evidence,
        "backbones": paper.backbones,
        "datasets": paper.datasets,
        "results": paper.results,
    }
    for name, facet in LABEL_FACETS.items():
        data[name] = sorted({label.value for label in labels if label.facet == facet})
    return data


def _several(values: Values) -> tuple[str, ...]:
    if not values:
        return ()
    return (values,) if isinstance(values, str) else tuple(dict.fromkeys(value for value in values if value))


def _counts(papers: Iterable[Paper]) -> Counter[tuple[str, str]]:
    """How many of the papers carry each (facet, value); two sources that agree count once."""
    return Counter(pair for paper in papers for pair in {(label.facet, label.value) for label in paper.labels.all()})
