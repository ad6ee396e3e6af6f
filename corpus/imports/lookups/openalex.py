"""OpenAlex: GET /works/doi:{doi}. Its abstracts are inverted indices, for the publishers' sake, and are turned back.

A single work costs nothing; since 2026 a free key (LIGHTBOX_OPENALEX_KEY) is asked for beyond a few questions a day.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.conf import settings

from corpus.imports.identity import arxiv_in, doi_in
from corpus.imports.lookups.asking import Asking, Unreachable
from corpus.imports.records import Csl, issued, person, plain

SERVICE = "OpenAlex"
_TYPES = {"article": "article-journal", "preprint": "article", "book-chapter": "chapter", "dissertation": "thesis"}
LONGEST = 20_000  # words of an abstract


def item(asking: Asking, doi: str) -> Csl | None:
    """The item of a DOI, or None where OpenAlex does not know it. Raises Unreachable."""
    work = asking.kept(SERVICE, doi)
    if work is None:
        given = {"mailto": settings.MAILTO, "api_key": settings.OPENALEX_KEY}
        parameters = {name: value for name, value in given.items() if value}
        answer = asking.get(SERVICE, f"{settings.OPENALEX_URL}/works/doi:{quote(doi, safe='/')}", parameters)
        work = asking.keep(SERVICE, doi, _work(answer.json) if answer else {})
    return _csl(work) if work else None


def abstract(index: Any) -> str:
    """The text of {word: [places]}."""
    places = {}
    for word, at in index.items() if isinstance(index, dict) else ():
        for place in at if isinstance(at, list) else ():
            if isinstance(place, int) and 0 <= place < LONGEST:
                places[place] = str(word)
    return plain(" ".join(places[place] for place in sorted(places)))


def _work(read: Any) -> dict[str, Any]:
    try:
        work = dict(read())
        work["id"]
    except (ValueError, KeyError, TypeError) as error:
        raise Unreachable("OpenAlex gave an answer that cannot be read") from error
    return work


def _csl(work: dict[str, Any]) -> Csl:
    location = work.get("primary_location") or {}
    source = (location.get("source") or {}) if isinstance(location, dict) else {}
    pages = work.get("biblio") or {}
    csl: Csl = {
        "type": _TYPES.get(str(work.get("type")), "article"),
        "title": plain(str(work.get("title") or work.get("display_name") or "")),
        "author": [_name(each) for each in work.get("authorships") or [] if isinstance(each, dict)],
        "container-title": str(source.get("display_name") or ""),
        "issued": issued(str(work.get("publication_date") or work.get("publication_year") or "")),
        "DOI": doi_in(str(work.get("doi") or "")),
        "URL": str(work.get("doi") or ""),
        "abstract": abstract(work.get("abstract_inverted_index")),
        "volume": str(pages.get("volume") or ""),
        "issue": str(pages.get("issue") or ""),
        "page": "-".join(str(pages[name]) for name in ("first_page", "last_page") if pages.get(name)),
    }
    if arxiv_id := arxiv_in(str(location.get("landing_page_url") or "")):
        csl |= {"archive": "arXiv", "archive_location": arxiv_id}
    return csl


def _name(authorship: dict[str, Any]) -> dict[str, str]:
    return person(str((authorship.get("author") or {}).get("display_name") or authorship.get("raw_author_name") or ""))
