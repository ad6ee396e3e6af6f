"""From a document to passages that can be cited: a few sentences of one section, word for word as they stand."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from corpus.documents.document import Document, Section
from corpus.documents.references import reference_list
from corpus.sentences import Span, sentences

SIZE, LEAST = 4, 3  # sentences in a window; a last one shorter than LEAST joins the window before it
ENOUGH = 900  # characters: a window that has them takes no further sentence
LONGEST = 1500  # characters of one "sentence": tables have no full stops
FEWEST_WORDS = 4
OPENING = "abstract"


@dataclass(frozen=True, slots=True)
class Piece:
    """`text[start:end]` of the document, on `page` (from 1, where it begins), under the heading `section`."""

    start: int
    end: int
    page: int
    section: str


def pieces(document: Document) -> list[Piece]:
    """What is indexed of a document: no headings, no reference list, and no title page where an abstract follows."""
    first, last = reference_list(document.text)
    found = []
    for section in _sections(document):
        for start, end in _outside(section, first, last):
            for a, b in _windows(document.text, start, end):
                found.append(Piece(a, b, page_at(document.page_starts, a), section.name))
    return found


def page_at(page_starts: Sequence[int], offset: int) -> int:
    """The page, counted from 1, on which this character stands."""
    return max(bisect_right(page_starts, offset), 1)


def _sections(document: Document) -> Sequence[Section]:
    """Without what stands before the abstract: title, authors, addresses."""
    names = [section.name.casefold() for section in document.sections]
    opening = next((i for i, name in enumerate(names[:3]) if OPENING in name), 0)
    return document.sections[opening:]


def _outside(section: Section, first: int, last: int) -> Iterator[Span]:
    """The parts of the section before and after the reference list."""
    for start, end in ((section.start, min(section.end, first)), (max(section.start, last), section.end)):
        if start < end:
            yield start, end


def _windows(text: str, start: int, end: int) -> Iterator[Span]:
    """Windows of SIZE sentences; the last ones may have up to SIZE + LEAST - 1, and a short section has fewer."""
    groups: list[list[Span]] = []
    for span in _sentences(text, start, end):
        if groups and len(groups[-1]) < SIZE and span[1] - groups[-1][0][0] <= LONGEST and not _is_full(groups[-1]):
            groups[-1].append(span)
        else:
            groups.append([span])
    if len(groups) > 1 and len(groups[-1]) < LEAST and groups[-1][-1][1] - groups[-2][0][0] <= LONGEST:
        groups[-2].extend(groups.pop())
    for group in groups:
        if _says_something(text[group[0][0] : group[-1][1]]):
            yield group[0][0], group[-1][1]


def _is_full(group: Sequence[Span]) -> bool:
    return group[-1][1] - group[0][0] >= ENOUGH


def _sentences(text: str, start: int, end: int) -> Iterator[Span]:
    for a, b in sentences(text[start:end]):
        yield from _cut(text, start + a, start + b)


def _cut(text: str, start: int, end: int) -> Iterator[Span]:
    """The span, or pieces of it at white space where it is too long."""
    while end - start > LONGEST:
        space = text.rfind(" ", start + LONGEST // 2, start + LONGEST)
        stop = space if space > 0 else start + LONGEST
        yield start, stop
        start = stop + 1 if space > 0 else stop
    if start < end:
        yield start, end


def _says_something(text: str) -> bool:
    """False for page furniture that was not recognised, formulas, and the like."""
    return sum(word.isalpha() for word in text.replace(".", " ").replace(",", " ").split()) >= FEWEST_WORDS
