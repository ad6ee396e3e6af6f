"""Every DICOM file of the wheels is read to the values that the standard's formulas give, or refused with a reason."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array

from inference.decode import decode
from inference.errors import InferenceError
from inference.types import Decoded
from tests.inference import files

NO_IMAGE = "holds no image"
DAMAGED = "it is damaged or incomplete"
OVERLAY = "is shown over the images that it was drawn on"
# What is not read, and why. A file that is missing here must be read; one that is here must not be.
REFUSED = {
    **dict.fromkeys(("liver.dcm", "liver_expb.dcm", "liver_1frame.dcm", "liver_expb_1frame.dcm"), OVERLAY),
    "rtstruct.dcm": OVERLAY,
    # headers cut off before their pixels
    **dict.fromkeys(("chrJapMulti.dcm", "chrJapMultiExplicitIR6.dcm", "chrKoreanMulti.dcm"), NO_IMAGE),
    **dict.fromkeys(("chrSQEncoding.dcm", "chrSQEncoding1.dcm", "UN_sequence.dcm", "empty_charset_LEI.dcm"), NO_IMAGE),
    **dict.fromkeys(("no_meta_group_length.dcm", "priv_SQ.dcm", "emri_small_jpeg_2k_lossless_too_short.dcm"), NO_IMAGE),
    # palettes, plans, reports, curves, directories
    **dict.fromkeys([f"{name}.dcm" for name in ("fall", "hotiron", "hotmetalblue", "pet", "pet20step")], NO_IMAGE),
    **dict.fromkeys([f"{name}.dcm" for name in ("spring", "summer", "winter", "rtplan", "rtplan_truncated")], NO_IMAGE),
    **dict.fromkeys([f"{name}.dcm" for name in ("reportsi", "reportsi_with_empty_number_tags", "test-SR")], NO_IMAGE),
    **dict.fromkeys(("waveform_ecg.dcm", "ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm"), NO_IMAGE),
    **dict.fromkeys(("DICOMDIR", "DICOMDIR-bigEnd", "DICOMDIR-empty.dcm", "DICOMDIR-implicit"), NO_IMAGE),
    **dict.fromkeys(("DICOMDIR-nooffset", "DICOMDIR-nopatient", "DICOMDIR-reordered"), NO_IMAGE),
    # damaged on purpose
    **dict.fromkeys(("badVR.dcm", "meta_missing_tsyntax.dcm", "nested_priv_SQ.dcm"), DAMAGED),
    "MR_truncated.dcm": "it has 8130 of 8192 bytes of pixels",
    "JPEG2000-embedded-sequence-delimiter.dcm": "cannot be decompressed",
    "no_meta.dcm": "binary data of an unknown kind",
    # not read here
    **dict.fromkeys(("JPEG-lossy.dcm", "JPGExtended.dcm"), "12-bit JPEG"),
}
OTHER_SUFFIXES = (".py", ".pyc", ".json", ".txt", ".md", ".icc", ".dump", ".gz")


def is_dicom(path: Path) -> bool:
    return (
        path.is_file()
        and path.suffix not in OTHER_SUFFIXES
        and not path.name.startswith("README")
        and "TINY_ALPHA" not in path.parts  # 50 headers without pixels, all alike
    )


WHEEL_FILES = [
    path
    for folder in (files.WHEEL_IMAGES, files.PYDICOM_IMAGES.parent)
    for path in sorted(folder.rglob("*"))
    if is_dicom(path)
]


def wheel(name: str) -> Path:
    return next(path for path in WHEEL_FILES if path.name == name)


def read(source: Path | list[Path], folder: Path) -> tuple[Decoded, NDArray]:
    decoded = decode(source, folder)
    return decoded, np.load(folder / "pixels.npy")


def preview(folder: Path) -> NDArray:
    with Pillow.open(folder / "preview.png") as picture:
        return np.asarray(picture).astype(int)


def linear(values: NDArray, centre: float, width: float) -> NDArray:
    """PS3.3 C.11.2.1.2.1, to 0..255."""
    x = values.astype(float)
    inside = ((x - (centre - 0.5)) / (width - 1) + 0.5) * 255
    low, high = x <= centre - 0.5 - (width - 1) / 2, x > centre - 0.5 + (width - 1) / 2
    return np.where(low, 0, np.where(high, 255, inside))


@pytest.mark.timeout(400)
def test_every_file_of_the_wheels_is_read_or_refused_for_the_reason_known(tmp_path: Path) -> None:
    def outcome(number: int) -> str:
        try:
            decoded = decode(WHEEL_FILES[number], tmp_path / str(number))
        except InferenceError as error:
            return str(error)
        shape = np.load(tmp_path / str(number) / "pixels.npy", mmap_mode="r").shape
        return "" if (decoded.height, decoded.width) == shape[decoded.layout != "image" :][:2] else f"shape {shape}"

    with ThreadPoolExecutor(2) as pool:
        outcomes = dict(
            zip([path.name for path in WHEEL_FILES], pool.map(outcome, range(len(WHEEL_FILES))), strict=True)
        )
    assert len(WHEEL_FILES) > 200
    wrong = {
        name: said
        for name, said in outcomes.items()
        if (REFUSED[name] not in said if name in REFUSED else said) or "\n" in said
    }
    assert wrong == {}
    assert set(REFUSED) <= set(outcomes)


@pytest.mark.parametrize(
    ("packed", "plain"),
    [
        ("693_J2KR.dcm", "693_UNCR.dcm"),
        ("MR2_J2KR.dcm", "MR2_UNCR.dcm"),
        ("RG1_J2KR.dcm", "RG1_UNCR.dcm"),
        ("RG3_J2KR.dcm", "RG3_UNCR.dcm"),
        ("US1_J2KR.dcm", "US1_UNCR.dcm"),
        ("MR_small_RLE.dcm", "MR_small.dcm"),
        ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
        ("MR_small_bigendian.dcm", "MR_small.dcm"),
        ("MR_small_implicit.dcm", "MR_small.dcm"),
        ("emri_small_RLE.dcm", "emri_small.dcm"),
        ("emri_small_jpeg_2k_lossless.dcm", "emri_small.dcm"),
        ("emri_small_jpeg_ls_lossless.dcm", "emri_small.dcm"),
        ("emri_small_big_endian.dcm", "emri_small.dcm"),
        ("rtdose_rle.dcm", "rtdose.dcm"),
        ("OBXXXX1A_rle_2frame.dcm", "OBXXXX1A_2frame.dcm"),
        ("OBXXXX1A_expb_2frame.dcm", "OBXXXX1A_2frame.dcm"),
        ("SC_rgb_rle_16bit_2frame.dcm", "SC_rgb_16bit_2frame.dcm"),
        ("SC_rgb_expb_32bit_2frame.dcm", "SC_rgb_32bit_2frame.dcm"),
        ("SC_rgb_jpeg_gdcm.dcm", "SC_rgb.dcm"),  # JPEG lossless
        ("gdcm-US-ALOKA-16_big.dcm", "gdcm-US-ALOKA-16.dcm"),
        ("color-pl.dcm", "color-px.dcm"),  # planar configuration 1 and 0
    ],
)
def test_a_lossless_twin_has_the_same_values_and_picture(tmp_path: Path, packed: str, plain: str) -> None:
    _, first = read(wheel(packed), tmp_path / "packed")
    _, second = read(wheel(plain), tmp_path / "plain")
    assert first.dtype == second.dtype
    assert np.array_equal(first, second)
    assert np.array_equal(preview(tmp_path / "packed"), preview(tmp_path / "plain"))


@pytest.mark.parametrize(
    ("packed", "plain", "off"),
    [
        ("693_J2KI.dcm", "693_UNCI.dcm", 40),
        ("MR2_J2KI.dcm", "MR2_UNCI.dcm", 20),
        ("US1_J2KI.dcm", "US1_UNCI.dcm", 3),
        ("SC_rgb_jpeg_lossy_gdcm.dcm", "SC_rgb.dcm", 3),
        ("SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_dcmtk_ebcynp_dcmd.dcm", 3),
        ("SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_dcmtk_ebcr_dcmd.dcm", 1),
        ("SC_rgb_dcmtk_+eb+cy+s4.dcm", "SC_rgb_dcmtk_ebcys4_dcmd.dcm", 3),
        ("SC_rgb_jls_lossy_line.dcm", "SC_rgb.dcm", 5),
        ("SC_ybr_full_uncompressed.dcm", "SC_rgb.dcm", 1),
    ],
)
def test_a_lossy_twin_is_near_so_its_colours_are_not_confused(
    tmp_path: Path, packed: str, plain: str, off: int
) -> None:
    _, first = read(wheel(packed), tmp_path / "packed")
    _, second = read(wheel(plain), tmp_path / "plain")
    assert first.shape == second.shape
    assert np.abs(first.astype(int) - second.astype(int)).mean() < off


GREY_FILES = ("693_UNCR.dcm", "CT_small.dcm", "MR2_UNCR.dcm", "RG3_UNCR.dcm", "MR_small.dcm", "examples_overlay.dcm")


@pytest.mark.parametrize("name", GREY_FILES)
def test_values_and_window_are_those_of_the_formulas(tmp_path: Path, name: str) -> None:
    """Stored values by numpy alone, from the bytes; rescale and LINEAR window as the standard writes them."""
    header = dcmread(wheel(name))
    decoded, pixels = read(wheel(name), tmp_path)
    kind = "i2" if header.PixelRepresentation else "u2"
    stored = np.frombuffer(header.PixelData, "<" + kind)[: header.Rows * header.Columns]
    stored = stored.reshape(header.Rows, header.Columns)
    values = stored * float(header.get("RescaleSlope", 1)) + float(header.get("RescaleIntercept", 0))
    inverted = header.PhotometricInterpretation == "MONOCHROME1"
    expected = values.min() + values.max() - values if inverted else values
    assert np.array_equal(pixels, expected.astype(pixels.dtype))
    assert decoded.inverted == inverted
    if "WindowCenter" in header:
        centre, width = (float(np.atleast_1d(header[word].value)[0]) for word in ("WindowCenter", "WindowWidth"))
        assert decoded.window == (centre, width)
        shown = linear(values, centre, width)
        assert np.abs(preview(tmp_path) - (255 - shown if inverted else shown)).max() <= 0.51


def test_signed_sixteen_bit_values_stay_signed(tmp_path: Path) -> None:
    decoded, pixels = read(wheel("CT_small.dcm"), tmp_path)
    assert (pixels.dtype, pixels.min(), decoded.unit) == (np.int16, -896, "HU")


def test_signed_values_in_an_unsigned_codestream_are_signed(tmp_path: Path) -> None:
    _, pixels = read(wheel("J2K_pixelrep_mismatch.dcm"), tmp_path)
    header = dcmread(wheel("J2K_pixelrep_mismatch.dcm"))
    expected = pixel_array(header, decoding_plugin="pylibjpeg") + int(header.RescaleIntercept)
    assert np.array_equal(pixels, expected)
    assert pixels.min() < -1000


def test_all_windows_are_named_and_the_first_is_shown(tmp_path: Path) -> None:
    decoded, _ = read(wheel("examples_overlay.dcm"), tmp_path)
    assert decoded.windows == (("WINDOW1", 450.0, 790.0), ("WINDOW2", 200.0, 443.0))
    assert decoded.window == decoded.windows[0][1:]
    assert decoded.window_count == 2


def test_a_real_modality_lut_is_looked_up(tmp_path: Path) -> None:
    header = dcmread(wheel("mlut_18.dcm"))
    _, pixels = read(wheel("mlut_18.dcm"), tmp_path)
    count, first, _ = header.ModalityLUTSequence[0].LUTDescriptor
    table = np.asarray(header.ModalityLUTSequence[0].LUTData)
    stored = pixel_array(header, raw=True).astype(int)
    assert np.array_equal(pixels, table[np.clip(stored - first, 0, (count or 65536) - 1)])


def test_a_real_voi_lut_is_looked_up(tmp_path: Path) -> None:
    header = dcmread(wheel("vlut_04.dcm"))
    decoded, pixels = read(wheel("vlut_04.dcm"), tmp_path)
    count, first, bits = header.VOILUTSequence[0].LUTDescriptor
    data = header.VOILUTSequence[0].LUTData
    table = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.asarray(data)
    shown = table[np.clip(pixels.astype(int) - first, 0, count - 1)] * 255.0 / (2**bits - 1)
    assert decoded.window_source == "VOI LUT"
    assert np.abs(preview(tmp_path) - shown).max() <= 1


def voi_item(top: int, name: str) -> Dataset:
    item = files.voi_lut_item(np.linspace(0, top, 1001))
    item.LUTExplanation = name
    return item


def test_the_first_of_several_voi_luts_is_shown_and_all_are_named(tmp_path: Path) -> None:
    source = files.write_dicom(
        tmp_path / "a.dcm", files.ramp(), VOILUTSequence=[voi_item(65535, "HARD"), voi_item(30000, "SOFT")]
    )
    decoded, _ = read(source, tmp_path)
    assert preview(tmp_path).max() == 255
    assert any("2 VOI LUTs (HARD, SOFT)" in note for note in decoded.notes)


def test_a_signed_value_far_below_a_table_takes_its_first_entry(tmp_path: Path) -> None:
    """pydicom's own look-up wraps here: 32000 less -32000 is no int16."""
    stored = np.linspace(-32000, 32000, 64).astype(np.int16)[None].repeat(64, axis=0)
    item = Dataset()
    item.LUTDescriptor, item.ModalityLUTType = [3, -32000, 16], "US"
    item.LUTData = np.array([7, 8, 9], dtype=np.uint16).tobytes()
    _, pixels = read(files.write_dicom(tmp_path / "a.dcm", stored, ModalityLUTSequence=[item]), tmp_path)
    assert pixels[0, 0] == 7
    assert (pixels[0, 1:] == 9).all()


