"""Vessels on photographs of the fundus: drawn ones whose truth is known, and a real one."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage import data as skimage_data

from inference import backends, checkpoints
from inference.errors import BadInput
from inference.types import Image

ENTRY = checkpoints.checkpoint("baseline-vessels")


def segment(image: Image) -> NDArray[np.bool_]:
    (mask,) = backends.load(ENTRY, checkpoints.BUNDLED.parent, "cpu").segment([image], {}).masks
    assert mask.label == "vessels"
    assert mask.pixels.shape == image.pixels.shape[:2]
    assert set(np.unique(mask.pixels)) <= {0, 255}
    inside: NDArray[np.bool_] = mask.pixels > 0
    return inside


def fundus(size: int = 500) -> tuple[Image, NDArray[np.bool_]]:
    """A bright field on black, uneven light, a disc, and vessels that leave it, 30 % darker than the retina."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    field = x**2 + y**2 < 0.46**2
    truth = np.zeros((size, size), bool)
    along = np.linspace(0, 1, 4 * size)
    for bend, side in ((0.5, 1), (0.9, 1), (0.5, -1), (0.9, -1), (0.1, 1)):
        columns = 0.25 - 0.62 * along
        rows = side * 0.3 * np.sin(np.pi * along * bend)
        at = (np.round((np.stack([rows, columns]) + 0.5) * (size - 1))).astype(int)
        truth[at[0], at[1]] = True
    truth = ndimage.binary_dilation(truth, iterations=max(1, size // 170)) & field
    light = 150 * (1 - 0.5 * (x + 0.5)) + 60 * np.exp(-((x - 0.25) ** 2 + y**2) / 0.004)
    green = np.where(field, light * np.where(truth, 0.7, 1.0), 4.0)
    green = ndimage.gaussian_filter(green, 0.8) + np.random.default_rng(6).normal(0, 2, green.shape)
    channels = np.stack([green * 1.5, green, green * 0.4], axis=2)
    return Image(np.clip(channels, 0, 255).astype(np.uint8), modality="OP"), truth


@pytest.mark.parametrize("size", [500, 1200])  # worked on as it is, and on a smaller grid
def test_drawn_vessels_are_found(size: int) -> None:
    image, truth = fundus(size)
    found = segment(image)
    near = ndimage.binary_dilation(truth, iterations=2)
    assert (found & truth).sum() / truth.sum() > 0.8
    assert (found & near).sum() / found.sum() > 0.8


def test_nothing_is_found_in_the_dark_surround() -> None:
    image, _ = fundus()
    y, x = np.mgrid[:500, :500] / 500 - 0.5
    assert not segment(image)[x**2 + y**2 > 0.46**2].any()


def test_a_real_fundus_has_a_plausible_share_of_vessels_and_always_the_same() -> None:
    image = Image(skimage_data.retina())
    found = segment(image)
    assert np.array_equal(found, segment(image))
    assert 0.03 < found.mean() < 0.12
    green = image.pixels[..., 1].astype(float)
    around = ndimage.gaussian_filter(green, 25)
    assert (green[found] / around[found]).mean() < 0.95  # what was found is darker than its surroundings


def test_what_is_no_photograph_of_a_fundus_is_refused_in_one_line() -> None:
    with pytest.raises(BadInput, match="grey"):
        segment(Image(np.zeros((50, 60), np.uint8)))
    with pytest.raises(BadInput, match="No field"):
        segment(Image(np.zeros((50, 60, 3), np.uint8)))
    with pytest.raises(BadInput, match="No vessels"):
        segment(Image(np.full((200, 200, 3), 120, np.uint8)))


def test_the_entry_says_that_it_is_a_baseline_and_for_which_images() -> None:
    assert "baseline" in ENTRY.name
    assert ENTRY.modalities == {"OP", "XC"}
    assert ENTRY.labels == ("vessels",)
    assert "fundus" in ENTRY.works_on
