"""Papers side by side, each cell with the passage it stands on; what is not recorded is said, never filled in.

Numbers stand in one row only when they are of the same metric on the same data set (`corpus.compare`). What one paper
alone reports is listed on its own.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from assistant.models import Artifact
from assistant.tools.base import Arguments, Context, Declined, NewArtifact, Statement, Tool, ToolResult
from assistant.tools.which_paper import as_source, inert, quoted, titled, which
from corpus.compare import Cell, Column, Table, table
from corpus.models import Paper, Passage
from corpus.quotes import stands_in
from corpus.sentences import sentences

Aspect = Literal["backbone", "data set", "technique", "code", "results"]
ASPECTS: tuple[Aspect, ...] = ("backbone", "data set", "technique", "code", "results")
NO_MEASUREMENT = (
    "No metric on one and the same data set is recorded for two of them, so no numbers are set side by side."
)
ONE_MEASUREMENT = "Only numbers of one metric on one data set stand in a row; their conditions may still differ."

Value = dict[str, str]  # text; ref, what it stands on; quote, its words there; of a passage also key and basis


class CompareArguments(Arguments):
    papers: list[Annotated[str, Field(min_length=1, max_length=500)]] = Field(
        min_length=2, max_length=6, description="2 to 6 papers: citation keys, titles or names of methods"
    )
    aspects: list[Aspect] = Field(default_factory=lambda: list(ASPECTS), description="what to compare; all by default")


def run(context: Context, arguments: CompareArguments) -> ToolResult:
    papers = _chosen(arguments.papers, context.reader)
    compared = table(papers, context.reader)
    passages = {row.pk: row for row in _readable(papers, context.reader)}
    whole, wanted = f"{context.ref}.1", set[str](arguments.aspects)
    rows = [
        (column, [_values(cell, column, passages, whole) for cell in cells])
        for column, cells in _side_by_side(compared)
        if ("results" if column.is_result else column.title) in wanted
    ]
    alone = list(_alone(compared, passages)) if "results" in wanted else []
    opening = list(_opening(papers, passages.values()))
    in_table = list(_cells(papers, rows))
    statements = [*opening, *in_table, *alone]
    cited = [passages[int(s.ref[1:])] for s in statements if s.ref.startswith("p")]
    data = _data(papers, rows)
    return ToolResult(
        summary=f"{len(papers)} papers, {len(rows)} rows",
        statements=[Statement("The papers stand side by side in a table.", whole), *statements],
        notes=list(_notes(compared, wanted)),
        artifacts=[NewArtifact(Artifact.TABLE, "Papers side by side", data=data)],
        passages=[as_source(passage) for passage in dict.fromkeys(cited)],
        table=data,
        model="comparison of recorded facts (rules)",
    )


def _chosen(names: Iterable[str], reader: int) -> list[Paper]:
    """The papers meant, each once. Raises Declined with a line for each name that is not one paper's."""
    found: dict[int, Paper] = {}
    refused: list[str] = []
    for name in names:
        try:
            paper = which(name, reader)
            found[paper.pk] = paper
        except Declined as reason:
            refused.append(str(reason))
    if refused:
        raise Declined(" ".join(dict.fromkeys(refused)))
    if len(found) < 2:
        raise Declined("These names mean one and the same paper. Name a second one to compare it with.")
    return list(found.values())


def _readable(papers: list[Paper], reader: int) -> list[Passage]:
    rows = Passage.objects.visible_to(reader).filter(paper__in=papers, current=True)
    return list(rows.exclude(kind=Passage.Kind.FULL_TEXT).select_related("paper"))


def _side_by_side(compared: Table) -> Iterator[tuple[Column, tuple[Cell, ...]]]:
    """The facts that are recorded of any, and the measurements that more than one paper reports. The year stands beside
    the name."""
    for place, column in enumerate(compared.columns):
        cells = tuple(row.cells[place] for row in compared.rows)
        if column.title != "year" and sum(map(bool, cells)) > column.is_result:
            yield column, cells


