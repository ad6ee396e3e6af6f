"""SEG and RTSTRUCT data sets to masks. Runs only inside the disposable child of `inference.overlays`.

SEG (PS3.3 A.51): a frame belongs to the instance and frame that it names as its source, else to the slice at its
position. RTSTRUCT (A.19): closed planar contours in patient millimetres, filled on the slice they lie in; a pixel is
inside when its centre is, and a contour within a contour is a hole. Does not handle: a segmentation on another grid
than its image's, contours across slices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array

from inference.errors import BadInput, Exhausted
from inference.overlays import Overlay, Reference
from inference.readers.dicom.opening import open_dicom
from inference.readers.greys import check_size
from inference.types import Cleaning, Decoded

if TYPE_CHECKING:
    from inference.decode import Limits

SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
STRUCTURES = "1.2.840.10008.5.1.4.1.1.481.3"
REGIONS = 200
CONTOUR_POINTS = 2_000_000

OTHER = "This DICOM file is neither a segmentation nor a structure set."
ELSEWHERE = "This segmentation has frames of {columns} x {rows} pixels, and its image {width} x {height}: no fit."
OTHER_FRAME = "This file was drawn in another frame of reference than its image's, so it cannot be laid on it."
NO_PLACE = "The image says nothing of where it lies in the patient, so contours cannot be laid on it."
TOO_MANY = "This file marks {count} regions; at most {limit} are read."
POINTS = "The contours of this file have more than {limit} points."


def opened(source: Path, limits: Limits) -> Dataset:
    """The data set, its class checked, inflated within limits. Raises BadInput or Exhausted."""
    dataset = open_dicom(source, limits)
    if dataset.get("SOPClassUID") not in (*SEGMENTATIONS, STRUCTURES):
        raise BadInput(OTHER)
    return dataset


def reference(dataset: Dataset, cleaning: Cleaning | None) -> Reference:
    """The series that the regions were drawn on."""
    series = next(_values(dataset, "ReferencedSeriesSequence", "SeriesInstanceUID"), "")
    series = series or next(_values(dataset, "RTReferencedSeriesSequence", "SeriesInstanceUID"), "")
    frame = str(dataset.get("FrameOfReferenceUID") or "")
    frame = frame or next(_values(dataset, "ReferencedFrameOfReferenceSequence", "FrameOfReferenceUID"), "")
    study = str(dataset.get("StudyInstanceUID") or "")
    return Reference(*(_mapped(uid, cleaning) for uid in (series, study, frame)))


def overlays(dataset: Dataset, target: Decoded, cleaning: Cleaning | None, limits: Limits) -> Iterator[Overlay]:
    """Each region that touches the image, in the file's order. Raises BadInput or Exhausted."""
    frame, own = reference(dataset, cleaning).frame_of_reference, str(target.uids.get("frame_of_reference") or "")
    if frame and own and frame != own:
        raise BadInput(OTHER_FRAME)
    if dataset.SOPClassUID == STRUCTURES:
        yield from _structures(dataset, target)
    else:
        yield from _segments(dataset, target, cleaning, limits)


def _values(dataset: Dataset, sequence: str, keyword: str) -> Iterator[str]:
    """Values of `keyword` in items of `sequence`, wherever in the data set they are nested."""
    for element in dataset.iterall():
        if element.keyword == sequence:
            for item in element.value:
                if item.get(keyword):
                    yield str(item.get(keyword))


def _mapped(uid: str, cleaning: Cleaning | None) -> str:
    if not uid or cleaning is None:
        return uid
    from inference.deidentify import mapped_uid

    mapped: str = mapped_uid(uid, cleaning)
    return mapped


def _label(text: object, number: int) -> str:
    """The file's own name of a region if it reads like anatomy, else a number: free text may name a person."""
    label = " ".join(str(text or "").replace("_", " ").split())[:60]
    return label if re.fullmatch(r"[A-Za-z][A-Za-z ()/+,.-]*\d{0,2}[A-Za-z ()]*", label) else f"region {number}"


# SEG


def _segments(dataset: Dataset, target: Decoded, cleaning: Cleaning | None, limits: Limits) -> Iterator[Overlay]:
    segments = list(dataset.SegmentSequence)
    if len(segments) > REGIONS:
        raise Exhausted(TOO_MANY.format(count=len(segments), limit=REGIONS))
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    check_size(rows, columns, limits, int(dataset.get("NumberOfFrames") or 1))
    if (rows, columns) != (target.height, target.width):
        raise BadInput(ELSEWHERE.format(columns=columns, rows=rows, width=target.width, height=target.height))
    frames = pixel_array(dataset).reshape(-1, rows, columns)
    places = [_place(item, dataset, target, cleaning) for item in dataset.PerFrameFunctionalGroupsSequence]
    for number, segment in enumerate(segments, 1):
        mask = _empty(target)
        for frame, item, place in zip(frames, dataset.PerFrameFunctionalGroupsSequence, places, strict=True):
            inside = _inside(frame, dataset, item, int(segment.SegmentNumber))
            if place is not None and inside is not None:
                mask[place][inside] = 255
        if mask.any():
            yield Overlay(
                _label(segment.get("SegmentLabel"), number), f"DICOM SEG, segment {number}", _shaped(mask, target)
            )


