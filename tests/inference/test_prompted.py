"""A box, points or a lasso become the region that a person meant, on shapes whose truth is known and on real images."""

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data as skimage_data

from inference import prompted
from inference.errors import BadInput
from inference.prompted import ClassicalSegmenter
from inference.types import Image, Prompts, Spacing

segment = ClassicalSegmenter()


def disc(size: int, x: float, y: float, radius: float) -> NDArray[np.bool_]:
    across = np.arange(size) + 0.5
    inside: NDArray[np.bool_] = (across[np.newaxis] - x) ** 2 + (across[:, np.newaxis] - y) ** 2 <= radius**2
    return inside


def phantom(inside: NDArray[np.bool_], noise: float = 60.0, spacing: Spacing | None = None) -> Image:
    """A region 300 above its surroundings of 1000, with noise, always the same."""
    greys = np.where(inside, 1300, 1000) + np.random.default_rng(4).normal(0, noise, inside.shape)
    return Image(greys.astype(np.int16), spacing=spacing)


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def found(image: Image, prompts: Prompts) -> NDArray[np.bool_]:
    pixels = segment(image, prompts, "region").pixels
    assert pixels.shape == image.pixels.shape[:2]
    assert set(np.unique(pixels)) <= {0, 255}
    inside: NDArray[np.bool_] = pixels > 127
    return inside


@pytest.mark.parametrize("size", [120, 700])  # worked on as it is, and on a smaller grid
def test_a_box_around_a_region_finds_it(size: int) -> None:
    scale = size / 120
    truth = disc(size, 70 * scale, 45 * scale, 20 * scale)
    box = (45 * scale, 20 * scale, 95 * scale, 70 * scale)
    assert dice(found(phantom(truth), Prompts(box=box)), truth) > 0.97


def test_nothing_is_found_outside_the_box() -> None:
    truth = disc(120, 60, 60, 30)
    inside = found(phantom(truth), Prompts(box=(50, 50, 110, 110)))
    assert not inside[:50].any()
    assert not inside[:, :50].any()


def test_a_point_in_the_box_says_which_of_two_regions_is_meant() -> None:
    left, right = disc(120, 40, 60, 14), disc(120, 84, 60, 14)
    image = phantom(left | right)
    both = Prompts(box=(20, 40, 110, 80), add=((84, 60),))
    inside = found(image, both)
    assert dice(inside, right) > 0.9
    # With the other one named as not meant, none of it is left.
    inside = found(image, Prompts(box=(20, 40, 110, 80), add=((84, 60),), remove=((40, 60),)))
    assert dice(inside, right) > 0.9
    assert not (inside & left).any()


def test_a_point_alone_grows_over_what_is_like_it() -> None:
    truth = disc(200, 90, 110, 35)
    assert dice(found(phantom(truth, noise=20), Prompts(add=((90, 110),))), truth) > 0.95


def test_a_point_that_removes_takes_its_side_away() -> None:
    one, other = disc(160, 50, 80, 25), disc(160, 110, 80, 25)
    bridge = np.zeros_like(one)
    bridge[77:83, 50:110] = True
    image = phantom(one | other | bridge, noise=10)
    assert dice(found(image, Prompts(add=((50, 80),))), one | other | bridge) > 0.93
    inside = found(image, Prompts(add=((50, 80),), remove=((110, 80),)))
    assert dice(inside, one) > 0.85
    assert not inside[80, 110]


def test_a_loose_lasso_moves_to_the_edge() -> None:
    truth = disc(160, 80, 80, 30)
    around = tuple((80 + 36 * np.cos(t), 80 + 36 * np.sin(t)) for t in np.linspace(0, 2 * np.pi, 40, endpoint=False))
    image = phantom(truth)
    refined = found(image, Prompts(lasso=around))
    asis = found(image, Prompts(lasso=around, refine=False))
    assert dice(refined, truth) > 0.97 > dice(asis, truth)


def test_a_lasso_as_it_is_holds_the_pixels_whose_centres_are_inside() -> None:
    square = ((2.0, 3.0), (6.0, 3.0), (6.0, 5.0), (2.0, 5.0))
    inside = found(Image(np.zeros((10, 12), np.uint8)), Prompts(lasso=square, refine=False))
    truth = np.zeros((10, 12), bool)
    truth[3:5, 2:6] = True
    assert np.array_equal(inside, truth)
    half = tuple((x + 0.4, y + 0.4) for x, y in square)  # less than half a pixel: the same centres
    assert np.array_equal(found(Image(np.zeros((10, 12), np.uint8)), Prompts(lasso=half, refine=False)), truth)


