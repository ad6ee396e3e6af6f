"""The reference list of a paper: its entries, and which papers of the collection they are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LIST = re.compile(
    r"^(?:(?:\d{1,2}|[IVX]{1,5})[.)]?\s+)?(?:references|bibliography|literature cited)[ \t]*[:.]?[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
AFTER = re.compile(
    r"^(?:(?:appendi(?:x|ces)|supplementary materials?|supplement|[A-H][.)]?\s+(?=[A-Z])[^,.]{3,60}$|"
    r"(?:\d{1,2}|[IVX]{1,5})[.)]?\s+appendix)\b.*)$",
    re.IGNORECASE | re.MULTILINE,
)
NUMBERED = re.compile(r"(?:^|\s)(?:\[(\d{1,3})\]|(\d{1,3})\.)\s+(?=\S)")
DOI = re.compile(r"\b10\.\d{4,9}/[^\s\"<>\u201c\u201d]+")
ARXIV = re.compile(
    r"ar\s?Xiv[\s:.]*(?:preprint\s*)?(?:ar\s?Xiv[\s:.]*)?(?:abs/)?(\d{4}\.\d{4,5})(?:v\d+)?", re.IGNORECASE
)
ARXIV_DOI = re.compile(r"10\.48550/arxiv\.(\d{4}\.\d{4,5})", re.IGNORECASE)
YEAR = re.compile(r"(?<![\d.])(?:19[5-9]\d|20[0-4]\d)(?!\d|\.\d)")
QUOTED = re.compile(r"[\u201c\"\u2018]([^\u201d\"]{8,400}?)[,.]?[\u201d\"\u2019](?=[\s,.]|$)")
AFTER_YEAR = re.compile(r"\(?(?:19[5-9]\d|20[0-4]\d)[a-z]?\)?[.,:]\s+([^.?!]{10,400}[.?!])")
AFTER_INITIALS = re.compile(r"\b[A-Z]\.(?:,? et al\.)?:\s+([^.?!]{10,400})[.?!]")  # Springer
AFTER_NAMES = re.compile(r"(?:\bet al|[^\W\d_]{3,})[.:]\s+([A-Z][^.?!]{12,400})[.?!]")
LEAST_WORDS, LEAST_LETTERS = 3, 16  # of a title that is looked for: "Deep learning" stands in too many others
KEY_WORDS = 3


@dataclass(frozen=True, slots=True)
class Reference:
    """One entry of a reference list, as far as it can be read. `text` is the entry itself."""

    text: str
    title: str
    year: int | None
    doi: str
    arxiv_id: str


@dataclass(frozen=True, slots=True)
class Known:
    """A paper that a reference may be."""

    pk: int
    title: str
    doi: str
    arxiv_id: str


def folded(text: str) -> str:
    """The words of a text in their plainest form: small letters and digits, accents and ligatures resolved."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return " ".join(re.findall(r"[a-z0-9]+", "".join(c for c in plain if not unicodedata.combining(c))))


def doi(text: str) -> str:
    """The first DOI in the text, without the punctuation behind it; empty where there is none."""
    found = DOI.search(text)
    value = found.group().rstrip(".,;:'\u2019]}") if found else ""
    return value.rstrip(")") if value.count(")") > value.count("(") else value


def arxiv_id(text: str) -> str:
    """The first arXiv number in the text, without its version; empty where there is none."""
    found = ARXIV.search(text) or ARXIV_DOI.search(text)
    return found[1] if found else ""


def reference_list(text: str) -> tuple[int, int]:
    """Start and end of the reference list in a document's text, without its heading; (n, n) where there is none.

    The last such heading counts, since a table of contents may have one too.
    """
    headings = list(LIST.finditer(text))
    if not headings:
        return len(text), len(text)
    start = min(headings[-1].end() + 1, len(text))
    after = AFTER.search(text, start)
    return start, after.start() if after else len(text)


def references(text: str) -> list[Reference]:
    """The entries of the reference list of a document's text."""
    start, end = reference_list(text)
    return [_reference(entry) for entry in _entries(text[start:end]) if len(entry) > 20]


def _entries(block: str) -> Iterator[str]:
    """Numbered entries where the numbers count up from 1, else one a line."""
    marks = list(_counting(block))
    if len(marks) < 2:
        yield from (" ".join(line.split()) for line in block.splitlines() if line.strip())
        return
    for (_, begin), (end, _) in zip(marks, [*marks[1:], (len(block), len(block))], strict=True):
        yield " ".join(block[begin:end].split())


def _counting(block: str) -> Iterator[tuple[int, int]]:
    """The places (start, end) of the marks [1], [2], ... or 1., 2., ...; volumes and pages do not count up."""
    expected, bracketed = 1, "[1]" in block
    for match in NUMBERED.finditer(block):
        number = match[1] if bracketed else match[2]
        if number and int(number) == expected:
            expected += 1
            yield match.span()


def _reference(entry: str) -> Reference:
    years = [int(year) for year in YEAR.findall(ARXIV.sub(" ", DOI.sub(" ", entry)))]
    return Reference(
        text=entry[:1000],
        title=_title(entry)[:500],
        year=years[-1] if years else None,
        doi=doi(entry)[:200],
        arxiv_id=arxiv_id(entry),
    )


def _title(entry: str) -> str:
    """The title as far as the usual styles tell it: in quotation marks, behind the year, or behind the names."""
    for pattern in (QUOTED, AFTER_INITIALS, AFTER_YEAR, AFTER_NAMES):
        if found := pattern.search(entry):
            return found[1].strip(" .,")
    return entry


def match(entries: Iterable[Reference], known: Iterable[Known]) -> list[tuple[Reference, int | None]]:
    """Each reference with the primary key of the paper it is: by DOI, by arXiv number, or by the whole folded title."""
    papers = list(known)
    dois = {paper.doi.casefold(): paper.pk for paper in reversed(papers) if paper.doi}  # of two the first counts
    arxiv = {paper.arxiv_id: paper.pk for paper in reversed(papers) if paper.arxiv_id}
    titles = _titles(papers)
    return [
        (entry, dois.get(entry.doi.casefold()) or arxiv.get(entry.arxiv_id) or _by_title(entry, titles))
        for entry in entries
    ]


def _titles(papers: Iterable[Known]) -> dict[str, list[tuple[str, int]]]:
    """{the first words of a title: [(the whole title, primary key)]}, all folded, the longest title first."""
    found: dict[str, list[tuple[str, int]]] = {}
    for paper in papers:
        title = folded(paper.title)
        words = title.split()
        if len(words) >= LEAST_WORDS and len(title) >= LEAST_LETTERS:
            found.setdefault(" ".join(words[:KEY_WORDS]), []).append((title, paper.pk))
    for rows in found.values():
        rows.sort(key=lambda row: -len(row[0]))
    return found


def _by_title(entry: Reference, titles: dict[str, list[tuple[str, int]]]) -> int | None:
    words = folded(entry.text).split()
    for i in range(len(words) - KEY_WORDS + 1):
        rest = " ".join(words[i:]) + " "
        for title, pk in titles.get(" ".join(words[i : i + KEY_WORDS]), ()):
            if rest.startswith(title + " "):
                return pk
    return None
