"""The cardiothoracic ratio by masks of the heart and of both lungs, as a model outlines them on a chest radiograph.

The greatest transverse diameter of the heart over the greatest inner diameter of the thorax, taken from outer border
to outer border of the lungs (Danzer 1919; `inference.chest` measures the same without a model). A ratio needs no
spacing. Nothing is measured on masks that cannot be right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.chest import FRONTAL, NOT_FRONTAL, PLAUSIBLE, view_notes
from inference.errors import BadInput
from inference.structures import matching
from inference.types import Image, Line, Mask

HEART, LUNGS = "heart", ("left lung", "right lung")
LEAST_LUNG, LEAST_HEART = 0.01, 0.005  # of the image

MISSING = "no {what} was found"
CUT = "the {what} reaches the edge of the image"
SMALL = "what was found of the {what} is too small to be all of it"
ASIDE = "the heart does not lie between the lungs"
IMPLAUSIBLE = "it would be {ratio:.2f}, which no thorax has"
BY_MASKS = "Heart and thorax are as wide as the model's masks of them: look at where the lines end."


@dataclass(frozen=True, slots=True)
class Cardiothoracic:
    """`ratio` is that of the lengths of the lines. `notes` must stand beside it."""

    ratio: float
    heart: Line
    thorax: Line
    notes: tuple[str, ...]


def further(wanted: Sequence[str], labels: Iterable[str]) -> list[str]:
    """The lungs, where the heart is wanted of a model that knows both: the ratio needs them."""
    known = list(labels)
    if not set(matching(HEART, wanted)) & set(matching(HEART, known)):
        return []
    return [label for side in LUNGS for label in matching(side, known)[:1] if label not in wanted]


def cardiothoracic(masks: Iterable[Mask], image: Image) -> Cardiothoracic:
    """Raises BadInput with the reason why these masks of this image give no ratio."""
    if image.view and image.view.upper() not in FRONTAL:
        raise BadInput(NOT_FRONTAL.format(view=image.view))
    heart, *lungs = _found(masks)
    sides = sorted(lungs, key=lambda inside: float(np.flatnonzero(inside.any(axis=0)).mean()))
    left, right = (_centre(inside) for inside in sides)
    if not left < _centre(heart) < right:
        raise BadInput(ASIDE)
    wide, chest = _heart(heart, image), _thorax(sides[0], sides[1], image)
    ratio = (wide.x1 - wide.x0) / (chest.x1 - chest.x0)
    if not PLAUSIBLE[0] <= ratio <= PLAUSIBLE[1]:
        raise BadInput(IMPLAUSIBLE.format(ratio=ratio))
    return Cardiothoracic(ratio, wide, chest, (BY_MASKS, *view_notes(image)))


def _found(masks: Iterable[Mask]) -> list[NDArray[np.bool_]]:
    """Heart, left lung, right lung: whole, and inside the image."""
    by_label = {mask.label: mask.pixels > 0 for mask in masks}
    found = []
    for what, least in ((HEART, LEAST_HEART), *((side, LEAST_LUNG) for side in LUNGS)):
        label = next(iter(matching(what, by_label)), None)
        if label is None or not by_label[label].any():
            raise BadInput(MISSING.format(what=what))
        inside = by_label[label]
        if inside.mean() < least:
            raise BadInput(SMALL.format(what=what))
        if inside[:, 0].any() or inside[:, -1].any():
            raise BadInput(CUT.format(what=what))
        found.append(inside)
    return found


def _centre(inside: NDArray[np.bool_]) -> float:
    """The mean column of its pixels."""
    counts = inside.sum(axis=0)
    return float((counts * np.arange(counts.size)).sum() / counts.sum())


def _heart(inside: NDArray[np.bool_], image: Image) -> Line:
    """From its leftmost to its rightmost border, drawn on the row halfway between the two."""
    columns = np.flatnonzero(inside.any(axis=0))
    first, last = int(columns[0]), int(columns[-1])
    row = (np.flatnonzero(inside[:, first]).mean() + np.flatnonzero(inside[:, last]).mean()) / 2
    return _line("heart", first, last + 1, float(row) + 0.5, image)


def _thorax(left: NDArray[np.bool_], right: NDArray[np.bool_], image: Image) -> Line:
    """The widest row from the outer border of one lung to that of the other."""
    rows = np.flatnonzero(left.any(axis=1) & right.any(axis=1))
    if rows.size == 0:
        raise BadInput(ASIDE)
    outer = left[rows].argmax(axis=1)
    end = right.shape[1] - right[rows][:, ::-1].argmax(axis=1)
    widest = int((end - outer).argmax())
    return _line("thorax", int(outer[widest]), int(end[widest]), float(rows[widest]) + 0.5, image)


def _line(label: str, x0: int, x1: int, y: float, image: Image) -> Line:
    return Line(label, x0, y, x1, y, (x1 - x0) * image.spacing.column_mm if image.spacing else None)