def test_a_mask_of_the_whole_frame_by_lasso() -> None:
    corners = ((0.0, 0.0), (12.0, 0.0), (12.0, 10.0), (0.0, 10.0))
    assert found(Image(np.zeros((10, 12), np.uint8)), Prompts(lasso=corners, refine=False)).all()


def test_real_images_in_grey_and_in_colour() -> None:
    coins = Image(skimage_data.coins())
    inside = found(coins, Prompts(box=(35, 35, 90, 90)))  # the first coin of the first row
    assert 0.5 < inside[40:85, 40:85].mean() < 1
    assert inside[60, 62]
    retina = Image(skimage_data.retina()[::4, ::4])
    assert found(retina, Prompts(add=((100, 100),))).any()


def test_the_same_marks_give_the_same_mask() -> None:
    image, prompts = phantom(disc(400, 200, 200, 90)), Prompts(box=(90, 90, 310, 310))
    assert np.array_equal(found(image, prompts), found(image, prompts))


def test_the_area_is_in_square_centimetres_where_the_file_gives_a_spacing() -> None:
    truth = disc(120, 60, 60, 20)
    spacing = Spacing(0.5, 2.0, "PixelSpacing")
    mask = segment(phantom(truth, spacing=spacing), Prompts(box=(35, 35, 85, 85)), "nodule")
    assert mask.area_cm2 == pytest.approx((mask.pixels > 0).sum() * 0.5 * 2.0 / 100)
    assert mask.label == "nodule"
    assert segment(phantom(truth), Prompts(box=(35, 35, 85, 85)), "nodule").area_cm2 is None
    assert "baseline" in segment.name


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        (Prompts(), "Mark the region first"),
        (Prompts(remove=((5, 5),)), "at least one point in the region"),
        (Prompts(box=(5, 5, 7, 30)), "smaller than 3 x 3"),
        (Prompts(box=(30, 30, 5, 5)), "smaller than 3 x 3"),
        (Prompts(box=(0, 0, 121, 50)), "outside the frame"),
        (Prompts(box=(float("nan"), 0, 20, 50)), "finite"),
        (Prompts(add=((-1, 5),)), "outside the frame"),
        (Prompts(lasso=((1, 1), (5, 5))), "at least 3 points"),
        (Prompts(lasso=((1.1, 1.1), (1.2, 1.1), (1.2, 1.2))), "goes round no pixel"),
        (Prompts(box=(20, 20, 60, 60), add=((40, 40),), remove=((40, 40),)), "Nothing is left"),
    ],
)
def test_marks_that_mean_nothing_are_refused_in_one_line(prompts: Prompts, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        segment(phantom(disc(120, 60, 60, 20)), prompts, "region")


@pytest.mark.parametrize(
    "prompts",
    [
        Prompts(box=(0, 0, 60, 50)),
        Prompts(add=((60, 50),)),
        Prompts(add=((0, 0), (59.9, 49.9)), remove=((30, 25),)),
        Prompts(lasso=((0, 0), (60, 0), (60, 50), (0, 50))),
        Prompts(box=(0, 0, 3, 3)),
        Prompts(box=(57, 47, 60, 50), add=((58, 48),)),
    ],
)
@pytest.mark.parametrize("value", ["flat", "noise", "uint32", "float"])
def test_any_frame_and_any_marks_within_it_give_a_mask_or_a_reason(prompts: Prompts, value: str) -> None:
    noise = np.random.default_rng(1).normal(0, 1, (50, 60))
    pixels = {
        "flat": np.zeros((50, 60), np.uint8),
        "noise": (noise * 20 + 128).astype(np.uint8),
        "uint32": (noise * 1e6 + 2e9).astype(np.uint32),
        "float": noise.astype(np.float32),
    }[value]
    try:
        inside = found(Image(pixels), prompts)
    except BadInput:
        return
    assert inside.any()


def test_a_large_frame_takes_seconds() -> None:
    import time

    image = phantom(disc(2000, 1000, 1000, 500))
    began = time.monotonic()
    inside = found(image, Prompts(box=(300, 300, 1700, 1700)))
    assert dice(inside, disc(2000, 1000, 1000, 500)) > 0.97
    assert time.monotonic() - began < 15
    assert prompted.SIDE < 2000
