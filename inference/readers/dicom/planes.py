"""Where each frame of a data set lies, when it was taken, and how it is scaled: from the root or functional groups."""

from __future__ import annotations

import math
import re
from datetime import date

from pydicom.dataset import Dataset

from inference.readers.dicom.elements import items, number, numbers, uid
from inference.readers.dicom.geometry import Plane
from inference.readers.dicom.opening import frame_count
from inference.readers.dicom.values import Rescale, usable


def planes(dataset: Dataset, source: int) -> list[Plane]:
    """A Plane for each frame of the file that is number `source` of its series, in the order of frames."""
    count = frame_count(dataset)
    shared, each = _groups(dataset)
    if count == 1 and not (shared or each):
        return [_single(dataset, source)]
    offsets = numbers(dataset, "GridFrameOffsetVector")  # RT Dose
    own = [group if group is not None else Dataset() for group in [*each, *[None] * count][:count]]
    if not (shared or each):
        whole = _single(dataset, source)
        return [_dose(whole, frame, offsets if len(offsets) == count else []) for frame in range(count)]
    return [_grouped(dataset, source, frame, group, shared) for frame, group in enumerate(own)]


def voi_of(dataset: Dataset, frame: int) -> Dataset:
    """The VOI LUT elements that hold for a frame of the file: its functional group, the shared one, or the root."""
    shared, each = _groups(dataset)
    own = each[frame] if frame < len(each) else Dataset()
    return _macro(own, shared, "FrameVOILUTSequence") or _only(
        dataset, "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction", "VOILUTSequence"
    )


def rescale_of(group: Dataset) -> Rescale | None:
    """Slope and intercept, also the scaling of an RT dose; None when they are absent, BAD ones are (nan, nan)."""
    slope, intercept = number(group, "RescaleSlope"), number(group, "RescaleIntercept")
    if slope is None and intercept is None:
        slope = number(group, "DoseGridScaling")
        if slope is None:
            return None
    found = (1.0 if slope is None else slope), (intercept or 0.0)
    return found if usable(*found) else (math.nan, math.nan)


def _groups(dataset: Dataset) -> tuple[Dataset, list[Dataset]]:
    shared = items(dataset, "SharedFunctionalGroupsSequence")
    return (shared[0] if shared else Dataset()), items(dataset, "PerFrameFunctionalGroupsSequence")


def _macro(own: Dataset, shared: Dataset, keyword: str) -> Dataset:
    """The first item of a functional group macro, the frame's own before the shared one; empty when absent."""
    found = items(own, keyword) or items(shared, keyword)
    return found[0] if found else Dataset()


def _only(dataset: Dataset, *keywords: str) -> Dataset:
    part = Dataset()
    for keyword in keywords:
        if keyword in dataset:
            part[keyword] = dataset[keyword]
    return part


def _single(dataset: Dataset, source: int) -> Plane:
    return Plane(
        source=source,
        frame=0,
        instance=uid(dataset, "SOPInstanceUID"),
        number=number(dataset, "InstanceNumber") or 0.0,
        position=_three(numbers(dataset, "ImagePositionPatient")),
        direction=_direction(numbers(dataset, "ImageOrientationPatient")),
        spacing=_two(numbers(dataset, "PixelSpacing")),
        thickness=number(dataset, "SliceThickness") or 0.0,
        rescale=None if items(dataset, "ModalityLUTSequence") else rescale_of(dataset),
        times=_times(dataset),
    )


def _dose(whole: Plane, frame: int, offsets: list[float]) -> Plane:
    """A frame of a file without functional groups: unplaced, but for an RT dose, whose frames lie at offsets."""
    position = None
    if offsets and whole.position and whole.normal:
        far = offsets[frame] - offsets[0]
        position = tuple(whole.position[axis] + far * whole.normal[axis] for axis in range(3))
    return whole.at(frame, _three(list(position or ())))


def _grouped(dataset: Dataset, source: int, frame: int, own: Dataset, shared: Dataset) -> Plane:
    measures = _macro(own, shared, "PixelMeasuresSequence")
    return Plane(
        source=source,
        frame=frame,
        instance=uid(dataset, "SOPInstanceUID"),
        number=number(dataset, "InstanceNumber") or 0.0,
        position=_three(numbers(_macro(own, shared, "PlanePositionSequence"), "ImagePositionPatient")),
        direction=_direction(numbers(_macro(own, shared, "PlaneOrientationSequence"), "ImageOrientationPatient")),
        spacing=_two(numbers(measures, "PixelSpacing")),
        thickness=number(measures, "SliceThickness") or 0.0,
        rescale=rescale_of(_macro(own, shared, "PixelValueTransformationSequence")),
        times={**_frame_times(own, shared), "Frame": float(frame)},
    )


def _times(dataset: Dataset) -> dict[str, float]:
    """What may tell apart images of one position, in seconds or as a count: only their order is used."""
    found = {
        "TemporalPositionIdentifier": number(dataset, "TemporalPositionIdentifier"),
        "TriggerTime": number(dataset, "TriggerTime"),
        "AcquisitionTime": _clock(str(dataset.get("AcquisitionDate") or ""), str(dataset.get("AcquisitionTime") or "")),
        "AcquisitionNumber": number(dataset, "AcquisitionNumber"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _frame_times(own: Dataset, shared: Dataset) -> dict[str, float]:
    content = _macro(own, shared, "FrameContentSequence")
    stamp = str(content.get("FrameAcquisitionDateTime") or content.get("FrameReferenceDateTime") or "")
    heart = _macro(own, shared, "CardiacSynchronizationSequence")
    found = {
        "TemporalPositionIdentifier": number(content, "TemporalPositionIndex"),
        "TriggerTime": number(heart, "NominalCardiacTriggerDelayTime"),
        "AcquisitionTime": _clock(stamp[:8], stamp[8:]),
        "AcquisitionNumber": number(content, "FrameAcquisitionNumber"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _clock(day: str, time: str) -> float | None:
    """Seconds of a DICOM date (may be missing) and time (HHMMSS.FFFFFF); None when the time is malformed."""
    match = re.match(r"(\d\d)(\d\d)?(\d\d(?:\.\d{1,6})?)?", time)
    if not match:
        return None
    seconds = int(match[1]) * 3600 + int(match[2] or 0) * 60 + float(match[3] or 0)
    try:
        return date(int(day[:4]), int(day[4:6]), int(day[6:8])).toordinal() * 86400 + seconds
    except ValueError:
        return seconds


def _three(values: list[float]) -> tuple[float, float, float] | None:
    return (values[0], values[1], values[2]) if len(values) == 3 and max(map(abs, values)) < 1e6 else None


def _two(values: list[float]) -> tuple[float, float] | None:
    return (values[0], values[1]) if len(values) == 2 and all(0 < value < 1000 for value in values) else None


def _direction(values: list[float]) -> tuple[float, ...] | None:
    """Six cosines of the directions of rows and columns, which must be of length 1 and at right angles."""
    if len(values) != 6:
        return None
    row, column = values[:3], values[3:]
    lengths = (math.hypot(*row), math.hypot(*column))
    slant = sum(one * other for one, other in zip(row, column, strict=True))
    if any(abs(length - 1) > 0.01 for length in lengths) or abs(slant) > 0.01:
        return None
    return tuple(value / lengths[index // 3] for index, value in enumerate(values))
