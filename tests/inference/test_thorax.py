"""The cardiothoracic ratio on masks of known width, and the masks that give none."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from inference import thorax
from inference.errors import BadInput
from inference.types import Image, Mask, Spacing

Masks = dict[str, NDArray[np.uint8]]
LABELS = ("Left Clavicle", "Left Lung", "Right Lung", "Heart", "Aorta")


def masks(**changed: tuple[slice, slice] | None) -> list[Mask]:
    """A thorax from column 20 to 220, in which the heart is 90 wide."""
    where = {
        "Right Lung": (slice(30, 150), slice(20, 90)),
        "Left Lung": (slice(30, 150), slice(150, 220)),
        "Heart": (slice(90, 160), slice(80, 170)),
    } | {name.replace("_", " "): place for name, place in changed.items()}
    found = []
    for label, place in where.items():
        if place is not None:
            pixels = np.zeros((200, 240), dtype=np.uint8)
            pixels[place] = 255
            found.append(Mask(label, pixels))
    return found


def film(view: str = "PA", spacing: Spacing | None = None) -> Image:
    return Image(np.zeros((200, 240), dtype=np.uint8), spacing, "DX", "CHEST", view)


def test_the_ratio_is_that_of_the_widths():
    found = thorax.cardiothoracic(masks(), film())
    assert found.ratio == pytest.approx(90 / 200)
    assert (found.heart.x0, found.heart.x1, found.heart.length_mm) == (80, 170, None)
    assert (found.thorax.x0, found.thorax.x1) == (20, 220)
    assert found.notes == (thorax.BY_MASKS,)


def test_widths_are_in_millimetres_where_the_file_says_so_and_an_ap_view_is_named():
    found = thorax.cardiothoracic(masks(), film("AP", Spacing(0.5, 2.0, "ImagerPixelSpacing")))
    assert found.heart.length_mm == 180
    assert len(found.notes) == 3
    assert "AP" in found.notes[1]
    assert "detector" in found.notes[2]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: masks(Heart=None), "no heart"),
        (lambda: masks(Left_Lung=None), "no left lung"),
        (lambda: masks(Heart=(slice(90, 91), slice(80, 90))), "too small"),
        (lambda: masks(Right_Lung=(slice(30, 150), slice(0, 90))), "reaches the edge"),
        (lambda: masks(Heart=(slice(90, 160), slice(5, 40))), "does not lie between"),
        (lambda: masks(Heart=(slice(90, 160), slice(100, 130))), "which no thorax has"),
        (lambda: masks(Left_Lung=(slice(160, 199), slice(150, 220))), "does not lie between"),
    ],
    ids=["no heart", "no lung", "speck", "cut", "aside", "thin", "at other heights"],
)
def test_masks_that_cannot_be_right_give_none(made: Callable[[], list[Mask]], said: str):
    with pytest.raises(BadInput, match=said):
        thorax.cardiothoracic(made(), film())


def test_a_lateral_view_gives_none():
    with pytest.raises(BadInput, match="frontal chest radiographs"):
        thorax.cardiothoracic(masks(), film("LL"))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(["Heart"], ["Left Lung", "Right Lung"]), (["Heart", "Left Lung"], ["Right Lung"]), (["Aorta"], []), ([], [])],
)
def test_who_wants_the_heart_gets_the_lungs_measured_with_it(wanted: list[str], expected: list[str]):
    assert thorax.further(wanted, LABELS) == expected
