"""Which papers an export, a comparison or a draft is about: some named by key, a browse result, or the selection."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.db.models import F
from django.http import QueryDict

from corpus import catalogue
from corpus.browse import State
from corpus.catalogue import labels_for
from corpus.models import Paper

PATIENCE = 4.0  # seconds for the corpus worker, as on the browse page
KEYS = 500  # named papers at most; an address has no room for more


@dataclass(frozen=True, slots=True)
class Chosen:
    """The papers, in order. `name` is a word for file names, `what` says it to people, `query` chooses the same again.

    `missing` are keys under which the reader sees no paper; `note` says why a browse result is not ranked.
    """

    papers: list[Paper]
    name: str
    what: str
    query: str = ""
    missing: list[str] = field(default_factory=list)
    note: str = ""


def chosen(query: QueryDict, reader: int | None) -> Chosen:
    """What the address chooses: `key=...` (several), `from=list` with the browse page's query, else the selection."""
    if keys := list(dict.fromkeys(key for key in query.getlist("key") if key))[:KEYS]:
        return _named(keys, reader)
    if query.get("from") == "list":
        return _found(query, reader)
    return Chosen(selection(reader), "selection", "your selection")


def selection(reader: int | None) -> list[Paper]:
    """The papers in the reader's selection, in the order they were added, with labels as the reader sees them."""
    papers = Paper.objects.visible_to(reader).filter(selected__owner=reader)
    return list(papers.order_by("selected__added_at", "selected__pk").prefetch_related(labels_for(reader)))


def _named(keys: list[str], reader: int | None) -> Chosen:
    """Of two papers with the same key the reader's own."""
    readable = [key for key in keys if "\0" not in key]  # PostgreSQL has no NUL in texts
    rows = Paper.objects.visible_to(reader).filter(key__in=readable).order_by(F("owner").asc(nulls_first=True))
    found = {paper.key: paper for paper in rows.prefetch_related(labels_for(reader))}
    papers = [found[key] for key in keys if key in found]
    return Chosen(
        papers,
        papers[0].key if len(papers) == 1 else "papers",
        "this paper" if len(papers) == 1 else "the papers named in the address",
        urlencode([("key", key) for key in keys]),
        [key for key in keys if key not in found],
    )


def _found(query: QueryDict, reader: int | None) -> Chosen:
    state = State.of(query)
    found = catalogue.find(state.q, state.facets, PATIENCE, read=state.read, reader=reader)
    kept = query.copy()
    for not_of_the_list in ("page", "style", "as"):
        kept.pop(not_of_the_list, None)
    return Chosen(found.papers, "papers", "the papers found", kept.urlencode(), note=found.reason)
