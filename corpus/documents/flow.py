"""From lines in reading order to one text: paragraphs, broken words made whole, headings, where pages begin.

Each paragraph and each heading is one line of the text, so that a line break always ends a sentence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from corpus.documents.document import Section
from corpus.documents.layout import Column, Line

KNOWN = (
    "abstract summary introduction background motivation preliminaries methods method methodology materials approach "
    "experiments experiment evaluation results discussion limitations conclusion conclusions references bibliography "
    "acknowledgements acknowledgments acknowledgement acknowledgment appendix appendices keywords funding ethics"
)
PHRASES = (
    "related work|prior work|problem formulation|materials and methods|patients and methods|methods and materials|"
    "results and discussion|discussion and conclusions?|conclusions? and future work|experiments and results|"
    "experimental results|experimental setup|implementation details|ablation study|ablation studies|ethics statement|"
    "ethical considerations|data availability|code availability|data and code availability|literature cited|"
    "author contributions|competing interests|conflicts? of interest|supplementary materials?|index terms|our approach"
)
NUMBER = r"(?:(?:\d{1,2}(?:\.\d{1,2}){0,3}|[IVX]{1,5}|[A-H])[.)]?\s+)?"
WELL_KNOWN = re.compile(rf"{NUMBER}(?:{'|'.join([*KNOWN.split(), PHRASES])})\s*[:.]?", re.IGNORECASE)
NUMBERED = re.compile(r"(?:\d{1,2}(?:\.\d{1,2}){0,3}\.?|[IVX]{1,5}\.|[A-H]\.(?:\d{1,2})?)\s+[A-Z\u00c0-\u00de]")
RUN_IN = re.compile(
    r"(Abstract|Summary|Keywords|Key words|Index Terms)\s*(?:[\u2014\u2013:]|[.-](?=\s*[A-Z]))\s*", re.I
)
CAPTION = re.compile(r"(?:Fig(?:ure)?\.?|Table|Algorithm|Listing)\s*(?:\d+|[IVX]+)\b", re.IGNORECASE)
ENDS = re.compile(r"[.!?:;][\"'\u201d\u2019)\]]*\Z")
MARKER = re.compile(r"\[\d{1,3}\]\s|\(\d{1,3}\)\s|\d{1,3}\.\s+[A-Z]|[\u2022\u25cf\u25aa\u2013]\s")
BROKEN_WORD = re.compile(r"(\w+)-\Z")
WORDS = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
REFERENCES = re.compile(rf"{NUMBER}(?:references|bibliography|literature cited)\s*[:.]?", re.IGNORECASE)
HEADING_WORDS, HEADING_LENGTH = 12, 110


@dataclass(slots=True)
class Paragraph:
    """Lines that belong together."""

    lines: list[Line]
    heading: bool = False

    @property
    def text(self) -> str:
        return " ".join(line.text for line in self.lines)

    @property
    def first(self) -> Line:
        return self.lines[0]

    @property
    def last(self) -> Line:
        return self.lines[-1]


@dataclass(slots=True)
class Flow:
    """The text, the offset at which each page begins, and the sections."""

    text: str = ""
    page_starts: list[int] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    paragraphs: list[Paragraph] = field(default_factory=list)


def assemble(columns: Sequence[Column]) -> Flow:
    """The whole text of a document."""
    body = _body_size(columns)
    paragraphs = list(_paragraphs(columns, body))
    for paragraph in paragraphs:
        paragraph.heading = _is_heading(paragraph, body)
    paragraphs = _across(paragraphs)
    return _written(paragraphs, _vocabulary(columns))


def _body_size(columns: Iterable[Column]) -> float:
    sizes = Counter[float]()
    for column in columns:
        for line in column.lines:
            sizes[round(line.size)] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 10.0


# Paragraphs


def _paragraphs(columns: Sequence[Column], body: float) -> Iterator[Paragraph]:
    """The lines of each column, parted where a paragraph ends."""
    listed = False  # inside a reference list, whose entries hang instead of being indented
    for column in columns:
        open_: Paragraph | None = None
        for line in column.lines:
            if open_ and not _parts(open_.last, line, listed):
                open_.lines.append(line)
                continue
            if open_:
                yield open_
            open_ = Paragraph([line])
            if WELL_KNOWN.fullmatch(line.text.strip()):
                listed = bool(REFERENCES.fullmatch(line.text.strip()))
        if open_:
            yield open_


def _parts(above: Line, line: Line, listed: bool) -> bool:
    """True when a paragraph ends between these two lines of a column."""
    em = line.size
    if abs(above.size - line.size) > 0.06 * em or above.bold != line.bold:
        return True
    if above.y - line.y > 1.4 * max(line.pitch, 1.05 * em) or _alone(above) or _alone(line):
        return True
    if MARKER.match(line.text) and (listed or ENDS.search(above.text)):
        return True
    indented = line.x0 > line.left + 0.6 * em
    if listed:
        return not indented and (above.x0 > above.left + 0.6 * em or _ends_short(above))
    return (indented and above.x0 <= above.left + 0.6 * em and line.x0 < line.left + 4 * em) or _ends_short(above)


def _alone(line: Line) -> bool:
    """True for a well-known heading, in whatever it is set."""
    return bool(WELL_KNOWN.fullmatch(line.text.strip()))


def _ends_short(line: Line) -> bool:
    return line.x1 < line.right - 2.5 * line.size and bool(ENDS.search(line.text))


def _is_heading(paragraph: Paragraph, body: float) -> bool:
    text = paragraph.text.strip()
    if WELL_KNOWN.fullmatch(text):
        return True
    if len(text) > HEADING_LENGTH or len(text.split()) > HEADING_WORDS or len(paragraph.lines) > 3:
        return False
    if CAPTION.match(text) or not NUMBERED.match(text) or text[-1] in ".,;:" or paragraph.first.size < 0.85 * body:
        return False
    stands_out = paragraph.first.bold or paragraph.first.size > 1.05 * body or text.isupper()
    return stands_out or _has_air(paragraph)


def _has_air(paragraph: Paragraph) -> bool:
    """True for a short line of its own: italic headings are told by nothing else."""
    line = paragraph.last
    return len(paragraph.lines) == 1 and line.x1 < line.right - 3 * line.size and not re.search(r"\d\s+\d", line.text)


# Paragraphs that go on in the next column or on the next page, with figures between


def _across(paragraphs: list[Paragraph]) -> list[Paragraph]:
    """Joins what a column's end or a figure has parted; captions step aside to the paragraph's own page."""
    done: list[Paragraph] = []
    floats: list[Paragraph] = []
    for paragraph in paragraphs:
        before = done[-1] if done else None
        if before and _is_open(before) and _is_float(before, paragraph) and len(floats) < 4:
            floats.append(paragraph)
        elif before and _is_open(before) and _goes_on(before, paragraph):
            early = [f for f in floats if f.first.page == before.first.page]
            done[-1:] = [*early, before]
            before.lines.extend(paragraph.lines)
            done += [f for f in floats if f.first.page != before.first.page]
            floats = []
        else:
            done += [*floats, paragraph]
            floats = []
    return done + floats


def _is_open(paragraph: Paragraph) -> bool:
    """True when its last sentence has no end yet."""
    return not paragraph.heading and not ENDS.search(paragraph.last.text) and len(paragraph.text) > 20


def _is_float(before: Paragraph, paragraph: Paragraph) -> bool:
    text = paragraph.text
    other = abs(paragraph.first.size - before.last.size) > 0.06 * before.last.size
    return not paragraph.heading and (bool(CAPTION.match(text)) or other)


def _goes_on(before: Paragraph, paragraph: Paragraph) -> bool:
    a, b = before.last, paragraph.first
    same = abs(a.size - b.size) <= 0.06 * a.size and a.bold == b.bold
    moved = a.page != b.page or b.y > a.y or b.left > a.right
    starts = paragraph.text[:1]
    return same and not paragraph.heading and (starts.islower() or (moved and not MARKER.match(paragraph.text)))


# The text


def _vocabulary(columns: Iterable[Column]) -> set[str]:
    """The words that stand whole inside a line."""
    words: set[str] = set()
    for column in columns:
        for line in column.lines:
            inner = [match.group() for match in WORDS.finditer(line.text)]
            words.update(word.casefold() for word in (inner[:-1] if line.text.endswith("-") else inner))
    return words


def _written(paragraphs: Sequence[Paragraph], words: set[str]) -> Flow:
    flow = Flow(paragraphs=list(paragraphs))
    places: list[tuple[int, int]] = []  # (page, offset) of every line, in order
    parts: list[str] = []
    length, heading, begun = 0, "", 0
    for paragraph in paragraphs:
        text, offsets = _joined([line.text for line in paragraph.lines], words)
        places += [(line.page, length + offset) for line, offset in zip(paragraph.lines, offsets, strict=True)]
        named = RUN_IN.match(text)
        if paragraph.heading or named:
            flow.sections.append(Section(heading, begun, length))
            heading = _name(named[1] if named else text)
            begun = length + (named.end() if named else len(text) + 1)
        parts.append(text)
        length += len(text) + 1
    flow.text = "\n".join(parts)
    flow.sections.append(Section(heading, min(begun, len(flow.text)), len(flow.text)))
    flow.sections = [section for section in flow.sections if flow.text[section.start : section.end].strip()]
    flow.page_starts = _page_starts(places)
    return flow


def _name(heading: str) -> str:
    return " ".join(heading.split()).rstrip(" .:")[:200]


def _joined(lines: Sequence[str], words: set[str]) -> tuple[str, list[int]]:
    """(the lines as one text with broken words made whole, the offset of each line in it)."""
    text, offsets = "", []
    for line in lines:
        line = " ".join(line.split())
        broken = BROKEN_WORD.search(text)
        if broken and line[:1].islower():
            text = text if _keeps_hyphen(broken[1], line, words) else text[:-1]
        elif text and not (broken and line[:1].isupper() and not broken[1][-1:].isdigit()):
            text += " "
        offsets.append(len(text))
        text += line
    return text, offsets


def _keeps_hyphen(head: str, line: str, words: set[str]) -> bool:
    """Whether the hyphen at a line's end belongs to the word: "vision-language", but not "seg-mentation".

    Decided by how the document writes the word elsewhere; where it does not, by whether its parts are words there.
    """
    tail = WORDS.match(line)
    if not tail:
        return True
    first, rest = head.casefold(), tail.group().casefold()
    if first + rest in words:
        return False
    if f"{first}-{rest}" in words:
        return True
    return len(first) > 2 and first in words and rest in words


def _page_starts(places: Sequence[tuple[int, int]]) -> list[int]:
    """The offset at which each page begins, never going back; a page without text begins where the next one does."""
    first: dict[int, int] = {}
    for page, offset in places:
        first[page] = min(first.get(page, offset), offset)
    starts: list[int] = []
    later = max((offset for _, offset in places), default=0)
    for page in range(max(first, default=0), 0, -1):
        later = min(first.get(page, later), later)
        starts.append(later)
    return starts[::-1]
