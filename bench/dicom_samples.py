"""Good DICOM files for `bench.mutations`, real ones of the wheels and ones made here, and how an upload reads each."""

from __future__ import annotations

import io
import zipfile
from importlib.util import find_spec
from pathlib import Path

from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, RTStructureSetStorage

from inference.decode import decode
from inference.errors import BadInput
from inference.overlays import read_overlays, referenced
from inference.sorting import Received, sort
from inference.types import Decoded

Contour = tuple[tuple[tuple[int, int], ...], int]
"""Corners (x, y) in millimetres, and their height."""
FRAME, SERIES, STUDY = "1.2.9", "1.2.3", "1.2.1"
GRID = ((-1.0, 0.0, 0.0, 0.0), (0.0, -1.0, 0.0, 0.0), (0.0, 0.0, 5.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def _package(name: str, *parts: str) -> Path:
    spec = find_spec(name)
    assert spec
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations))).joinpath(*parts)


def _pydicom(name: str) -> Path:
    return _package("pydicom", "data", "test_files", name)


def plain() -> bytes:
    return _pydicom("MR_small.dcm").read_bytes()


def jpeg2000() -> bytes:
    return _pydicom("examples_jpeg2k.dcm").read_bytes()


def jpeg_ls() -> bytes:
    return _pydicom("MR_small_jpeg_ls_lossless.dcm").read_bytes()


def rle() -> bytes:
    return _pydicom("MR_small_RLE.dcm").read_bytes()


def jpeg_lossless() -> bytes:
    return _package("data_store", "data", "JPEG-LL.dcm").read_bytes()


def jpeg_cine() -> bytes:
    return _pydicom("examples_ybr_color.dcm").read_bytes()


def deflated() -> bytes:
    return _pydicom("image_dfl.dcm").read_bytes()


def multiframe() -> bytes:
    """An enhanced CT of two frames with functional groups."""
    return _package("data_store", "data", "eCT_Supplemental.dcm").read_bytes()


def segmentation() -> bytes:
    return _pydicom("liver_1frame.dcm").read_bytes()


def structures() -> bytes:
    """A structure set of two structures, a square with a hole on two slices and a triangle on one."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = RTStructureSetStorage, UID("1.2.4")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = RTStructureSetStorage, "1.2.4", "RTSTRUCT"
    dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = STUDY, FRAME
    square, hole, triangle = (
        ((2, 2), (2, 28), (28, 28), (28, 2)),
        ((9, 9), (9, 19), (19, 19)),
        ((3, 4), (9, 4), (5, 20)),
    )
    drawn: dict[str, list[Contour]] = {
        "Liver": [(square, 0), (hole, 0), (square, 5), (hole, 5)],
        "Kidney": [(triangle, 10)],
    }
    dataset.StructureSetROISequence = [_named(number, name) for number, name in enumerate(drawn, 1)]
    dataset.ROIContourSequence = [_drawn(number, contours) for number, contours in enumerate(drawn.values(), 1)]
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _named(number: int, name: str) -> Dataset:
    roi = Dataset()
    roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, FRAME
    return roi


def _drawn(number: int, contours: list[Contour]) -> Dataset:
    roi = Dataset()
    roi.ReferencedROINumber, roi.ContourSequence = number, []
    for points, height in contours:
        contour = Dataset()
        contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
        contour.ContourData = [value for x, y in points for value in (x, y, height)]
        roi.ContourSequence.append(contour)
    return roi


def archive() -> bytes:
    """Four files in a zip, deflated."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name in ("MR_small.dcm", "MR_small_RLE.dcm", "CT_small.dcm", "rtplan.dcm"):
            made.write(_pydicom(name), f"study/{name}")
    return buffer.getvalue()


def decode_one(source: Path, folder: Path) -> None:
    decode(source, folder)


def overlay_of_segmentation(source: Path, folder: Path) -> None:
    header = dcmread(io.BytesIO(segmentation()), stop_before_pixels=True)
    image = header.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    uids = {"instances": [str(image.ReferencedSOPInstanceUID)]}
    target = Decoded(kind="dicom", modality="CT", width=512, height=512, affine=GRID, uids=uids)
    referenced(source)
    read_overlays(source, target)


def overlay_of_structures(source: Path, folder: Path) -> None:
    target = Decoded(
        kind="dicom", modality="CT", width=32, height=32, layout="volume", frames=3, affine=GRID, uids={"instances": []}
    )
    referenced(source)
    read_overlays(source, target)


def sort_one(source: Path, folder: Path) -> None:
    """Unpack and sort; refused when no file is left, as an upload then is."""
    found = sort([Received(source, "study.zip")], folder)
    if not found.series:
        raise BadInput(found.refused[0].reason)
