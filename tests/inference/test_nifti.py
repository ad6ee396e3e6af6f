"""A researcher uploads NIfTI volumes: they see the values of the file, and left where the patient's left is."""

from __future__ import annotations

import gzip
import itertools
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Extension
from numpy.typing import NDArray

from inference.decode import Limits, decode, load
from inference.errors import BadInput, Exhausted, InferenceError
from inference.grids import from_source_grid, source_affine, to_source_grid
from inference.types import Cleaning, Decoded
from tests.inference import files

SIZE = (20, 24, 16)  # voxels towards the patient's left-right, back-front, feet-head
TIGHT = Limits(wall_s=8, cpu_s=8)


def head() -> NDArray[np.int16]:
    """(R to L, P to A, F to H): an ellipsoid with one bright block, in the patient's left, front and top."""
    x, y, z = np.ogrid[-1:1:20j, -1:1:24j, -1:1:16j]
    voxels = (100 * (x**2 + y**2 + z**2 < 0.9)).astype(np.int16)
    voxels[2:4, 20:22, 14:16] = 1000  # x grows to the right in `x`, so small x is the left
    return voxels


RAS = np.array([[1.0, 0, 0, -10], [0, 1, 0, -12], [0, 0, 1, -8], [0, 0, 0, 1]])


def as_stored(axes: tuple[int, ...], ways: tuple[int, ...], tilt: NDArray[np.float64] | None = None):
    """The head with its axes in another order and direction, and the affine that says so."""
    orientation = np.array(list(zip(axes, ways, strict=True)))
    voxels = nibabel.apply_orientation(head(), orientation)
    affine = (RAS if tilt is None else tilt @ RAS) @ nibabel.orientations.inv_ornt_aff(orientation, SIZE)
    return np.ascontiguousarray(voxels), affine


def oblique(degrees: float = 20) -> NDArray[np.float64]:
    """Turned about two axes of the patient: by 20 and 10 degrees, 22 at most between an axis and its nearest."""
    a, b = np.radians(degrees), np.radians(degrees / 2)
    turn = np.eye(4)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    turn[:3, :3] = about_x @ about_z
    return turn


def shown(path: Path, content: bytes, cleaning: Cleaning | None = None) -> tuple[Decoded, NDArray]:
    path.mkdir(exist_ok=True)
    (path / "a.nii").write_bytes(content)
    decoded = decode(path / "a.nii", path / "out", TIGHT, cleaning)
    return decoded, np.load(path / "out" / "pixels.npy")


def brightest(stored: NDArray) -> tuple[float, ...]:
    return tuple(float(np.mean(places)) for places in np.nonzero(stored == stored.max()))


@pytest.mark.parametrize("tilt", [None, oblique()], ids=["straight", "oblique"])
@pytest.mark.parametrize("way", [1, -1], ids=["right-handed", "left-handed"])
def test_the_patients_left_front_and_top_is_at_screen_right_top_and_last_slice(tmp_path: Path, way: int, tilt) -> None:
    voxels, affine = as_stored((0, 1, 2), (way, 1, 1), tilt)
    assert (np.linalg.det(affine[:3, :3]) > 0) == (way > 0)
    decoded, stored = shown(tmp_path, files.nifti_bytes(voxels, affine))
    assert stored.shape == (16, 24, 20)
    assert brightest(stored) == (14.5, 2.5, 16.5)
    assert decoded.orientation == ("L", "P")
    assert any("22 degrees" in note for note in decoded.notes) == (tilt is not None)
    x, y, z = (np.asarray(decoded.affine) @ [16.5, 2.5, 14.5, 1])[:3]
    there = (RAS if tilt is None else tilt @ RAS) @ [2.5, 20.5, 14.5, 1]
    assert (x, y, z) == pytest.approx(there[:3], abs=1e-4)
    assert load(tmp_path / "out", decoded, 15).pixels[2, 16] == 1000


