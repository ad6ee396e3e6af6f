"""What a consolidation hides of a lung, completed from the other one: by symmetry, within the convex hull.

A lung that is much smaller than the other one on the same radiograph has most likely lost a part that is not dark: it
is consolidated, collapsed, or under an effusion. The other lung is mirrored and laid where it covers most of what was
found; of it is taken what lies in the convex hull of the found part, and in that of both once the mirrored one is
shrunk. A real difference in size (after surgery, in scoliosis) is completed just as well: whoever shows the result says
that a part of it was not seen.

Measured on five radiographs with a bright ellipse painted into one lung, at two heights (18 cases that the baseline
takes): Dice with the lung as outlined without the disc rises from 0.72 to 0.88 at the median.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.bool_]

SMALLER = 0.74  # of the other's area: on the radiographs seen, healthy lungs were above 0.79 of one another
SHIFTS_DOWN, SHIFTS_ACROSS = range(-12, 13, 4), range(-40, 41, 2)  # pixels of the 256 x 256 grid
SHRINK, MIDDLE = 8, 3


def completed(left: Bits, right: Bits, middle: int) -> tuple[Bits, Bits, str]:
    """Both lungs on the working grid, and which one was completed: "left" or "right" of the image, or "".

    `middle` is the column of the mediastinum, which stays free.
    """
    areas = float(left.sum()), float(right.sum())
    if min(areas) >= SMALLER * max(areas):
        return left, right, ""
    if areas[0] < areas[1]:
        return left | _hidden(left, right, middle), right, "left"
    return left, right | _hidden(right, left, middle), "right"


def _hidden(seen: Bits, other: Bits, middle: int) -> Bits:
    """Where the rest of the lung must lie, by the shape of the other."""
    morphology: Any = importlib.import_module("skimage.morphology")
    mirrored = _laid_on(seen, other[:, ::-1])
    mirrored[:, max(0, middle - MIDDLE) : middle + MIDDLE] = False
    shrunk = morphology.erosion(mirrored, morphology.disk(SHRINK))
    hulls: Bits = morphology.convex_hull_image(seen) | morphology.convex_hull_image(seen | shrunk)
    return mirrored & hulls


def _laid_on(seen: Bits, mirrored: Bits) -> Bits:
    """The mirrored lung where it covers most of what was seen."""
    places = [_shifted(mirrored, down, across) for down in SHIFTS_DOWN for across in SHIFTS_ACROSS]
    return max(places, key=lambda place: int((place & seen).sum()))


def _shifted(mask: Bits, down: int, across: int) -> Bits:
    rows, columns = mask.shape
    out = np.zeros_like(mask)
    source = mask[max(0, -down) : rows - max(0, down), max(0, -across) : columns - max(0, across)]
    out[max(0, down) : rows - max(0, -down), max(0, across) : columns - max(0, -across)] = source
    return out
