"""What Crossref, arXiv and OpenAlex know of an identifier, as a CSL-JSON item.

Answers are kept (`Lookup`), absence for a week. Nothing but the identifier, and the address of LIGHTBOX_MAILTO, leaves
the machine; LIGHTBOX_LOOKUPS=0 asks nobody.
"""

from __future__ import annotations

from collections.abc import Iterable

from corpus.imports.identity import arxiv_of, doi_of
from corpus.imports.lookups import arxiv, crossref, openalex
from corpus.imports.lookups.asking import Asking, Unreachable
from corpus.imports.records import Csl

__all__ = ["Asking", "Unreachable", "complete", "prepare"]


def prepare(asking: Asking, items: Iterable[Csl]) -> None:
    """Asks arXiv for all its ids among the items at once, which is what it wants. Raises Unreachable."""
    arxiv.fetch(asking, [found for item in items if (found := arxiv_of(item))])


def complete(asking: Asking, item: Csl) -> Csl | None:
    """The item of an identifier, with an abstract where one of the services has it; None where none knows it.

    Raises Unreachable when a service does not answer.
    """
    if arxiv_id := arxiv_of(item):
        return arxiv.item(asking, arxiv_id)
    doi = doi_of(item)
    if not doi:
        return None
    found = crossref.item(asking, doi)
    if found and found.get("abstract"):
        return found
    other = openalex.item(asking, doi)  # DOIs of DataCite, and abstracts that publishers keep from Crossref
    if found and other and other.get("abstract"):
        return found | {"abstract": other["abstract"]}
    return found or other
