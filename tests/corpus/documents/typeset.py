"""Papers typeset for the tests (reportlab): one or two columns, running heads, hyphenation, a reference list.

Real text is drawn line by line, as TeX does it, so that what the reader must undo is really there: words broken at line
ends, columns side by side, heads and page numbers on every page.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field

from reportlab.lib.pagesizes import A4
from reportlab.pdfbase.pdfmetrics import registerFont, stringWidth
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

WIDTH, HEIGHT = A4
MARGIN, GUTTER, SIZE, LEADING = 54.0, 18.0, 8.5, 11.0
BODY, BOLD, ITALIC = "Vera", "VeraBd", "VeraIt"  # they come with reportlab, and have ligatures
for _font in (BODY, BOLD, ITALIC):
    registerFont(TTFont(_font, f"{_font}.ttf"))


@dataclass(frozen=True)
class Line:
    """One line of a column: where it begins, relative to the column, and in what it is set."""

    text: str
    font: str = BODY
    size: float = SIZE
    indent: float = 0.0
    space: float = 0.0  # above it
    stretch: bool = False  # to the full width


@dataclass
class Paper:
    """What is typeset. `sections`: (heading, paragraphs)."""

    title: str
    authors: str
    abstract: str
    sections: list[tuple[str, list[str]]]
    references: list[str]
    head: str = "IEEE Transactions on Medical Imaging, vol. 43, no. 2, 2024"
    note: str = ""  # a line at the foot of the first page
    columns: int = 2
    interleaved: bool = False  # the lines of both columns drawn in turn, as some word processors do
    watermark: str = ""  # at the side of the first page, turned, as arXiv sets it
    metadata: dict[str, str] = field(default_factory=dict)


def pdf(paper: Paper) -> bytes:
    """The paper as a PDF file."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=True)
    canvas.setTitle(paper.metadata.get("title", ""))
    canvas.setAuthor(paper.metadata.get("author", ""))
    width = (WIDTH - 2 * MARGIN - GUTTER * (paper.columns - 1)) / paper.columns
    top = HEIGHT - 80 - _opening(canvas, paper)
    lines = list(_lines(paper, width))
    number = 1
    while lines:
        columns = []
        for _ in range(paper.columns):
            taken, lines = _fill(lines, top - 70)
            columns.append(taken)
        _furniture(canvas, paper, number)
        _draw(canvas, columns, width, top, paper.interleaved)
        canvas.showPage()
        number, top = number + 1, HEIGHT - 80
    canvas.save()
    return out.getvalue()


def _opening(canvas: Canvas, paper: Paper) -> float:
    """Title, authors and abstract across the page; the height they take."""
    y = HEIGHT - 90
    for line in _broken(paper.title, BOLD, 17, WIDTH - 2 * MARGIN, hyphens=False):
        canvas.setFont(BOLD, 17)
        canvas.drawCentredString(WIDTH / 2, y, line)
        y -= 21
    canvas.setFont(BODY, 11)
    canvas.drawCentredString(WIDTH / 2, y - 4, paper.authors)
    y -= 30
    canvas.setFont(BOLD, 10)
    canvas.drawCentredString(WIDTH / 2, y, "Abstract")
    y -= 15
    for line in _broken(paper.abstract, BODY, SIZE, WIDTH - 2 * MARGIN - 60):
        canvas.setFont(BODY, SIZE)
        canvas.drawString(MARGIN + 30, y, line)
        y -= LEADING
    return HEIGHT - 80 - y + 12


def _furniture(canvas: Canvas, paper: Paper, number: int) -> None:
    canvas.setFont(ITALIC, 8)
    canvas.drawString(MARGIN, HEIGHT - 40, paper.head)
    canvas.drawRightString(WIDTH - MARGIN, HEIGHT - 40, f"{number}")
    canvas.setFont(BODY, 8)
    canvas.drawCentredString(WIDTH / 2, 34, f"- {number} -")
    if number == 1 and paper.note:
        canvas.setFont(BODY, 7)
        canvas.drawString(MARGIN, 50, paper.note)
    if number == 1 and paper.watermark:
        canvas.saveState()
        canvas.translate(30, 250)
        canvas.rotate(90)
        canvas.setFont(BODY, 18)
        canvas.drawString(0, 0, paper.watermark)
        canvas.restoreState()


def _lines(paper: Paper, width: float) -> Iterator[Line]:
    for heading, paragraphs in paper.sections:
        yield Line(heading, BOLD, 11, space=8)
        for i, paragraph in enumerate(paragraphs):
            yield from _set(paragraph, width, first=0 if i == 0 else 10)
    if paper.references:
        yield Line("References", BOLD, 11, space=8)
        for entry in paper.references:
            yield from _set(entry, width, first=0, rest=14, size=8)


def _set(paragraph: str, width: float, first: float = 0, rest: float = 0, size: float = SIZE) -> Iterator[Line]:
    broken = list(_broken(paragraph, BODY, size, width - rest, width - first))
    for i, text in enumerate(broken):
        yield Line(text, BODY, size, first if i == 0 else rest, stretch=i < len(broken) - 1)


def _broken(text: str, font: str, size: float, width: float, first: float = 0, hyphens: bool = True) -> Iterator[str]:
    """Lines of at most this width; a long word that does not fit is broken after its fourth letter or later."""
    line, room = "", first or width
    for word in text.split():
        wider = f"{line} {word}".strip()
        if stringWidth(wider, font, size) <= room:
            line = wider
            continue
        head = _head(word, line, font, size, room) if hyphens else ""
        yield f"{line} {head}-" if head and not head.endswith("-") else f"{line} {head}".strip()
        line, room = word[len(head) :], width
    yield line


def _head(word: str, line: str, font: str, size: float, room: float) -> str:
    """The longest beginning of the word that fits with a hyphen; at its own hyphen where it has one."""
    if "-" in word[2:-2]:
        head = word[: word.index("-", 2) + 1]
        return head if stringWidth(f"{line} {head}", font, size) <= room else ""
    for end in range(len(word) - 3, 3, -1):
        if word[:end].isalpha() and stringWidth(f"{line} {word[:end]}-", font, size) <= room:
            return word[:end]
    return ""


def _fill(lines: list[Line], height: float) -> tuple[list[Line], list[Line]]:
    used = 0.0
    for i, line in enumerate(lines):
        used += line.space + max(LEADING, line.size * 1.2)
        if used > height:
            return lines[:i], lines[i:]
    return lines, []


def _draw(canvas: Canvas, columns: list[list[Line]], width: float, top: float, interleaved: bool) -> None:
    drawn = []
    for number, column in enumerate(columns):
        x, y = MARGIN + number * (width + GUTTER), top
        for line in column:
            y -= line.space + max(LEADING, line.size * 1.2)
            drawn.append((-y if interleaved else 0.0, x + line.indent, y, line))
    for _, x, y, line in sorted(drawn, key=lambda item: item[0]):
        text = canvas.beginText(x, y)
        text.setFont(line.font, line.size)
        gaps = line.text.count(" ")
        if line.stretch and gaps:
            text.setWordSpace((width - line.indent - stringWidth(line.text, line.font, line.size)) / gaps)
        text.textOut(line.text)
        canvas.drawText(text)
