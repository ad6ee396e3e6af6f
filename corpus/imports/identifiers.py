"""A plain list of DOIs and arXiv ids, as links or bare, one or several a line. Lines that begin with # are remarks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from corpus.imports.identity import arxiv_in, doi_in
from corpus.imports.records import Entry, Refused, record, shown

_LONGEST = 20_000  # characters of a line; a longer one is no list


def parse(text: str) -> Iterator[Entry]:
    """One record for each identifier, with the identifier alone; words without one are refused."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        if len(line) > _LONGEST:
            yield Refused(number, shown(line[:80]), f"The line is longer than {_LONGEST:,} characters.")
            continue
        found = list(_identifiers(line))
        if not found:
            yield Refused(number, shown(line), "There is no DOI and no arXiv id in this line.")
        yield from (record(number, csl) for csl in found)


def _identifiers(line: str) -> Iterator[dict[str, str]]:
    """The identifiers of a line in order. arXiv's DOIs are arXiv ids."""
    for word in re.sub(r"(?i)\b(arxiv|doi)\s*:?\s+", r"\1:", line).replace(",", " ").replace(";", " ").split():
        doi = doi_in(word)
        arxiv_id = arxiv_in(word, said=bool(doi) or "://" in word)  # in other links, numbers may look like an arXiv id
        if arxiv_id:
            yield {"archive": "arXiv", "archive_location": arxiv_id}
        elif doi:
            yield {"DOI": doi}
