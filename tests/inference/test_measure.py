"""Measurements agree with what a person computes by hand, in millimetres where the file gives a spacing."""

import math

import numpy as np
import pytest

from inference import measure
from inference.errors import BadInput
from inference.measure import Measured
from inference.types import Image, Spacing

WIDE = Spacing(row_mm=0.5, column_mm=2.0, source="PixelSpacing")  # a pixel is four times as wide as high
DETECTOR = Spacing(row_mm=0.2, column_mm=0.2, source="ImagerPixelSpacing")


def frame(spacing: Spacing | None = None, **more: object) -> Image:
    """20 x 10 pixels whose value is their column."""
    return Image(np.tile(np.arange(20, dtype=np.int16), (10, 1)), spacing=spacing, **more)  # type: ignore[arg-type]


def numbers(found: Measured) -> dict[str, tuple[float, str]]:
    return {value.name: (value.value, value.unit) for value in found.values}


def test_a_length_takes_rows_and_columns_with_their_own_spacing() -> None:
    found = measure.measure("length", [(1, 1), (4, 9)], frame(WIDE))
    assert numbers(found) == {"length": (math.sqrt(6**2 + 4**2), "mm")}  # 3 columns of 2 mm, 8 rows of 0.5 mm
    assert (found.spacing, found.notes) == ("PixelSpacing", ())


def test_a_length_without_spacing_is_in_pixels_and_says_so() -> None:
    found = measure.measure("length", [(0, 0), (3, 4)], frame())
    assert numbers(found) == {"length": (5.0, "px")}
    assert (found.spacing, found.notes) == ("", (measure.NO_SPACING,))


def test_what_is_measured_at_the_detector_says_so() -> None:
    for kind, points in (("length", [(0, 0), (10, 0)]), ("ellipse", [(0, 0), (10, 10)])):
        assert measure.AT_THE_DETECTOR in measure.measure(kind, points, frame(DETECTOR)).notes
    # Magnification turns no angle.
    assert measure.measure("angle", [(0, 0), (5, 5), (9, 0)], frame(DETECTOR)).notes == ()


def test_an_angle_is_that_at_its_second_point_in_millimetres() -> None:
    points = [(2.0, 8.0), (2.0, 0.0), (3.0, 8.0)]  # down 8 rows = 4 mm; then one column to the right = 2 mm
    assert numbers(measure.measure("angle", points, frame(WIDE)))["angle"][0] == pytest.approx(
        math.degrees(math.atan(2 / 4))
    )
    without = measure.measure("angle", points, frame())
    assert numbers(without)["angle"][0] == pytest.approx(math.degrees(math.atan(1 / 8)))
    assert without.notes == (measure.ANGLE_NO_SPACING,)


@pytest.mark.parametrize(
    ("points", "degrees"),
    [
        ([(5, 0), (5, 5), (10, 5)], 90),
        ([(0, 5), (5, 5), (10, 5)], 180),
        ([(10, 5), (5, 5), (10, 5)], 0),
        ([(10, 5), (5, 5), (10, 10)], 45),
        ([(0, 0), (5, 5), (10, 5)], 135),
    ],
)
def test_angles_of_every_size(points: list[tuple[float, float]], degrees: float) -> None:
    assert numbers(measure.measure("angle", points, frame()))["angle"] == (pytest.approx(degrees), "deg")


def test_an_ellipse_counts_the_pixels_whose_centres_are_inside() -> None:
    # 4 x 2 pixels from (4, 2): centre (6, 3), radii 2 and 1. Centres in row 2.5: x = 4.5 is at 0.5625 + 0.25 <= 1.
    found = numbers(measure.measure("ellipse", [(4, 2), (8, 4)], frame(WIDE), "HU"))
    assert found["n"] == (8.0, "")
    assert found["mean"] == (5.5, "HU")
    assert found["sd"] == (pytest.approx(math.sqrt(1.25)), "HU")  # of 4, 5, 6, 7, each twice; divided by n
    assert (found["min"], found["max"]) == ((4.0, "HU"), (7.0, "HU"))
    assert found["area"] == (pytest.approx(math.pi * (2 * 2.0) * (1 * 0.5)), "mm2")


def test_the_corners_of_an_ellipse_come_in_any_order() -> None:
    corners = [(4.0, 2.0), (9.0, 7.0)]
    others = [(9.0, 2.0), (4.0, 7.0)]
    assert measure.measure("ellipse", corners, frame()) == measure.measure("ellipse", others[::-1], frame())