@pytest.mark.timeout(300)
@pytest.mark.parametrize("ways", list(itertools.product((1, -1), repeat=3)), ids=str)
def test_every_order_of_axes_looks_the_same_and_goes_back_exactly(tmp_path: Path, ways: tuple[int, ...]) -> None:
    straight = head()[::-1, ::-1].transpose(2, 1, 0)
    for number, axes in enumerate(itertools.permutations(range(3))):
        tilt = oblique(30) if number % 2 else None
        voxels, affine = as_stored(axes, ways, tilt)
        decoded, stored = shown(tmp_path / str(number), files.nifti_bytes(voxels, affine))
        assert np.array_equal(stored, straight)
        assert np.array_equal(to_source_grid(stored, decoded), voxels)
        assert np.array_equal(from_source_grid(voxels, decoded), stored)
        assert np.array_equal(nibabel.apply_orientation(stored.transpose(2, 1, 0), decoded.reoriented), voxels)
        assert source_affine(decoded) == pytest.approx(affine, abs=1e-4)


def test_a_series_in_time_goes_to_the_files_grid_and_back(tmp_path: Path) -> None:
    voxels, affine = as_stored((2, 0, 1), (-1, 1, -1))
    series = np.stack([voxels, voxels + 1, voxels + 2], axis=-1)
    decoded, stored = shown(tmp_path, files.nifti_bytes(series, affine))
    assert (decoded.volumes, decoded.frames, stored.shape) == (3, 16, (3, 16, 24, 20))
    assert decoded.header["TemporalResolution"] == "1000"
    assert np.array_equal(to_source_grid(stored, decoded), series)
    assert np.array_equal(from_source_grid(series, decoded), stored)


def test_a_mask_of_another_size_is_not_put_into_this_grid(tmp_path: Path) -> None:
    decoded, _ = shown(tmp_path, files.nifti_bytes(head(), RAS))
    with pytest.raises(BadInput, match=r"This has 5 x 4 x 3 voxels .* has 20 x 24 x 16"):
        to_source_grid(np.zeros((3, 4, 5)), decoded)
    with pytest.raises(BadInput, match="has 20 x 24 x 16"):
        from_source_grid(np.zeros((5, 4, 3)), decoded)


@pytest.mark.parametrize("name", ["anatomical.nii", "functional.nii", "example4d.nii.gz", "example_nifti2.nii.gz"])
def test_real_files_have_the_values_and_places_that_nibabel_reads(tmp_path: Path, name: str) -> None:
    decoded = decode(files.NIFTI_IMAGES / name, tmp_path, TIGHT)
    stored = np.load(tmp_path / "pixels.npy")
    image = nibabel.load(files.NIFTI_IMAGES / name)
    assert np.array_equal(to_source_grid(stored, decoded), image.get_fdata().astype(stored.dtype))
    assert source_affine(decoded) == pytest.approx(image.affine, abs=1e-4)
    ras = nibabel.as_closest_canonical(image).get_fdata()
    first = (ras[..., 0] if ras.ndim == 4 else ras)[::-1, ::-1].transpose(2, 1, 0)
    assert np.array_equal(stored[0] if decoded.volumes > 1 else stored, first.astype(stored.dtype))
    assert decoded.unit == ""
    assert decoded.modality == "unknown"


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("big", [False, True], ids=["little-endian", "big-endian"])
def test_every_type_of_number_keeps_its_values(tmp_path: Path, dtype: str, big: bool) -> None:
    voxels = np.arange(60).reshape(3, 4, 5).astype(dtype)
    voxels[0, 0, 0] = np.iinfo(dtype).max // 2 if voxels.dtype.kind in "iu" and dtype not in ("u8", "i8") else 100
    voxels[1, 0, 0] = -3 if voxels.dtype.kind in "if" else 3
    decoded, stored = shown(tmp_path, files.nifti_bytes(voxels, RAS, version=2, big=big))
    assert np.array_equal(to_source_grid(stored, decoded), voxels)
    assert stored.dtype.byteorder in "=|"
    assert stored.dtype.itemsize <= 4


def test_slope_and_intercept_make_the_values_and_a_slope_of_nought_none(tmp_path: Path) -> None:
    content = bytearray(files.nifti_bytes(np.arange(60, dtype=np.int16).reshape(3, 4, 5), RAS))
    for slope, intercept, dtype, last in ((0.5, 1, np.float32, 30.5), (2, -1024, np.int16, -906), (0, 7, np.uint8, 59)):
        content[112:120] = struct.pack("<ff", slope, intercept)
        decoded, stored = shown(tmp_path, bytes(content))
        assert to_source_grid(stored, decoded)[2, 3, 4] == last
        assert stored.dtype == dtype
    content[112:120] = struct.pack("<ff", np.inf, 1)
    decoded, stored = shown(tmp_path, bytes(content))
    assert stored.max() == 59
    assert any("slope and intercept" in note for note in decoded.notes)


