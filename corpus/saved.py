"""Saved searches run again: which papers have come, gone, or changed places since."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from corpus import catalogue
from corpus.catalogue import Found
from corpus.models import Paper, SavedSearch
from corpus.results import Facets
from inference.errors import Unavailable

PATIENCE = 6.0  # seconds for the corpus worker: nothing stands in for a ranking here


@dataclass(frozen=True, slots=True)
class Move:
    """A paper that now stands elsewhere among the others; places count from 1."""

    paper: Paper
    before: int
    now: int


@dataclass(frozen=True, slots=True)
class Difference:
    """`gone` pairs each key with its paper, or with None where the reader sees it no longer."""

    added: list[tuple[int, Paper]]
    gone: list[tuple[str, Paper | None]]
    moved: list[Move]
    kept: int

    def __bool__(self) -> bool:
        return bool(self.added or self.gone or self.moved)


def run(query: str, facets: Facets, read: bool, reader: int | None) -> Found:
    """The papers that the search finds now. Raises inference.errors.Unavailable when the worker does not answer: a list
    in another order would look like a change of the literature."""
    found = catalogue.find(query, facets, PATIENCE, read=read, reader=reader)
    if found.reason:
        raise Unavailable(found.reason)
    return found


def run_again(search: SavedSearch, reader: int | None) -> Found:
    """`run` with what was saved."""
    return run(search.query, Facets.from_dict(search.facets), search.read, reader)


def keys_of(papers: Sequence[Paper]) -> list[str]:
    """The keys that a saved search holds, each once."""
    return list(dict.fromkeys(paper.key for paper in papers))


def difference(search: SavedSearch, papers: Sequence[Paper], reader: int | None) -> Difference:
    """How the papers found now differ from those that were saved."""
    before = {key: place for place, key in enumerate(search.keys, start=1)}
    first = {paper.key: paper for paper in reversed(papers)}
    now = {key: place for place, key in enumerate(keys_of(papers), start=1)}
    gone = [key for key in before if key not in now]
    visible = Paper.objects.visible_to(reader).filter(key__in=gone)
    still = {paper.key: paper for paper in visible}
    common = sorted(now.keys() & before.keys(), key=lambda key: now[key])
    return Difference(
        added=[(place, first[key]) for key, place in now.items() if key not in before],
        gone=[(key, still.get(key)) for key in gone],
        moved=[Move(first[key], before[key], now[key]) for key in _out_of_order(common, before)],
        kept=len(common),
    )


def _out_of_order(keys: Sequence[str], before: dict[str, int]) -> list[str]:
    """The fewest keys that must have moved to give this order: those outside a longest run that kept its order.

    So one paper that comes first does not make all the others "moved". Patience sorting (Fredman 1975).
    """
    tails: list[int] = []  # the smallest last place of a run of each length
    ends: list[int] = []  # and where in `keys` it stands
    previous: dict[int, int] = {}
    for at, key in enumerate(keys):
        length = bisect_left(tails, before[key])
        if length:
            previous[at] = ends[length - 1]
        tails[length : length + 1] = [before[key]]
        ends[length : length + 1] = [at]
    stayed: set[int] = set()
    at_end = ends[-1] if ends else None
    while at_end is not None:
        stayed.add(at_end)
        at_end = previous.get(at_end)
    return [key for at, key in enumerate(keys) if at not in stayed]
