"""Papers counted by two facets: where a field is crowded and where it is empty.

Counts are of the papers that the reader may see, by the labels as they have corrected them. Two queries, whatever the
size: the papers under the filters, and their labels of the two facets.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from django.http import QueryDict
from django.urls import reverse

from corpus.browse import TITLES, State
from corpus.catalogue import PARAMETERS, corrected_labels
from corpus.models import Paper
from corpus.vocabulary import Term, term, terms

ROWS, COLUMNS = "task", "strategy"  # when the address names none
OPEN = 40  # values of a facet without a vocabulary (anatomy) that a side takes; rarer ones are counted and said
TINTS = 5

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run


@dataclass(frozen=True, slots=True)
class Sides:
    """What an address asks for: two facets by their parameter, and the filters of the browse page beside them."""

    rows: str
    columns: str
    state: State

    @classmethod
    def of(cls, query: QueryDict) -> Sides:
        """Never fails: an unknown facet, or the same one twice, counts as not given.

        A filter is one value of a facet that is neither rows nor columns; others are left out.
        """
        rows = query.get("rows", "") if query.get("rows", "") in PARAMETERS else ROWS
        columns = query.get("columns", "") if query.get("columns", "") in PARAMETERS else COLUMNS
        if rows == columns:
            columns = next(name for name in (COLUMNS, ROWS) if name != rows)
        state = State.of(query)
        filters = {name: chosen[:1] for name, chosen in state.values.items() if name not in (rows, columns)}
        return cls(rows, columns, replace(state, values=filters, q="", read=True, page=1))

    def query(self) -> str:
        """The part of the address after the question mark; empty for the usual two facets without filters."""
        address = self.state.address().partition("?")[2]
        usual = (self.rows, self.columns) == (ROWS, COLUMNS)
        return "&".join(part for part in ("" if usual else f"rows={self.rows}&columns={self.columns}", address) if part)

    def address(self, name: str = "corpus:matrix") -> str:
        """The page (or the file) of this matrix."""
        query = self.query()
        return reverse(name) + (f"?{query}" if query else "")

    def turned(self) -> str:
        """The address with rows and columns exchanged."""
        return replace(self, rows=self.columns, columns=self.rows).address()


@dataclass(frozen=True, slots=True)
class Cell:
    """How many papers carry both labels, the list of them, and how dark its ground is (0 for a gap, else 1 to 5)."""

    count: int
    address: str
    tint: int


@dataclass(frozen=True, slots=True)
class Line:
    """A row: its term, its papers in all, the list of them, their number in each year, and its cells."""

    term: Term
    total: int
    address: str
    by_year: list[tuple[int, int]]
    cells: list[Cell]

    @property
    def gaps(self) -> int:
        """Columns without a paper."""
        return sum(1 for cell in self.cells if not cell.count)

    @property
    def years_said(self) -> str:
        """The sparkline in words: "2023: 4, 2024: 11"."""
        return ", ".join(f"{year}: {count}" for year, count in self.by_year if count) or "no dated paper"


@dataclass(frozen=True, slots=True)
class Head:
    """A column: its term, its papers in all, and the list of them."""

    term: Term
    total: int
    address: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """The counts. A paper with several labels of a facet counts in each, so that totals are not sums of cells.

    `papers` is the number under the filters, `unplaced` how many of them lack a label of either facet, `left_out` how
    many rare values have no row or column of their own.
    """

    sides: Sides
    columns: list[Head]
    lines: list[Line]
    papers: int
    unplaced: int
    left_out: int

    @property
    def row_title(self) -> str:
        """The facet of the rows, for people."""
        return TITLES[self.sides.rows]

    @property
    def column_title(self) -> str:
        """The facet of the columns, for people."""
        return TITLES[self.sides.columns]

    @property
    def title(self) -> str:
        """What the matrix shows: "Task by learning strategy"."""
        return f"{self.row_title} by {self.column_title.lower()}"

    @property
    def gaps(self) -> int:
        """Cells without a paper."""
        return sum(line.gaps for line in self.lines)

    @property
    def years(self) -> list[int]:
        """Every year from the first to the last, those without a paper among them."""
        return [year for year, _ in self.lines[0].by_year] if self.lines else []

    def csv(self) -> str:
        """The counts as RFC 4180: a line for each row, then the columns' totals; the years stand at the right."""
        out = io.StringIO()
        writer = csv.writer(out)
        corner = f"{self.row_title.lower()} / {self.column_title.lower()}"
        names = [_plain(head.term.name) for head in self.columns]
        writer.writerow([corner, *names, "all papers", *self.years])
        for line in self.lines:
            years = [count for _, count in line.by_year]
            writer.writerow([_plain(line.term.name), *(cell.count for cell in line.cells), line.total, *years])
        writer.writerow(["all papers", *(head.total for head in self.columns), self.papers])
        return out.getvalue()


