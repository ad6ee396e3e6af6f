"""Crossref's REST API: GET /works/{doi}; its `message` is nearly a CSL-JSON item (titles are lists, abstracts JATS)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.conf import settings

from corpus.imports.lookups.asking import Asking, Unreachable
from corpus.imports.records import Csl, plain

SERVICE = "Crossref"
_TYPES = {
    "journal-article": "article-journal",
    "proceedings-article": "paper-conference",
    "posted-content": "article",
    "book-chapter": "chapter",
    "book": "book",
    "dissertation": "thesis",
    "report": "report",
    "dataset": "dataset",
}
_SAME = ("DOI", "URL", "volume", "issue", "page", "publisher", "publisher-location", "language")


def item(asking: Asking, doi: str) -> Csl | None:
    """The item of a DOI, or None where Crossref does not know it. Raises Unreachable."""
    message = asking.kept(SERVICE, doi)
    if message is None:
        parameters = {"mailto": settings.MAILTO} if settings.MAILTO else {}
        answer = asking.get(SERVICE, f"{settings.CROSSREF_URL}/works/{quote(doi, safe='/')}", parameters)
        message = asking.keep(SERVICE, doi, _message(answer.json) if answer else {})
    return _csl(message) if message else None


def _message(read: Any) -> dict[str, Any]:
    try:
        return dict(read()["message"])
    except (ValueError, KeyError, TypeError) as error:
        raise Unreachable("Crossref gave an answer that cannot be read") from error


def _csl(message: dict[str, Any]) -> Csl:
    csl: Csl = {name: message[name] for name in _SAME if isinstance(message.get(name), str)}
    csl["type"] = _TYPES.get(str(message.get("type")), "article")
    csl["title"] = ": ".join(filter(None, (_first(message.get("title")), _first(message.get("subtitle")))))
    csl["container-title"] = _first(message.get("container-title")) or _first(message.get("institution"))
    csl["abstract"] = plain(str(message.get("abstract") or "")).removeprefix("Abstract ")
    csl["author"] = [_name(person) for person in message.get("author") or [] if isinstance(person, dict)]
    csl["issued"] = message.get("issued") or {}
    csl["ISSN"] = _first(message.get("ISSN"))
    csl["genre"] = str(message.get("subtype") or "")
    csl["keyword"] = ", ".join(subject for subject in message.get("subject") or [] if isinstance(subject, str))
    return csl


def _first(value: Any) -> str:
    """The first title of a list; institutions are objects with a name."""
    first = value[0] if isinstance(value, list) and value else value
    if isinstance(first, dict):
        first = first.get("name")
    return plain(first) if isinstance(first, str) else ""


def _name(person: dict[str, Any]) -> dict[str, str]:
    if not person.get("family"):
        return {"literal": str(person.get("name") or "")}
    return {part: str(person[part]) for part in ("family", "given", "suffix") if person.get(part)}
