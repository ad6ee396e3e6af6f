"""Characters of a page, as PDFium gives them, to words with a place.

Coordinates are points (1/72 inch), x to the right and y upwards, after the page has been turned so that most of its
text reads from left to right; what is still turned (a watermark at the side) is kept apart as `Page.aside`.
"""

from __future__ import annotations

import ctypes
import math
from collections import Counter
from dataclasses import dataclass, field

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from corpus.quotes import LIGATURES

QUARTERS = (0, 90, 180, 270)
TILT = 8  # degrees by which a line may lean
# How PDFium writes a hyphen at a line's end (U+0002, U+FFFE), and how fonts write it.
HYPHENS = dict.fromkeys("\x02\ufffe\u00ad\u2010\u2011", "-")
PLAIN = LIGATURES | HYPHENS
BOLD = ("bold", "black", "heavy", "semibold", "demi", "medi", "cmbx", "-bd", "veradb", "verabd")


@dataclass(slots=True)
class Word:
    """Characters without white space between them. `y` is the base line; `x0` to `x1` what they cover."""

    text: str
    x0: float
    x1: float
    y: float
    size: float
    bold: bool
    at: float  # where its last character begins
    angle: int = 0  # of 0, 90, 180, 270
    spaced: bool = True  # whether white space stands before it in the file


@dataclass(slots=True)
class Page:
    """One page; `words` in the order in which the file draws them."""

    number: int
    width: float
    height: float
    words: list[Word]
    aside: str
    characters: int  # that were read, of all kinds
    readable: bool = True


@dataclass(slots=True)
class _Pen:
    """The word that is being put together."""

    words: list[Word] = field(default_factory=list)
    open: bool = False
    spaced: bool = True

    def space(self) -> None:
        self.open, self.spaced = False, True


def page_of(file: pdfium.PdfDocument, number: int, most: int) -> Page:
    """Page `number`, counted from 0, with at most `most` characters. Raises pdfium.PdfiumError."""
    page = file[number]
    text = page.get_textpage()
    count = min(raw.FPDFText_CountChars(text.raw), most)
    words = _words(text.raw, count)
    width, height = page.get_size()
    text.close()
    page.close()
    angles = Counter[int]()
    for word in words:
        angles[word.angle] += len(word.text)
    main = angles.most_common(1)[0][0] if angles else 0
    upright = [word for word in words if word.angle == main and word.text]
    aside = " ".join(word.text for word in words if word.angle != main)
    if main in (90, 270) and _is_upright(width, height, upright):
        width, height = height, width
    return Page(number + 1, width, height, upright, aside, count)


def _is_upright(width: float, height: float, words: list[Word]) -> bool:
    """True when the turned words do not fit the page as its size is given."""
    return bool(words) and (max(w.x1 for w in words) - min(w.x0 for w in words)) > width


def _words(text: raw.FPDF_TEXTPAGE, count: int) -> list[Word]:
    pen = _Pen()
    for i in range(count):
        character = _character(raw.FPDFText_GetUnicode(text, i))
        if character.isspace() or not character:
            pen.space()
        else:
            _write(pen, text, i, character)
    return pen.words


def _character(code: int) -> str:
    """What stands in the text for this code point; empty for controls, halves of pairs and private characters."""
    if code == 0 or 0xD800 <= code <= 0xF8FF or code > 0x10FFFF:
        return ""
    character = chr(code)
    character = PLAIN.get(character, character)
    return character if character.isspace() or character.isprintable() else ""


def _write(pen: _Pen, text: raw.FPDF_TEXTPAGE, i: int, character: str) -> None:
    """Adds a character to the word, or begins another where it does not follow on."""
    angle = _angle(raw.FPDFText_GetCharAngle(text, i))
    if angle is None:
        return
    x0, x1, y = _place(text, i, angle)
    last = pen.words[-1] if pen.words else None
    if pen.open and last and last.angle == angle and _follows(last, x0, y):
        last.text += character
        last.x1, last.at = max(last.x1, x1), x0
        return
    size, bold = _style(text, i)
    pen.words.append(Word(character, x0, x1, y, size, bold, x0, angle, pen.spaced))
    pen.open, pen.spaced = True, False


def _follows(word: Word, x0: float, y: float) -> bool:
    """True for the next character of the same word: on its base line, and neither far off nor going back. The letters
    of a ligature have one place."""
    return abs(y - word.y) < 0.12 * word.size and x0 >= word.at - 0.1 * word.size and x0 - word.x1 < 0.2 * word.size


def _angle(radians: float) -> int | None:
    """The quarter turn, against the clock, of PDFium's angle, which counts with it; None for text that leans."""
    if radians < 0:
        return 0  # PDFium does not know
    degrees = -math.degrees(radians) % 360
    nearest = min(QUARTERS, key=lambda q: min(abs(degrees - q), 360 - abs(degrees - q)))
    off = min(abs(degrees - nearest), 360 - abs(degrees - nearest))
    return nearest if off <= TILT else None


def _place(text: raw.FPDF_TEXTPAGE, i: int, angle: int) -> tuple[float, float, float]:
    """(x0, x1, base line) in the turned page."""
    x, y = ctypes.c_double(), ctypes.c_double()
    raw.FPDFText_GetCharOrigin(text, i, x, y)
    box = raw.FS_RECTF()
    raw.FPDFText_GetLooseCharBox(text, i, box)
    if angle == 0:
        return x.value, max(box.right, x.value), y.value
    if angle == 180:
        return -x.value, max(-box.left, -x.value), -y.value
    if angle == 90:  # reads upwards
        return y.value, max(box.top, y.value), -x.value
    return -y.value, max(-box.bottom, -y.value), x.value


def _style(text: raw.FPDF_TEXTPAGE, i: int) -> tuple[float, bool]:
    """Size in points as it is shown, and whether the font is bold by its weight or its name."""
    matrix = raw.FS_MATRIX()
    raw.FPDFText_GetMatrix(text, i, matrix)
    scale = math.hypot(matrix.c, matrix.d) or 1.0
    size = raw.FPDFText_GetFontSize(text, i) * scale
    flags, name = ctypes.c_int(), ctypes.create_string_buffer(80)
    raw.FPDFText_GetFontInfo(text, i, name, 80, flags)
    named = name.value.decode("utf-8", "replace").lower()
    bold = raw.FPDFText_GetFontWeight(text, i) >= 600 or any(part in named for part in BOLD)
    return min(max(size, 1.0), 500.0), bold
