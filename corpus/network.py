"""Who cites whom, and how we know.

Three sources make rows of Citation: the reference list in a PDF ("full text", written by what reads files), OpenAlex or
Crossref (asked here, by DOI), and annotations that name another entry's method. The last is less than a citation and is
kept apart by its source.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

import httpx
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from corpus.models import Citation, Lookup, Paper
from corpus.names import Names
from corpus.storable import storable
from inference.errors import Unavailable

ANNOTATION, OPENALEX, CROSSREF = "annotation", "OpenAlex", "Crossref"
ASKED = (OPENALEX, CROSSREF)
TIMEOUT = httpx.Timeout(10.0, connect=5.0)
BATCH = 50  # works that OpenAlex names in one answer


@dataclass(frozen=True, slots=True)
class Reference:
    """A work that a paper cites. `source` says who told us; `doi` is in lower case, or empty."""

    title: str
    year: int | None
    doi: str
    source: str


def link_annotations() -> int:
    """Makes the annotation edges equal to what the annotations name, and returns how many rows it had to write.

    Names count by the rules of corpus.names: a method that many papers mention is a building block. Each library is
    linked by itself and with everyone's papers, so that nobody's edges depend on another user's papers.
    """
    owners = Paper.objects.exclude(owner=None).order_by("owner").values_list("owner", flat=True).distinct()
    return sum(_link_library(owner) for owner in (None, *owners))


@transaction.atomic
def _link_library(owner: int | None) -> int:
    visible = Paper.objects.visible_to(owner)
    names = Names(visible.values_list("pk", "owner_id", "key", "title", "model_name", "annotation"))
    own = Paper.objects.filter(owner=owner).values_list("pk", "annotation")
    wanted = {(pk, other) for pk, text in own for other in names.named_in(text, owner) if other != pk}
    rows = Citation.objects.filter(owner=owner, source=ANNOTATION)
    have = {(row.paper_id, row.cited_id): row.pk for row in rows}
    gone = [pk for edge, pk in have.items() if edge not in wanted]
    new = sorted(wanted - have.keys())
    Citation.objects.filter(pk__in=gone).delete()
    Citation.objects.bulk_create(
        Citation(owner_id=owner, paper_id=paper, cited_id=cited, source=ANNOTATION) for paper, cited in new
    )
    return len(gone) + len(new)


@dataclass(frozen=True, slots=True)
class Asked:
    """What asking the services gave: papers with a DOI, their references, and those of them in the collection."""

    papers: int = 0
    references: int = 0
    linked: int = 0


def link_references(owner: int | None, progress: Callable[[Iterable[Paper]], Iterable[Paper]] = iter) -> Asked:
    """Asks for the references of every paper of one library (None: everyone's), and keeps them as rows.

    What was asked before comes from Lookup. Raises inference.errors.Unavailable when the services cannot be reached;
    the papers that were done by then are kept.
    """
    papers = [paper for paper in Paper.objects.filter(owner=owner) if doi_of(paper)]
    known = _Known(Paper.objects.visible_to(owner))
    references = linked = 0
    for paper in progress(papers):
        found = references_of(doi_of(paper))
        rows = [_row(paper, owner, reference, known) for reference in found]
        with transaction.atomic():
            Citation.objects.filter(paper=paper, owner=owner, source__in=ASKED).delete()
            Citation.objects.bulk_create(rows)
        references += len(rows)
        linked += sum(1 for row in rows if row.cited_id)
    return Asked(len(papers), references, linked)


def doi_of(paper: Paper) -> str:
    """The paper's DOI in lower case, or the one that every arXiv entry has; empty where neither is known."""
    if paper.doi:
        return paper.doi.lower()
    return f"10.48550/arxiv.{paper.arxiv_id.lower()}" if paper.arxiv_id else ""


class _Known:
    """The papers of a collection by DOI and by title."""

    def __init__(self, papers: QuerySet[Paper]) -> None:
        self.by_doi: dict[str, int] = {}
        self.by_title: dict[str, int] = {}
        for paper in papers.only("pk", "doi", "arxiv_id", "title", "versions"):
            dois = [doi_of(paper), f"10.48550/arxiv.{paper.arxiv_id.lower()}" if paper.arxiv_id else ""]
            dois += [str(version.get("doi", "")).lower() for version in paper.versions]
            self.by_doi |= {doi: paper.pk for doi in dois if doi}
            self.by_title[_folded(paper.title)] = paper.pk

    def find(self, reference: Reference) -> int | None:
        """By DOI; else by a title of some length that is the same letter by letter."""
        title = _folded(reference.title)
        return self.by_doi.get(reference.doi) or (self.by_title.get(title) if len(title) > 24 else None)


def _row(paper: Paper, owner: int | None, reference: Reference, known: _Known) -> Citation:
    cited = known.find(reference)
    return Citation(
        owner_id=owner,
        paper=paper,
        cited_id=None if cited == paper.pk else cited,
        title=reference.title[:500],
        year=reference.year,
        doi=reference.doi[:200],
        source=reference.source,
    )


def references_of(doi: str) -> list[Reference]:
    """What the work with this DOI cites, as OpenAlex knows it, else as Crossref does; empty when neither does.

    Raises inference.errors.Unavailable when a service that has to be asked cannot be reached or answers nonsense.
    """
    identifier = f"references of {doi}"[:300]
    kept = Lookup.objects.filter(service="openalex", identifier=identifier).first()
    if kept is None:
        found = _from_openalex(doi) or _from_crossref(doi)
        body = {"references": [asdict(reference) for reference in found]}
        kept, _ = Lookup.objects.update_or_create(service="openalex", identifier=identifier, defaults={"body": body})
    return [Reference(**reference) for reference in kept.body["references"]]


def _from_openalex(doi: str) -> list[Reference]:
    base = settings.OPENALEX_URL
    work = _get(f"{base}/works/doi:{quote(doi, safe='/:.()')}", {"select": "referenced_works"})
    names = [str(name).rpartition("/")[2] for name in work.get("referenced_works") or []]
    found: list[Reference] = []
    for start in range(0, len(names), BATCH):
        query = {
            "filter": f"openalex:{'|'.join(names[start : start + BATCH])}",
            "select": "title,publication_year,doi",
            "per-page": str(BATCH),
        }
        answer = _get(f"{base}/works", query)
        found += [
            _reference(row.get("title"), row.get("publication_year"), row.get("doi"), OPENALEX)
            for row in answer.get("results") or []
        ]
    return [reference for reference in found if reference.title or reference.doi]


def _from_crossref(doi: str) -> list[Reference]:
    answer = _get(f"{settings.CROSSREF_URL}/works/{quote(doi, safe='')}", {})
    rows = (answer.get("message") or {}).get("reference") or []
    found = [
        _reference(
            row.get("article-title") or row.get("volume-title") or row.get("unstructured"),
            row.get("year"),
            row.get("DOI"),
            CROSSREF,
        )
        for row in rows
    ]
    return [reference for reference in found if reference.title or reference.doi]


def _reference(title: object, year: object, doi: object, source: str) -> Reference:
    """From what a service sent, whatever its types."""
    digits = re.match(r"\d{4}", str(year or ""))
    plain = re.sub(r"^https?://(?:dx\.)?doi\.org/", "", str(doi or "").strip().lower())
    text = " ".join(storable(str(title or "")).split())
    return Reference(text[:500], int(digits[0]) if digits else None, storable(plain)[:200], source)


def _get(url: str, query: dict[str, str]) -> dict[str, Any]:
    """The JSON object at an address; an unknown work (404) is an empty one. Polite: says who asks."""
    contact = {"mailto": settings.MAILTO} if settings.MAILTO else {}
    agent = f"Lightbox/0.1 (mailto:{settings.MAILTO})" if settings.MAILTO else "Lightbox/0.1"
    service = httpx.URL(url).host
    try:
        answer = httpx.get(url, params=query | contact, timeout=TIMEOUT, headers={"User-Agent": agent})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return {}
        body = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise Unavailable(
            f"{service} could not be asked for references ({_why(error)}). What is known stays; "
            "run manage.py link_citations --network again with a network."
        ) from error
    if not isinstance(body, dict):
        raise Unavailable(f"{service} answered something that is not a record.")
    return body


def _why(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"it answered {error.response.status_code}"
    if isinstance(error, httpx.TimeoutException):
        return "it did not answer in time"
    return "no connection" if isinstance(error, httpx.HTTPError) else "not JSON"


def _folded(title: str) -> str:
    """A title's letters and digits, in lower case: what two bibliographies agree on."""
    return "".join(letter for letter in title.casefold() if letter.isalnum())
