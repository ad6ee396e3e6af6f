"""Title, authors, year and identifiers of a paper, from its first page and the file's own data. Guesses: a user may
correct them, and what is not trustworthy is left empty."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from corpus.documents.document import Details
from corpus.documents.flow import Flow, Paragraph
from corpus.documents.glyphs import Page
from corpus.documents.references import arxiv_id, doi, folded

NO_TITLE = re.compile(r"untitled|microsoft word|\.(?:docx?|tex|dvi|pdf|indd|qxd)\b|^\W*$|^paper\b.*\d", re.IGNORECASE)
YEAR = re.compile(r"(?<!\d)(?:19[89]\d|20[0-4]\d)(?!\d)")
PLACES = re.compile(
    r"universit|departm|institut|hospital|school|college|laborator|cent(?:er|re)\b|faculty|inc\b|gmbh|research|@|http"
    r"|correspond|equal|contribut|member|fellow|abstract|received|accepted|china|usa\b|ieee",
    re.IGNORECASE,
)
NAME = re.compile(
    r"(?:[A-Z\u00c0-\u00de][\w.'\u2019-]*|(?:de|da|van|von|der|den|di|del|la|le|bin|al|ten|dos))(?:\s+|$)"
)
MARKS = re.compile(r"[\d*\u2020\u2021\u00a7\u00b6#\u2217\u22c6]+")


def of(metadata: Mapping[str, str], pages: Sequence[Page], margins: Mapping[int, Sequence[str]], flow: Flow) -> Details:
    """What can be told about the paper."""
    opening = [paragraph for paragraph in flow.paragraphs if paragraph.first.page == 1]
    words = " ".join(word.text for word in pages[0].words)
    first = f"{words} {pages[0].aside} {' '.join(margins.get(1, ()))}"
    title = _title(metadata.get("Title", ""), opening)
    arxiv = arxiv_id(first)
    return Details(
        title=title[:500],
        authors=tuple(_authors(metadata.get("Author", ""), title, opening)),
        year=_year(arxiv, [*margins.get(1, ()), *_edges(opening)], metadata.get("CreationDate", "")),
        doi=doi(first),
        arxiv_id=arxiv,
    )


def _title(given: str, opening: Sequence[Paragraph]) -> str:
    """The largest words of the first page; as the file's data spell them where these say the same."""
    given = " ".join(given.split())
    candidates = [p for p in opening if len(p.text.split()) >= 3 and len(p.text) <= 300]
    largest = max((p.first.size for p in candidates), default=0.0)
    usual = sorted(p.first.size for p in opening)[len(opening) // 2] if opening else 0.0
    shown = next((p.text for p in candidates if p.first.size == largest and largest > 1.08 * usual), "")
    if shown and folded(given) and (folded(given) in folded(shown) or folded(shown) in folded(given)):
        return given if len(given) <= len(shown) * 1.2 else shown
    return shown or ("" if NO_TITLE.search(given) or len(given.split()) < 2 else given)


def _authors(given: str, title: str, opening: Sequence[Paragraph]) -> list[str]:
    """The names below the title, else those of the file's data."""
    shown = next((i for i, p in enumerate(opening) if title and folded(p.text) == folded(title)), None)
    if shown is not None:
        for paragraph in opening[shown + 1 : shown + 4]:
            if paragraph.heading:
                break
            if names := list(_names(paragraph.text)):
                return names
    return list(_names(given.replace(";", ",")))


def _names(text: str) -> Iterator[str]:
    """The parts that look like names of people; nothing where half of the parts do not."""
    parts = [part.strip(" .,;:") for part in re.split(r",|;|\u00b7|\s+and\s+|\s*&\s*", MARKS.sub(" ", text)[:1500])]
    parts = [" ".join(re.sub(r"^and\s+", "", part).split()) for part in parts if part]
    names = [part for part in parts if _is_name(part)]
    if names and 2 * len(names) >= len(parts):
        yield from dict.fromkeys(names)


def _is_name(part: str) -> bool:
    words = part.split()
    return 2 <= len(words) <= 5 and len(part) <= 50 and not PLACES.search(part) and bool(_made_of_names(part))


def _made_of_names(part: str) -> bool:
    return bool(re.fullmatch(rf"(?:{NAME.pattern})+", part))


def _edges(opening: Sequence[Paragraph]) -> list[str]:
    """The small print of the first page: notes at its foot, the line of the journal at its head."""
    usual = sorted(p.first.size for p in opening)[len(opening) // 2] if opening else 0.0
    return [p.text for p in opening if p.first.size < 0.95 * usual and len(p.text) < 300]


def _year(arxiv: str, margins: Sequence[str], created: str) -> int | None:
    """The year of the arXiv number, of the journal's line, or else of the file."""
    if arxiv[:4].isdigit():
        return 2000 + int(arxiv[:2])
    years = [int(match.group()) for text in margins for match in YEAR.finditer(text)]
    file = YEAR.search(created)
    latest = int(file.group()) + 1 if file else 2100
    fitting = [year for year in years if year <= latest]
    return max(fitting) if fitting else (int(file.group()) if file else None)