@pytest.mark.parametrize(
    ("elements", "unit"),
    [
        ({"Modality": "CT", "RescaleIntercept": -1024, "RescaleSlope": 1}, "HU"),
        ({"Modality": "CT", "RescaleIntercept": -1024, "RescaleSlope": 1, "RescaleType": "HU"}, "HU"),
        ({"Modality": "CT", "RescaleIntercept": -1024, "RescaleSlope": 1, "RescaleType": "US"}, ""),
        ({"Modality": "CT", "RescaleIntercept": 0, "RescaleSlope": 1, "ImageType": ["ORIGINAL", "X", "LOCALIZER"]}, ""),
        ({"Modality": "CT"}, ""),
        ({"Modality": "MR", "RescaleIntercept": 0, "RescaleSlope": 1}, ""),
        ({"Modality": "OT", "RescaleIntercept": 0, "RescaleSlope": 1, "RescaleType": "HU"}, "HU"),
    ],
    ids=["CT", "said", "contradicted", "scout", "no rescale", "MR", "other"],
)
def test_hounsfield_units_are_claimed_only_where_the_file_allows(tmp_path: Path, elements, unit: str) -> None:
    decoded, _ = read(files.write_dicom(tmp_path / "a.dcm", files.ramp(), **elements), tmp_path)
    assert decoded.unit == unit


