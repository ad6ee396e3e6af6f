"""BibTeX and biblatex, as Zotero, JabRef, Mendeley, Google Scholar and publishers write them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

from bibtexparser import middlewares
from bibtexparser.entrypoint import parse_string
from bibtexparser.model import Block, DuplicateBlockKeyBlock, DuplicateFieldKeyBlock, ParsingFailedBlock
from bibtexparser.model import Entry as Block_

from corpus.imports.records import MAX_TEXT, Csl, Entry, Refused, issued, person, record, shown
from corpus.imports.tex import address, plain_tex
from inference.errors import BadInput

_TYPES = {
    "article": "article-journal",
    "inproceedings": "paper-conference",
    "conference": "paper-conference",
    "proceedings": "book",
    "book": "book",
    "incollection": "chapter",
    "inbook": "chapter",
    "phdthesis": "thesis",
    "mastersthesis": "thesis",
    "thesis": "thesis",
    "techreport": "report",
    "report": "report",
    "dataset": "dataset",
    "software": "software",
    "online": "webpage",
    "patent": "patent",
}
# BibTeX fields that are CSL variables, the first one given winning.
_TEXTS = {
    "container-title": ("journal", "journaltitle", "booktitle"),
    "volume": ("volume",),
    "issue": ("number", "issue"),
    "publisher": ("publisher", "institution", "school", "organization"),
    "publisher-place": ("address", "location"),
    "collection-title": ("series",),
    "edition": ("edition",),
    "ISBN": ("isbn",),
    "ISSN": ("issn",),
    "abstract": ("abstract",),
    "keyword": ("keywords", "keyword"),
    "note": ("note",),
    "language": ("langid", "language"),
    "PMID": ("pmid",),
    "PMCID": ("pmcid",),
}
_PEOPLE = {"author": "author", "editor": "editor", "translator": "translator"}
# What says nothing about the work: files on somebody's disk, and the book-keeping of programs.
_IGNORED = re.compile(
    r"file|local-url|bdsk-.*|date-(added|modified)|timestamp|owner|groups|annote|annotation|mendeley.*|__.*"
)
_TAKEN = (
    {name for names in _TEXTS.values() for name in names}
    | set(_PEOPLE)
    | {
        *("title", "subtitle", "year", "date", "month", "doi", "url", "pages", "eprint", "eprinttype", "archiveprefix"),
        *("primaryclass", "eprintclass"),
    }
)


def parse(text: str) -> Iterator[Entry]:
    """The entries of a BibTeX file. Comments, preambles and strings are none."""
    logging.getLogger("bibtexparser").setLevel(logging.CRITICAL)  # bad entries go into the report, not into the log
    stack = [middlewares.ResolveStringReferencesMiddleware(), middlewares.RemoveEnclosingMiddleware()]
    for block in parse_string(text, parse_stack=stack).blocks:
        line = block.start_line + 1 if block.start_line is not None else 1
        if isinstance(block, DuplicateBlockKeyBlock | DuplicateFieldKeyBlock):
            block = block.ignore_error_block or block  # two works may carry one key; a repeated field is harmless
        if isinstance(block, Block_):
            yield _entry(line, block)
        elif isinstance(block, ParsingFailedBlock):
            yield Refused(line, _first_line(block), _reason(block))


def _first_line(block: Block) -> str:
    return shown((block.raw or "").strip()[:200].partition("\n")[0])


def _reason(block: ParsingFailedBlock) -> str:
    """What bibtexparser says is wrong, in one line."""
    said = " ".join(str(getattr(block.error, "abort_reason", "") or block.error).split())[:200].rstrip(". ")
    return f"Not BibTeX: {said}." if said else "Not BibTeX."


def _entry(line: int, block: Block_) -> Entry:
    fields: dict[str, str] = {}
    for field in block.fields:
        fields.setdefault(field.key.lower().strip(), str(field.value)[:MAX_TEXT])
    try:
        return record(line, _csl(block, fields))
    except BadInput as error:
        return Refused(line, shown(block.key), str(error))


def _csl(block: Block_, fields: dict[str, str]) -> Csl:
    csl: dict[str, Any] = {"id": block.key, "type": _TYPES.get(block.entry_type.lower(), "article")}
    csl["title"] = ": ".join(plain_tex(fields[name]) for name in ("title", "subtitle") if fields.get(name))
    for variable, names in _TEXTS.items():
        csl[variable] = next((plain_tex(fields[name]) for name in names if fields.get(name)), "")
    for name, variable in _PEOPLE.items():
        csl[variable] = _people(fields.get(name, ""))
    csl["issued"] = _date(fields)
    csl["DOI"], csl["URL"] = address(fields.get("doi", "")), address(fields.get("url", ""))
    csl["page"] = re.sub(r"\s*(?:--+|\u2013)\s*", "-", plain_tex(fields.get("pages", "")))
    if "arxiv" in (fields.get("eprinttype") or fields.get("archiveprefix") or "").lower():
        csl["archive"], csl["archive_location"] = "arXiv", address(fields.get("eprint", ""))
    rest = {
        name: plain_tex(value) for name, value in fields.items() if name not in _TAKEN and not _IGNORED.fullmatch(name)
    }
    return csl | {"custom": rest}


def _date(fields: dict[str, str]) -> Csl:
    """The date of biblatex, else year and month of BibTeX; a month is a number, a name or its beginning."""
    if found := issued(fields.get("date", "")) or issued(fields.get("year", "")):
        months = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
        month = fields.get("month", "").strip("{} ").lower()
        number = (
            int(month) if month in map(str, range(1, 13)) else months.index(month[:3]) + 1 if month[:3] in months else 0
        )
        if number and len(found["date-parts"][0]) == 1:
            found["date-parts"][0].append(number)
        return found
    return {}


def _people(text: str) -> list[dict[str, str]]:
    """CSL names of "A and B"; a name in braces is a group's and stays whole, "and others" is left out."""
    people = []
    for name in _split_at_and(text):
        whole = name.strip()
        if whole.startswith("{") and whole.endswith("}") and " " in whole:
            people.append({"literal": plain_tex(whole)})
        elif (written := plain_tex(whole)) and written.lower() != "others":
            people.append(person(written))
    return people


def _split_at_and(text: str) -> list[str]:
    """The text cut at every "and" outside braces."""
    text = " ".join(text.split())
    parts, depth, begin = [], 0, 0
    for match in re.finditer(r"[{}]| and ", text):
        if match[0] in "{}":
            depth += 1 if match[0] == "{" else -1
        elif depth <= 0:
            parts.append(text[begin : match.start()])
            begin = match.end()
    return [*parts, text[begin:]]
