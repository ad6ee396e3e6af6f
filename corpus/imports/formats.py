"""The formats that can be brought, and which one a text is in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from corpus.imports import awesome, bibtex, csl_json, identifiers, ris, zotero_rdf
from corpus.imports.identity import arxiv_in, doi_in
from corpus.imports.records import MAX_RECORDS, Entry, Parser
from inference.errors import BadInput

BIBTEX, RIS, CSL, RDF, LIST, IDENTIFIERS = "bibtex", "ris", "csl-json", "zotero-rdf", "markdown", "identifiers"

PARSERS: dict[str, Parser] = {
    BIBTEX: bibtex.parse,
    RIS: ris.parse,
    CSL: csl_json.parse,
    RDF: zotero_rdf.parse,
    LIST: awesome.parse,
    IDENTIFIERS: identifiers.parse,
}
NAMES = {
    BIBTEX: "BibTeX",
    RIS: "RIS",
    CSL: "CSL-JSON",
    RDF: "Zotero RDF",
    LIST: "reading list in Markdown",
    IDENTIFIERS: "DOIs and arXiv ids",
}


def recognise(text: str) -> str:
    """The format of a text, judged by its content alone. Raises BadInput where it is none of them."""
    start = text[:200_000].lstrip()
    if start.startswith(("{", "[")) and not re.match(r"\[[^\]\n]*\]\(|\[\[", start):
        return CSL
    if start.startswith(("<?xml", "<rdf:RDF")):
        return RDF
    if re.search(r"^[ \t]*TY {1,3}-", start, re.MULTILINE):
        return RIS
    if re.search(r"^[ \t]*@[A-Za-z]+[ \t]*[{(]", start, re.MULTILINE):
        return BIBTEX
    if re.search(r"^ {0,3}(?:#{1,6} |\|.*\|)|\]\(https?://", start, re.MULTILINE) and "](" in start:
        return LIST
    if doi_in(start) or any(arxiv_in(line, said="://" in line) for line in start.split("\n")[:200]):
        return IDENTIFIERS
    raise BadInput(
        "This is neither BibTeX, RIS, CSL-JSON, Zotero RDF, a Markdown list nor a list of DOIs or arXiv ids."
    )


def read(text: str, form: str = "") -> list[Entry]:
    """The entries of a text in the format given, or else the one recognised, in order.

    Raises BadInput, with one line for the user, when the text is not in this format at all or holds too many records.
    """
    entries = list(_limited(PARSERS[form or recognise(text)](text)))
    if not entries:
        raise BadInput(f"No record was found in this file, read as {NAMES[form or recognise(text)]}.")
    return entries


def _limited(entries: Iterator[Entry]) -> Iterator[Entry]:
    for number, entry in enumerate(entries, start=1):
        if number > MAX_RECORDS:
            raise BadInput(f"There are more than {MAX_RECORDS:,} records in this file. Split it.")
        yield entry
