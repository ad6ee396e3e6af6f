"""From words with places to lines in reading order: columns one after the other, running heads and page numbers gone.

An XY-cut in the manner of Nagy and Seth (1984), with runs of text in place of pixels: a region is cut at a white
corridor between columns, and lines that cross the corridor (a title, a wide caption) cut the columns in bands.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from corpus.documents.glyphs import Page, Word

CORRIDOR = 4.0  # half the least width of the white between two columns, points
NARROW = 90.0  # no column is narrower than this, points
DEPTH = 3
EDGE = 0.09  # of the page's height, at the top and at the foot, where running heads and page numbers stand
PAGE_NUMBER = re.compile(r"\W*(?:page\s*)?(?:\d{1,4}|[ivxlc]{1,6})(?:\s*(?:/|of)\s*\d{1,4})?\W*", re.IGNORECASE)


@dataclass(slots=True)
class Run:
    """Words that stand beside each other on one line."""

    words: list[Word]

    @property
    def x0(self) -> float:
        return self.words[0].x0

    @property
    def x1(self) -> float:
        return max(word.x1 for word in self.words)

    @property
    def main(self) -> Word:
        """The word that says where and in what the line is set: the longest, since superscripts are short."""
        return max(self.words, key=lambda word: (len(word.text), word.size))

    @property
    def y(self) -> float:
        return self.main.y


@dataclass(slots=True)
class Line:
    """One line of a column. `left`, `right` and `pitch` describe the column: its edges and its distance of lines."""

    text: str
    x0: float
    x1: float
    y: float
    size: float
    bold: bool
    page: int
    left: float = 0.0
    right: float = 0.0
    pitch: float = 0.0


@dataclass(slots=True)
class Column:
    """A stretch of lines that are read one below the other."""

    page: int
    lines: list[Line]


def without_furniture(pages: Sequence[Page]) -> tuple[list[Column], dict[int, list[str]]]:
    """The columns of all pages in reading order, and what stood in the margins of each page, by its number."""
    runs = {page.number: _runs(page.words) for page in pages}
    dropped = _furniture(pages, runs)
    columns, margins = [], {}
    for page in pages:
        gone = {id(run) for run in dropped[page.number]}
        kept = [run for run in runs[page.number] if id(run) not in gone]
        margins[page.number] = [_text(run.words) for run in dropped[page.number]]
        columns += [_column(page.number, column) for column in _in_order(kept, 0) if column]
    return columns, margins


def _runs(words: Sequence[Word]) -> list[Run]:
    """Words joined to runs, first as they are drawn, then what the drawing tore apart."""
    runs: list[Run] = []
    for word in words:
        if runs and _continues(runs[-1], word):
            runs[-1].words.append(word)
        else:
            runs.append(Run([word]))
    return _joined(runs)


def _continues(run: Run, word: Word) -> bool:
    last, size = run.words[-1], max(run.main.size, word.size)
    return abs(word.y - run.y) < 0.6 * size and -0.4 * size < word.x0 - last.x1 < size and _alike(run, word)


def _alike(run: Run, word: Word) -> bool:
    """False for neighbours of quite another size on another base line: a drop capital, a line of another block."""
    return abs(word.y - run.y) < 0.15 * word.size or 0.5 < word.size / run.main.size < 2.0


def _joined(runs: list[Run]) -> list[Run]:
    """Runs on one base line with less than an em between them are one run."""
    done: list[Run] = []
    for run in sorted(runs, key=lambda r: (-round(r.y), r.x0)):
        before = next((r for r in reversed(done[-6:]) if _touch(r, run)), None)
        if before:
            before.words.extend(run.words)
        else:
            done.append(run)
    return done


def _touch(left: Run, right: Run) -> bool:
    size = max(left.main.size, right.main.size)
    return abs(left.y - right.y) < 0.3 * size and -0.2 * size < right.x0 - left.x1 < 0.9 * size


# Running heads and page numbers


def _furniture(pages: Sequence[Page], runs: dict[int, list[Run]]) -> dict[int, list[Run]]:
    """{page: runs at its edges that come again on other pages, but for their digits, or are page numbers}."""
    edges = {page.number: list(_edge_rows(page, runs[page.number])) for page in pages}
    seen = Counter(key for rows in edges.values() for key in {_alias(side, row) for side, row in rows})
    return {
        number: [
            run
            for side, row in rows
            if seen[_alias(side, row)] > 1 or PAGE_NUMBER.fullmatch(_text_of(row))
            for run in row
        ]
        for number, rows in edges.items()
    }


def _edge_rows(page: Page, runs: Sequence[Run]) -> Iterator[tuple[str, list[Run]]]:
    """("top" or "foot", runs on one base line) within the edges of the page."""
    rows: dict[int, list[Run]] = {}
    for run in runs:
        place = next((y for y in rows if abs(y - run.y) < 4), round(run.y))
        rows.setdefault(place, []).append(run)
    heights = sorted(rows)
    bottom = min((y for y in heights if y > 0), default=0)
    for y, row in rows.items():
        if y > page.height * (1 - EDGE):
            yield "top", row
        elif y < max(page.height * EDGE, bottom + 2):
            yield "foot", row


def _text_of(row: Sequence[Run]) -> str:
    return " ".join(_text(run.words) for run in sorted(row, key=lambda run: run.x0))


def _alias(side: str, row: Sequence[Run]) -> tuple[str, str, int]:
    """Equal for a running head on several pages; a title that is repeated in the head is larger than it."""
    return side, re.sub(r"\d+", "#", _text_of(row).casefold()), round(row[0].main.size)


# Columns


def _in_order(runs: list[Run], depth: int) -> Iterator[list[Run]]:
    """The columns of a region, in reading order."""
    corridor = _corridor(runs) if depth < DEPTH else None
    if corridor is None:
        yield sorted(runs, key=lambda run: (-run.y, run.x0))
        return
    for band in _bands(runs, corridor):
        if any(_crosses(run, corridor) for run in band):
            yield band
        else:
            yield from _in_order([run for run in band if run.x1 <= corridor], depth + 1)
            yield from _in_order([run for run in band if run.x0 >= corridor], depth + 1)


def _corridor(runs: Sequence[Run]) -> float | None:
    """Where a white corridor runs between two columns, or None."""
    if len(runs) < 4:
        return None
    left, right = min(run.x0 for run in runs), max(run.x1 for run in runs)
    if right - left < 2 * NARROW:
        return None
    places = [left + NARROW + 2 * i for i in range(int((right - left - 2 * NARROW) / 2) + 1)]
    weights = [sum(_crosses(run, x) for run in runs) for x in places]
    least = min(weights)
    best = [x for x, weight in zip(places, weights, strict=True) if weight == least]
    x = min(best, key=lambda place: abs(place - median(best)))
    return x if least <= 0.5 * len(runs) and _are_columns(runs, x) else None


def _crosses(run: Run, x: float) -> bool:
    return run.x0 < x + CORRIDOR and run.x1 > x - CORRIDOR


def _are_columns(runs: Sequence[Run], x: float) -> bool:
    """True when lines of text, not only the cells of a table, stand at both sides beside each other."""
    left = [run for run in runs if run.x1 <= x - CORRIDOR]
    right = [run for run in runs if run.x0 >= x + CORRIDOR]
    if not left or not right:
        return False
    beside = max(r.y for r in left) >= min(r.y for r in right) and max(r.y for r in right) >= min(r.y for r in left)
    return beside and all(median(_line_lengths(side)) >= 12 for side in (left, right))


def _line_lengths(runs: Sequence[Run]) -> list[int]:
    """Characters on each base line; a line that was stretched to the column's width may be several runs."""
    lengths = Counter[int]()
    for run in runs:
        lengths[round(run.y)] += len(_text(run.words))
    return list(lengths.values())


