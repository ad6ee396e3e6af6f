"""Diameters of masks whose shape is known, against geometry."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from inference import measure
from inference.diameters import diameters
from inference.types import Image, Line, Spacing

SQUARE = Spacing(0.5, 0.5, "PixelSpacing")


def ellipse(a: float, b: float, degrees: float = 0.0, side: int = 301) -> NDArray[np.bool_]:
    """Half axes in pixels, the first turned by an angle."""
    y, x = np.mgrid[:side, :side] - side // 2
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    inside: NDArray[np.bool_] = ((x * c + y * s) / a) ** 2 + ((y * c - x * s) / b) ** 2 <= 1
    return inside


def angle(line: Line) -> float:
    return math.degrees(math.atan2(line.y1 - line.y0, line.x1 - line.x0)) % 180


@pytest.mark.parametrize("degrees", [0, 17, 45, 90, 133])
def test_of_an_ellipse_they_are_its_axes(degrees: float):
    found = diameters(ellipse(120, 50, degrees), SQUARE)
    assert found is not None
    assert found.longest.length == pytest.approx(120, abs=1.0)
    assert found.across.length == pytest.approx(50, abs=1.0)
    assert abs((angle(found.longest) - degrees + 90) % 180 - 90) < 2
    assert (angle(found.across) - angle(found.longest)) % 180 == pytest.approx(90, abs=1e-6)


def test_of_a_rectangle_the_longest_is_its_diagonal():
    inside = np.zeros((60, 80), dtype=bool)
    inside[10:40, 20:60] = True
    found = diameters(inside, None)
    assert found is not None
    assert (found.longest.length, found.longest.length_mm) == (pytest.approx(50), None)
    assert found.across.length == pytest.approx(37.5), "from a corner at a right angle to the diagonal: 30 / 0.8"


def test_pixels_that_are_not_square_count_in_millimetres():
    inside = np.zeros((50, 50), dtype=bool)
    inside[10:20, 5:35] = True
    found = diameters(inside, Spacing(4.0, 1.0, "PixelSpacing"))
    assert found is not None
    assert found.longest.length_mm == pytest.approx(math.hypot(30, 40))


@pytest.mark.parametrize(("rows", "columns", "longest"), [(1, 1, 1), (1, 7, 7), (7, 1, 7), (2, 2, 2)])
def test_the_smallest_masks_have_edges_too(rows: int, columns: int, longest: int):
    inside = np.zeros((9, 9), dtype=bool)
    inside[1 : 1 + rows, 1 : 1 + columns] = True
    found = diameters(inside, None)
    assert found is not None
    assert found.longest.length == pytest.approx(math.hypot(rows, columns))


def test_the_lines_end_on_the_mask_and_the_largest_part_counts():
    inside = ellipse(60, 20)
    inside[:3, :3] = inside[-3:, -3:] = True
    found = diameters(inside, None)
    assert found is not None
    assert found.longest.length == pytest.approx(121, abs=1)
    rows, columns = np.nonzero(ellipse(60, 20))
    for line in found:
        for x, y in ((line.x0, line.y0), (line.x1, line.y1)):
            assert columns.min() <= x <= columns.max() + 1
            assert rows.min() <= y <= rows.max() + 1


def test_a_mask_on_the_edge_and_an_empty_one():
    assert diameters(np.zeros((5, 5), dtype=bool), None) is None
    found = diameters(np.ones((5, 5), dtype=bool), None)
    assert found is not None
    assert found.longest.length == pytest.approx(math.hypot(5, 5))


def test_of_a_volume_the_widest_slice_counts():
    image = Image(np.zeros((301, 301), dtype=np.int16), SQUARE)
    found = measure.region((k, image, ellipse(10 * k, 5 * k)) for k in (1, 4, 2))
    assert found.widest == 4
    assert found.diameters is not None
    assert found.diameters.longest.length_mm == pytest.approx(40, abs=1)