def _values(cell: Cell, column: Column, passages: dict[int, Passage], whole: str) -> list[Value]:
    """The values of a cell, those that stand together in one passage as one."""
    joined = ", ".join(value.text for value in cell.values)
    passage = passages.get(cell.passage_id or 0)
    if not cell or column.is_result or (passage is not None and not stands_in(joined, passage.text)):
        return [_value(str(value), value.text, passages.get(value.passage_id or 0), whole) for value in cell.values]
    return [_value(joined, joined, passage, whole)]


def _value(text: str, quote: str, passage: Passage | None, whole: str) -> Value:
    value = {"text": inert(text), "quote": inert(quote), "ref": f"p{passage.pk}" if passage else whole}
    return value | ({"key": passage.paper.key, "basis": passage.basis} if passage else {})


def _cells(papers: list[Paper], rows: list[tuple[Column, list[list[Value]]]]) -> Iterator[Statement]:
    for column, cells in rows:
        for paper, values in zip(papers, cells, strict=True):
            for value in values:
                words = f"{titled(paper)}, {column.title}: {quoted(value['quote'])}"
                note = value["text"].removeprefix(value["quote"]).strip()
                yield Statement(f"{words} {note}".strip(), value["ref"], in_table=True)


def _alone(compared: Table, passages: dict[int, Passage]) -> Iterator[Statement]:
    """The results that one paper alone reports, each as the entry words it."""
    for row in compared.rows:
        for place, column in enumerate(compared.columns):
            others = [other.cells[place] for other in compared.rows if other is not row]
            for value in row.cells[place].values if column.is_result and not any(others) else ():
                words = f"{column.metric} on {column.dataset}: {value.text}"
                passage = passages.get(value.passage_id or 0)
                if passage is not None and stands_in(words, passage.text):
                    yield Statement(f"{titled(row.paper)}: {quoted(words)}", f"p{passage.pk}")


def _opening(papers: list[Paper], passages: Iterable[Passage]) -> Iterator[Statement]:
    """What each paper is, in the first sentence of its annotation, or of its abstract."""
    kinds = (Passage.Kind.ANNOTATION, Passage.Kind.ABSTRACT)
    texts = [passage for passage in passages if passage.kind in kinds]
    for paper in papers:
        own = sorted((p for p in texts if p.paper_id == paper.pk), key=lambda p: (kinds.index(p.kind), p.ordinal))
        for start, end in list(sentences(own[0].text))[:1] if own else []:
            yield Statement(f"{titled(paper)}: {quoted(own[0].text[start:end])}", f"p{own[0].pk}")


def _notes(compared: Table, aspects: set[str]) -> Iterator[str]:
    """What is not recorded, and which numbers are not to be set against each other."""
    for row in compared.rows:
        facts = zip(compared.columns, row.cells, strict=True)
        missing = [column.title for column, cell in facts if not (cell or column.is_result) and column.title in aspects]
        if "results" in aspects and row.paper in compared.unmeasured():
            missing.append("results")
        if missing:
            yield f"The entry of {row.paper.name} does not record: {', '.join(missing)}."
    if "results" in aspects and len(compared.measured()) > 1:
        shared = any(column.is_result for column, _ in _side_by_side(compared))
        yield ONE_MEASUREMENT if shared else NO_MEASUREMENT


def _data(papers: list[Paper], rows: list[tuple[Column, list[list[Value]]]]) -> dict[str, Any]:
    """The table as JSON: {"columns", "rows": [{"title", "cells": [[value]]}]}; an empty cell is not recorded."""
    return {
        "columns": [titled(paper) for paper in papers],
        "keys": [paper.key for paper in papers],
        "rows": [{"title": column.title, "cells": cells} for column, cells in rows],
    }


TOOL = Tool(
    name="compare_papers",
    description=(
        "Set 2 to 6 papers of the collection side by side: backbone, data set, technique, code, reported results. Each "
        "cell has the marker of the passage it stands on; what is not recorded is said. Never compare numbers of "
        "different metrics or data sets."
    ),
    arguments=CompareArguments,
    queue="corpus",
    run=run,
)
