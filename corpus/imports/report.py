"""What became of each record of an import, as lines of JSON and as a page of Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from corpus.imports.doctor import Finding
from corpus.imports.formats import NAMES
from corpus.imports.shelve import ADDED, MERGED, REFUSED, UNCHANGED, Shelved
from corpus.models import Import

REPAIRED, NOTED = "repaired", "noted"
OUTCOMES = {
    ADDED: "added",
    MERGED: "merged",
    UNCHANGED: "already there",
    REFUSED: "refused",
    REPAIRED: "repaired in the list",
    NOTED: "for a person to look at",
}
Line = dict[str, Any]


def line(number: int, what: str, done: Shelved, said: str = "") -> Line:
    """One line about a record; `paper` is the primary key of what was written, `key` names the paper to open."""
    reason = " ".join(filter(None, (done.reason, said)))
    return (
        {"line": number, "what": what or done.key, "outcome": done.outcome, "reason": reason}
        | ({"key": done.key} if done.key else {})
        | ({"paper": done.paper} if done.paper else {})
    )


def finding(found: Finding) -> Line:
    """One line about a fault of a reading list."""
    outcome = REPAIRED if found.mended else NOTED
    return {"line": found.line, "what": found.what, "outcome": outcome, "reason": found.said, "kind": found.kind}


def counts(lines: Sequence[Line]) -> list[tuple[str, str, int]]:
    """(outcome, how it is called, how many) of the outcomes that occur, in a fixed order."""
    found = Counter(each["outcome"] for each in lines)
    return [(outcome, name, found[outcome]) for outcome, name in OUTCOMES.items() if found[outcome]]


def summary(lines: Sequence[Line]) -> str:
    """ "12 added, 1 merged, 2 refused." """
    said = ", ".join(f"{number:,} {name}" for _, name, number in counts(lines))
    return f"{said[:1].upper()}{said[1:]}." if said else "Nothing was found."


def as_markdown(row: Import) -> str:
    """The whole report for people, as a table for the records and one for a reading list's faults."""
    records = [each for each in row.report if "kind" not in each]
    faults = [each for each in row.report if "kind" in each]
    parts = [
        f"# Import of {_cell(row.name)}",
        f"{NAMES.get(row.format, 'Format not recognised')}, {row.created_at:%d %B %Y, %H:%M}. {row.line}",
        _table(
            ("Line", "Record", "Outcome", "Reason"),
            [(_text(each["line"]), each["what"], OUTCOMES[each["outcome"]], each["reason"]) for each in records],
        ),
    ]
    if faults:
        parts += [
            "## What the list doctor found",
            _table(
                ("Line", "Row", "Fault", "What it is", "Mended"),
                [
                    (
                        _text(each["line"]),
                        each["what"],
                        each["kind"],
                        each["reason"],
                        "yes" if each["outcome"] == REPAIRED else "no",
                    )
                    for each in faults
                ],
            ),
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(text) for text in row) + " |" for row in lines)


def _cell(text: str) -> str:
    """Text that cannot end its cell or become a link or markup."""
    safe = " ".join(text.split())
    for character in "\\|`*_[]<>":
        safe = safe.replace(character, f"\\{character}")
    return safe


def _text(number: Any) -> str:
    return str(number)
