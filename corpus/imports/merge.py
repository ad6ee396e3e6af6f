"""Two records of one work become one paper; the published version leads, the other is kept in `Paper.versions`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from corpus.imports.identity import PREPRINT, PUBLISHED, Work, arxiv_of, doi_of, family, fold, kind_of, work_of
from corpus.imports.records import Csl, Record, names, year
from corpus.models import Paper

_FIELDS = ("title", "model_name", "authors", "year", "venue", "doi", "arxiv_id", "pmcid", "url", "abstract")
_VERSION = ("year", "venue", "doi", "arxiv_id", "url")
_PLACE = ("venue", "doi", "url")  # where a version came out: of the one that leads alone

# What is true of every version of a work; all else in a record is about where this one came out.
_OF_THE_WORK = ("title", "title-short", "author", "abstract", "keyword", "language", "note")


def fields_of(csl: Csl) -> dict[str, Any]:
    """The columns of `Paper` that a CSL item says something about."""
    doi, arxiv_id = doi_of(csl), arxiv_of(csl)
    title = str(csl.get("title") or (f"doi:{doi}" if doi else f"arXiv:{arxiv_id}"))
    short = str(csl.get("title-short") or "")
    return {
        "title": title[:500],
        "model_name": short if short and " " not in short and len(short) <= 40 else "",
        "authors": names(csl.get("author"))[:2000],
        "year": year(csl),
        "venue": str(csl.get("container-title") or "")[:200],
        "doi": doi,
        "arxiv_id": arxiv_id,
        "pmcid": pmcid[0].upper()
        if (pmcid := re.match(r"PMC\d{1,12}", str(csl.get("PMCID") or ""), re.IGNORECASE))
        else "",
        "url": web_address(str(csl.get("URL") or "")),
        "abstract": str(csl.get("abstract") or ""),
    }


def kind(paper: Paper) -> str:
    """Whether the version that leads is a preprint or published."""
    return kind_of(paper.venue, paper.doi, paper.arxiv_id, str(paper.csl.get("genre") or ""))


def works_of(paper: Paper) -> Iterator[Work]:
    """The work of a paper, in each of its versions."""
    author = family(str(paper.authors[0])) if paper.authors else ""
    if paper.csl.get("author"):
        author = work_of(paper.csl).author or author
    title = "" if is_bare(paper) else fold(paper.title)
    url = work_of({"URL": paper.url})
    yield Work(title, author, paper.year, paper.doi.lower(), paper.arxiv_id.lower(), url.pii, kind(paper))
    for version in paper.versions:
        yield Work(
            title,
            author,
            version.get("year"),
            version.get("doi", ""),
            version.get("arxiv_id", ""),
            kind=version.get("kind", PUBLISHED),
        )


def join(paper: Paper, record: Record, work: Work) -> bool:
    """Completes the paper, unsaved, by a further record of its work; True when they are a preprint and what came of it.

    Of two records of one kind the first one leads, and the second fills its gaps.
    """
    bare = is_bare(paper)
    two_kinds = not bare and kind(paper) != work.kind
    if two_kinds and work.kind == PUBLISHED and record.csl.get("title"):
        _keep(paper, _version(paper))
        _fill(
            paper, record.csl, fields_of(record.csl), paper.csl, {name: getattr(paper, name) for name in _FIELDS}, True
        )
    elif bare:
        _fill(paper, record.csl, fields_of(record.csl), paper.csl, fields_of(paper.csl), False)
    else:
        held = {name: getattr(paper, name) for name in _FIELDS}
        _fill(paper, paper.csl, held, record.csl, fields_of(record.csl), two_kinds)
        if two_kinds:
            _keep(paper, {"kind": work.kind} | {name: fields_of(record.csl)[name] for name in _VERSION})
    paper.code_url = paper.code_url or web_address(record.code_url)
    paper.list_sections = list(dict.fromkeys([*paper.list_sections, *record.sections]))
    return two_kinds


def state(paper: Paper) -> tuple[Any, ...]:
    """What `join` may change, to tell whether it did."""
    lists = (list(paper.authors), list(paper.list_sections), list(paper.versions))
    return (*(getattr(paper, name) for name in _FIELDS if name != "authors"), paper.code_url, lists)


def is_bare(paper: Paper) -> bool:
    """True of an imported paper of which only the identifier is known."""
    return bool(paper.origin) and not paper.csl.get("title")


def web_address(text: str) -> str:
    """A link that can be shown as one, or an empty string."""
    text = text.strip()
    sound = re.match(r"https?://[^\s<>\"]+\Z", text, re.IGNORECASE) and len(text) <= 500
    return text if sound else ""


def _fill(paper: Paper, lead: Csl, mine: dict[str, Any], other: Csl, theirs: dict[str, Any], two_kinds: bool) -> None:
    """Sets the columns and the record: those of the lead, and the other's where it has none and both may share them."""
    for name in _FIELDS:
        may_share = not (two_kinds and name in _PLACE)
        setattr(paper, name, mine[name] or (theirs[name] if may_share else mine[name]))
    if not paper.doi and kind_of("", theirs["doi"], "") == PUBLISHED:
        paper.doi = theirs["doi"]  # arXiv's entry may know the DOI that the journal's record left out
    shared = {name: value for name, value in other.items() if not two_kinds or name in _OF_THE_WORK}
    paper.csl = shared | {name: value for name, value in lead.items() if value}


def _version(paper: Paper) -> dict[str, Any]:
    return {"kind": kind(paper)} | {name: getattr(paper, name) for name in _VERSION}


def _keep(paper: Paper, version: dict[str, Any]) -> None:
    """Adds a version once. A preprint that names its journal version's DOI keeps only its own id."""
    if version["kind"] == PREPRINT and kind_of("", version["doi"], "") == PUBLISHED:
        version = version | {"doi": ""}
    places = [(kept.get("kind"), kept.get("doi"), kept.get("arxiv_id"), kept.get("url")) for kept in paper.versions]
    place = (version["kind"], version["doi"], version["arxiv_id"], version["url"])
    if place not in places and any(place[1:]):
        paper.versions = [*paper.versions, version]