def test_a_corner_pixel_of_the_bounding_box_is_outside() -> None:
    inside = measure.inside_ellipse((0, 0), (10, 10), 10, 10)
    assert not inside[0, 0]
    assert inside[0, 5]
    assert list(inside.sum(axis=1)) == [4, 8, 8, 10, 10, 10, 10, 8, 8, 4]  # row 0: 4.5^2 + dx^2 <= 25, so dx <= 2.17


def test_an_ellipse_between_centres_has_an_area_and_no_values() -> None:
    found = measure.measure("ellipse", [(4.6, 2.6), (5.4, 3.4)], frame())
    assert numbers(found)["n"] == (0.0, "")
    assert "mean" not in numbers(found)
    assert measure.EMPTY in found.notes


def test_values_that_are_not_the_files_own_are_not_reported() -> None:
    inverted = measure.measure("ellipse", [(4, 2), (8, 4)], frame(inverted=True))
    assert list(numbers(inverted)) == ["area"]
    assert measure.INVERTED in inverted.notes
    colour = Image(np.zeros((10, 20, 3), np.uint8))
    assert measure.COLOUR in measure.measure("ellipse", [(4, 2), (8, 4)], colour).notes


def test_large_values_keep_their_exact_mean() -> None:
    image = Image(np.full((100, 100), 2**31 - 1, np.int32))
    found = numbers(measure.measure("ellipse", [(0, 0), (100, 100)], image))
    assert (found["mean"][0], found["sd"][0]) == (2**31 - 1, 0)


@pytest.mark.parametrize(
    ("kind", "points", "words"),
    [
        ("volume", [(0, 0), (1, 1)], "no measurement"),
        ("length", [(0, 0)], "needs 2 points, not 1"),
        ("angle", [(0, 0), (1, 1)], "needs 3 points"),
        ("ellipse", [(0, 0), (1, 1), (2, 2)], "needs 2 points"),
        ("length", [(0, 0), (20.1, 5)], "outside the frame of 20 x 10"),
        ("length", [(-0.1, 0), (2, 5)], "outside"),
        ("length", [(float("nan"), 0), (2, 5)], "finite"),
        ("length", [(0, 0), (2, float("inf"))], "finite"),
        ("length", [(3, 3), (3, 3)], "one place"),
        ("angle", [(3, 3), (3, 3), (5, 5)], "no length"),
        ("ellipse", [(3, 3), (3, 8)], "no width"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(
    kind: str, points: list[tuple[float, float]], words: str
) -> None:
    with pytest.raises(BadInput, match=words) as refused:
        measure.measure(kind, points, frame())
    assert "\n" not in str(refused.value)


def test_the_edges_of_the_frame_can_be_measured() -> None:
    assert numbers(measure.measure("length", [(0, 0), (20, 0)], frame())) == {"length": (20.0, "px")}


# Masks


def test_a_region_on_several_frames_is_measured_as_a_whole() -> None:
    rng = np.random.default_rng(6)
    greys, masks = rng.integers(-1000, 3000, (5, 10, 20)).astype(np.int16), np.zeros((5, 10, 20), bool)
    masks[1, 2:5, 3:9], masks[3, 4:8, 1:4] = True, True
    found = measure.region(((n, Image(greys[n]), masks[n]) for n in range(5)), "HU")
    assert (found.pixels, found.columns, found.rows, found.frames, found.on) == (18 + 12, 8, 6, 3, 2)
    values = {value.name: value.value for value in found.values}
    assert values["mean"] == pytest.approx(greys[masks].mean())
    assert values["sd"] == pytest.approx(greys[masks].std())
    assert (values["min"], values["max"]) == (greys[masks].min(), greys[masks].max())


def test_a_region_without_values_of_the_file_has_a_size_only() -> None:
    inside = np.ones((10, 20), bool)
    inverted = measure.region([(0, frame(inverted=True), inside)])
    assert (inverted.pixels, inverted.values, inverted.notes) == (200, (), (measure.INVERTED,))
    colour = measure.region([(0, Image(np.zeros((10, 20, 3), np.uint8)), inside)])
    assert (colour.pixels, colour.values, colour.notes) == (200, (), (measure.COLOUR,))


def test_an_empty_region_is_refused() -> None:
    with pytest.raises(BadInput, match="empty"):
        measure.region([(0, frame(), np.zeros((10, 20), bool))])
