"""A researcher uploads TIFF files of microscopes, scanners and programs: the values are those of the file."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps
from skimage import data as skimage_data

from inference.decode import Limits, decode, load
from inference.errors import BadInput, Exhausted
from inference.types import Decoded, Spacing
from tests.inference import files

TIGHT = Limits(wall_s=8, cpu_s=8)
GREY = skimage_data.camera()[::8, ::4]
COLOUR = skimage_data.astronaut()[::8, ::4]
STACK = (np.random.default_rng(0).random((5, 50, 60)) * 4000).astype(np.uint16)


def shown(path: Path, content: bytes, limits: Limits = TIGHT) -> tuple[Decoded, NDArray]:
    (path / "a.tif").write_bytes(content)
    decoded = decode(path / "a.tif", path / "out", limits)
    return decoded, np.load(path / "out" / "pixels.npy")


def by_pillow(picture: Pillow.Image, **options) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "TIFF", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8"])
@pytest.mark.parametrize("options", [{"compression": "zlib"}, {"tile": (16, 16)}, {"bigtiff": True, "byteorder": ">"}])
def test_every_type_of_number_keeps_its_values(tmp_path: Path, dtype: str, options) -> None:
    pixels = (np.random.default_rng(0).random((50, 60)) * 200 - (0 if dtype[0] == "u" else 100)).astype(dtype)
    decoded, stored = shown(tmp_path, files.tiff_bytes(pixels, photometric="minisblack", **options))
    assert np.array_equal(stored, pixels.astype(np.float32) if dtype == "f8" else pixels)
    assert (decoded.kind, decoded.layout, decoded.modality) == ("tiff", "image", "unknown")
    assert (decoded.window is None) == (dtype == "u1")
    with Pillow.open(tmp_path / "out" / "preview.png") as preview:
        assert (preview.mode, preview.size) == ("L", (60, 50))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4", "raw"])
def test_every_usual_compression_gives_the_pixels_that_pillow_reads(tmp_path: Path, compression: str) -> None:
    kinds = {"grey": GREY, "deep": GREY.astype(np.uint16) * 250, "float": GREY.astype(np.float32) / 3, "colour": COLOUR}
    kinds = {"grey": GREY, "colour": COLOUR} if compression == "jpeg" else kinds
    kinds = {} if compression == "group4" else kinds
    for pixels in [*kinds.values(), *([] if compression == "jpeg" else [GREY > 127])]:
        content = by_pillow(Pillow.fromarray(pixels), compression=compression)
        with Pillow.open(BytesIO(content)) as opened:
            expected = np.asarray(opened.convert("RGB") if pixels.ndim == 3 else opened)
        stored = shown(tmp_path, content)[1]
        assert np.array_equal(stored, expected * np.uint8(255) if expected.dtype == bool else expected)


def test_white_is_zero_is_not_shown_inverted(tmp_path: Path) -> None:
    for pixels in (GREY, STACK[0]):
        decoded, stored = shown(tmp_path, files.tiff_bytes(pixels, photometric="miniswhite"))
        assert np.array_equal(stored, pixels.min() + (pixels.max() - pixels))
        assert (decoded.inverted, decoded.photometric) == (True, "MONOCHROME1")
    with Pillow.open(tmp_path / "out" / "preview.png") as preview:
        assert np.corrcoef(np.asarray(preview).ravel(), pixels.ravel())[0, 1] < -0.99
    fax = files.tiff_bytes(GREY > 127, photometric="miniswhite")
    assert np.array_equal(shown(tmp_path, fax)[1], np.where(GREY > 127, 0, 255))
    with Pillow.open(BytesIO(fax)) as opened:
        assert np.array_equal(shown(tmp_path, fax)[1] > 0, np.asarray(opened))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_palettes_are_looked_up(tmp_path: Path, compression: str) -> None:
    palette = Pillow.fromarray(COLOUR).quantize(32)
    decoded, stored = shown(tmp_path, by_pillow(palette, compression=compression))
    assert np.array_equal(stored, np.asarray(palette.convert("RGB")))
    assert decoded.photometric == "RGB"


def test_colours_in_planes_cmyk_and_with_alpha_become_rgb(tmp_path: Path) -> None:
    planes = files.tiff_bytes(np.moveaxis(COLOUR, -1, 0), photometric="rgb", planarconfig="separate")
    assert np.array_equal(shown(tmp_path, planes)[1], COLOUR)
    cmyk = by_pillow(Pillow.fromarray(COLOUR).convert("CMYK"))
    with Pillow.open(BytesIO(cmyk)) as opened:
        assert np.array_equal(shown(tmp_path, cmyk)[1], np.asarray(opened.convert("RGB")))
    decoded, stored = shown(tmp_path, by_pillow(Pillow.fromarray(np.dstack([COLOUR, GREY]))))
    assert np.array_equal(stored, COLOUR)
    assert "alpha channel" in decoded.notes[0]
    decoded, stored = shown(tmp_path, files.tiff_bytes(COLOUR.astype(np.uint16) * 16, photometric="rgb"))
    assert np.array_equal(stored, COLOUR)
    assert "16 bits a colour" in decoded.notes[0]


def test_pages_are_frames_and_thumbnails_are_not(tmp_path: Path) -> None:
    decoded, stored = shown(tmp_path, files.tiff_bytes(STACK, photometric="minisblack"))
    assert (decoded.layout, decoded.frames) == ("frames", 5)
    assert np.array_equal(stored, STACK)
    assert np.array_equal(load(tmp_path / "out", decoded, 4).pixels, STACK[4])
    buffer = BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(GREY)
        writer.write(GREY[::4, ::4], subfiletype=1)
        writer.write(GREY[:20])
    decoded, stored = shown(tmp_path, buffer.getvalue())
    assert (decoded.layout, decoded.notes) == (
        "image",
        ("1 pages of another size or kind than the first are not shown.",),
    )
    assert np.array_equal(stored, GREY)


def test_channels_that_are_no_colours_are_frames(tmp_path: Path) -> None:
    for content in (
        files.tiff_bytes(STACK, photometric="minisblack", planarconfig="separate"),
        files.tiff_bytes(np.moveaxis(STACK, 0, -1), photometric="minisblack", planarconfig="contig"),
    ):
        decoded, stored = shown(tmp_path, content)
        assert np.array_equal(stored, STACK)
        assert "5 channels" in decoded.notes[0]


def test_real_files_of_the_wheels(tmp_path: Path) -> None:
    folder = files.package_folder("skimage") / "data"
    for name in ("multipage.tif", "multipage_rgb.tif"):
        decoded, stored = shown(tmp_path, (folder / name).read_bytes())
        expected = tifffile.imread(folder / name)
        assert decoded.frames == len(expected) == 2
        if name == "multipage.tif":
            assert np.array_equal(stored, expected)
        else:  # planes of float64
            scaled = (expected - expected.min()) / (expected.max() - expected.min()) * 255
            assert np.abs(stored - np.moveaxis(scaled, 1, -1)).max() <= 0.5001


def test_ome_metadata_say_how_large_a_pixel_is_and_printers_do_not(tmp_path: Path) -> None:
    size = {"axes": "ZYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 500, "PhysicalSizeYUnit": "nm", "PhysicalSizeZ": 2}
    decoded, _ = shown(tmp_path, files.tiff_bytes(STACK, ome=True, metadata=size))
    assert decoded.spacing == Spacing(pytest.approx(0.0005), pytest.approx(0.00025), "OME metadata")
    assert decoded.header["SpacingBetweenSlices"] == "0.002"
    assert decoded.header["Axes"] == "C 1, Z 5, T 1"
    printed = files.tiff_bytes(GREY, resolution=(300, 300), resolutionunit="INCH")
    assert shown(tmp_path, printed)[0].spacing is None
    odd = files.tiff_bytes(STACK, ome=True, metadata={**size, "PhysicalSizeX": -1})
    assert shown(tmp_path, odd)[0].spacing is None


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(tmp_path: Path, compression: str, orientation: int) -> None:
    content = by_pillow(Pillow.fromarray(GREY), compression=compression, tiffinfo={274: orientation})
    with Pillow.open(BytesIO(content)) as opened:
        assert np.array_equal(shown(tmp_path, content)[1], np.asarray(ImageOps.exif_transpose(opened)))


def test_no_text_of_the_file_is_shown(tmp_path: Path) -> None:
    secret = files.tiff_bytes(
        GREY, description="DOE^JANE", software="DOE", datetime="2020:01:02 10:11:12", metadata=None
    )
    assert "DOE" not in shown(tmp_path, secret)[0].to_json()


def test_values_that_are_no_numbers_are_said(tmp_path: Path) -> None:
    pixels = np.linspace(-5, 5, 100, dtype=np.float32).reshape(10, 10)
    pixels[0, :2] = np.nan, np.inf
    decoded, stored = shown(tmp_path, files.tiff_bytes(pixels))
    assert stored[0, 0] == stored[0, 1] == pixels[0, 2]
    assert any(note.startswith("2 of its values") for note in decoded.notes)


def retagged(content: bytes, **values: int) -> bytes:
    """The same file, little-endian and classic, with other values in tags of its first page."""
    data = bytearray(content)
    (start,) = struct.unpack_from("<I", data, 4)
    for place in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", data, start)[0], 12):
        (code,) = struct.unpack_from("<H", data, place)
        for name, value in values.items():
            if code == {"width": 256, "height": 257, "bits": 258, "compression": 259, "strip": 273}[name]:
                struct.pack_into("<HII", data, place + 2, 4, 1, value)
    return bytes(data)


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"width": 60000, "height": 60000}, Exhausted, "claims 60000 x 60000 pixels; at most 64 megapixels"),
        ({"width": 0}, BadInput, ""),
        ({"height": 6000}, BadInput, ""),
        ({"strip": 10_000_000}, BadInput, "pixels lie beyond its end"),
        ({"compression": 34712}, BadInput, "JPEG2000) cannot be decompressed"),
        ({"compression": 7}, BadInput, "JPEG) cannot be decompressed"),
        ({"compression": 60000}, BadInput, ""),
    ],
    ids=str,
)
def test_what_a_page_claims_is_checked_before_it_is_decoded(tmp_path: Path, change, kind, said: str) -> None:
    with pytest.raises(kind) as caught:
        shown(tmp_path, retagged(files.tiff_bytes(GREY), **change))
    assert said in str(caught.value)
    assert not any((tmp_path / "out").iterdir())


BLOCK = {"photometric": "minisblack", "volumetric": True, "tile": (16, 16, 16)}


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"II*\0" + bytes(200), BadInput, "This TIFF file"),
        (b"II*\0\x08\0\0\0", BadInput, "This TIFF file"),
        (b"MM\0+\0\x08\0\0" + bytes(8), BadInput, "This TIFF file"),
        (files.sample_tiff()[:5000], BadInput, "This TIFF file"),
        (files.tiff_bytes(np.zeros((8, 8), np.complex64)), BadInput, "complex"),
        (files.tiff_bytes(np.zeros((4, 16, 16), np.uint8), **BLOCK), BadInput, "whole volume"),
        (files.tiff_bytes(np.zeros((9000, 9000), np.uint8), compression="zlib"), Exhausted, "megapixels"),
        (files.tiff_bytes(np.zeros((60, 2000, 2000), np.uint16), compression="zlib"), Exhausted, "need 480 MB"),
    ],
    ids=["zeros", "no page", "big", "cut", "complex", "depth", "pixels", "pages"],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path, content: bytes, kind, said: str) -> None:
    with pytest.raises(kind) as caught:
        shown(tmp_path, content)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pages_that_lead_in_a_circle_and_too_many_of_them_are_refused(tmp_path: Path) -> None:
    content = bytearray(files.tiff_bytes(GREY))
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    struct.pack_into("<I", content, start + 2 + 12 * count, start)
    with pytest.raises(BadInput, match="in a circle"):
        shown(tmp_path, bytes(content))
    with pytest.raises(Exhausted, match="more than 3 frames"):
        shown(tmp_path, files.tiff_bytes(STACK, photometric="minisblack"), Limits(frames=3))
