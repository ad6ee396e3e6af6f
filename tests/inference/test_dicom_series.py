"""Slices come in any order, with gaps, doubles and tilts: what is shown is in the order of the patient, or says so."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from inference.decode import Limits, decode, load
from inference.errors import BadInput, Exhausted
from inference.types import Cleaning, Decoded
from tests.inference import files

AXIAL, CORONAL, SAGITTAL = [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]
HEAD_SERIES = files.PYDICOM_IMAGES / "dicomdirtests"


def a_slice(folder: Path, name: str, value: int, position: Any, direction: Any = AXIAL, **elements: Any) -> Path:
    """A slice (16, 20) all of one value, 2 mm a row and 3 mm a column."""
    stored = np.full((16, 20), value, dtype=np.uint16)
    return files.write_dicom(
        folder / name,
        stored,
        **{
            "Modality": "MR",
            "StudyInstanceUID": "1.2.1",
            "SeriesInstanceUID": "1.2.3",
            "FrameOfReferenceUID": "1.2.9",
            "SOPInstanceUID": generate_uid(),
            "ImagePositionPatient": position,
            "ImageOrientationPatient": direction,
            "PixelSpacing": [2, 3],
            **elements,
        },
    )


def slices(folder: Path, heights: Any, **elements: Any) -> list[Path]:
    """Axial slices at these heights, whose value is ten times their height."""
    return [a_slice(folder, f"{n}.dcm", int(10 * z), [-30, -20, z], **elements) for n, z in enumerate(heights)]


def read(sources: list[Path], folder: Path, **options: Any) -> tuple[Decoded, NDArray]:
    decoded = decode(sources, folder / "out", **options)
    return decoded, np.load(folder / "out" / "pixels.npy")


def said(decoded: Decoded, words: str) -> bool:
    return any(words in note for note in decoded.notes)


def test_slices_are_ordered_by_the_patient_and_not_by_name_or_number(tmp_path: Path) -> None:
    heights = [5 * n for n in range(12)]
    sources = slices(tmp_path, heights, InstanceNumber=1)
    random.Random(3).shuffle(sources)
    decoded, pixels = read(sources, tmp_path)
    assert (decoded.layout, decoded.frames, decoded.volumes) == ("volume", 12, 1)
    assert pixels[:, 0, 0].tolist() == [50 * n for n in range(12)], "the most caudal slice first"
    assert load(tmp_path / "out", decoded, 3).pixels[0, 0] == 150


def test_axial_slices_begin_caudal_also_where_their_normal_points_to_the_feet(tmp_path: Path) -> None:
    upside_down = [1, 0, 0, 0, -1, 0]
    sources = [a_slice(tmp_path, f"{z}.dcm", z, [0, 0, z], upside_down) for z in (9, 3, 6)]
    decoded, pixels = read(sources, tmp_path)
    assert pixels[:, 0, 0].tolist() == [3, 6, 9]
    assert np.array(decoded.affine)[2, 2:].tolist() == [3, 3], "towards the head, from where the lowest lies"


def test_the_affine_places_every_voxel_in_ras_millimetres(tmp_path: Path) -> None:
    decoded, _ = read(slices(tmp_path, [10, 14, 18, 22]), tmp_path)
    column, row, slice_ = 7, 5, 2
    left, posterior, head = -30 + 3 * column, -20 + 2 * row, 10 + 4 * slice_  # DICOM's L-P-S, by hand
    assert np.array(decoded.affine) @ [column, row, slice_, 1] == pytest.approx([-left, -posterior, head, 1])
    assert (decoded.spacing.row_mm, decoded.spacing.column_mm) == (2, 3)


@pytest.mark.parametrize(("direction", "axis"), [(CORONAL, 1), (SAGITTAL, 0)], ids=["coronal", "sagittal"])
def test_other_directions_go_along_their_normal(tmp_path: Path, direction: list[int], axis: int) -> None:
    normal = np.cross(direction[:3], direction[3:])
    sources = [a_slice(tmp_path, f"{n}.dcm", n, (normal * n * 4.0).tolist(), direction) for n in (2, 0, 3, 1)]
    decoded, pixels = read(sources, tmp_path)
    assert decoded.layout == "volume"
    assert pixels[:, 0, 0].tolist() == [0, 1, 2, 3]
    assert abs(np.array(decoded.affine)[axis, 2]) == pytest.approx(4)


def test_an_oblique_volume_is_placed_to_a_hundredth_of_a_millimetre(tmp_path: Path) -> None:
    row, column = np.array([0.8, 0.6, 0]), np.array([-0.36, 0.48, 0.8])
    normal, start = np.cross(row, column), np.array([12.5, -30.25, 100])
    sources = [a_slice(tmp_path, f"{n}.dcm", n, (start + 2.5 * n * normal).tolist(), [*row, *column]) for n in range(4)]
    decoded, _ = read(sources[::-1], tmp_path)
    expected = start + 3 * 7 * row + 2 * 5 * column + 2.5 * 3 * normal
    assert np.array(decoded.affine) @ [7, 5, 3, 1] == pytest.approx(
        [-expected[0], -expected[1], expected[2], 1], abs=0.01
    )


def test_a_missing_slice_is_reported_and_no_volume_is_pretended(tmp_path: Path) -> None:
    decoded, pixels = read(slices(tmp_path, [0, 5, 10, 20, 25]), tmp_path)
    assert (decoded.layout, decoded.affine, len(pixels)) == ("frames", None, 5)
    assert said(decoded, "1 slices seem to be missing: after slice 3 the gap is 10.00 mm where others are 5.00 mm")
    assert pixels[:, 0, 0].tolist() == [0, 50, 100, 200, 250]


def test_a_double_slice_is_left_out_and_said(tmp_path: Path) -> None:
    sources = slices(tmp_path, [0, 5, 10])
    sources.append(a_slice(tmp_path, "again.dcm", 999, [-30, -20, 5], InstanceNumber=9))
    decoded, pixels = read(sources, tmp_path)
    assert decoded.layout == "volume"
    assert pixels[:, 0, 0].tolist() == [0, 50, 100]
    assert said(decoded, "1 images lie exactly where another does")
    assert len(decoded.uids["instances"]) == 3


def test_uneven_slices_are_pictures(tmp_path: Path) -> None:
    decoded, _ = read(slices(tmp_path, [0, 5, 11, 19]), tmp_path)
    assert decoded.layout == "frames"
    assert said(decoded, "unevenly spaced (5.00 to 8.00 mm)")


def test_rounded_positions_are_even(tmp_path: Path) -> None:
    decoded, _ = read(
        slices(tmp_path, [0, 0.6, 1.3, 1.9, 2.5][:1] + [round(0.625 * n, 2) for n in range(1, 6)]), tmp_path
    )
    assert decoded.layout == "volume"


def test_two_slices_are_no_volume(tmp_path: Path) -> None:
    assert read(slices(tmp_path, [5, 0]), tmp_path)[0].layout == "frames"


def test_mixed_directions_are_pictures_and_said(tmp_path: Path) -> None:
    sources = [*slices(tmp_path, [0, 5, 10]), a_slice(tmp_path, "scout.dcm", 7, [0, 0, 0], SAGITTAL)]
    decoded, _ = read(sources, tmp_path)
    assert decoded.layout == "frames"
    assert said(decoded, "2 orientations")


def test_a_tilted_gantry_shears_the_affine_and_is_said(tmp_path: Path) -> None:
    sources = [a_slice(tmp_path, f"{n}.dcm", n, [0, 1.0 * n, 5 * n]) for n in range(4)]
    decoded, _ = read(sources, tmp_path)
    assert decoded.layout == "volume"
    assert np.array(decoded.affine)[:3, 2] == pytest.approx([0, -1, 5])
    assert said(decoded, "tilted by 11.3 degrees")


def test_a_prone_patient_is_not_shown_as_if_supine(tmp_path: Path) -> None:
    prone = [-1, 0, 0, 0, -1, 0]
    decoded, _ = read([a_slice(tmp_path, f"{n}.dcm", n, [0, 0, n], prone) for n in range(3)], tmp_path)
    assert said(decoded, "patient's left is on the left")


def test_every_slice_of_a_pet_is_rescaled_by_its_own_slope(tmp_path: Path) -> None:
    slopes = [1, 2.5, 4]
    sources = [
        a_slice(
            tmp_path, f"{n}.dcm", 100, [0, 0, n], Modality="PT", RescaleSlope=slope, RescaleIntercept=0, Units="BQML"
        )
        for n, slope in enumerate(slopes)
    ]
    decoded, pixels = read(sources, tmp_path)
    assert pixels[:, 0, 0].tolist() == [100, 250, 400]
    assert decoded.header["Units"] == "BQML"


def test_time_points_become_volumes(tmp_path: Path) -> None:
    sources = [
        a_slice(tmp_path, f"{z}-{t}.dcm", 10 * t + z, [0, 0, 4 * z], TemporalPositionIdentifier=t + 1)
        for t in range(3)
        for z in range(4)
    ]
    random.Random(1).shuffle(sources)
    decoded, pixels = read(sources, tmp_path)
    assert (decoded.layout, decoded.frames, decoded.volumes, pixels.shape) == ("volume", 4, 3, (3, 4, 16, 20))
    assert pixels[:, :, 0, 0].tolist() == [[10 * t + z for z in range(4)] for t in range(3)]
    assert len(decoded.uids["instances"]) == 12


def test_times_of_acquisition_tell_time_points_apart_too(tmp_path: Path) -> None:
    sources = [
        a_slice(tmp_path, f"{z}-{t}.dcm", 10 * t + z, [0, 0, 4 * z], AcquisitionTime=f"1000{30 + 2 * t}.{z}")
        for t in (1, 0)
        for z in range(3)
    ]
    decoded, pixels = read(sources, tmp_path)
    assert decoded.volumes == 2
    assert pixels[1, :, 0, 0].tolist() == [10, 11, 12]


def test_an_incomplete_series_in_time_is_said(tmp_path: Path) -> None:
    sources = [
        a_slice(tmp_path, f"{z}-{t}.dcm", 10 * t + z, [0, 0, 4 * z], TemporalPositionIdentifier=t + 1)
        for z, t in ((0, 0), (1, 0), (2, 0), (0, 1), (1, 1))
    ]
    decoded, pixels = read(sources, tmp_path)
    assert decoded.volumes == 1
    assert pixels.shape == (3, 16, 20)
    assert said(decoded, "2 images lie exactly where another does")


def test_a_cine_at_one_place_is_in_order_of_time(tmp_path: Path) -> None:
    sources = [a_slice(tmp_path, f"{t}.dcm", t, [0, 0, 0], TriggerTime=50 * t) for t in (2, 0, 1)]
    decoded, pixels = read(sources, tmp_path)
    assert decoded.layout == "frames"
    assert pixels[:, 0, 0].tolist() == [0, 1, 2]


def test_one_damaged_slice_costs_itself_only(tmp_path: Path) -> None:
    sources = slices(tmp_path, [0, 5, 10, 15])
    sources[3].write_bytes(sources[3].read_bytes()[:-100])
    decoded, pixels = read(sources, tmp_path)
    assert len(pixels) == 3
    assert said(
        decoded, "1 of 4 files could not be read and are left out; the first reason: This DICOM file is incomplete"
    )


def test_files_of_another_size_are_left_out_of_an_array(tmp_path: Path) -> None:
    other = files.write_dicom(tmp_path / "big.dcm", files.ramp(side=32), SeriesInstanceUID="1.2.3")
    decoded, pixels = read([*slices(tmp_path, [0, 5, 10]), other], tmp_path)
    assert pixels.shape == (3, 16, 20)
    assert said(decoded, "another size or kind")


def test_a_series_without_one_readable_file_is_refused(tmp_path: Path) -> None:
    for name in ("a.dcm", "b.dcm"):
        (tmp_path / name).write_bytes(bytes(128) + b"DICM")
    with pytest.raises(BadInput, match="DICOM"):
        decode([tmp_path / "a.dcm", tmp_path / "b.dcm"], tmp_path / "out")


def test_monochrome1_is_mirrored_within_the_range_of_the_series(tmp_path: Path) -> None:
    sources = slices(tmp_path, [0, 5, 10], PhotometricInterpretation="MONOCHROME1")
    decoded, pixels = read(sources, tmp_path)
    assert decoded.inverted
    assert pixels[:, 0, 0].tolist() == [100, 50, 0]


def test_a_real_series_of_ct_is_read(tmp_path: Path) -> None:
    sources = sorted((HEAD_SERIES / "77654033" / "CT2").iterdir())
    decoded, pixels = read(sources, tmp_path)
    heights = sorted(float(dcmread(source).ImagePositionPatient[2]) for source in sources)
    assert decoded.frames == len(sources)
    place = {dcmread(source).SOPInstanceUID: float(dcmread(source).ImagePositionPatient[2]) for source in sources}
    assert [place[instance] for instance in decoded.uids["instances"]] == heights
    assert decoded.unit == "HU"
    assert pixels.dtype == np.int16


def enhanced(folder: Path, heights: list[float], per_frame: bool = True) -> Path:
    """An enhanced MR: one file, frames at these heights, each with its own rescale slope."""
    count = len(heights)
    groups = []
    for number, z in enumerate(heights):
        group, position, transform = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, z]
        transform.RescaleSlope, transform.RescaleIntercept, transform.RescaleType = number + 1, 0, "US"
        group.PlanePositionSequence = [position]
        group.PixelValueTransformationSequence = [transform]
        groups.append(group)
    shared, direction, measures = Dataset(), Dataset(), Dataset()
    direction.ImageOrientationPatient = AXIAL
    measures.PixelSpacing, measures.SliceThickness = [2, 3], 4
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [direction], [measures]
    return files.write_dicom(
        folder / "enhanced.dcm",
        np.full((count, 16, 20), 10, dtype=np.uint16),
        Rows=16,
        Columns=20,
        NumberOfFrames=count,
        Modality="MR",
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=groups if per_frame else groups[:1],
    )


def test_the_frames_of_an_enhanced_file_are_a_volume(tmp_path: Path) -> None:
    decoded, pixels = read([enhanced(tmp_path, [8, 4, 12, 0])], tmp_path)
    assert (decoded.layout, decoded.frames) == ("volume", 4)
    assert pixels[:, 0, 0].tolist() == [40, 20, 10, 30], "each frame by its own slope, in the order of the patient"
    assert decoded.uids["instance_frames"] == [4, 2, 1, 3]
    assert len(decoded.uids["instances"]) == 1
    assert (decoded.spacing.row_mm, decoded.spacing.column_mm) == (2, 3)


def test_an_enhanced_file_that_places_too_few_frames_is_pictures(tmp_path: Path) -> None:
    decoded, pixels = read([enhanced(tmp_path, [0, 4, 8], per_frame=False)], tmp_path)
    assert decoded.layout == "frames"
    assert len(pixels) == 3
    assert said(decoded, "2 of 3 images say nothing of where they lie")


def test_frames_of_one_file_are_never_taken_for_doubles(tmp_path: Path) -> None:
    decoded, pixels = read([enhanced(tmp_path, [0, 0, 0])], tmp_path)
    assert decoded.layout == "frames"
    assert pixels[:, 0, 0].tolist() == [10, 20, 30]


def test_the_clean_copy_of_a_series_is_in_order_and_keeps_its_pixels(tmp_path: Path) -> None:
    sources = slices(tmp_path, [10, 0, 5])
    original = [dcmread(source).SOPInstanceUID for source in (sources[1], sources[2], sources[0])]
    decoded, _ = read(sources, tmp_path, cleaning=Cleaning(key="00" * 32))
    assert decoded.clean == "clean.zip"
    with zipfile.ZipFile(tmp_path / "out" / "clean.zip") as archive:
        assert archive.namelist() == ["0001.dcm", "0002.dcm", "0003.dcm"]
        copies = [dcmread(archive.open(name)) for name in archive.namelist()]
    assert [int(copy.pixel_array[0, 0]) for copy in copies] == [0, 50, 100]
    assert [copy.SOPInstanceUID for copy in copies] == decoded.uids["instances"]
    assert {copy.SeriesInstanceUID for copy in copies} == {decoded.uids["series"]}
    assert not set(original) & set(decoded.uids["instances"])
    assert b"Doe" not in (tmp_path / "out" / "clean.zip").read_bytes()


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "image_dfl.dcm", "examples_jpeg2k.dcm", "MR_small_bigendian.dcm"])
def test_a_clean_copy_shows_the_same_picture(tmp_path: Path, name: str) -> None:
    decoded, pixels = read([files.PYDICOM_IMAGES / name], tmp_path, cleaning=Cleaning(key="11" * 32))
    again = decode(tmp_path / "out" / decoded.clean, tmp_path / "again")
    assert np.array_equal(np.load(tmp_path / "again" / "pixels.npy"), pixels)
    assert again.uids == decoded.uids


def test_many_frames_are_refused_before_a_pixel_is_read(tmp_path: Path) -> None:
    with pytest.raises(Exhausted, match="at most 2 are read"):
        decode(slices(tmp_path, [0, 5, 10]), tmp_path / "out", Limits(frames=2))


def test_a_series_has_more_time_the_more_files_it_has(tmp_path: Path) -> None:
    sources = slices(tmp_path, [0]) * 500
    assert Limits().for_sources(sources[:1]).wall_s == 20
    assert Limits().for_sources(sources).wall_s == pytest.approx(69.9, abs=0.1)
    assert Limits().for_sources(sources * 20).wall_s == 120
    assert Limits(wall_s=300.0).for_sources(sources).wall_s == 300
