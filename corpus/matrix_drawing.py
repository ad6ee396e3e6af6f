"""The matrix as a picture: where each thing stands, in pixels from the top left. The template draws it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from corpus.matrix import Cell, Line, Matrix

CELL, ROW = 40, 24  # pixels
LETTER = 6.6  # mean width of a letter at 12 px
TOTAL = 44
BAR, BARS = 6, 18  # width of a year, height of the tallest
MARGIN, TITLE = 16, 28
SLOPE = math.radians(45)  # of the column names


@dataclass(frozen=True, slots=True)
class Bar:
    """One year of a sparkline."""

    x: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class DrawnCell:
    """A cell and its left edge."""

    cell: Cell
    x: int

    @property
    def opacity(self) -> float:
        """Of the accent on white; at most 0.45, where black writing keeps a contrast of 7 to 1."""
        return round(self.cell.tint * 0.09, 2)


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """A row, its top edge, its cells and its bars."""

    line: Line
    y: int
    cells: list[DrawnCell]
    bars: list[Bar]


@dataclass(frozen=True, slots=True)
class Drawing:
    """The whole picture, `width` by `height` pixels."""

    matrix: Matrix
    width: int
    height: int
    left: int  # where the cells begin
    top: int
    total_x: int
    spark_x: int
    foot_y: int  # the line of the columns' totals
    heads: list[tuple[str, int, int]]  # (name, centre, total) of each column
    lines: list[DrawnLine]


def bars(line: Line, height: int = BARS) -> list[Bar]:
    """The years of a row, each as high as its share of the row's fullest year; a year without a paper has no bar."""
    most = max((count for _, count in line.by_year), default=0)
    return [
        Bar(index * (BAR + 1), round(height - height * count / most, 1), round(height * count / most, 1))
        for index, (_, count) in enumerate(line.by_year)
        if count
    ]


def draw(matrix: Matrix) -> Drawing:
    """Lays the matrix out."""
    left = MARGIN + round(LETTER * max((len(line.term.name) for line in matrix.lines), default=0)) + 12
    longest = max((len(head.term.name) for head in matrix.columns), default=0) * LETTER
    top = MARGIN + TITLE + round(longest * math.sin(SLOPE)) + 16
    total_x = left + CELL * len(matrix.columns)
    spark_x = total_x + TOTAL + 8
    overhang = round(longest * math.cos(SLOPE))  # the last names lean over the totals
    width = max(spark_x + (BAR + 1) * len(matrix.years), total_x + overhang) + MARGIN
    foot_y = top + ROW * len(matrix.lines)
    lines = [
        DrawnLine(
            line,
            top + ROW * index,
            [DrawnCell(cell, left + CELL * column) for column, cell in enumerate(line.cells)],
            bars(line),
        )
        for index, line in enumerate(matrix.lines)
    ]
    heads = [(head.term.name, left + CELL * i + CELL // 2, head.total) for i, head in enumerate(matrix.columns)]
    return Drawing(matrix, width, foot_y + ROW + 48, left, top, total_x, spark_x, foot_y, heads, lines)