def test_the_estimated_magnification_is_said(tmp_path: Path) -> None:
    elements = {"ImagerPixelSpacing": [0.15, 0.15], "EstimatedRadiographicMagnificationFactor": "1.25"}
    decoded, _ = read(files.write_dicom(tmp_path / "a.dcm", files.ramp(), **elements), tmp_path)
    assert decoded.spacing.source == "ImagerPixelSpacing"
    assert any("1.25 times" in note and "80%" in note for note in decoded.notes)


def test_float_pixels_keep_their_fractions(tmp_path: Path) -> None:
    stored = np.linspace(-1.5, 2.5, 64, dtype=np.float32)[None].repeat(64, axis=0).copy()
    stored[0, 0] = np.nan
    source = files.write_dicom(
        tmp_path / "a.dcm",
        stored,
        PixelData=None,
        FloatPixelData=stored.tobytes(),
        PixelRepresentation=None,
        BitsStored=None,
        HighBit=None,
    )
    _, pixels = read(source, tmp_path)
    assert pixels.dtype == np.float32
    assert np.array_equal(pixels[1:], stored[1:])
    assert pixels[0, 0] == np.float32(-1.5), "what is no number is the lowest of its frame"


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"FrameTime": "40"}, 40),
        ({"FrameTimeVector": [0, 30, 50]}, 40),
        ({"CineRate": 25}, 40),
        ({"RecommendedDisplayFrameRate": 20}, 50),
        ({"FrameTime": "0", "CineRate": 25}, 40),
        ({}, None),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_cine_knows_its_time(tmp_path: Path, elements, expected) -> None:
    stored = np.stack([files.ramp() + step for step in range(3)])
    source = files.write_dicom(
        tmp_path / "a.dcm", stored, Rows=64, Columns=64, NumberOfFrames=3, Modality="US", **elements
    )
    decoded, pixels = read(source, tmp_path)
    assert (decoded.layout, decoded.frames, decoded.frame_ms) == ("frames", 3, expected)
    assert np.array_equal(pixels, stored)


