"""Lungs are found on a chest radiograph, and everything else is declined with a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data as skimage_data
from skimage import draw, filters
from skimage.color import rgb2gray

from inference.classical import describe, mirrored, segment_lungs
from inference.decode import decode, load
from inference.errors import BadInput
from inference.types import Image, Mask, Spacing
from tests.inference import files


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> Image:
    folder = tmp_path_factory.mktemp("chest")
    return load(folder, decode(files.CHEST, folder))


def phantom(height: int = 600, width: int = 560) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """A frontal chest of ellipses, its ribs and noise, in 12 bits, and the exact mask of both lungs."""
    greys = np.full((height, width), 0.05)
    greys[draw.ellipse(0.62 * height, 0.5 * width, 0.75 * height, 0.49 * width, shape=greys.shape)] = 0.75
    lungs = np.zeros(greys.shape, dtype=bool)
    for column in (0.29, 0.71):
        lungs[draw.ellipse(0.45 * height, column * width, 0.32 * height, 0.145 * width, shape=greys.shape)] = True
    heart = draw.ellipse(0.62 * height, 0.56 * width, 0.15 * height, 0.15 * width, shape=greys.shape)
    lungs[heart] = False
    greys[lungs] = 0.25
    rows = np.arange(height)[:, None] / height
    greys += 0.05 * (np.sin(rows * 75) > 0.4) * (greys > 0.1)
    greys[int(0.05 * height) :, int(0.47 * width) : int(0.53 * width)] += 0.12
    rng = np.random.default_rng(7)
    blurred = filters.gaussian(greys, 2) + rng.normal(0, 0.01, greys.shape)
    return (np.clip(blurred, 0, 1) * 4095).astype(np.uint16), lungs


def dice(masks: list[Mask], truth: NDArray[np.bool_]) -> float:
    found = np.any([mask.pixels > 0 for mask in masks], axis=0)
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def test_lungs_of_known_shape_are_found() -> None:
    pixels, truth = phantom()
    assert dice(segment_lungs(Image(pixels)), truth) >= 0.85


def test_lungs_of_a_real_radiograph_lie_where_they_should(chest: Image) -> None:
    """Read off the picture by eye: points well inside the lungs, and points in heart, spine, liver and armpits."""
    right, left = segment_lungs(chest)
    inside = {"right": [(400, 450), (900, 350), (1150, 500)], "left": [(400, 1250), (900, 1300), (1300, 1500)]}
    for mask, points in ((right, inside["right"]), (left, inside["left"])):
        assert all(mask.pixels[row, column] == 255 for row, column in points)
    outside = [(1000, 900), (1300, 1000), (1750, 500), (300, 60), (300, 1800), (1850, 1500)]
    assert all(mask.pixels[row, column] == 0 for mask in (right, left) for row, column in outside)


def test_masks_have_the_size_of_the_image_and_two_values(chest: Image) -> None:
    for mask in segment_lungs(chest):
        assert mask.pixels.shape == (1955, 1841)
        assert mask.pixels.dtype == np.uint8
        assert np.unique(mask.pixels).tolist() == [0, 255]


def test_sides_are_the_patients_only_when_the_header_says_so(chest: Image) -> None:
    def labels(orientation: tuple[str, str] | None) -> list[str]:
        return [mask.label for mask in segment_lungs(replace(chest, orientation=orientation))]

    assert labels(("L", "F")) == ["right lung", "left lung"]
    assert labels(("R", "F")) == ["left lung", "right lung"]
    assert labels(None) == ["lung, image left", "lung, image right"]


def test_an_area_needs_a_spacing(chest: Image) -> None:
    assert [mask.area_cm2 for mask in segment_lungs(chest)] == [None, None]
    spaced = replace(chest, spacing=Spacing(0.2, 0.2, "PixelSpacing"))
    for mask in segment_lungs(spaced):
        assert mask.area_cm2 == pytest.approx((mask.pixels > 0).sum() * 0.0004)


def test_the_answer_does_not_depend_on_units(chest: Image) -> None:
    """Hounsfield-like, fractional and 16-bit numbers of one picture give one mask."""
    shifted = replace(chest, pixels=chest.pixels.astype(np.float32) * 0.1 - 1000)
    for one, other in zip(segment_lungs(chest), segment_lungs(shifted), strict=True):
        assert (one.pixels != other.pixels).mean() < 0.002


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"modality": "CT"}, "modality CT"),
        ({"modality": "MG"}, "modality MG"),
        ({"body_part": "HAND"}, "body part HAND"),
        ({"view": "LL"}, "lateral"),
        ({"orientation": ("A", "F")}, "lateral"),
        ({"orientation": ("L", "H")}, "upside down"),
    ],
    ids=str,
)
def test_a_header_that_says_otherwise_is_believed(chest: Image, change, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        segment_lungs(replace(chest, **change))


@pytest.mark.parametrize("name", ["camera", "coins", "moon", "brick", "astronaut", "cat", "coffee", "rocket", "retina"])
def test_other_pictures_are_declined(name: str) -> None:
    picture = getattr(skimage_data, name)()
    if picture.ndim == 3:
        with pytest.raises(BadInput, match="in colour"):
            segment_lungs(Image(picture))
        picture = (rgb2gray(picture) * 255).astype(np.uint8)
    for image in (Image(picture), mirrored(Image(picture))):
        with pytest.raises(BadInput):
            segment_lungs(image)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((300, 300), np.uint8),
        np.tile(np.arange(256, dtype=np.uint8), (256, 1)),
        np.random.default_rng(0).integers(0, 255, (300, 300), dtype=np.uint8),
        np.zeros((64, 64), np.uint8),
        np.zeros((200, 900), np.uint8),
        np.full((300, 300), 7.5, np.float32),
    ],
    ids=["black", "ramp", "noise", "small", "long", "flat"],
)
def test_pictures_of_nothing_are_declined(pixels) -> None:
    with pytest.raises(BadInput):
        segment_lungs(Image(pixels))


def test_a_limb_and_a_chest_on_its_side_are_declined(tmp_path: Path, chest: Image) -> None:
    leg = load(tmp_path, decode(files.WHEEL_IMAGES / "RG3_UNCR.dcm", tmp_path))
    for image in (replace(leg, body_part=None), replace(chest, pixels=np.rot90(chest.pixels).copy())):
        with pytest.raises(BadInput, match="classical baseline declined"):
            segment_lungs(image)


def test_a_chest_radiograph_is_described(chest: Image) -> None:
    found = describe(chest)
    assert (found.minimum, found.maximum) == (874.0, 26479.0)
    assert found.percentiles[5] < found.percentiles[50] < found.percentiles[95]
    assert (found.exposure, found.contrast, found.colour) == ("normal", "normal", False)
    assert found.plausible_chest_radiograph
    assert not found.probably_inverted


def test_inverted_greys_are_noticed(chest: Image) -> None:
    found = describe(mirrored(chest))
    assert found.probably_inverted
    assert not found.plausible_chest_radiograph


@pytest.mark.parametrize(
    ("pixels", "exposure", "contrast"),
    [
        (files.ramp(np.uint8, 50, 200), "under", "low"),
        (255 - files.ramp(np.uint8, 50, 200), "over", "low"),
        (files.ramp(np.uint8, 180, 200), "normal", "normal"),
        (np.where(files.ramp(np.uint8, 100, 200) > 80, 255, 0).astype(np.uint8), "under", "high"),
    ],
    ids=["dark", "bright", "ordinary", "two values"],
)
def test_exposure_and_contrast_follow_their_rules(pixels, exposure: str, contrast: str) -> None:
    found = describe(Image(pixels))
    assert (found.exposure, found.contrast) == (exposure, contrast)


def test_a_photograph_is_described_as_what_it_is() -> None:
    found = describe(Image(skimage_data.astronaut()))
    assert found.colour
    assert not found.plausible_chest_radiograph
    assert any("colour" in reason for reason in found.reasons)
