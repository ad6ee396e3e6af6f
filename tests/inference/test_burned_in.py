"""Text in pictures is found where it stands, without its words, and masking it changes nothing else."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from skimage import data as skimage_data

from inference.burned_in import (
    Limits,
    TextBox,
    find_text,
    find_text_in_file,
    find_text_in_frames,
    merged,
    needs_check,
)
from inference.decode import PIXELS, PREVIEW, decode
from inference.deidentify import deidentify, write_clean
from inference.errors import BadInput, InferenceError
from inference.masking import mask_file, mask_text
from inference.types import Box, Cleaning, Decoded
from tests.inference import files

NAME = "DOE JANE 12.03.1956"
CLEANING = Cleaning(key="a1" * 32)


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    folder = tmp_path_factory.mktemp("chest")
    decode(files.CHEST, folder)
    return np.asarray(Pillow.open(folder / PREVIEW))


@pytest.fixture(scope="module")
def part(chest: np.ndarray) -> np.ndarray:
    """Small enough to be read at once."""
    return chest[600:1400, 300:1300]


def written(
    picture: np.ndarray, size: int, x: int, y: int, brighter: int = 255, turned: int = 0, text: str = NAME
) -> tuple[np.ndarray, tuple[slice, slice]]:
    """The picture with text `size` pixels high drawn onto it, and where."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = (int(value) for value in font.getbbox(text))
    ink = Pillow.new("L", (right - left, bottom - top), 0)
    ImageDraw.Draw(ink).text((-left, -top), text, fill=255, font=font)
    ink = ink.rotate(turned, expand=True)
    place = slice(y, y + ink.height), slice(x, x + ink.width)
    shown = picture.astype(np.int32)
    shown[place] += np.asarray(ink, dtype=np.int32) * brighter // 255
    return np.clip(shown, 0, 255).astype(np.uint8), place


def covered(boxes: list[TextBox], place: tuple[slice, slice], shape: tuple[int, ...]) -> float:
    """The part of the place that is in the boxes."""
    mask = np.zeros(shape[:2], dtype=bool)
    for box in boxes:
        mask[box.y0 : box.y1, box.x0 : box.x1] = True
    return float(mask[place].mean())


@pytest.mark.parametrize("size", [12, 60, 160])
def test_a_name_drawn_onto_a_radiograph_is_found_at_any_common_size(chest: np.ndarray, size: int) -> None:
    picture, place = written(chest, size, 60, 40)
    boxes = find_text(picture)
    assert covered(boxes, place, picture.shape) > 0.9
    assert len(boxes) <= 2  # the line, and nothing else on this radiograph


@pytest.mark.parametrize(("brighter", "turned"), [(-60, 0), (50, 0), (-150, 90), (-150, 180), (-150, 15)])
def test_grey_and_turned_text_is_found(part: np.ndarray, brighter: int, turned: int) -> None:
    picture, place = written(part, 32, 400, 300, brighter, turned)
    assert covered(find_text(picture), place, picture.shape) > 0.9


def test_a_radiograph_without_text_has_none(chest: np.ndarray) -> None:
    assert find_text(chest) == []


