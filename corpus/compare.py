"""Papers side by side: what is recorded of each, cell by cell, with the passage it stands in.

Only what is recorded: an empty cell means "not recorded", not "none". Results have one column for each data set and
metric, so that numbers of the same measurement stand together and no others do.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from corpus.catalogue import labels_for
from corpus.models import Label, Paper, Passage
from corpus.quotes import stands_in
from corpus.vocabulary import name_of

NOT_RECORDED = "\u2014"  # an em dash, as printed tables have it
_SIGNED = re.compile(r"[=@\t\r]|[+-](?![\d.])")  # what a spreadsheet would take for a formula; "+3.9%" is a number


@dataclass(frozen=True, slots=True)
class Value:
    """One recorded thing: `passage_id` of the passage it stands in, or None where it stands in none (labels, years,
    addresses); `url` is where it can be seen. `note` belongs to a result ("zero-shot")."""

    text: str
    passage_id: int | None = None
    url: str = ""
    note: str = ""

    def __str__(self) -> str:
        return f"{self.text} ({self.note})" if self.note else self.text


@dataclass(frozen=True, slots=True)
class Cell:
    """What is recorded of one paper in one column; several values where several are."""

    values: tuple[Value, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.values)

    @property
    def text(self) -> str:
        """All values, or an empty string."""
        return "; ".join(map(str, self.values))

    @property
    def passage_id(self) -> int | None:
        """The passage of the first value that stands in one."""
        return next((value.passage_id for value in self.values if value.passage_id is not None), None)


@dataclass(frozen=True, slots=True)
class Column:
    """A column: of facts, or (with a metric) of the results of one measurement."""

    title: str
    dataset: str = ""
    metric: str = ""

    @property
    def is_result(self) -> bool:
        """Whether it holds numbers of one metric on one data set."""
        return bool(self.metric or self.dataset)


@dataclass(frozen=True, slots=True)
class Row:
    """One paper, with a cell for each column."""

    paper: Paper
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows are papers, in the order they were given. Fact columns come first, then results: those that most papers
    report first, and of these the ones met first."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def facts(self) -> list[tuple[Paper, list[tuple[Column, Cell]]]]:
        """(paper, its cells without the results)."""
        return [
            (row.paper, [pair for pair in zip(self.columns, row.cells, strict=True) if not pair[0].is_result])
            for row in self.rows
        ]

    def results(self) -> list[tuple[Column, list[Cell]]]:
        """(measurement, the cells of the papers of `measured`): the results turned round, a line for each."""
        rows = self._with_results()
        return [(column, [row.cells[i] for row in rows]) for i, column in enumerate(self.columns) if column.is_result]

    def measured(self) -> list[Paper]:
        """The papers of which any result is recorded."""
        return [row.paper for row in self._with_results()]

    def unmeasured(self) -> list[Paper]:
        """The others."""
        measured = {paper.pk for paper in self.measured()}
        return [row.paper for row in self.rows if row.paper.pk not in measured]

    def _with_results(self) -> list[Row]:
        places = [i for i, column in enumerate(self.columns) if column.is_result]
        return [row for row in self.rows if any(row.cells[i] for i in places)]


FACTS = ("year", "backbone", "data set", "technique", "code")


def table(papers: Iterable[Paper], reader: int | None) -> Table:
    """The comparison of these papers, as the reader (the primary key of a user) sees them.

    Read anew: a paper that the reader may not see is left out, and labels are the reader's.
    """
    order = list(dict.fromkeys(paper.pk for paper in papers))
    rows = Paper.objects.visible_to(reader).prefetch_related(labels_for(reader)).in_bulk(order)
    seen = [rows[pk] for pk in order if pk in rows]
    passages = _passages(seen, reader)
    measurements = _measurements(seen)
    columns = tuple(Column(title) for title in FACTS) + tuple(measurements.values())
    return Table(columns, tuple(_row(paper, passages[paper.pk], list(measurements)) for paper in seen))


def as_csv(compared: Table, keys: Sequence[str]) -> str:
    """One line a paper: its citation key (`keys`, one for each row), its name, and the columns."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["key", "paper", *(column.title for column in compared.columns)])
    for key, row in zip(keys, compared.rows, strict=True):
        writer.writerow([_inert(text) for text in (key, row.paper.name, *(cell.text for cell in row.cells))])
    return out.getvalue()


def as_markdown(compared: Table, keys: Sequence[str]) -> str:
    """Two tables: facts, a line a paper; results, a line a measurement. Papers are cited as pandoc does: [@key]."""
    cite = {row.paper.pk: f"[@{key}]" for key, row in zip(keys, compared.rows, strict=True)}
    lines = _markdown_rows(["paper", *FACTS])
    for paper, pairs in compared.facts():
        lines += _line([f"{plain(paper.name)} {cite[paper.pk]}", *(_shown(cell) for _, cell in pairs)])
    if measured := compared.measured():
        lines += ["", *_markdown_rows(["data set", "metric", *(cite[paper.pk] for paper in measured)])]
    for column, cells in compared.results():
        lines += _line([plain(column.dataset), plain(column.metric), *map(_shown, cells)])
    if absent := compared.unmeasured():
        lines += ["", f"No results recorded: {', '.join(cite[paper.pk] for paper in absent)}."]
    return "\n".join([*lines, "", f"{NOT_RECORDED}: not recorded. Values are as the authors report them.", ""])


