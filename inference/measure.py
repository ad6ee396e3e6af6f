"""Lengths, angles and ellipses on one frame: exact formulas, no interpolation, numpy only (docs/measurements.md).

Points are (x, y) in pixels of the frame, the centre of the first pixel at (0.5, 0.5). With a spacing, x is multiplied
by the distance between columns and y by that between rows before anything else is computed, so that pixels that are not
square give true lengths and angles. Without one, results are in pixels and say so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from inference.diameters import Diameters, diameters
from inference.errors import BadInput
from inference.types import Image, Spacing

Point = tuple[float, float]
Type = Literal["length", "angle", "ellipse"]
POINTS: dict[str, int] = {"length": 2, "angle": 3, "ellipse": 2}

NO_TYPE = "There is no measurement {type!r}: length, angle and ellipse are measured."
HOW_MANY = "A measurement of type {type} needs {expected} points, not {found}."
OUTSIDE = "Point {number} ({x:g}, {y:g}) lies outside the frame of {width} x {height} pixels."
NO_NUMBER = "Point {number} is not a pair of finite numbers."
ONE_PLACE = "The points of this {type} lie in one place; set them apart."
NO_ANGLE = "An arm of this angle has no length; set its points apart."
THIN = "This ellipse has no width or no height; draw it larger."

NO_SPACING = "The file states no pixel spacing, so this is in pixels."
ANGLE_NO_SPACING = "The file states no pixel spacing, so the angle is that of the pixels, taken as squares."
AT_THE_DETECTOR = "Measured at the detector: sizes in the patient are smaller."
INVERTED = "Values are not given: the file stores this image inverted (MONOCHROME1), and the greys here are mirrored."
COLOUR = "Values are not given: the image is in colour."
NO_PIXELS = "Values are not given: the pixels of this image are not kept as one grid."
NO_MASK = "This mask is empty."
EMPTY = "No pixel's centre lies inside this ellipse, so it has no values."


@dataclass(frozen=True, slots=True)
class Value:
    """One number of a measurement: its name, its unit ("mm", "px", "mm2", "px2", "deg", "HU", "")."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Measured:
    """`values` in order, the main one first. `spacing` names the element that millimetres come from, "" in pixels.
    `notes` are sentences that must stand beside the numbers."""

    type: Type
    values: tuple[Value, ...]
    spacing: str = ""
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON types: {"type", "values": [{"name", "value", "unit"}], "spacing", "notes"}."""
        return {
            "type": self.type,
            "values": [asdict(value) for value in self.values],
            "spacing": self.spacing,
            "notes": list(self.notes),
        }


def check(kind: str, points: Sequence[Point], width: int, height: int) -> None:
    """Refuse what cannot be measured on a frame of this size. The frame's edges belong to it. Raises BadInput."""
    if kind not in POINTS:
        raise BadInput(NO_TYPE.format(type=kind))
    if len(points) != POINTS[kind]:
        raise BadInput(HOW_MANY.format(type=kind, expected=POINTS[kind], found=len(points)))
    check_points(points, width, height)


def check_points(points: Sequence[Point], width: int, height: int) -> None:
    """Every point is two finite numbers within the frame. Raises BadInput, naming the first that is not."""
    for number, (x, y) in enumerate(points, 1):
        if not (math.isfinite(x) and math.isfinite(y)):
            raise BadInput(NO_NUMBER.format(number=number))
        if not (0 <= x <= width and 0 <= y <= height):
            raise BadInput(OUTSIDE.format(number=number, x=x, y=y, width=width, height=height))


def measure(kind: str, points: Sequence[Point], image: Image, unit: str = "") -> Measured:
    """What was drawn, in numbers. `unit` is that of the pixel values ("HU" or ""). Raises BadInput."""
    check(kind, points, image.width, image.height)
    if kind == "length":
        return length(points[0], points[1], image.spacing)
    if kind == "angle":
        return angle(points[0], points[1], points[2], image.spacing)
    return ellipse(points[0], points[1], image, unit)


def length(a: Point, b: Point, spacing: Spacing | None) -> Measured:
    """The straight distance: sqrt((dx * column_mm)^2 + (dy * row_mm)^2)."""
    dx, dy = _between(a, b, spacing)
    if dx == dy == 0:
        raise BadInput(ONE_PLACE.format(type="length"))
    value = Value("length", math.hypot(dx, dy), "mm" if spacing else "px")
    return Measured("length", (value,), *_said(spacing, NO_SPACING))


def angle(a: Point, vertex: Point, b: Point, spacing: Spacing | None) -> Measured:
    """The angle at the second point, 0 to 180 degrees: atan2(|u x v|, u . v), exact near 0 and 180 too."""
    u, v = _between(vertex, a, spacing), _between(vertex, b, spacing)
    if u == (0, 0) or v == (0, 0):
        raise BadInput(NO_ANGLE)
    cross, dot = u[0] * v[1] - u[1] * v[0], u[0] * v[0] + u[1] * v[1]
    source, notes = _said(spacing, ANGLE_NO_SPACING)
    if spacing and spacing.source == "ImagerPixelSpacing":
        notes = ()  # magnification is the same along rows and columns, and leaves angles as they are
    return Measured("angle", (Value("angle", math.degrees(math.atan2(abs(cross), dot)), "deg"),), source, notes)