def _inside(frame: NDArray[Any], dataset: Dataset, item: Dataset, number: int) -> NDArray[np.bool_] | None:
    """Which pixels of this frame belong to the segment; None for a frame of another one."""
    if dataset.get("SegmentationType") == "LABELMAP":
        return np.asarray(frame == number)
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    marked = item.get("SegmentIdentificationSequence") or shared.get("SegmentIdentificationSequence")
    if not marked or int(marked[0].ReferencedSegmentNumber) != number:
        return None
    most = int(dataset.get("MaximumFractionalValue") or 1) if dataset.get("SegmentationType") == "FRACTIONAL" else 1
    return np.asarray(frame >= max(1, most / 2))


def _place(item: Dataset, dataset: Dataset, target: Decoded, cleaning: Cleaning | None) -> int | None:
    """The frame of the target that this frame of the segmentation lies on, or None when it has none."""
    instances = list(target.uids.get("instances", []))
    for derived in item.get("DerivationImageSequence") or []:
        for source in derived.get("SourceImageSequence") or []:
            uid = _mapped(str(source.get("ReferencedSOPInstanceUID") or ""), cleaning)
            if uid not in instances:
                continue
            number = source.get("ReferencedFrameNumber")
            if number and len(set(instances)) == 1 and target.frames > 1:
                return int(number if not isinstance(number, list) else number[0]) - 1
            return instances.index(uid)
    position = item.get("PlanePositionSequence")
    if position and target.affine is not None:
        return _slice_at([float(x) for x in position[0].ImagePositionPatient], target)
    return 0 if target.frames == 1 and not instances else None


def _slice_at(lps: list[float], target: Decoded) -> int | None:
    index = _indices(np.array([lps]), target)[0, 2]
    nearest = round(float(index))
    return nearest if abs(index - nearest) < 0.25 and 0 <= nearest < target.frames else None


# RTSTRUCT


def _structures(dataset: Dataset, target: Decoded) -> Iterator[Overlay]:
    if target.affine is None:
        raise BadInput(NO_PLACE)
    names = {int(roi.ROINumber): roi.get("ROIName") for roi in dataset.get("StructureSetROISequence") or []}
    contours = list(dataset.get("ROIContourSequence") or [])
    if len(contours) > REGIONS:
        raise Exhausted(TOO_MANY.format(count=len(contours), limit=REGIONS))
    left = CONTOUR_POINTS
    for number, roi in enumerate(contours, 1):
        mask = _empty(target)
        for contour in roi.get("ContourSequence") or []:
            points = np.array([float(x) for x in contour.get("ContourData") or []]).reshape(-1, 3)
            left -= len(points)
            if left < 0:
                raise Exhausted(POINTS.format(limit=CONTOUR_POINTS))
            if contour.get("ContourGeometricType") == "CLOSED_PLANAR" and len(points) >= 3:
                _fill(mask, points, target)
        if mask.any():
            name = _label(names.get(int(roi.ReferencedROINumber)), number)
            yield Overlay(name, f"DICOM RTSTRUCT, structure {number}", _shaped(mask, target))


def _fill(mask: NDArray[np.uint8], lps: NDArray[np.float64], target: Decoded) -> None:
    """Turn the pixels within one contour over: outside becomes inside, and inside a hole."""
    from skimage.draw import polygon

    index = _indices(lps, target)
    place = round(float(index[:, 2].mean()))
    if not 0 <= place < target.frames or np.ptp(index[:, 2]) > 0.5 or abs(index[:, 2].mean() - place) > 0.5:
        return
    rows, columns = polygon(index[:, 1], index[:, 0], (target.height, target.width))
    mask[place][rows, columns] ^= 255


def _indices(lps: NDArray[np.float64], target: Decoded) -> NDArray[np.float64]:
    """(N, 3) columns, rows and slices of points in DICOM's patient millimetres."""
    ras = lps * np.array([-1.0, -1.0, 1.0])
    inverse = np.linalg.inv(np.array(target.affine))
    whole: NDArray[np.float64] = (inverse @ np.column_stack([ras, np.ones(len(ras))]).T).T[:, :3]
    return whole


def _empty(target: Decoded) -> NDArray[np.uint8]:
    return np.zeros((target.frames, target.height, target.width), dtype=np.uint8)


def _shaped(mask: NDArray[np.uint8], target: Decoded) -> NDArray[np.uint8]:
    return mask if target.layout in ("frames", "volume") else mask[0]
