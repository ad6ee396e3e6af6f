"""RIS, as Zotero, EndNote, PubMed's and publishers' pages write it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import rispy

from corpus.imports.records import Csl, Entry, Refused, issued, person, plain, record, shown

_TYPES = {
    "JOUR": "article-journal",
    "EJOUR": "article-journal",
    "MGZN": "article-magazine",
    "CONF": "paper-conference",
    "CPAPER": "paper-conference",
    "CHAP": "chapter",
    "BOOK": "book",
    "THES": "thesis",
    "RPRT": "report",
    "DATA": "dataset",
    "COMP": "software",
    "ELEC": "webpage",
    "PAT": "patent",
}
# rispy's names of the tags that are CSL variables, the first one given winning.
_TEXTS = {
    "title": ("title", "primary_title", "translated_title"),
    "container-title": ("secondary_title", "journal_name", "alternate_title3", "alternate_title2", "alternate_title1"),
    "volume": ("volume",),
    "issue": ("number",),
    "publisher": ("publisher",),
    "publisher-place": ("place_published",),
    "edition": ("edition",),
    "ISSN": ("issn",),
    "abstract": ("abstract", "notes_abstract"),
    "DOI": ("doi",),
    "language": ("language",),
    "PMID": ("accession_number",),
}
_TAG = re.compile(r"^\s{0,3}([A-Z][A-Z0-9])\s{1,3}-(?:\s(.*)|\s*)$")


def parse(text: str) -> Iterator[Entry]:
    """The records of a RIS file. One that is not closed by ER is read, and its report says so."""
    lines: list[str] = []
    begin = stray = 0
    for number, line in enumerate(text.split("\n"), start=1):
        match = _TAG.match(line)
        tag = match[1] if match else ""
        if tag == "TY" or (tag == "ER" and not begin):
            if begin:
                yield _entry(begin, lines, closed=False)
            elif stray:
                yield Refused(stray, shown(lines[0]), "The record does not begin with TY.")
            begin, lines, stray = (number, [], 0) if tag == "TY" else (0, [], 0)
        if tag == "ER":
            if begin:
                yield _entry(begin, lines, closed=True)
            begin, lines = 0, []
            continue
        if line.strip() and not begin and not stray:
            stray = number
        if line.strip():
            lines.append(f"{tag}  - {(match[2] or '').strip()}" if match else line)
    if begin:
        yield _entry(begin, lines, closed=False)
    elif stray:
        yield Refused(stray, shown(lines[0]), "The record does not begin with TY.")


def _entry(line: int, lines: list[str], *, closed: bool) -> Entry:
    try:
        found = rispy.loads("\n".join([*lines, "ER  - "]))
        csl = _csl(found[0])
    except (IndexError, KeyError, TypeError, AttributeError, ValueError, rispy.parser.ParseError) as error:
        return Refused(line, shown(lines[1] if len(lines) > 1 else lines[0]), f"Not RIS: {error!r:.120}")
    return record(line, csl, remark="" if closed else "The record has no ER line.")


def _csl(entry: dict[str, Any]) -> Csl:
    csl: Csl = {
        "id": _text(entry.get("id")),
        "type": _TYPES.get(_text(entry.get("type_of_reference")).upper(), "article"),
    }
    for variable, names in _TEXTS.items():
        csl[variable] = next((text for name in names if (text := plain(_text(entry.get(name))))), "")
    csl["author"] = [
        person(name)
        for name in [*_several(entry.get("authors")), *_several(entry.get("first_authors"))]
        if name.strip()
    ]
    csl["editor"] = [person(name) for name in _several(entry.get("secondary_authors")) if name.strip()]
    csl["issued"] = next(
        (
            date
            for name in ("publication_year", "year", "date")
            if (date := issued(_text(entry.get(name)).replace("/", "-")))
        ),
        {},
    )
    csl["URL"] = next(iter(_several(entry.get("urls"))), "")
    csl["keyword"] = ", ".join(dict.fromkeys(word.strip() for word in _several(entry.get("keywords")) if word.strip()))
    csl["page"] = "-".join(part for part in (_text(entry.get("start_page")), _text(entry.get("end_page"))) if part)
    csl["note"] = plain(" ".join(_several(entry.get("notes"))))[:2000]
    unknown = entry.get("unknown_tag") or {}
    return csl | {"custom": {tag: _text(values) for tag, values in unknown.items()}}


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _several(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)] if value else []