def ellipse(a: Point, b: Point, image: Image, unit: str = "") -> Measured:
    """The ellipse whose bounding box has these corners: area pi/4 * width * height, and the values inside it.

    A pixel is inside when its centre is: ((x - cx) / rx)^2 + ((y - cy) / ry)^2 <= 1. `sd` is that of these pixels
    (divided by n, not n - 1). Values are left out, with a note, where they are not the file's own numbers.
    """
    spacing = image.spacing
    wide, high = _between(a, b, spacing)
    if wide == 0 or high == 0:
        raise BadInput(THIN)
    area = Value("area", math.pi / 4 * abs(wide * high), "mm2" if spacing else "px2")
    source, notes = _said(spacing, NO_SPACING)
    values, more = statistics(image, inside_ellipse(a, b, image.width, image.height), unit)
    return Measured("ellipse", (area, *values), source, (*notes, *more))


def inside_ellipse(a: Point, b: Point, width: int, height: int) -> NDArray[np.bool_]:
    """(H, W): the pixels whose centres lie in the ellipse with this bounding box, its border included."""
    cx, cy = (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
    rx, ry = abs(b[0] - a[0]) / 2, abs(b[1] - a[1]) / 2
    x = (np.arange(width) + 0.5 - cx) / rx
    y = (np.arange(height) + 0.5 - cy) / ry
    inside: NDArray[np.bool_] = x[np.newaxis] ** 2 + y[:, np.newaxis] ** 2 <= 1
    return inside


def statistics(image: Image, inside: NDArray[np.bool_], unit: str = "") -> tuple[tuple[Value, ...], tuple[str, ...]]:
    """mean, sd, min, max and n of the modality values inside, or none with the reason. Computed in float64."""
    if image.is_colour:
        return (), (COLOUR,)
    if image.inverted:
        return (), (INVERTED,)
    values = image.pixels[inside].astype(np.float64)
    if values.size == 0:
        return (Value("n", 0.0, ""),), (EMPTY,)
    numbers = [float(number) for number in (values.mean(), values.std(), values.min(), values.max())]
    return (*_values(numbers[0], numbers[1], numbers[2], numbers[3], unit), Value("n", float(values.size), "")), ()


@dataclass(frozen=True, slots=True)
class Region:
    """A mask, measured. `columns`, `rows` and `frames` are the sizes of the box around it; `on` counts the frames that
    it lies on. `values` are mean, sd, min and max over all its pixels, none where they are not the file's own.
    `diameters` are those of the frame `widest`, where the longest is longest: of a volume none is longer within a
    slice."""

    pixels: int
    columns: int
    rows: int
    frames: int
    on: int
    values: tuple[Value, ...] = ()
    notes: tuple[str, ...] = ()
    diameters: Diameters | None = None
    widest: int = 0


def region(parts: Iterable[tuple[int, Image, NDArray[np.bool_]]], unit: str = "") -> Region:
    """Measure a mask given as (number of the frame, the frame, (H, W) mask), frame by frame: none is kept.

    Mean and sd (divided by n) are those of all pixels together, merged as in Chan, Golub and LeVeque (1979).
    Raises BadInput when the mask is empty.
    """
    n, mean, m2, low, high, on = 0, 0.0, 0.0, math.inf, -math.inf, 0
    edges: tuple[int, int, int, int, int, int] | None = None
    longest: Diameters | None = None
    widest = 0
    notes: dict[str, None] = {}
    for number, image, inside in parts:
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if rows.size == 0:
            continue
        on += 1
        here = (number, number, int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1]))
        edges = here if edges is None else _around(edges, here)
        found = diameters(inside, image.spacing)
        if found and (longest is None or _longer(found, longest)):
            longest, widest = found, number
        notes |= dict.fromkeys([COLOUR] * image.is_colour + [INVERTED] * (image.inverted and not image.is_colour))
        values = (image.pixels if not image.is_colour else image.pixels[..., 0])[inside].astype(np.float64)
        step = float(values.mean()) - mean
        total = n + values.size
        m2 += float(values.var()) * values.size + step**2 * n * values.size / total
        mean, n = mean + step * values.size / total, total
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    if edges is None:
        raise BadInput(NO_MASK)
    told = () if notes else _values(mean, math.sqrt(m2 / n), low, high, unit)
    sizes = [last - first + 1 for first, last in zip(edges[::2], edges[1::2], strict=True)]
    return Region(n, sizes[2], sizes[1], sizes[0], on, told, tuple(notes), longest, widest)


def _longer(one: Diameters, other: Diameters) -> bool:
    return one.longest.length > other.longest.length


def _around(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, int, int, int, int, int]:
    """The edges (first and last, of frames, rows and columns) of the box around both."""
    first = [min(x, y) for x, y in zip(a[::2], b[::2], strict=True)]
    last = [max(x, y) for x, y in zip(a[1::2], b[1::2], strict=True)]
    return first[0], last[0], first[1], last[1], first[2], last[2]


def _values(mean: float, sd: float, low: float, high: float, unit: str) -> tuple[Value, ...]:
    return Value("mean", mean, unit), Value("sd", sd, unit), Value("min", low, unit), Value("max", high, unit)


def _between(a: Point, b: Point, spacing: Spacing | None) -> tuple[float, float]:
    """(dx, dy) from a to b, in millimetres with a spacing."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    return (dx * spacing.column_mm, dy * spacing.row_mm) if spacing else (dx, dy)


def _said(spacing: Spacing | None, without: str) -> tuple[str, tuple[str, ...]]:
    """Where millimetres come from, and what must be said of them."""
    if spacing is None:
        return "", (without,)
    return spacing.source, (AT_THE_DETECTOR,) if spacing.source == "ImagerPixelSpacing" else ()
