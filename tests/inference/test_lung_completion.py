"""A lung that a consolidation hides in part is completed by the shape of the other; healthy ones are left alone."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from scipy import ndimage

from inference.classical import segment_lungs, segment_lungs_completed
from inference.types import Image, Mask
from tests.inference import files


@cache
def radiograph() -> Image:
    data = dcmread(files.CHEST)
    values = data.pixel_array.astype(np.float32)
    return Image(values.max() - values if data.PhotometricInterpretation == "MONOCHROME1" else values, modality="CR")


@cache
def lungs() -> list[Mask]:
    return segment_lungs(radiograph())


def consolidated(side: int, zone: float) -> Image:
    """The radiograph with a bright ellipse in one lung: `zone` is its height, 0 at the apex and 1 at the base."""
    pixels = radiograph().pixels
    rows, columns = np.nonzero(lungs()[side].pixels)
    row = np.quantile(rows, zone)
    column = np.median(columns[abs(rows - row) < 20])
    y, x = np.indices(pixels.shape, sparse=True)
    inside = ((y - row) / (0.15 * pixels.shape[0])) ** 2 + ((x - column) / (0.13 * pixels.shape[1])) ** 2 < 1
    share = ndimage.gaussian_filter(inside.astype(np.float32), pixels.shape[0] / 200)
    grain = np.random.default_rng(3).standard_normal(pixels.shape) * 0.02 * np.ptp(pixels)
    return Image(pixels * (1 - share) + share * (np.quantile(pixels, 0.8) + grain), modality="CR")


def dice(found: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(2 * ((found > 0) & (other > 0)).sum() / ((found > 0).sum() + (other > 0).sum()))


@pytest.mark.parametrize(("side", "zone"), [(0, 0.25), (0, 0.8), (1, 0.8)])
def test_a_consolidated_part_is_given_back(side: int, zone: float):
    image = consolidated(side, zone)
    before, (after, completed) = segment_lungs(image), segment_lungs_completed(image)
    assert completed == after[side].label
    assert dice(before[side].pixels, lungs()[side].pixels) < 0.8
    assert dice(after[side].pixels, lungs()[side].pixels) > 0.85
    assert dice(after[1 - side].pixels, before[1 - side].pixels) > 0.99


def test_healthy_lungs_are_left_as_they_are():
    masks, completed = segment_lungs_completed(radiograph())
    assert completed == ""
    assert all(np.array_equal(found.pixels, other.pixels) for found, other in zip(masks, lungs(), strict=True))
