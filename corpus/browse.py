"""The state of the browse page: all of it is in its address, so that a list can be kept, sent and gone back to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse

from corpus.catalogue import PARAMETERS, Choice, facets_of
from corpus.models import Label, Paper, Passage
from corpus.results import Facets
from corpus.vocabulary import name_of

TITLES = {
    "task": "Task",
    "strategy": "Learning strategy",
    "technique": "Technique",
    "modality": "Modality",
    "dimension": "Dimension",
    "anatomy": "Anatomy",
}


@dataclass(frozen=True, slots=True)
class Menu:
    """One facet's filter: groups of choices under a heading (empty where the facet has no families)."""

    parameter: str
    title: str
    groups: list[tuple[str, list[Choice]]]


@dataclass(frozen=True, slots=True)
class Chip:
    """A condition as it stands over the list: the address without it, and those with another value in its place.

    `read` tells a condition that was read from the question from one that was chosen.
    """

    name: str
    title: str
    without: str
    others: list[tuple[str, str]]
    read: bool


@dataclass(frozen=True, slots=True)
class State:
    """What the address says. Unreadable years and pages count as not given."""

    q: str = ""
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    year_min: int | None = None
    year_max: int | None = None
    page: int = 1
    read: bool = True  # whether facets are read from the words of the question

    @classmethod
    def of(cls, query: QueryDict) -> State:
        """The state that an address describes; never fails."""
        values = {name: tuple(dict.fromkeys(v for v in query.getlist(name) if v)) for name in PARAMETERS}
        return cls(
            q=query.get("q", "").strip()[:500],
            values={name: chosen for name, chosen in values.items() if chosen},
            year_min=_number(query.get("year_min")),
            year_max=_number(query.get("year_max")),
            page=_number(query.get("page")) or 1,
            read=query.get("read") != "no",
        )

    @property
    def facets(self) -> Facets:
        """The conditions that are chosen."""
        return facets_of(**self.values, year_min=self.year_min, year_max=self.year_max)

    def address(self) -> str:
        """The address of this state, without what is not stated."""
        pairs: list[tuple[str, str]] = [("q", self.q)] if self.q else []
        pairs += [(name, value) for name, chosen in self.values.items() for value in chosen]
        pairs += [
            (name, str(year)) for name, year in (("year_min", self.year_min), ("year_max", self.year_max)) if year
        ]
        pairs += [] if self.read else [("read", "no")]
        pairs += [("page", str(self.page))] if self.page > 1 else []
        return reverse("corpus:browse") + (f"?{urlencode(pairs)}" if pairs else "")

    @property
    def query(self) -> str:
        """The part of the address after its path, with the question mark."""
        return self.address().removeprefix(reverse("corpus:browse"))

    @classmethod
    def address_of(cls, parameter: str, value: str) -> str:
        """The address of all papers with one label; empty for a facet that the page has no filter for."""
        return cls(values={parameter: (value,)}).address() if parameter else ""

    def with_read(self, read: Mapping[str, Any]) -> State:
        """This state with what was read from the question (`Facets.as_dict`) chosen too, to be edited like the rest."""
        both = self.facets.union(Facets.from_dict(read))
        labels = both.labels()
        values = {name: labels[facet] for name, facet in PARAMETERS.items() if facet in labels}
        return replace(self, values=values, year_min=both.year_min, year_max=both.year_max, read=False, page=1)

    def chips(self, menus: Mapping[str, Iterable[Choice]], given: State) -> list[Chip]:
        """The chosen conditions, each with what could stand in its place; `given` is what the address says."""
        chips = []
        for name, chosen in self.values.items():
            for value in chosen:
                others = [
                    (choice.term.name, self._with(name, tuple(choice.term.value if v == value else v for v in chosen)))
                    for choice in menus.get(PARAMETERS[name], ())
                    if choice.term.value not in chosen
                ]
                without = self._with(name, tuple(v for v in chosen if v != value))
                read = value not in given.values.get(name, ())
                chips.append(Chip(name_of(value), TITLES[name], without, others, read))
        if self.year_min:
            without = replace(self, year_min=None, page=1).address()
            chips.append(Chip(f"from {self.year_min}", "Year", without, [], self.year_min != given.year_min))
        if self.year_max:
            without = replace(self, year_max=None, page=1).address()
            chips.append(Chip(f"to {self.year_max}", "Year", without, [], self.year_max != given.year_max))
        return chips

    def adding(self, name: str, value: str) -> str:
        """The address with one more value of a facet; what was read from the question is chosen by then."""
        return replace(self, read=False)._with(name, (*self.values.get(name, ()), value))

    def _with(self, name: str, chosen: tuple[str, ...]) -> str:
        """The address of this state with these values of one facet."""
        values = {of: kept for of, kept in (self.values | {name: chosen}).items() if kept}
        return replace(self, values=values, page=1).address()

    def only_words(self) -> str:
        """The address of the same question without any condition."""
        return State(q=self.q, read=False).address()

    def pages(self, count: int) -> list[tuple[int, str]]:
        """(number, address) of every page of the list."""
        return [(number, replace(self, page=number).address()) for number in range(1, count + 1)]

    def menus(self, choices: Mapping[str, list[Choice]]) -> list[Menu]:
        """The filters, techniques grouped by their families."""
        return [Menu(name, TITLES[name], _grouped(choices[facet])) for name, facet in PARAMETERS.items()]


@dataclass(frozen=True, slots=True)
class Row:
    """One paper in the list: its lead (a passage, or the beginning of its annotation) and its main labels."""

    paper: Paper
    lead: str
    passage: Passage | None
    tags: list[str]

    @classmethod
    def of(cls, paper: Paper, passage: Passage | None) -> Row:
        """Shows `passage` where a search found one. Uses the prefetched labels."""
        labels = sorted(paper.labels.all(), key=lambda label: label.facet != Label.Facet.TASK)
        shown = [label.value for label in labels if label.facet in (Label.Facet.TASK, Label.Facet.MODALITY)]
        return cls(
            paper,
            passage.text if passage else paper.annotation or paper.abstract,
            passage,
            [name_of(v) for v in shown[:6]],
        )


def readings(facets: Mapping[str, object]) -> list[str]:
    """How facets read from a question are written on the page: ["report generation", "CT", "from 2025"]."""
    read = Facets.from_dict(facets)
    said = [name_of(value) for values in read.labels().values() for value in values]
    said += [f"from {read.year_min}"] if read.year_min else []
    return said + ([f"to {read.year_max}"] if read.year_max else [])


def _grouped(choices: list[Choice]) -> list[tuple[str, list[Choice]]]:
    groups: dict[str, list[Choice]] = {}
    for choice in choices:
        groups.setdefault(choice.term.family, []).append(choice)
    return list(groups.items())


def _number(text: str | None) -> int | None:
    """A year or a page; None for anything that is not a small positive whole number."""
    return int(text) if text and text.isascii() and text.isdigit() and 0 < len(text) <= 4 and int(text) > 0 else None
