"""What a parser makes of a file: records, and what could not be read, each with its line."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

MAX_BYTES = 10 * 1024 * 1024  # of a file
MAX_RECORDS = 20_000  # of a file
MAX_RECORD = 200_000  # characters of one record as JSON: a long abstract has five thousand
MAX_TEXT = 50_000  # characters of one field
DEPTH = 6  # CSL-JSON needs four
SHOWN = 120  # characters of a title in a report

Csl = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of a file as a CSL-JSON item. `line` is where it begins, counted from 1.

    `sections` are the headings of a reading list that it stands under, outermost first; `remark` is what the parser
    repaired or left out, for the report.
    """

    line: int
    csl: Csl
    sections: tuple[str, ...] = ()
    code_url: str = ""
    remark: str = ""

    @property
    def what(self) -> str:
        """The title, or else the identifier, cut for a table."""
        return shown(str(self.csl.get("title") or self.csl.get("DOI") or self.csl.get("archive_location") or ""))


@dataclass(frozen=True, slots=True)
class Refused:
    """An entry that could not be read: where it begins, what it seems to be, and why in one sentence."""

    line: int
    what: str
    reason: str


Entry = Record | Refused
Parser = Callable[[str], Iterator[Entry]]


def storable(text: str) -> str:
    """The text without what databases refuse: NUL and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode()


def shown(text: str) -> str:
    """One short line of the text, for reports."""
    line = " ".join(storable(text).split())
    return line if len(line) <= SHOWN else line[: SHOWN - 1].rstrip() + "\u2026"


def plain(text: str) -> str:
    """Text without the tags of HTML and JATS, with single spaces, as titles and abstracts come from publishers."""
    without = re.sub(r"</?[A-Za-z][^<>]{0,300}>", " ", text) if "<" in text else text
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#39;", "'"), ("&amp;", "&")):
        without = without.replace(entity, character)
    return " ".join(without.split())


def record(line: int, csl: Csl, **more: Any) -> Entry:
    """A record of the cleaned item, or why it is none: no title and no identifier, or too large."""
    item = cleaned(csl, DEPTH)
    assert isinstance(item, dict)
    item = {name: value for name, value in item.items() if value not in ("", None, [], {})}
    what = shown(str(item.get("title") or item.get("id") or ""))
    if len(json.dumps(item)) > MAX_RECORD:
        return Refused(line, what, f"The record is longer than {MAX_RECORD:,} characters.")
    if not item.get("title") and not item.get("DOI") and not item.get("archive_location"):
        return Refused(line, what, "The record has neither a title nor a DOI or arXiv id.")
    return Record(line, item, **more)


def cleaned(value: Any, depth: int) -> Any:
    """JSON that every database takes; what is nested deeper than `depth`, or is no number, is left out."""
    if isinstance(value, str):
        return storable(value).strip()[:MAX_TEXT]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return value if math.isfinite(value) and abs(value) < 1e15 else None
    if depth and isinstance(value, list):
        return [cleaned(item, depth - 1) for item in value]
    if depth and isinstance(value, dict):
        return {storable(str(name))[:80]: cleaned(item, depth - 1) for name, item in value.items()}
    return None


def names(people: Any) -> list[str]:
    """The people of a CSL name list as they are written: "Given Family"; empty where there are none."""
    written = []
    for person in people if isinstance(people, list) else []:
        if isinstance(person, dict):
            parts = [person.get(part) for part in ("given", "dropping-particle", "non-dropping-particle", "family")]
            name = " ".join(str(part) for part in parts if part) or str(
                person.get("literal") or person.get("name") or ""
            )
            if name:
                written.append(" ".join(name.split())[:200])
    return written


def person(text: str) -> dict[str, str]:
    """A CSL name of "Family, Given" or "Given Family"; what has no space, and names of groups, stay whole."""
    text = " ".join(text.split())
    if "," in text:
        family, _, given = (part.strip() for part in text.partition(","))
        return {"family": family, "given": given} if given else {"family": family}
    given, _, family = text.rpartition(" ")
    return {"family": family, "given": given} if given else {"literal": family}


def issued(text: str) -> Csl:
    """The CSL date of "2024", "2024-05-03", "2024/05", "May 2024"; empty where there is no year."""
    if match := re.search(
        r"(?<!\d)((?:1[5-9]|20)\d\d)(?:[-/](0?[1-9]|1[0-2])(?!\d))?(?:[-/](0?[1-9]|[12]\d|3[01])(?!\d))?", text
    ):
        return {"date-parts": [[int(part) for part in match.groups() if part]]}
    return {}


def year(csl: Csl) -> int | None:
    """The year that an item came out: of `issued`, in whichever of its forms; None where it says none."""
    for name in ("issued", "published", "original-date", "available-date"):
        date = csl.get(name)
        parts = date.get("date-parts") if isinstance(date, dict) else None
        first = parts[0][0] if isinstance(parts, list) and parts and isinstance(parts[0], list) and parts[0] else date
        if isinstance(first, dict):
            first = first.get("raw") or first.get("literal") or ""
        if match := re.search(r"(?<!\d)(1[5-9]|20)\d\d(?!\d)", str(first)):
            return int(match[0])
    return None
