"""Text burned into pixels is found, masked on every frame, and gone from every file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from pydicom import dcmread
from skimage import data as skimage_data

from inference.burned_in import (
    TextBox,
    find_text,
    find_text_in_file,
    mask_text,
    mask_text_in_files,
    merged,
    needs_check,
)
from inference.decode import decode, load
from tests.inference import files


def written(background: np.ndarray, text: str, at: tuple[int, int], size: int, grey: int) -> np.ndarray:
    picture = Pillow.fromarray(background)
    ImageDraw.Draw(picture).text(at, text, fill=grey, font=ImageFont.load_default(size))
    return np.asarray(picture)


def covers(boxes: list[TextBox], x: int, y: int) -> bool:
    return any(box.x0 <= x < box.x1 and box.y0 <= y < box.y1 for box in boxes)


def test_the_overlay_of_a_real_ultrasound_is_found_and_masked(tmp_path: Path) -> None:
    """The hospital's name, times and settings in the corners; after masking nothing is left to find."""
    decoded = decode(files.COLOUR_ULTRASOUND, tmp_path / "in")
    boxes = find_text_in_file(tmp_path / "in" / "pixels.npy", decoded)
    assert len(boxes) >= 12
    assert covers(boxes, 40, 16)  # BAPTIST MED CTR
    assert covers(boxes, 250, 232)  # TIS, MI
    (tmp_path / "masked").mkdir()
    found = [[box.x0, box.y0, box.x1, box.y1] for box in boxes]
    source = tmp_path / "in"
    mask_text_in_files(
        source / "pixels.npy", source / "preview.png", files.COLOUR_ULTRASOUND, found, tmp_path / "masked"
    )
    assert find_text_in_file(tmp_path / "masked" / "pixels.npy", decoded) == []
    clean = tmp_path / "masked" / files.COLOUR_ULTRASOUND.name
    again = load(tmp_path / "again", decode(clean, tmp_path / "again")).pixels
    assert np.array_equal(again, np.load(tmp_path / "masked" / "pixels.npy"))
    header = dcmread(clean)
    assert header.BurnedInAnnotation == "NO"
    assert "113101" in [method.CodeValue for method in header.DeidentificationMethodCodeSequence]
    x0, y0, x1, y1 = found[0]
    outside = np.ones(again.shape[:2], dtype=bool)
    for x0, y0, x1, y1 in found:
        outside[y0:y1, x0:x1] = False
    assert np.array_equal(again[outside], np.load(source / "pixels.npy")[outside])


@pytest.mark.parametrize("size", [12, 20, 48])
@pytest.mark.parametrize("grey", [255, 140])
def test_a_name_on_a_dark_corner_is_found(size: int, grey: int) -> None:
    rng = np.random.default_rng(5)
    background = rng.integers(0, 25, (900, 1100), dtype=np.uint8)
    boxes = find_text(written(background, "SMITH JOHN 12345", (30, 40), size, grey))
    assert covers(boxes, 30 + 2 * size, 40 + size // 2)


def test_a_large_picture_is_searched_in_tiles() -> None:
    """Small letters in the far corner of a film of 3,000 pixels, across the seam of two tiles."""
    picture = written(np.full((3000, 2600), 40, np.uint8), "DOE JANE 1970", (1500, 2700), 24, 230)
    assert covers(find_text(picture), 1540, 2712)


@pytest.mark.parametrize("name", ["camera", "moon", "coins", "immunohistochemistry"])
def test_pictures_without_text_have_none(name: str) -> None:
    assert find_text(getattr(skimage_data, name)()) == []


def test_boxes_that_overlap_are_one() -> None:
    boxes = [TextBox(0, 0, 20, 10, 0.9), TextBox(2, 1, 22, 10, 0.5), TextBox(60, 0, 80, 10, 0.8)]
    assert merged(boxes) == [TextBox(0, 0, 22, 10, 0.9), TextBox(60, 0, 80, 10, 0.8)]


@pytest.mark.parametrize(("shape", "axes"), [((9, 8), 0), ((9, 8, 3), 0), ((4, 9, 8), 1), ((2, 4, 9, 8), 2)])
def test_masking_paints_the_box_on_every_frame_and_nothing_else(shape: tuple[int, ...], axes: int) -> None:
    pixels = np.random.default_rng(1).integers(-500, 500, shape, dtype=np.int16)
    painted = mask_text(pixels, [[2, 3, 5, 7]], axes)
    inside = np.zeros((9, 8), dtype=bool)
    inside[3:7, 2:5] = True
    inside = np.broadcast_to(inside[..., np.newaxis] if shape[-1] == 3 else inside, shape)
    assert (painted[inside] == pixels.min()).all()
    assert np.array_equal(painted[~inside], pixels[~inside])


def test_ultrasound_and_what_says_so_itself_are_searched(tmp_path: Path) -> None:
    decoded = decode(files.CHEST, tmp_path)
    assert not needs_check(decoded)
    assert all(needs_check(replace(decoded, modality=modality)) for modality in ("US", "XA", "SC"))
    assert needs_check(replace(decoded, header={"BurnedInAnnotation": "YES"}))
