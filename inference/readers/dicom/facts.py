"""What the header says of a series beside its pixels: spacing, unit, orientation, time, UIDs, what to warn of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset

from inference.readers.dicom.elements import code, items, number, numbers, parts, uid
from inference.readers.dicom.geometry import Plane
from inference.types import Spacing, SpacingSource

MAGNIFIED = (
    "Lengths are measured at the detector; the file estimates that it magnifies {factor:.3g} times, so true lengths"
    " are about {share:.0%} of those shown."
)
SUPPLEMENTAL = "This file carries a supplemental colour map, which is not shown: the picture is grey."
UNEVEN_TIME = "The frames are {low:g} to {high:g} ms apart; they are played at their mean."


def modality(dataset: Dataset) -> str:
    """The DICOM code, "unknown" when absent or malformed."""
    found = code(dataset, "Modality")
    return found if found and re.fullmatch("[A-Z]{2,9}", found) else "unknown"


def spacing(dataset: Dataset, plane: Plane) -> Spacing | None:
    """PixelSpacing, else ImagerPixelSpacing, else None: never an assumed value.

    A projection's PixelSpacing that only repeats ImagerPixelSpacing, without a calibration, is still measured at the
    detector (PS3.3 10.7.1.3), and is reported as such.
    """
    patient, imager = numbers(dataset, "PixelSpacing"), numbers(dataset, "ImagerPixelSpacing")
    copied = patient == imager and "PixelSpacingCalibrationType" not in dataset
    grouped = list(plane.spacing) if plane.spacing else patient
    candidates: list[tuple[SpacingSource, list[float]]] = [("PixelSpacing", grouped), ("ImagerPixelSpacing", imager)]
    for source, values in reversed(candidates) if copied else candidates:
        if len(values) == 2 and all(0 < value < 1000 for value in values):
            return Spacing(values[0], values[1], source)
    return None


def orientation(dataset: Dataset) -> tuple[str, str] | None:
    """PatientOrientation of an upright human image, such as ("L", "F"); None when absent or malformed."""
    found = parts(dataset, "PatientOrientation")
    if len(found) == 2 and all(re.fullmatch("[LRAPHF]{1,3}", part) for part in found):
        return found[0], found[1]
    return None


def unit(dataset: Dataset) -> str:
    """ "HU" when the rescale says so, or for CT that rescales and does not say otherwise (PS3.3 C.8.2.1.1.2).

    A localiser is a projection: its numbers are not Hounsfield units unless the file names them so.
    """
    tables = items(dataset, "ModalityLUTSequence")
    named = code(tables[0], "ModalityLUTType") if tables else code(_rescaling(dataset), "RescaleType")
    if named == "HU":
        return "HU"
    silent = not named and not tables and number(_rescaling(dataset), "RescaleIntercept") is not None
    localiser = "LOCALIZER" in (code(dataset, "ImageType") or "")
    return "HU" if modality(dataset) == "CT" and silent and not localiser else ""


def frame_ms(dataset: Dataset, notes: list[str]) -> float | None:
    """Milliseconds from frame to frame of a cine (PS3.3 C.7.6.5); None when the file says nothing of it."""
    time = number(dataset, "FrameTime")
    if time is None:
        steps = numbers(dataset, "FrameTimeVector")[1:]  # the first is the offset of the first frame
        if steps:
            time = sum(steps) / len(steps)
            if max(steps) - min(steps) > 0.05 * time:
                notes.append(UNEVEN_TIME.format(low=min(steps), high=max(steps)))
    for keyword in ("CineRate", "RecommendedDisplayFrameRate"):
        rate = number(dataset, keyword)
        if not time and rate and rate > 0:
            time = 1000.0 / rate
    return time if time and 0.1 <= time <= 600_000 else None


def sentences(dataset: Dataset, found: Spacing | None) -> list[str]:
    """What a careful reader would warn of."""
    said = []
    factor = number(dataset, "EstimatedRadiographicMagnificationFactor")
    if factor and 1 < factor < 10 and found and found.source == "ImagerPixelSpacing":
        said.append(MAGNIFIED.format(factor=factor, share=1 / factor))
    if dataset.PhotometricInterpretation != "PALETTE COLOR" and "RedPaletteColorLookupTableDescriptor" in dataset:
        said.append(SUPPLEMENTAL)
    return said


def uids(dataset: Dataset, planes: Sequence[Plane]) -> dict[str, Any]:
    """Study, series, frame of reference, and the instances in the order of frames.

    Frames of one file: `instances` holds its UID once, `instance_frames` the numbers (from 1) of its frames.
    """
    found: dict[str, Any] = {
        "study": uid(dataset, "StudyInstanceUID"),
        "series": uid(dataset, "SeriesInstanceUID"),
        "frame_of_reference": uid(dataset, "FrameOfReferenceUID"),
        "instances": [plane.instance for plane in planes],
    }
    if len(planes) > 1 and len({plane.source for plane in planes}) == 1:
        found["instances"] = [planes[0].instance]
        found["instance_frames"] = [plane.frame + 1 for plane in planes]
    return found


def _rescaling(dataset: Dataset) -> Dataset:
    """Where RescaleType stands: the shared functional group, the first frame's, or the root."""
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in items(dataset, keyword)[:1]:
            for found in items(group, "PixelValueTransformationSequence")[:1]:
                return found
    return dataset
