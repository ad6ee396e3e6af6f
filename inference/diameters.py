"""The longest diameter of a region, and the longest across it at a right angle: how the size of a mass is written down.

The longest is what RECIST 1.1 measures (Eisenhauer et al., Eur J Cancer 2009), both are the two of the WHO criteria
(Miller et al., Cancer 1981); there a person draws them, here they are those of a mask. Diameters go from edge to edge:
a pixel is a rectangle, and a single one has its diagonal. They are taken of the convex hull of the largest connected
part, so that of a curved region they may pass outside it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.types import Line, Spacing

LONGEST, ACROSS = "longest diameter", "longest across it"


class Diameters(NamedTuple):
    """Ends in pixels, the first pixel's centre at (0.5, 0.5), as of `inference.measure`. `length_mm` is None without a
    spacing: the longest in pixels is not the longest in millimetres where pixels are not square."""

    longest: Line
    across: Line


def diameters(inside: NDArray[np.bool_], spacing: Spacing | None) -> Diameters | None:
    """Of an (H, W) mask; None when it is empty."""
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import cdist

    if not inside.any():
        return None
    scale = np.array([spacing.column_mm, spacing.row_mm]) if spacing else np.ones(2)
    corners = _corners(_largest(inside)) * scale
    hull = corners[ConvexHull(corners).vertices]
    distances = cdist(hull, hull)
    first, second = np.unravel_index(int(distances.argmax()), distances.shape)
    a, b = hull[first], hull[second]
    low, high = _across(hull, a, b)
    return Diameters(_line(LONGEST, a, b, scale, spacing), _line(ACROSS, low, high, scale, spacing))


def _largest(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest part whose pixels touch, by a side or a corner."""
    from scipy.ndimage import label

    parts, count = label(inside, structure=np.ones((3, 3)))
    if count == 1:
        return inside
    largest: NDArray[np.bool_] = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    return largest


def _corners(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n, 2) of (x, y): of each row the outer corners of its first and last pixel. The hull needs no others."""
    rows = np.flatnonzero(inside.any(axis=1))
    first = inside[rows].argmax(axis=1)
    last = inside.shape[1] - inside[rows][:, ::-1].argmax(axis=1)
    x = np.concatenate([first, last, first, last])
    y = np.concatenate([rows, rows, rows + 1, rows + 1])
    return np.stack([x, y], axis=1).astype(np.float64)


def _across(
    hull: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ends of the hull's longest chord at a right angle to ab, which is its longest diameter.

    Along ab the hull's two sides are functions, one concave and one convex: their distance is greatest at a corner.
    """
    along = (b - a) / np.hypot(*(b - a))
    up = np.array([-along[1], along[0]])
    u, v = (hull - a) @ along, (hull - a) @ up
    sides = []
    for side in (v <= 0, v >= 0):
        # Both ends belong to both sides, though rounding may put them beside the line.
        order = np.argsort(u[side])
        ends = np.concatenate([[0.0], u[side][order], [np.hypot(*(b - a))]])
        sides.append(np.interp(u, ends, np.concatenate([[0.0], v[side][order], [0.0]])))
    at = int((sides[1] - sides[0]).argmax())
    return a + u[at] * along + sides[0][at] * up, a + u[at] * along + sides[1][at] * up


def _line(
    label: str, a: NDArray[np.float64], b: NDArray[np.float64], scale: NDArray[np.float64], spacing: Spacing | None
) -> Line:
    length = float(np.hypot(*(b - a))) if spacing else None
    (x0, y0), (x1, y1) = (a / scale).tolist(), (b / scale).tolist()
    return Line(label, x0, y0, x1, y1, length)