def test_a_side_marker_is_text(part: np.ndarray) -> None:
    picture, place = written(part // 2, 80, 150, 150, text="R")
    assert covered(find_text(picture), place, picture.shape) > 0.7


def test_pictures_without_text_seldom_seem_to_have_some() -> None:
    pictures = [skimage_data.camera(), skimage_data.retina()[::2, ::2], skimage_data.moon()]
    assert sum(len(find_text(picture)) for picture in pictures) == 0


def test_the_lines_of_a_real_ultrasound_are_found() -> None:
    boxes = find_text(dcmread(files.COLOUR_ULTRASOUND).pixel_array)
    assert len(boxes) >= 12
    header = (slice(13, 21), slice(10, 84))  # the hospital's name, read by eye
    assert covered(boxes, header, (240, 320)) > 0.9
    assert all(0 <= box.x0 < box.x1 <= 320 and 0 <= box.y0 < box.y1 <= 240 for box in boxes)


def test_the_words_are_not_kept() -> None:
    assert {field.name for field in fields(TextBox)} == {"x0", "y0", "x1", "y1", "score", "length"}


def test_text_of_a_later_frame_is_found_and_the_sample_is_said() -> None:
    frames = np.zeros((40, 120, 400), dtype=np.uint8)
    frames[30:], place = written(frames[0], 20, 60, 40, text="DOE JANE")
    found = find_text_in_frames(frames)
    assert covered(list(found.boxes), place, (120, 400)) > 0.9
    assert {0, 20, 39} < set(found.checked)  # looked closer, since the last frame had more
    assert len(found.checked) <= 12
    assert f"looked at {len(found.checked)} of 40 frames" in found.sentence
    assert find_text_in_frames(frames[:20]).checked == (0, 10, 19)


def test_lines_read_twice_are_one_box() -> None:
    boxes = [TextBox(0, 0, 100, 20, 0.9, 8), TextBox(5, 2, 104, 22, 0.8, 9), TextBox(0, 50, 100, 70, 0.7, 5)]
    assert merged(boxes) == [TextBox(0, 0, 104, 22, 0.9, 8), TextBox(0, 50, 100, 70, 0.7, 5)]


def decoded(modality: str = "DX", kind: str = "dicom", **header: str) -> Decoded:
    return Decoded(kind=kind, modality=modality, width=10, height=10, header=header)  # type: ignore[arg-type]


def test_what_is_looked_at_unasked() -> None:
    assert [name for name in ("US", "XA", "ES", "OT", "unknown") if not needs_check(decoded(name))] == []
    assert [name for name in ("DX", "CR", "CT", "MR", "MG", "PT") if needs_check(decoded(name))] == []
    assert needs_check(decoded("CR", BurnedInAnnotation="YES"))
    assert needs_check(decoded("US", BurnedInAnnotation="NO"))  # often a default
    assert needs_check(decoded("CT", ConversionType="WSD"))  # a captured screen
    assert needs_check(decoded("unknown", "png"))
    assert not needs_check(decoded("unknown", "nifti"))


def test_a_decoded_ultrasound_is_checked_in_a_child(tmp_path: Path) -> None:
    said = decode(files.COLOUR_ULTRASOUND, tmp_path)
    assert needs_check(said)
    found = find_text_in_file(tmp_path, said)
    assert len(found.boxes) >= 12
    assert (found.checked, found.frames) == ((0,), 1)
    assert "lines of text found" in found.sentence


def test_text_outside_the_window_is_found(tmp_path: Path) -> None:
    stored = np.full((200, 600), 3000, dtype=np.uint16)
    letters, place = written(np.zeros((200, 600), dtype=np.uint8), 40, 60, 60)
    stored += letters.astype(np.uint16) * 4
    said = decode(files.write_dicom(tmp_path / "a.dcm", stored, WindowCenter=100, WindowWidth=200), tmp_path / "out")
    assert covered(list(find_text_in_file(tmp_path / "out", said).boxes), place, stored.shape) > 0.9


def test_a_check_that_fails_is_one_failed_check(tmp_path: Path) -> None:
    said = decode(files.COLOUR_ULTRASOUND, tmp_path)
    with pytest.raises(InferenceError, match="memory"):
        find_text_in_file(tmp_path, said, Limits(memory=400_000_000))
    (tmp_path / PREVIEW).write_bytes(b"no picture")
    with pytest.raises(BadInput, match="could not be looked for"):
        find_text_in_file(tmp_path, said)


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3), (4, 20, 30), (4, 20, 30, 3), (2, 4, 20, 30)], ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_masking_paints_every_frame_and_nothing_else(shape: tuple[int, ...], dtype: type) -> None:
    pixels = np.random.default_rng(1).integers(5, 120, shape).astype(dtype)
    masked = mask_text(pixels, [Box("", 3, 4, 8.5, 6)])
    inside = np.zeros(shape, dtype=bool)
    rows = inside if shape[-1] != 3 else np.moveaxis(inside, -1, 0)
    rows[..., 4:6, 3:9] = True
    assert np.array_equal(masked[~inside], pixels[~inside])
    if shape[-1] == 3:
        assert (np.moveaxis(masked, -1, 0)[..., 4:6, 3:9].reshape(3, -1) == pixels.reshape(-1, 3).min(0)[:, None]).all()
    else:
        assert (masked[inside] == pixels.min()).all()
    assert masked.dtype == dtype


def test_a_box_outside_the_image_is_refused() -> None:
    with pytest.raises(BadInput, match="outside the image of 30 x 20"):
        mask_text(np.zeros((20, 30)), [Box("", 40, 0, 50, 10)])


