"""Segmentations and structure sets lie on their image where the file says, or are refused with the reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from bench import dicom_samples
from inference.errors import BadInput
from inference.overlays import read_overlays, referenced
from inference.types import Decoded
from tests.inference import files

LIVER = files.WHEEL_IMAGES / "liver.dcm"
GRID = dicom_samples.GRID  # 1 mm pixels, slices 5 mm apart, the first at the origin
CUBE = Decoded(
    kind="dicom",
    modality="CT",
    width=32,
    height=32,
    layout="volume",
    frames=3,
    affine=GRID,
    uids={"frame_of_reference": dicom_samples.FRAME, "instances": ["1", "2", "3"]},
)


@pytest.fixture
def structures(tmp_path: Path) -> Path:
    (tmp_path / "rtstruct.dcm").write_bytes(dicom_samples.structures())
    return tmp_path / "rtstruct.dcm"


def liver_target() -> tuple[Decoded, Dataset]:
    """An image of the three slices that the real segmentation names, in the order of its frames."""
    header = dcmread(LIVER)
    instances = [
        str(group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID)
        for group in header.PerFrameFunctionalGroupsSequence
    ]
    uids = {"instances": instances, "frame_of_reference": str(header.FrameOfReferenceUID)}
    return replace(CUBE, width=512, height=512, affine=None, uids=uids), header


def test_a_real_segmentation_lies_on_the_slices_that_it_names() -> None:
    target, header = liver_target()
    found = read_overlays(LIVER, target)
    whole = np.stack([one.mask for one in found]).max(axis=0)
    assert whole.shape == (3, 512, 512)
    assert np.array_equal(whole > 0, header.pixel_array > 0)


def test_slices_in_another_order_take_their_own_frames() -> None:
    target, header = liver_target()
    backwards = replace(target, uids={**target.uids, "instances": target.uids["instances"][::-1]})
    whole = np.stack([one.mask for one in read_overlays(LIVER, backwards)]).max(axis=0)
    assert np.array_equal(whole > 0, header.pixel_array[::-1] > 0)


def test_a_segmentation_of_another_size_is_refused() -> None:
    target, _ = liver_target()
    with pytest.raises(BadInput, match="512 x 512 pixels, and its image 256 x 256"):
        read_overlays(LIVER, replace(target, width=256, height=256))


def test_contours_are_filled_on_their_slice_and_a_contour_within_is_a_hole(structures: Path) -> None:
    liver, kidney = read_overlays(structures, CUBE)
    assert (liver.label, kidney.label) == ("Liver", "Kidney")
    assert liver.mask[0, 10, 4] == 255
    assert liver.mask[0, 14, 12] == 0, "the hole"
    assert [int(layer.any()) for layer in liver.mask] == [1, 1, 0]
    assert [int(layer.any()) for layer in kidney.mask] == [0, 0, 1]
    square, hole = 26 * 26, 10 * 10 / 2
    assert abs((liver.mask[0] > 0).sum() - (square - hole)) < 60, "within the pixels on its outline"


def test_a_structure_set_of_another_frame_of_reference_is_refused(structures: Path) -> None:
    with pytest.raises(BadInput, match="another frame of reference"):
        read_overlays(structures, replace(CUBE, uids={**CUBE.uids, "frame_of_reference": "1.2.8"}))


def test_a_structure_set_without_a_placed_image_is_refused(structures: Path) -> None:
    with pytest.raises(BadInput, match="says nothing of where it lies"):
        read_overlays(structures, replace(CUBE, affine=None))


def test_what_a_file_was_drawn_on_is_found_in_it(structures: Path) -> None:
    assert referenced(structures).frame_of_reference == dicom_samples.FRAME
    assert referenced(structures).study == dicom_samples.STUDY
    series = dcmread(LIVER).ReferencedSeriesSequence[0].SeriesInstanceUID
    assert referenced(LIVER).series == series


def test_an_image_is_no_overlay(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="neither a segmentation nor a structure set"):
        referenced(files.write_dicom(tmp_path / "a.dcm", files.ramp()))


def test_a_fractional_segmentation_is_shown_from_a_half(tmp_path: Path) -> None:
    target, _ = liver_target()
    dataset = dcmread(LIVER)
    dataset.SegmentationType, dataset.SegmentationFractionalType = "FRACTIONAL", "PROBABILITY"
    dataset.MaximumFractionalValue, dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 200, 8, 8, 7
    values = np.zeros((3, 512, 512), dtype=np.uint8)
    values[:, 5, 5], values[:, 6, 6] = 99, 100
    dataset.PixelData, dataset.file_meta.TransferSyntaxUID = values.tobytes(), ExplicitVRLittleEndian
    dataset.save_as(tmp_path / "a.dcm")
    found = read_overlays(tmp_path / "a.dcm", target)
    assert found
    assert all((one.mask[:, 5, 5] == 0).all() for one in found)
    assert max(one.mask[:, 6, 6].max() for one in found) == 255
