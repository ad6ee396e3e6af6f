"""The list doctor: looks a reading list over, says what is wrong row by row, and writes the list that is better.

Repairs what has one right answer: links that do not last, numbers, rows that stand twice in one section. What needs a
person (a row under another task than its title names, one paper under two headings) is said and left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from corpus.imports import awesome
from corpus.imports.awesome import Row
from corpus.imports.identity import Works, work_of
from corpus.imports.links import repair
from corpus.imports.records import Record, Refused, shown
from corpus.imports.topics import tasks_in_title, tasks_of
from corpus.vocabulary import name_of

LINK, NUMBER, DUPLICATE, MISFILED, TITLE = "link", "number", "duplicate", "misfiled", "no title"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: its line and row, its kind, what is wrong in one sentence, whether the better list has it mended."""

    line: int
    what: str
    kind: str
    said: str
    mended: bool = False


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found in a list of so many rows, in the order of its lines; `text` is the better list."""

    rows: int
    findings: list[Finding] = field(default_factory=list)
    text: str = ""


def examine(text: str) -> Diagnosis:
    """Looks a list in Markdown over. Raises BadInput on what is none."""
    found = awesome.rows(text)
    rows = [row for row in found if isinstance(row, Row)]
    findings = [Finding(row.line, row.what, TITLE, row.reason) for row in found if isinstance(row, Refused)]
    lines = text.split("\n")
    findings += _mend_links(rows, lines)
    twice, said = _duplicates(rows)
    findings += said
    findings += _misfiled(rows)
    findings += _numbers(rows)
    _renumber([row for row in rows if row not in twice], lines)
    gone = {number for row in twice for number in range(row.line, row.end)}
    kept = "\n".join(line for number, line in enumerate(lines, 1) if number not in gone)
    return Diagnosis(len(rows), sorted(findings, key=lambda finding: (finding.line, finding.kind)), kept)


def _mend_links(rows: Sequence[Row], lines: list[str]) -> Iterator[Finding]:
    for row in rows:
        for at in range(row.line - 1, min(row.end - 1, len(lines))):
            for url in dict.fromkeys(awesome.urls(lines[at])):
                mended = repair(url)
                if mended and mended.url:
                    lines[at] = lines[at].replace(url, mended.url)
                    yield Finding(at + 1, shown(row.title), LINK, f"{_capital(mended.fault)}: now {mended.url}", True)
                elif mended:
                    said = f"{_capital(mended.fault)}, with no PII or DOI in it: find the paper's own address."
                    yield Finding(at + 1, shown(row.title), LINK, said)


def _duplicates(rows: Sequence[Row]) -> tuple[list[Row], list[Finding]]:
    """The rows to leave out, being in the same section twice; and what is said of these and of the others."""
    works, gone, findings = Works(), [], []
    for place, row in enumerate(rows):
        entry = awesome.read(row)
        if not isinstance(entry, Record):
            continue
        work = work_of(entry.csl)
        first = works.find(work)
        if first is None:
            works.add(place, work)
            continue
        here = rows[first].sections == row.sections and not row.nested
        where = "this section" if rows[first].sections == row.sections else f"\u201c{_last(rows[first])}\u201d"
        end = " The second is left out." if here else " Both are left: a person must say which is right."
        if here and row.link not in ("", rows[first].link):
            end = f" The second is left out; its link was {row.link}"
        findings.append(
            Finding(row.line, shown(row.title), DUPLICATE, f"Also in line {rows[first].line}, in {where}.{end}", here)
        )
        gone += [row] if here else []
    return gone, findings


def _misfiled(rows: Sequence[Row]) -> Iterator[Finding]:
    headings = {task: heading for row in rows for heading in row.sections for task in tasks_of(heading)}
    for row in rows:
        here = next((tasks for heading in reversed(row.sections) if (tasks := tasks_of(heading))), ())
        named = tasks_in_title(row.title)
        if not here or not named or "multi-task" in here or set(here) & named.keys():
            continue
        task, phrase = next(iter(named.items()))
        to = f"under \u201c{headings[task]}\u201d" if task in headings else f"in a section for {name_of(task)}"
        said = f"Its title says \u201c{phrase}\u201d, its section is \u201c{_last(row)}\u201d: it may belong {to}."
        yield Finding(row.line, shown(row.title), MISFILED, said)


def _numbers(rows: Sequence[Row]) -> Iterator[Finding]:
    """Numbers that are missing, repeated or out of order, within each table or list; it may begin with any."""
    before: Row | None = None
    for row in rows:
        if row.numbered is None:
            continue
        if before is not None and before.block == row.block and before.numbered is not None:
            step = row.numbered - before.numbered
            if step > 1:
                missing = str(before.numbered + 1) if step == 2 else f"{before.numbered + 1} to {row.numbered - 1}"
                yield Finding(
                    row.line,
                    shown(row.title),
                    NUMBER,
                    f"Before {row.numbered}, {missing} is missing; renumbered.",
                    True,
                )
            elif step < 1:
                said = f"Number {row.numbered} comes after {before.numbered}; renumbered."
                yield Finding(row.line, shown(row.title), NUMBER, said, True)
        before = row


def _renumber(rows: Sequence[Row], lines: list[str]) -> None:
    block, number = -1, 0
    for row in rows:
        if row.numbered is None:
            continue
        block, number = (block, number + 1) if row.block == block else (row.block, row.numbered)
        written = re.compile(rf"^(\s*\|?\s*[*_]*){row.numbered}(?!\d)")
        lines[row.line - 1] = written.sub(rf"\g<1>{number}", lines[row.line - 1], count=1)


def _last(row: Row) -> str:
    return row.sections[-1] if row.sections else "no section"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
