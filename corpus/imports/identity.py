"""When two records are the same work: by identifier, or by title together with author and year.

Cautious on purpose. Two entries for one work are a nuisance, two works under one entry are a wrong citation: titles
must be equal letter for letter (case, accents, hyphens and punctuation aside), and two published versions with
different DOIs stay two works.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from corpus.imports.records import Csl, names, plain, year

_DOI = re.compile(r"10\.\d{4,9}/[^\s\"'<>]+", re.IGNORECASE)
_ARXIV = re.compile(r"(?<![\w.])(\d{4}\.\d{4,5}|[a-z-]{2,20}(?:\.[a-z]{2})?/\d{7})(?:v\d+)?(?![\w])", re.IGNORECASE)
_ARXIV_SAID = re.compile(
    r"arxiv(?:\.org/(?:abs|pdf|html)/|\.|:|\s)\s*" + _ARXIV.pattern[len(r"(?<![\w.])") :], re.IGNORECASE
)
# Of an article; an issue's has an X in its middle (S1361841523X00072), and stands first in signed links.
_PII = re.compile(r"(?:pii[/=]|1-s2\.0-)(S\d{15}[\dX])(?![\dX])", re.IGNORECASE)
# Where preprints get their DOIs: arXiv, bioRxiv and medRxiv, Research Square, Preprints.org, SSRN, ChemRxiv, TechRxiv,
# OSF, Zenodo.
_PREPRINT_DOI = re.compile(r"10\.(?:48550|1101|21203|20944|2139|26434|36227|31219|31234|5281)/", re.IGNORECASE)
_PREPRINT_VENUE = re.compile(
    r"arxiv|biorxiv|medrxiv|research square|ssrn|techrxiv|chemrxiv|preprint|\bcorr\b", re.IGNORECASE
)

PREPRINT, PUBLISHED = "preprint", "published"
YEARS_APART = 2  # between a preprint and its journal version
ALIKE = 200  # works of one title that are looked at; a file of twenty thousand "Editorial" must not take hours
TELLING = 20  # letters of a title that few works share; below it, author and year must both be known and agree


def doi_in(text: str) -> str:
    """The first DOI in a text, link or "doi:..." in lower case, or an empty string."""
    match = _DOI.search(unquote(text))
    if match is None:
        return ""
    doi = match[0][:400].split("?")[0].split("#")[0].rstrip(".,;:'\"*|}]").lower()
    while doi.endswith(")") and doi.count(")") > doi.count("("):
        doi = doi[:-1].rstrip(".,;")
    return re.sub(r"(?:/full(?:text)?|/pdf|/abstract|\.pdf|/epdf)$", "", doi)[:200]


def arxiv_in(text: str, *, said: bool = True) -> str:
    """The first arXiv id in a text without its version, or an empty string. `said`: only where arXiv is named."""
    doi = re.search(r"10\.48550/arxiv\.(\S+)", text, re.IGNORECASE)
    match = _ARXIV_SAID.search(text) if said and not doi else _ARXIV.search(doi[1] if doi else text)
    return match[1].lower() if match else ""


def pii_in(url: str) -> str:
    """Elsevier's item id in a link, "S1361841523001234", or an empty string."""
    match = _PII.search(unquote(url))
    return match[1].upper() if match else ""


def fold(text: str) -> str:
    """A title as it is compared: letters and digits, without case and accents. "Pre-training" is "pretraining"."""
    letters = unicodedata.normalize("NFKD", plain(text).replace("\u00df", "ss")).casefold()
    return "".join(letter for letter in letters if letter.isalnum())


def family(author: str) -> str:
    """The folded family name of "Given Family" or "Family, Given"."""
    name = author.partition(",")[0] if "," in author else author
    return fold(name.split()[-1]) if name.split() else ""


@dataclass(frozen=True, slots=True)
class Work:
    """What identifies a work. `kind` is preprint or published; texts are folded, empty where unknown."""

    title: str
    author: str
    year: int | None
    doi: str = ""
    arxiv_id: str = ""
    pii: str = ""
    kind: str = PUBLISHED