def count(sides: Sides, reader: int | None) -> Matrix:
    """The matrix as this reader sees it."""
    papers = Paper.objects.visible_to(reader).filter_facets(sides.state.facets, reader).order_by()
    years = dict(papers.values_list("pk", "year"))
    facets = PARAMETERS[sides.rows], PARAMETERS[sides.columns]
    labels = corrected_labels(reader).filter(facet__in=facets, paper__in=papers).order_by()
    carried: dict[str, dict[str, set[int]]] = {facet: defaultdict(set) for facet in facets}
    for paper, facet, value in labels.values_list("paper_id", "facet", "value"):
        carried[facet][value].add(paper)
    return _matrix(sides, years, carried[facets[0]], carried[facets[1]])


def _matrix(
    sides: Sides, years: Mapping[int, int | None], down: Mapping[str, set[int]], across: Mapping[str, set[int]]
) -> Matrix:
    rows, rare_rows = _values(PARAMETERS[sides.rows], down)
    columns, rare_columns = _values(PARAMETERS[sides.columns], across)
    both = {(row, column): len(down.get(row, set()) & across.get(column, set())) for row in rows for column in columns}
    most = max(both.values(), default=0)
    dated = [year for year in years.values() if year]
    span = range(min(dated), max(dated) + 1) if dated else range(0)

    def line(row: str) -> Line:
        cells = [
            Cell(
                both[row, column],
                _list_of(sides, **{sides.rows: row, sides.columns: column}),
                _tint(both[row, column], most),
            )
            for column in columns
        ]
        members = down.get(row, set())
        of_year = Counter(years[paper] for paper in members)
        by_year = [(year, of_year[year]) for year in span]
        facet = PARAMETERS[sides.rows]
        return Line(term(facet, row), len(members), _list_of(sides, **{sides.rows: row}), by_year, cells)

    facet = PARAMETERS[sides.columns]
    heads = [Head(term(facet, c), len(across.get(c, ())), _list_of(sides, **{sides.columns: c})) for c in columns]
    placed = _all(down) & _all(across)
    return Matrix(
        sides, heads, [line(row) for row in rows], len(years), len(years) - len(placed), rare_rows + rare_columns
    )


def _values(facet: str, carried: Mapping[str, set[int]]) -> tuple[list[str], int]:
    """The values of one side, and how many were too rare for it: the vocabulary in its order, others by frequency."""
    known = list(terms().get(facet, ()))
    others = sorted(carried.keys() - set(known), key=lambda value: (-len(carried[value]), value))
    return [*known, *others[:OPEN]], max(len(others) - OPEN, 0)


def _list_of(sides: Sides, **values: str) -> str:
    """The browse page with these labels beside the filters."""
    chosen = dict(sides.state.values)
    for parameter, value in values.items():
        chosen[parameter] = tuple(dict.fromkeys([*chosen.get(parameter, ()), value]))
    return replace(sides.state, values=chosen).address()


def _tint(count: int, most: int) -> int:
    """1 to 5 by the square root of the count, so that small counts differ too; 0 for none."""
    return math.ceil(TINTS * math.sqrt(count / most)) if count else 0


def _all(carried: Mapping[str, Iterable[int]]) -> set[int]:
    return {paper for papers in carried.values() for paper in papers}


def _plain(text: str) -> str:
    """Text that a spreadsheet takes for text."""
    return f"'{text}" if text.startswith(_FORMULA) else text
