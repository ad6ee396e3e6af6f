"""A pathologist uploads a whole slide: it is there at once, small, and its tiles come when somebody looks."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as Tree
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import tifffile
from openslide.deepzoom import DeepZoomGenerator
from PIL import Image as Pillow

from inference.decode import Limits, decode
from inference.errors import BadInput, Exhausted
from inference.tiles import OVERLAP, TILE, Geometry, slide_geometry, tile_path, tiles
from inference.types import Decoded, Spacing
from tests.inference import files

TIGHT = Limits(wall_s=10, cpu_s=10)
WIDTH, HEIGHT = 6000, 5000


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 megapixels of tissue, tiled, at three magnifications."""
    path = tmp_path_factory.mktemp("slide") / "tissue.tif"
    path.write_bytes(files.slide_bytes(files.tissue(WIDTH, HEIGHT)))
    return path


@pytest.fixture(scope="module")
def aperio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "a.svs"
    path.write_bytes(files.sample_slide())
    return path


def test_a_tiled_pyramid_is_a_slide_with_a_small_preview(pyramid: Path, tmp_path: Path) -> None:
    assert openslide.OpenSlide.detect_format(pyramid) == "generic-tiff"
    decoded = decode(pyramid, tmp_path, TIGHT)
    assert (decoded.kind, decoded.layout, decoded.width, decoded.height) == ("slide", "slide", WIDTH, HEIGHT)
    assert decoded.header["Levels"] == "3"
    assert decoded.spacing is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["preview.png"]
    with Pillow.open(tmp_path / "preview.png") as preview:
        assert preview.size == (1024, 853)
        whole = Pillow.fromarray(files.tissue(WIDTH, HEIGHT)).resize(preview.size, Pillow.Resampling.BOX)
        assert np.abs(np.asarray(preview).astype(int) - np.asarray(whole)).mean() < 8
    assert Decoded.from_json(decoded.to_json()) == decoded


def test_a_scanner_says_how_large_a_pixel_is_and_nothing_of_a_person_is_shown(aperio: Path, tmp_path: Path) -> None:
    decoded = decode(aperio, tmp_path, TIGHT)
    assert decoded.spacing == Spacing(pytest.approx(0.000499), pytest.approx(0.000499), "slide header")
    assert decoded.modality == "SM"
    assert decoded.header["ObjectivePower"] == "20"
    assert decoded.header["Vendor"] == "aperio"
    assert not any(word in decoded.to_json() for word in ("DOE", "doe", "SECRET", "12/29"))


def test_the_label_and_the_macro_picture_are_never_shown(tmp_path: Path) -> None:
    """As Aperio writes them: striped pages behind the levels, named in their description."""
    buffer = BytesIO()
    pixels = files.tissue(1500, 1000)
    with tifffile.TiffWriter(buffer) as file:
        described = files.APERIO.format(width=1500, height=1000)
        options: dict[str, Any] = {"photometric": "rgb", "metadata": None}
        file.write(pixels, tile=(256, 256), description=described, **options)
        file.write(pixels[::4, ::4], rowsperstrip=16, description=described, **options)
        label = np.zeros((80, 90, 3), np.uint8)
        for name, kind in (("label", 1), ("macro", 9)):
            said = f"Aperio Image Library\r\n{name} 90x80"
            file.write(label, rowsperstrip=16, description=said, subfiletype=kind, **options)
    (tmp_path / "a.svs").write_bytes(buffer.getvalue())
    assert {"label", "macro"} <= set(openslide.OpenSlide(tmp_path / "a.svs").associated_images)
    decoded = decode(tmp_path / "a.svs", tmp_path / "out", TIGHT)
    assert "This slide also holds pictures (label, macro)" in decoded.notes[0]
    with Pillow.open(tmp_path / "out" / "preview.png") as preview:
        assert np.asarray(preview).min(axis=-1).max() > 0
        assert preview.size == (1024, 683)


def test_a_printers_resolution_is_not_the_size_of_a_pixel(tmp_path: Path) -> None:
    for per_cm, expected in ((300 / 2.54, None), (10_000 / 0.25, Spacing(0.00025, 0.00025, "slide header"))):
        buffer = BytesIO()
        with tifffile.TiffWriter(buffer) as file:
            for step in (1, 4):
                file.write(
                    files.tissue(1024, 1024)[::step, ::step],
                    photometric="rgb",
                    tile=(256, 256),
                    subfiletype=int(step > 1),
                    resolution=(per_cm, per_cm),
                    resolutionunit="CENTIMETER",
                    metadata=None,
                )
        (tmp_path / "a.tif").write_bytes(buffer.getvalue())
        decoded = decode(tmp_path / "a.tif", tmp_path / "out", TIGHT)
        assert decoded.layout == "slide"
        assert decoded.spacing == (
            expected and Spacing(pytest.approx(0.00025), pytest.approx(0.00025), expected.source)
        )