def _bands(runs: Sequence[Run], x: float) -> Iterator[list[Run]]:
    """The region from top to bottom, wherever the corridor is crossed or open again."""
    band: list[Run] = []
    wide = False
    for run in sorted(runs, key=lambda r: (-r.y, r.x0)):
        crosses = _crosses(run, x)
        if band and crosses != wide:
            yield band
            band = []
        band.append(run)
        wide = crosses
    if band:
        yield band


# Lines


def _column(page: int, runs: Sequence[Run]) -> Column:
    """The lines of one column, each with what the column looks like."""
    rows: list[list[Run]] = []
    for run in runs:
        if rows and abs(rows[-1][0].y - run.y) < 0.3 * run.main.size:
            rows[-1].append(run)
        else:
            rows.append([run])
    lines = [_line(page, row) for row in rows]
    left, right, pitch = _edges(lines)
    for line in lines:
        line.left, line.right, line.pitch = left, right, pitch
    return Column(page, lines)


def _line(page: int, row: list[Run]) -> Line:
    row.sort(key=lambda run: run.x0)
    words = [word for run in row for word in run.words]
    main = _main_style(words)
    text = " ".join(_text(run.words) for run in row)
    return Line(text, row[0].x0, max(run.x1 for run in row), row[0].y, main[0], main[1], page)


def _main_style(words: Sequence[Word]) -> tuple[float, bool]:
    """(size to a tenth of a point, bold) of most of the characters."""
    styles = Counter[tuple[float, bool]]()
    for word in words:
        styles[(round(word.size, 1), word.bold)] += len(word.text)
    return styles.most_common(1)[0][0]


def _text(words: Sequence[Word]) -> str:
    """The words with a space between them, unless they touch on one base line: "H" and "2" of a formula do."""
    text = words[0].text
    for before, word in pairwise(words):
        apart = word.spaced or word.x0 - before.x1 > 0.15 * word.size or _is_note(before, word)
        text += (" " if apart else "") + word.text
    return text


def _is_note(before: Word, word: Word) -> bool:
    """True for the raised number of a reference behind a word; raised to a letter or a bracket it is an exponent."""
    raised = word.y > before.y + 0.2 * word.size and word.size < 0.85 * before.size
    return raised and word.text[0].isdigit() and len(before.text) > 2


def _edges(lines: Sequence[Line]) -> tuple[float, float, float]:
    """(left, right, pitch) of a column: its commonest left edge, where full lines end, its usual distance of lines."""
    lefts = Counter(round(line.x0) for line in lines)
    left = float(min(lefts, key=lambda x: (-lefts[x], x)))
    right = sorted(line.x1 for line in lines)[int(0.9 * (len(lines) - 1))]
    body = Counter(round(line.size) for line in lines).most_common(1)[0][0]
    gaps = [a.y - b.y for a, b in pairwise(lines) if round(a.size) == round(b.size) == body]
    usual = [gap for gap in gaps if 0.8 * body < gap < 2.2 * body]
    return left, right, median(usual) if usual else 1.2 * body