def test_values_that_are_no_numbers_are_said_and_shown_as_the_lowest(tmp_path: Path) -> None:
    voxels = np.arange(60, dtype=np.float32).reshape(3, 4, 5) - 10
    voxels[0, 0, :3] = np.nan, np.inf, -np.inf
    decoded, stored = shown(tmp_path, files.nifti_bytes(voxels, RAS))
    assert to_source_grid(stored, decoded)[0, 0, :4].tolist() == [-7, -7, -7, -7]
    assert any(note.startswith("3 of its values are not numbers") for note in decoded.notes)
    with pytest.raises(BadInput, match="no pixel that is a number"):
        shown(tmp_path, files.nifti_bytes(np.full((3, 4, 5), np.nan, np.float32), RAS))


def test_colour_stays_colour(tmp_path: Path) -> None:
    voxels = np.zeros((4, 5, 6), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    voxels["R"][3] = 200
    voxels["B"][:, 4] = 90
    decoded, stored = shown(tmp_path, files.nifti_bytes(voxels, RAS))
    assert (decoded.photometric, stored.shape, stored.dtype) == ("RGB", (6, 5, 4, 3), np.uint8)
    assert stored[0, 0].tolist() == [[200, 0, 90], [0, 0, 90], [0, 0, 90], [0, 0, 90]]
    assert load(tmp_path / "out", decoded, 0).is_colour


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("meter", 1000), ("micron", 0.001)])
def test_lengths_are_millimetres_whatever_the_file_counts_in(tmp_path: Path, unit: str, factor: float) -> None:
    affine = np.diag([2.0, 3, 4, 1])
    decoded, _ = shown(tmp_path, files.nifti_bytes(head(), affine, unit=unit))
    assert decoded.spacing is not None
    assert (decoded.spacing.column_mm, decoded.spacing.row_mm) == pytest.approx((2 * factor, 3 * factor))
    assert decoded.spacing.source == "NIfTI header"
    assert float(decoded.header["SpacingBetweenSlices"]) == pytest.approx(4 * factor)
    assert np.asarray(decoded.affine)[2, 2] == pytest.approx(4 * factor)


def test_without_a_unit_millimetres_are_said_to_be_assumed(tmp_path: Path) -> None:
    decoded, _ = shown(tmp_path, files.nifti_bytes(head(), RAS, unit="unknown"))
    assert any("millimetres are assumed" in note for note in decoded.notes)


def test_a_file_that_does_not_place_its_voxels_gets_no_letters(tmp_path: Path) -> None:
    decoded, stored = shown(tmp_path, files.nifti_bytes(head(), None))
    assert (decoded.affine, decoded.orientation, source_affine(decoded)) == (None, None, None)
    assert "left and right are unknown" in decoded.notes[0]
    assert np.array_equal(to_source_grid(stored, decoded), head())


def test_a_damaged_placement_counts_as_none(tmp_path: Path) -> None:
    content = bytearray(files.nifti_bytes(head(), RAS))
    content[280:296] = struct.pack("<4f", np.nan, 0, 0, 0)  # srow_x; qform_code is 0
    content[252:254] = struct.pack("<h", 0)
    decoded, _ = shown(tmp_path, bytes(content))
    assert decoded.affine is None