def clean(source: Path, folder: Path) -> Path:
    dataset = dcmread(source)
    deidentify(dataset, CLEANING)
    return folder / write_clean([dataset], folder)


@pytest.mark.parametrize(
    "source",
    [
        files.COLOUR_ULTRASOUND,
        files.PYDICOM_IMAGES / "examples_ybr_color.dcm",
        files.PYDICOM_IMAGES / "examples_palette.dcm",
        files.JPEG2000,
        files.CHEST,
        files.RUN_LENGTH,
        files.PYDICOM_IMAGES / "MR_small_bigendian.dcm",
        files.PYDICOM_IMAGES / "rtdose.dcm",
        files.PYDICOM_IMAGES / "SC_rgb_rle_2frame.dcm",
    ],
    ids=lambda path: path.name,
)
def test_a_dicom_file_is_masked_in_every_frame_and_says_so(tmp_path: Path, source: Path) -> None:
    before = dcmread(source)
    path = mask_file(clean(source, tmp_path), [TextBox(2, 1, 8, 4, 0.9, 3)], tmp_path / "masked")
    after = dcmread(path)
    expected, found = before.pixel_array, after.pixel_array
    assert found.shape == expected.shape
    colour = expected.ndim >= 3 and expected.shape[-1] == 3
    outside = np.ones(expected.shape[-3:-1] if colour else expected.shape[-2:], dtype=bool)
    outside[1:4, 2:8] = False
    axis = -3 if colour else -2
    flat = [np.moveaxis(one, (axis, axis + 1), (0, 1)) for one in (expected, found)]
    assert np.array_equal(flat[0][outside], flat[1][outside])
    painted = flat[1][~outside].reshape(-1, 3 if colour else 1)
    assert (painted == painted[0]).all()
    assert after.BurnedInAnnotation == "NO"
    assert "113101" in [item.CodeValue for item in after.DeidentificationMethodCodeSequence]
    assert after.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    again = dcmread(path)
    deidentify(again, CLEANING)
    assert "113101" in [item.CodeValue for item in again.DeidentificationMethodCodeSequence]


def test_masked_text_is_dark_and_cannot_be_found_again(tmp_path: Path) -> None:
    source = clean(files.COLOUR_ULTRASOUND, tmp_path)
    boxes = find_text(dcmread(source).pixel_array)
    masked = dcmread(mask_file(source, boxes, tmp_path / "masked")).pixel_array
    assert len(find_text(masked)) < len(boxes) / 4
    assert all((masked[box.y0 : box.y1, box.x0 : box.x1] == 0).all() for box in boxes)


def test_a_mirrored_radiograph_is_painted_black(tmp_path: Path) -> None:
    source = clean(files.CHEST, tmp_path)
    masked = mask_file(source, [Box("", 0, 0, 100, 100)], tmp_path / "masked")
    decode(masked, tmp_path / "decoded")
    preview = np.asarray(Pillow.open(tmp_path / "decoded" / PREVIEW))
    assert preview[:100, :100].max() == preview.min() < 40


def test_a_series_and_the_decoded_files_are_masked_too(tmp_path: Path) -> None:
    datasets = [dcmread(files.COLOUR_ULTRASOUND), dcmread(files.COLOUR_ULTRASOUND)]
    for dataset in datasets:
        deidentify(dataset, CLEANING)
    decode(files.COLOUR_ULTRASOUND, tmp_path)
    for name in (write_clean(datasets, tmp_path), PIXELS, PREVIEW):
        target = mask_file(tmp_path / name, [Box("", 10, 10, 90, 50)], tmp_path / "masked")
        assert target == tmp_path / "masked" / name
        assert target.is_file()
    assert np.load(tmp_path / "masked" / PIXELS)[10:50, 10:90].max() == np.load(tmp_path / PIXELS).min()
    assert np.asarray(Pillow.open(tmp_path / "masked" / PREVIEW))[10:50, 10:90].max() == 0
    assert len(list((tmp_path / "masked").iterdir())) == 3


def test_what_cannot_be_masked_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    for name, content in (
        ("clean.dcm", b"no DICOM"),
        ("clean.zip", b"no archive"),
        ("pixels.npy", b""),
        ("a.nii", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput) as caught:
            mask_file(tmp_path / name, [Box("", 0, 0, 1, 1)], tmp_path / "masked")
        assert "painted over" in str(caught.value)
        assert not list((tmp_path / "masked").glob("*"))