def test_every_frame_of_a_real_colour_cine_is_kept(tmp_path: Path) -> None:
    decoded, pixels = read(wheel("examples_ybr_color.dcm"), tmp_path)
    assert pixels.shape == (30, 240, 320, 3)
    assert decoded.frame_ms == pytest.approx(33.333)
    assert np.array_equal(preview(tmp_path), pixels[0])
    expected = pixel_array(dcmread(wheel("examples_ybr_color.dcm")), decoding_plugin="pillow")
    assert np.array_equal(pixels, expected)


def test_an_rt_dose_is_scaled_and_placed(tmp_path: Path) -> None:
    header = dcmread(wheel("rtdose.dcm"))
    decoded, pixels = read(wheel("rtdose.dcm"), tmp_path)
    stored = np.frombuffer(header.PixelData, "<u4").reshape(15, 10, 10)
    assert np.allclose(pixels, stored * float(header.DoseGridScaling), rtol=1e-6)
    assert decoded.layout == "volume"
    assert header.DoseUnits == decoded.header["DoseUnits"]


def test_no_sentence_names_a_path_or_spans_lines(tmp_path: Path) -> None:
    decoded, _ = read(wheel("examples_overlay.dcm"), tmp_path)
    assert decoded.notes
    assert not any(re.search(r"\n|/tmp|\.py", note) for note in decoded.notes)
