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

    Raises Unreachable when a service does not answer and no other knows it.
    """
    if arxiv_id := arxiv_of(item):
        return arxiv.item(asking, arxiv_id)
    doi = doi_of(item)
    return _by_doi(asking, doi) if doi else None


def _by_doi(asking: Asking, doi: str) -> Csl | None:
    """Crossref first; OpenAlex for the DOIs of others, and for abstracts that publishers keep from Crossref."""
    known: list[Csl] = []
    silent: list[Unreachable] = []
    for service in (crossref, openalex):
        try:
            found = service.item(asking, doi)
        except Unreachable as error:
            silent.append(error)
            continue
        if found:
            known.append(found)
            if found.get("abstract"):
                break
    if not known and silent:
        raise silent[0]
    return {name: value for found in reversed(known) for name, value in found.items() if value} if known else None