def arxiv_of(csl: Csl) -> str:
    """The arXiv id of an item, wherever its program put it."""
    if str(csl.get("archive", "")).lower() == "arxiv" and (
        found := arxiv_in(str(csl.get("archive_location", "")), said=False)
    ):
        return found
    places = ("DOI", "URL", "number", "container-title", "note", "archive_location", "publisher")
    return next((found for place in places if (found := arxiv_in(str(csl.get(place, ""))))), "")


def doi_of(csl: Csl) -> str:
    """The DOI of an item; arXiv's own DOIs only repeat the arXiv id and are left out."""
    doi = doi_in(str(csl.get("DOI", ""))) or (doi_in(url) if "doi" in (url := str(csl.get("URL", ""))) else "")
    return "" if doi.startswith("10.48550/arxiv.") else doi


def kind_of(venue: str, doi: str, arxiv_id: str, genre: str = "") -> str:
    """Preprint or published, from where it came out: its venue, else its DOI. Where nothing says, published.

    The venue comes first: arXiv's entry of a work carries the DOI of its journal version too.
    """
    if venue:
        return PREPRINT if _PREPRINT_VENUE.search(venue) else PUBLISHED
    if doi:
        return PREPRINT if _PREPRINT_DOI.match(doi) else PUBLISHED
    return PREPRINT if arxiv_id or "preprint" in genre.lower() else PUBLISHED


def work_of(csl: Csl) -> Work:
    """The work that a CSL item describes."""
    authors, doi, arxiv_id = names(csl.get("author")), doi_of(csl), arxiv_of(csl)
    venue = str(csl.get("container-title") or "")
    first = next(person for person in csl["author"] if names([person])) if authors else {}
    return Work(
        fold(str(csl.get("title") or "")),
        family(str(first.get("family") or authors[0])) if authors else "",
        year(csl),
        doi,
        arxiv_id,
        pii_in(str(csl.get("URL", ""))),
        kind_of(venue, doi, arxiv_id, str(csl.get("genre") or "")),
    )


def same(one: Work, other: Work) -> bool:
    """True when both are the same work, perhaps in two versions."""
    if one.arxiv_id and one.arxiv_id == other.arxiv_id:
        return True
    if one.doi and one.doi == other.doi:
        return True
    if one.pii and one.pii == other.pii:
        return True
    if not one.title or one.title != other.title or _differ(one, other):
        return False
    near = one.year is None or other.year is None or abs(one.year - other.year) <= YEARS_APART
    if one.author and other.author:
        return one.author == other.author and near and (len(one.title) >= TELLING or one.year == other.year is not None)
    return near and len(one.title) >= TELLING


def _differ(one: Work, other: Work) -> bool:
    """Two identifiers of the same kind that are not equal: two works, or two editions that are cited apart."""
    if one.arxiv_id and other.arxiv_id and one.arxiv_id != other.arxiv_id:
        return True
    versions = {one.kind, other.kind} == {PREPRINT, PUBLISHED}
    return bool(one.doi and other.doi and one.doi != other.doi and not versions)


class Works:
    """Works by what they can be found with; the first one added is found first."""

    def __init__(self, works: Iterable[tuple[int, Work]] = ()) -> None:
        self._places: dict[str, list[tuple[int, Work]]] = {}
        for key, work in works:
            self.add(key, work)

    def add(self, key: int, work: Work) -> None:
        """Adds a work, or a further version of one, under a key of the caller's."""
        for place in _places(work):
            self._places.setdefault(place, []).append((key, work))

    def find(self, work: Work) -> int | None:
        """The key of the same work, or None."""
        for place in _places(work):
            for key, other in self._places.get(place, ())[:ALIKE]:
                if same(work, other):
                    return key
        return None


def _places(work: Work) -> list[str]:
    places = [f"doi:{work.doi}", f"arxiv:{work.arxiv_id}", f"pii:{work.pii}", f"title:{work.title}"]
    return [place for place in places if not place.endswith(":")]
