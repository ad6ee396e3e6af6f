"""A researcher uploads a file and sees it as the field shows it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydicom import dcmread
from pydicom.dataset import Dataset
from skimage import data as skimage_data

from inference.decode import decode, load
from inference.errors import BadInput, Exhausted
from inference.types import Decoded
from tests.inference import files


def preview(folder: Path) -> NDArray[np.uint8]:
    with Pillow.open(folder / "preview.png") as picture:
        return np.asarray(picture)


def test_a_real_chest_radiograph_is_dicom_although_its_preamble_is_a_tiff(tmp_path: Path) -> None:
    decoded = decode(files.CHEST, tmp_path)
    assert (decoded.kind, decoded.modality, decoded.body_part, decoded.view) == ("dicom", "CR", "CHEST", "PA")
    assert (decoded.width, decoded.height, decoded.frames) == (1841, 1955, 1)
    assert decoded.orientation == ("L", "F")
    assert preview(tmp_path).shape == (1955, 1841)
    assert preview(tmp_path).dtype == np.uint8


def test_monochrome1_is_not_shown_inverted(tmp_path: Path) -> None:
    decoded = decode(files.CHEST, tmp_path)
    shown, image = preview(tmp_path), load(tmp_path, decoded)
    lung, spine = (slice(500, 900), slice(350, 550)), (slice(1300, 1700), slice(880, 960))
    assert decoded.inverted
    assert shown[lung].mean() + 40 < shown[spine].mean(), "air is dark, bone is bright"
    assert image.pixels[lung].mean() < image.pixels[spine].mean(), "larger is brighter in the pixels too"


def test_zero_spacing_in_a_real_header_is_no_spacing(tmp_path: Path) -> None:
    assert decode(files.CHEST, tmp_path).spacing is None


def test_type_is_judged_by_content_and_not_by_name(tmp_path: Path) -> None:
    disguised = tmp_path / "holiday.jpg"
    shutil.copy(files.CHEST, disguised)
    assert decode(disguised, tmp_path / "out").kind == "dicom"


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"PixelSpacing": [0.2, 0.3]}, (0.2, 0.3, "PixelSpacing")),
        ({"ImagerPixelSpacing": [0.15, 0.15]}, (0.15, 0.15, "ImagerPixelSpacing")),
        ({"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.15, 0.15]}, (0.2, 0.2, "PixelSpacing")),
        ({"PixelSpacing": [0.15, 0.15], "ImagerPixelSpacing": [0.15, 0.15]}, (0.15, 0.15, "ImagerPixelSpacing")),
        ({}, None),
    ],
    ids=["patient", "detector", "both", "copied", "none"],
)
def test_spacing_says_where_it_was_measured_and_is_never_assumed(tmp_path: Path, elements, expected) -> None:
    decoded = decode(files.write_dicom(tmp_path / "a.dcm", files.ramp(), **elements), tmp_path)
    found = decoded.spacing and (decoded.spacing.row_mm, decoded.spacing.column_mm, decoded.spacing.source)
    assert found == expected
    assert load(tmp_path, decoded).spacing == decoded.spacing


def test_the_first_of_several_windows_is_used(tmp_path: Path) -> None:
    source = files.write_dicom(tmp_path / "a.dcm", files.ramp(), WindowCenter=[500, 50], WindowWidth=[200, 20])
    decoded = decode(source, tmp_path)
    assert (decoded.window, decoded.window_count, decoded.window_source) == ((500.0, 200.0), 2, "file")
    row, values = preview(tmp_path)[0], files.ramp()[0]
    assert (row[values < 400] == 0).all()
    assert (row[values > 600] == 255).all()
    assert any("2 grey windows" in note for note in decoded.notes)


def test_without_a_window_percentiles_are_used_and_said(tmp_path: Path) -> None:
    decoded = decode(files.write_dicom(tmp_path / "a.dcm", files.ramp()), tmp_path)
    assert decoded.window_source == "percentiles"
    assert any("percentile" in note for note in decoded.notes)
    assert preview(tmp_path).min() == 0
    assert preview(tmp_path).max() == 255


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_every_standard_window_function_is_applied(tmp_path: Path, function: str) -> None:
    source = files.write_dicom(
        tmp_path / "a.dcm", files.ramp(), WindowCenter=500, WindowWidth=400, VOILUTFunction=function
    )
    decode(source, tmp_path)
    row = preview(tmp_path)[0].astype(int)
    assert (np.diff(row) >= 0).all()
    assert abs(row[np.abs(files.ramp()[0].astype(int) - 500).argmin()] - 127) < 8


def test_an_impossible_window_is_replaced_and_said(tmp_path: Path) -> None:
    source = files.write_dicom(tmp_path / "a.dcm", files.ramp(), WindowCenter=500, WindowWidth=0)
    decoded = decode(source, tmp_path)
    assert decoded.window_source == "percentiles"
    assert any("cannot be applied" in note for note in decoded.notes)


def test_a_voi_lut_is_applied(tmp_path: Path) -> None:
    backwards = np.linspace(65535, 0, 1001)
    source = files.write_dicom(tmp_path / "a.dcm", files.ramp(), VOILUTSequence=[files.voi_lut_item(backwards)])
    decoded = decode(source, tmp_path)
    assert decoded.window_source == "VOI LUT"
    assert preview(tmp_path)[0, 0] == 255
    assert preview(tmp_path)[0, -1] == 0


def test_signed_pixels_are_rescaled_to_modality_values(tmp_path: Path) -> None:
    stored = files.ramp(np.int16, 2000) - np.int16(1000)
    source = files.write_dicom(tmp_path / "a.dcm", stored, Modality="CT", RescaleSlope=2, RescaleIntercept=-24)
    pixels = load(tmp_path, decode(source, tmp_path)).pixels
    assert pixels.dtype == np.int16
    assert np.array_equal(pixels, stored * 2 - 24)


def test_values_that_rescale_out_of_their_type_do_not_wrap(tmp_path: Path) -> None:
    source = files.write_dicom(tmp_path / "a.dcm", files.ramp(np.uint16, 60000), RescaleSlope=3, RescaleIntercept=-1024)
    pixels = load(tmp_path, decode(source, tmp_path)).pixels
    assert (pixels.min(), pixels.max()) == (-1024, 178976)


def test_a_fractional_slope_keeps_fractions(tmp_path: Path) -> None:
    source = files.write_dicom(tmp_path / "a.dcm", files.ramp(), RescaleSlope=0.5, RescaleIntercept=0.25)
    pixels = load(tmp_path, decode(source, tmp_path)).pixels
    assert pixels.dtype == np.float32
    assert np.array_equal(pixels, files.ramp() * 0.5 + 0.25)


def test_monochrome1_mirrors_values_within_their_own_range(tmp_path: Path) -> None:
    stored = files.ramp(np.uint16, 1000)
    source = files.write_dicom(tmp_path / "a.dcm", stored, PhotometricInterpretation="MONOCHROME1")
    decoded = decode(source, tmp_path)
    assert decoded.inverted
    assert np.array_equal(load(tmp_path, decoded).pixels, 1000 - stored)
    assert preview(tmp_path)[0, 0] == 255


def test_the_header_holds_technique_and_nobody(tmp_path: Path) -> None:
    source = files.write_dicom(
        tmp_path / "a.dcm",
        files.ramp(),
        KVP=120,
        BodyPartExamined="Doe, Jane",
        ViewPosition="PA",
        StudyDescription="for Dr Roe",
        OperatorsName="Roe",
    )
    decoded = decode(source, tmp_path)
    instance = dcmread(source).SOPInstanceUID
    assert decoded.header["KVP"] == "120"
    assert decoded.body_part is None
    assert decoded.uids["instances"] == [instance], "UIDs have a place of their own"
    everything = replace(decoded, uids={}).to_json()
    for secret in ("doe", "jane", "secret", "20200102", "roe", instance):
        assert secret not in everything.lower()


@pytest.mark.parametrize(
    ("source", "shape"),
    [
        (files.COLOUR_ULTRASOUND, (240, 320, 3)),
        (files.JPEG2000, (480, 640, 3)),
        (files.WHEEL_IMAGES / "OT-PAL-8-face.dcm", (480, 640, 3)),
        (files.PYDICOM_IMAGES / "SC_ybr_full_422_uncompressed.dcm", (100, 100, 3)),
        (files.PYDICOM_IMAGES / "SC_rgb_jpeg.dcm", (256, 256, 3)),
        (files.RUN_LENGTH, (64, 64)),
        (files.DEFLATED, (512, 512)),
        (files.PYDICOM_IMAGES / "MR_small_bigendian.dcm", (64, 64)),
        (files.WHEEL_IMAGES / "mlut_18.dcm", (512, 512)),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_other_encodings_are_read(tmp_path: Path, source: Path, shape: tuple[int, ...]) -> None:
    decoded = decode(source, tmp_path)
    assert preview(tmp_path).shape == shape
    assert preview(tmp_path).std() > 0.5
    assert load(tmp_path, decoded).pixels.shape == shape


def test_a_dicom_without_preamble_is_read(tmp_path: Path) -> None:
    whole = dcmread(files.write_dicom(tmp_path / "a.dcm", files.ramp()))
    bare = Dataset(whole)
    bare.save_as(tmp_path / "bare", implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert (tmp_path / "bare").read_bytes()[:2] == b"\x08\x00"
    assert decode(tmp_path / "bare", tmp_path).kind == "dicom"


def test_jpeg_ls_is_read_to_the_same_values(tmp_path: Path) -> None:
    names = ("MR_small.dcm", "MR_small_jpeg_ls_lossless.dcm")
    plain, packed = (load(tmp_path / n, decode(files.PYDICOM_IMAGES / n, tmp_path / n)) for n in names)
    assert np.array_equal(plain.pixels, packed.pixels)


def test_a_dicom_without_an_image_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"holds no image .*RT Plan"):
        decode(files.PYDICOM_IMAGES / "rtplan.dcm", tmp_path)


def test_a_sixteen_bit_png_keeps_its_values(tmp_path: Path) -> None:
    values = files.ramp(np.uint16, 40000)
    Pillow.fromarray(values).save(tmp_path / "a.png")
    decoded = decode(tmp_path / "a.png", tmp_path)
    assert decoded.bits_stored == 16
    assert decoded.modality == "unknown"
    assert np.array_equal(load(tmp_path, decoded).pixels, values)
    assert preview(tmp_path).max() == 255


def test_a_photograph_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    picture = Pillow.fromarray(skimage_data.astronaut()[:200, :300])
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=exif)
    decoded = decode(tmp_path / "a.jpg", tmp_path)
    assert (decoded.kind, decoded.width, decoded.height) == ("jpeg", 200, 300)
    assert preview(tmp_path).shape == (300, 200, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_every_png_colour_model_is_flattened(tmp_path: Path, mode: str) -> None:
    Pillow.fromarray(skimage_data.astronaut()).convert(mode).save(tmp_path / "a.png")
    decode(tmp_path / "a.png", tmp_path)
    assert preview(tmp_path).ndim == (3 if mode in ("P", "RGBA") else 2)


def test_grey_saved_as_colour_is_grey(tmp_path: Path) -> None:
    Pillow.fromarray(skimage_data.camera()).convert("RGB").save(tmp_path / "a.png")
    decoded = decode(tmp_path / "a.png", tmp_path)
    assert load(tmp_path, decoded).pixels.shape == (512, 512)


def test_what_was_found_survives_json(tmp_path: Path) -> None:
    source = files.write_dicom(
        tmp_path / "a.dcm", files.ramp(), PixelSpacing=[0.2, 0.2], WindowCenter=[5, 6], WindowWidth=[7, 8]
    )
    decoded = decode(source, tmp_path)
    assert "\n" not in decoded.to_json()
    assert Decoded.from_json(decoded.to_json()) == decoded
    assert Decoded.from_dict(decoded.as_dict()) == decoded


def test_only_the_two_outputs_are_left(tmp_path: Path) -> None:
    decode(files.CHEST, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["pixels.npy", "preview.png"]


def test_missing_pixels_are_one_readable_line(tmp_path: Path) -> None:
    decoded = decode(files.CHEST, tmp_path)
    (tmp_path / "pixels.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(BadInput, match="Upload the image again"):
        load(tmp_path, decoded)


def test_it_works_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also from one that holds a file named like a library: the child must not import it."""
    (tmp_path / "numpy.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    Pillow.new("L", (8, 8), 3).save("a.png")
    assert decode(Path("a.png"), Path("out")).width == 8


def test_asking_for_a_decoding_imports_no_heavy_library() -> None:
    heavy = ("torch", "transformers", "skimage", "pydicom", "PIL")
    code = f"import sys, inference.decode; print([name for name in {heavy} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_errors_are_always_one_line() -> None:
    assert str(Exhausted("two\nlines\tand  spaces")) == "two lines and spaces"
