"""Elements of a data set as numbers, codes and words that may be shown: never a name, id, date or free text."""

from __future__ import annotations

import math
import re
from collections.abc import MutableSequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID

from inference.terms import is_term

# Technical elements only, each by its own rule, so that a name typed into the wrong one stays out. Identities, dates,
# UIDs, descriptions and comments are not here at all. The maker and model of the device are the only words.
WORDS = ("Manufacturer", "ManufacturerModelName")
PEOPLE = ("PatientName", "PatientID", "OtherPatientIDs", "ReferringPhysicianName", "PerformingPhysicianName")
CODES = (
    *("Modality", "BodyPartExamined", "ViewPosition", "ImageLaterality", "PatientOrientation"),
    *("PhotometricInterpretation", "RescaleType", "VOILUTFunction", "Grid", "LossyImageCompression"),
    *("BurnedInAnnotation", "ConversionType", "Units", "DoseUnits", "DoseType", "PatientPosition"),
)
NUMBERS = (
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation"),
    *("PixelSpacing", "ImagerPixelSpacing", "SliceThickness", "SpacingBetweenSlices", "RescaleSlope"),
    *("RescaleIntercept", "WindowCenter", "WindowWidth", "KVP", "ExposureTime", "XRayTubeCurrent", "Exposure"),
    *("DistanceSourceToDetector", "DistanceSourceToPatient", "EstimatedRadiographicMagnificationFactor"),
    *("MagneticFieldStrength", "EchoTime", "RepetitionTime", "FlipAngle", "GantryDetectorTilt", "FrameTime"),
)


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """The finite values of a numeric element, single or multi-valued; empty when absent, empty or not numbers."""
    try:
        value = dataset.get(keyword)
        values = [] if value is None or value == "" else [value]
        found = [float(item) for item in (value if isinstance(value, MutableSequence) else values)]
    except (ValueError, TypeError, OverflowError, AttributeError):
        return []
    return found if all(math.isfinite(number) for number in found) else []


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first value of a numeric element, or None."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def parts(dataset: Dataset, keyword: str) -> list[str]:
    """The values of an element as text, one or several."""
    value = dataset.get(keyword)
    return [str(part) for part in (value if isinstance(value, MutableSequence) else [value])] if value else []


def code(dataset: Dataset, keyword: str) -> str | None:
    """Code strings (CS) of known words; None when one is something else: it may be a name that was typed there."""
    found = [part.strip().upper() for part in parts(dataset, keyword)]
    return ", ".join(found) or None if all(part and is_term(keyword, part) for part in found) else None


def uid(dataset: Dataset, keyword: str) -> str:
    """A UID of digits and points, "" when absent or malformed."""
    found = str(dataset.get(keyword) or "").strip(" \0")
    return found if re.fullmatch(r"[0-9.]{1,64}", found) else ""


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; empty when it is absent or no sequence."""
    found = dataset.get(keyword)
    return [item for item in found if isinstance(item, Dataset)] if isinstance(found, MutableSequence) else []


def clean(text: str) -> str:
    """Printable ASCII of at most 100 characters, or nothing."""
    return text.strip() if re.fullmatch(r"[\w .,:;/\\+*()\[\]'\-]{1,100}", text.strip(), re.ASCII) else ""


def device(dataset: Dataset, keyword: str) -> str:
    """The maker's or model's name, unless it repeats a part of the patient's or a physician's."""
    text = clean(" ".join(parts(dataset, keyword)))
    people = " ".join(part for name in PEOPLE for part in parts(dataset, name)).lower()
    named = {word for word in re.split(r"[\W_]+", people) if len(word) > 2}
    return "" if named & set(re.split(r"[\W_]+", text.lower())) else text


def header(dataset: Dataset) -> dict[str, str]:
    """The technical elements, as text."""
    found: dict[str, Any] = {keyword: code(dataset, keyword) or "" for keyword in CODES}
    found |= {keyword: device(dataset, keyword) for keyword in WORDS}
    found |= {keyword: ", ".join(f"{value:g}" for value in numbers(dataset, keyword)) for keyword in NUMBERS}
    found["TransferSyntax"] = clean(UID(dataset.file_meta.TransferSyntaxUID).name)
    return {keyword: text for keyword, text in found.items() if text}


def sop_class(dataset: Dataset) -> str:
    """The name of what the file is, such as "RT Plan Storage"."""
    return clean(UID(str(dataset.get("SOPClassUID") or "")).name) or "of an unknown class"