def test_a_tiled_picture_without_a_pyramid_is_a_picture(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(files.slide_bytes(files.tissue(600, 500), steps=(1,)))
    decoded = decode(tmp_path / "a.tif", tmp_path / "out", TIGHT)
    assert (decoded.kind, decoded.layout) == ("tiff", "image")
    assert np.array_equal(np.load(tmp_path / "out" / "pixels.npy"), files.tissue(600, 500))


# Tiles


@pytest.mark.parametrize(
    "size", [(6000, 5000), (1, 1), (254, 254), (255, 3), (256, 256), (100_000, 70_001), (509, 508)]
)
def test_the_geometry_is_deepzooms(size: tuple[int, int]) -> None:
    class Slide:
        """What DeepZoomGenerator needs to know of one."""

        level_dimensions, level_count, dimensions, level_downsamples = (size,), 1, size, (1.0,)
        properties: dict[str, str] = {}

        def get_best_level_for_downsample(self, downsample: float) -> int:
            return 0

    theirs, ours = DeepZoomGenerator(Slide(), TILE, OVERLAP), Geometry(*size)
    assert ours.levels == theirs.level_count
    for level in range(ours.levels):
        assert ours.size(level) == theirs.level_dimensions[level]
        columns, rows = ours.tiles(level)
        assert (columns, rows) == theirs.level_tiles[level]
        for column, row in {(0, 0), (columns - 1, rows - 1), (columns // 2, rows // 2)}:
            assert ours.tile_size(level, column, row) == theirs.get_tile_dimensions(level, (column, row))
    said, expected = Tree.fromstring(ours.dzi()), Tree.fromstring(theirs.get_dzi("jpg"))
    assert [{**one.attrib} for one in said.iter()] == [{**one.attrib} for one in expected.iter()]


@pytest.mark.parametrize("level", [13, 12, 11, 8, 0])
def test_a_tile_is_what_openslide_draws_and_its_block_comes_with_it(pyramid: Path, tmp_path: Path, level: int) -> None:
    geometry = Geometry(WIDTH, HEIGHT)
    columns, rows = geometry.tiles(level)
    column, row = columns // 3, rows // 3
    path = tiles(pyramid, tmp_path, level, column, row, TIGHT, geometry=geometry)
    assert path == tile_path(tmp_path, level, column, row)
    with Pillow.open(path) as tile:
        assert tile.size == geometry.tile_size(level, column, row)
        assert (tile.format, "icc_profile" in tile.info) == ("JPEG", False)
        theirs = DeepZoomGenerator(openslide.OpenSlide(pyramid), TILE, OVERLAP).get_tile(level, (column, row))
        assert np.abs(np.asarray(tile).astype(int) - np.asarray(theirs)).mean() < 6
    beside = [(x, y) for x in range(columns) for y in range(rows) if (x // 8, y // 8) == (column // 8, row // 8)]
    assert all(tile_path(tmp_path, level, *place).is_file() for place in beside)
    assert len(list(path.parent.iterdir())) == len(beside) <= 64
    assert [entry.name for entry in tmp_path.iterdir()] == [str(level)]


def test_a_tile_that_is_there_is_not_made_again(pyramid: Path, tmp_path: Path) -> None:
    geometry = Geometry(WIDTH, HEIGHT)
    path = tiles(pyramid, tmp_path, 9, 0, 0, TIGHT, geometry=geometry)
    path.write_bytes(b"kept")
    assert tiles(tmp_path / "gone", tmp_path, 9, 0, 0, TIGHT, geometry=geometry).read_bytes() == b"kept"


@pytest.mark.parametrize("place", [(13, 24, 0), (13, 0, 20), (14, 0, 0), (-1, 0, 0), (5, -1, 0)], ids=str)
def test_there_is_no_tile_beyond_the_slide(pyramid: Path, tmp_path: Path, place: tuple[int, int, int]) -> None:
    with pytest.raises(BadInput, match="There is no tile"):
        tiles(pyramid, tmp_path, *place, geometry=Geometry(WIDTH, HEIGHT))
    assert not any(tmp_path.iterdir())


def test_only_slides_have_tiles(tmp_path: Path) -> None:
    Pillow.new("L", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(BadInput, match="not a slide"):
        slide_geometry(decode(tmp_path / "a.png", tmp_path / "out"))


def test_a_damaged_slide_is_one_line_and_leaves_nothing(pyramid: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.tif").write_bytes(pyramid.read_bytes()[:100_000])
    with pytest.raises(BadInput) as caught:
        decode(tmp_path / "cut.tif", tmp_path / "out", TIGHT)
    assert "\n" not in str(caught.value)
    data = bytearray(pyramid.read_bytes())
    with tifffile.TiffFile(pyramid) as file:
        start = file.pages[0].dataoffsets[0]
    data[start : start + 60] = bytes(60)
    (tmp_path / "hole.tif").write_bytes(data)
    assert decode(tmp_path / "hole.tif", tmp_path / "out", TIGHT).layout == "slide"
    with pytest.raises(BadInput, match="This slide cannot be read"):
        tiles(tmp_path / "hole.tif", tmp_path / "tiles", 13, 0, 0, TIGHT, geometry=Geometry(WIDTH, HEIGHT))
    assert list((tmp_path / "tiles").rglob("*.jpg")) == []
    assert tiles(tmp_path / "hole.tif", tmp_path / "tiles", 13, 20, 15, TIGHT, geometry=Geometry(WIDTH, HEIGHT))


def test_another_slide_in_its_place_is_noticed(aperio: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not the one that was uploaded"):
        tiles(aperio, tmp_path, 5, 0, 0, TIGHT, geometry=Geometry(WIDTH, HEIGHT))


def test_a_limit_on_time_stops_a_tile_and_says_so(pyramid: Path, tmp_path: Path) -> None:
    with pytest.raises(Exhausted, match="longer than"):
        tiles(pyramid, tmp_path, 12, 0, 0, Limits(wall_s=0.05), geometry=Geometry(WIDTH, HEIGHT))


def test_a_pyramid_without_a_small_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(files.slide_bytes(files.tissue(3000, 2000), steps=(1, 2)))
    with pytest.raises(Exhausted, match="Save it as a pyramid"):
        decode(tmp_path / "a.tif", tmp_path / "out", Limits(pixels=1_000_000))


def test_asking_for_tiles_imports_no_heavy_library() -> None:
    heavy = ("openslide", "PIL", "tifffile", "nibabel", "cv2", "pydicom")
    code = f"import sys, inference.tiles, inference.grids; print([name for name in {heavy} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