def plain(text: str) -> str:
    """The text in Markdown, saying itself and nothing else: one line, its signs escaped."""
    return re.sub(r"([\\`*_\[\]<>|#~$@^])", r"\\\1", " ".join(text.split()))


def _markdown_rows(titles: list[str]) -> list[str]:
    return [*_line(titles), *_line(["---"] * len(titles))]


def _line(cells: Iterable[str]) -> list[str]:
    return [f"| {' | '.join(cells)} |"]


def _shown(cell: Cell) -> str:
    return plain(cell.text) if cell else NOT_RECORDED


def _inert(text: str) -> str:
    """A cell that no spreadsheet carries out."""
    return f"'{text}" if _SIGNED.match(text) else text


def _passages(papers: Sequence[Paper], reader: int | None) -> dict[int, list[Passage]]:
    """{paper: its passages in which recorded facts may stand}, the lists of results first."""
    kinds = [Passage.Kind.RESULTS, Passage.Kind.ANNOTATION, Passage.Kind.ABSTRACT]
    found: dict[int, list[Passage]] = {paper.pk: [] for paper in papers}
    rows = Passage.objects.visible_to(reader).filter(paper__in=papers, current=True, kind__in=kinds)
    for passage in sorted(rows, key=lambda row: (kinds.index(Passage.Kind(row.kind)), row.ordinal)):
        found[passage.paper_id].append(passage)
    return found


def _measurements(papers: Iterable[Paper]) -> dict[tuple[str, str], Column]:
    """{folded (data set, metric): its column}, shared ones first."""
    columns: dict[tuple[str, str], Column] = {}
    reported: dict[tuple[str, str], set[int]] = {}
    for paper in papers:
        for dataset, metric, _, _ in _results(paper):
            place = _fold(dataset), _fold(metric)
            columns.setdefault(place, Column(" on ".join(filter(None, (metric, dataset))), dataset, metric))
            reported.setdefault(place, set()).add(paper.pk)
    order = sorted(columns, key=lambda place: -len(reported[place]))  # stable: first met, first shown
    return {place: columns[place] for place in order}


def _results(paper: Paper) -> Iterator[tuple[str, str, str, str]]:
    """(data set, metric, value, note) of what is reported; without a value nothing is."""
    for result in paper.results:
        dataset, metric, value, note = (
            str(result.get(name) or "").strip() for name in ("dataset", "metric", "value", "note")
        )
        if value and (dataset or metric):
            yield dataset, metric, value, note


def _fold(name: str) -> str:
    """What two spellings of a name share: "IU X-Ray" and "IU Xray", "Dice" and "dice"."""
    return re.sub(r"[\s_\u2010-\u2015-]+", "", name).casefold()


def _row(paper: Paper, passages: list[Passage], measurements: list[tuple[str, str]]) -> Row:
    facts = (
        Cell((Value(str(paper.year)),) if paper.year else ()),
        Cell(tuple(_stated(paper, str(name), str(name), passages) for name in paper.backbones)),
        Cell(tuple(_stated(paper, str(name), str(name), passages) for name in paper.datasets)),
        Cell(tuple(_labelled(paper))),
        Cell((Value(paper.code_url, url=_web(paper.code_url)),) if paper.code_url else ()),
    )
    found: dict[tuple[str, str], list[Value]] = {}
    for dataset, metric, value, note in _results(paper):
        stated = _stated(paper, value, f"{metric} on {dataset}: {value}", passages, note)
        found.setdefault((_fold(dataset), _fold(metric)), []).append(stated)
    return Row(paper, facts + tuple(Cell(tuple(found.get(place, ()))) for place in measurements))


def _web(address: str) -> str:
    """The address where it is one of the web; an imported record may hold anything."""
    return address if address.startswith(("https://", "http://")) else ""


def _stated(paper: Paper, text: str, words: str, passages: list[Passage], note: str = "") -> Value:
    """A value with the first passage that holds these words."""
    for passage in passages:
        if stands_in(words, passage.text):
            return Value(text, passage.pk, f"{paper.get_absolute_url()}#p{passage.pk}", note)
    return Value(text, None, paper.get_absolute_url(), note)


def _labelled(paper: Paper) -> Iterator[Value]:
    """The techniques, each once. Uses the prefetched labels."""
    names = dict.fromkeys(label.value for label in paper.labels.all() if label.facet == Label.Facet.TECHNIQUE)
    for name in names:
        yield Value(name_of(name), url=f"{paper.get_absolute_url()}#lit-labels")
