"""Lengths, angles and ellipses on one frame: exact formulas, no interpolation, numpy only (docs/measurements.md).

Points are (x, y) in pixels of the frame, the centre of the first pixel at (0.5, 0.5). With a spacing, x is multiplied
by the distance between columns and y by that between rows before anything else is computed, so that pixels which are not
square give true lengths and angles. Without one, results are in pixels and say so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

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
    numbers = {"mean": values.mean(), "sd": values.std(), "min": values.min(), "max": values.max()}
    return (*(Value(name, float(v), unit) for name, v in numbers.items()), Value("n", float(values.size), "")), ()


def _between(a: Point, b: Point, spacing: Spacing | None) -> tuple[float, float]:
    """(dx, dy) from a to b, in millimetres with a spacing."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    return (dx * spacing.column_mm, dy * spacing.row_mm) if spacing else (dx, dy)


def _said(spacing: Spacing | None, without: str) -> tuple[str, tuple[str, ...]]:
    """Where millimetres come from, and what must be said of them."""
    if spacing is None:
        return "", (without,)
    return spacing.source, (AT_THE_DETECTOR,) if spacing.source == "ImagerPixelSpacing" else ()