def test_two_placements_that_disagree_on_left_and_right_are_said(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(head(), RAS)
    image.set_qform(RAS @ np.diag([-1, 1, 1, 1]), 1)
    image.set_sform(RAS, 2)
    decoded, stored = shown(tmp_path, image.to_bytes())
    assert any("disagree on left and right" in note for note in decoded.notes)
    assert brightest(stored) == (14.5, 2.5, 16.5)


@pytest.mark.parametrize(
    ("plane", "thick", "size", "letters"),
    [("coronal", (1, 5, 1), (24, 16, 20), ("L", "F")), ("sagittal", (5, 1, 1), (20, 16, 24), ("P", "F"))],
)
def test_thick_slices_keep_their_plane(tmp_path: Path, plane: str, thick, size, letters) -> None:
    decoded, stored = shown(tmp_path, files.nifti_bytes(head(), RAS @ np.diag([*thick, 1])))
    assert (stored.shape, decoded.orientation, decoded.header["Plane"]) == (size, letters, plane)
    where = {"coronal": (2.5, 0.5, 16.5), "sagittal": (2.5, 0.5, 2.5)}[plane]
    assert brightest(stored) == where
    assert np.array_equal(to_source_grid(stored, decoded), head())


def test_one_slice_is_an_image_in_its_own_plane(tmp_path: Path) -> None:
    voxels = head()[:, 21:22, :]
    decoded, stored = shown(tmp_path, files.nifti_bytes(voxels, RAS))
    assert (decoded.layout, decoded.frames, stored.shape, decoded.orientation) == ("image", 1, (16, 20), ("L", "F"))
    assert brightest(stored) == (0.5, 16.5)
    assert np.array_equal(to_source_grid(stored, decoded), voxels)
    flat, pixels = shown(tmp_path / "flat", files.nifti_bytes(head()[:, :, 14], RAS))
    assert (flat.layout, pixels.shape, flat.orientation) == ("image", (24, 20), ("L", "P"))
    assert load(tmp_path / "flat" / "out", flat).pixels[2, 16] == 1000


def test_the_window_leaves_out_the_air(tmp_path: Path) -> None:
    voxels = np.zeros((40, 40, 40), dtype=np.int16)
    voxels[10:30, 10:30, 10:30] = np.random.default_rng(1).integers(400, 600, (20, 20, 20))
    decoded, _ = shown(tmp_path, files.nifti_bytes(voxels, RAS))
    assert decoded.window == pytest.approx((500, 200), abs=4)
    assert decoded.window_source == "percentiles"
    assert any("percentile" in note for note in decoded.notes)


# What is taken out


def with_canaries() -> nibabel.Nifti1Image:
    voxels, affine = as_stored((1, 2, 0), (-1, 1, 1), oblique())
    image = nibabel.Nifti1Image(voxels, affine)
    image.set_qform(affine, 1)
    for field in ("descrip", "aux_file", "db_name", "intent_name", "data_type"):
        image.header[field] = f"DOE^{field}"[:10].encode()
    image.header["extents"], image.header["session_error"] = 20200102, 1702
    image.header.extensions.append(Nifti1Extension("comment", b"DOE JANE 1950"))
    return image


@pytest.mark.parametrize("packed", [False, True], ids=["nii", "nii.gz"])
def test_no_text_and_no_extension_is_left_in_the_cleaned_file(tmp_path: Path, packed: bool) -> None:
    image = with_canaries()
    content = files.gzipped(image.to_bytes()) if packed else image.to_bytes()
    decoded, _ = shown(tmp_path, content, Cleaning(key="00" * 16))
    assert decoded.clean == "clean.nii.gz"
    plain = gzip.decompress((tmp_path / "out" / decoded.clean).read_bytes())
    assert b"DOE" in image.to_bytes()
    assert b"DOE" not in plain
    assert b"JANE" not in plain
    assert struct.pack("<i", 20200102) not in plain
    assert "DOE" not in decoded.to_json()
    cleaned = nibabel.Nifti1Image.from_bytes(plain)
    assert cleaned.header.extensions == []
    assert cleaned.dataobj.get_unscaled().tobytes() == image.get_fdata().astype(np.int16).tobytes()
    for field in ("srow_x", "srow_y", "srow_z", "pixdim", "quatern_b", "qoffset_x", "sform_code", "qform_code"):
        assert cleaned.header[field].tobytes() == image.header[field].tobytes()
    again, stored = shown(tmp_path / "again", plain)
    assert np.array_equal(stored, np.load(tmp_path / "out" / "pixels.npy"))
    assert again.affine == decoded.affine


def test_without_cleaning_there_is_no_cleaned_file(tmp_path: Path) -> None:
    decoded, _ = shown(tmp_path, with_canaries().to_bytes())
    assert decoded.clean == ""
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["pixels.npy", "preview.png"]
    assert "DOE" not in decoded.to_json()


@pytest.mark.parametrize("name", ["example4d.nii.gz", "example_nifti2.nii.gz", "standard.nii.gz"])
def test_a_real_file_is_cleaned_without_changing_a_voxel(tmp_path: Path, name: str) -> None:
    decoded = decode(files.NIFTI_IMAGES / name, tmp_path, TIGHT, Cleaning(key="00" * 16))
    source, cleaned = nibabel.load(files.NIFTI_IMAGES / name), nibabel.load(tmp_path / decoded.clean)
    assert np.array_equal(source.get_fdata(), cleaned.get_fdata())
    assert np.array_equal(source.affine, cleaned.affine)
    assert cleaned.header["descrip"].tobytes().strip(b"\0") == b""


# What is refused


def claiming(shape: tuple[int, ...], datatype: int = 16, offset: float = 352) -> bytes:
    """A NIfTI-1 header that claims so many voxels, and a few bytes of them."""
    header = nibabel.Nifti1Header()
    header["datatype"], header["bitpix"], header["magic"] = datatype, 32, b"n+1"
    header["dim"] = [len(shape), *shape, *[1] * (7 - len(shape))]
    header["vox_offset"], header["sform_code"] = offset, 1
    return header.binaryblock + bytes(4) + bytes(1000)


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (files.gzipped(claiming((1024, 1024, 1024))), Exhausted, "claims 1074 million values"),
        (claiming((1024, 1024, 1024)), Exhausted, "claims 1074 million values"),
        (claiming((30000, 30000, 1)), Exhausted, "megapixels"),
        (claiming((2, 2, 32767)), Exhausted, "claims 32767 frames"),
        (claiming((500, 500, 500)), Exhausted, "claims 500 MB"),
        (claiming((64, 64, 64)), BadInput, "incomplete: it has 1000 of 1048576 bytes"),
        (files.gzipped(claiming((64, 64, 64))), BadInput, "incomplete: it has 1000 of 1048576 bytes"),
        (claiming((0, 64, 64)), BadInput, "no pixels"),
        (claiming((8, 8, 8), offset=1e9), BadInput, "do not begin where its header says"),
        (claiming((2, 2, 2), datatype=32), BadInput, "complex64"),
        (b"\x5c\x01\0\0" + bytes(340) + b"ni1\0", BadInput, "one half of a NIfTI pair"),
        (b"\x5c\x01\0\0" + bytes(340), BadInput, "Analyze"),
        (files.sample_nifti_gz()[:4000], BadInput, "cannot be inflated"),
        (files.sample_nifti()[:20000], BadInput, "incomplete"),
        (files.nifti_bytes(head(), RAS, version=2)[:400], BadInput, "ends within its header"),
        (files.gzipped(b"hello" * 100), BadInput, "gzip archive without a NIfTI"),
        (files.gzipped(files.sample_nifti())[:-6] + b"\0\0\0\0\0\0", BadInput, "cannot be inflated"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_volume_is_refused_before_memory_is_used(tmp_path: Path, content: bytes, kind, said: str) -> None:
    with pytest.raises(kind) as caught:
        shown(tmp_path, content)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not any((tmp_path / "out").iterdir())


def test_what_follows_the_voxels_in_a_gzip_stream_is_never_inflated(tmp_path: Path) -> None:
    """Five gigabytes of zeros behind a good volume: read, in the time and memory of the volume."""
    good = files.sample_nifti()
    blank = gzip.compress(bytes(50_000_000), 9)
    decoded, _ = shown(tmp_path, files.gzipped(good) + blank * 100)
    assert decoded.frames == 25


@pytest.mark.parametrize("kind", ["nii", "nii.gz"])
def test_a_volume_larger_than_the_limit_on_memory_is_one_line(tmp_path: Path, kind: str) -> None:
    content = files.nifti_bytes(np.zeros((320, 320, 320), dtype=np.float32), RAS)
    (tmp_path / "a").write_bytes(files.gzipped(content) if kind == "nii.gz" else content)
    with pytest.raises(InferenceError) as caught:
        decode(tmp_path / "a", tmp_path / "out", Limits(memory=250_000_000))
    assert "memory" in str(caught.value)
