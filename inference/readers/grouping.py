"""Which DICOM files make one series. Runs only inside the disposable child of `inference.sorting`."""

from __future__ import annotations

import json
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

# Read and no more: the header of a slice is small, and a file is told from another by little of it.
TAGS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Rows", "Columns", "NumberOfFrames"),
    *("ImageOrientationPatient", "PixelSpacing", "SamplesPerPixel", "Modality"),
)
ANGLE_DIGITS = 2  # direction cosines that agree to a hundredth are one direction


def key(source: Path) -> str | None:
    """What files of one series have in common; None for a file that stands for itself: a multi-frame one, one without
    a series, or one whose header cannot be read (its decoder will say why)."""
    try:
        header = dcmread(source, force=True, stop_before_pixels=True, specific_tags=list(TAGS))
        return _key(header)
    except Exception:  # noqa: BLE001 - whatever pydicom raises on damage; the reader explains it to the user
        return None


def _key(header: Dataset) -> str | None:
    series = str(header.get("SeriesInstanceUID") or "")
    rows, columns = header.get("Rows"), header.get("Columns")
    if not series or not rows or not columns or int(header.get("NumberOfFrames") or 1) > 1:
        return None
    direction = [round(float(cosine), ANGLE_DIGITS) + 0.0 for cosine in header.get("ImageOrientationPatient") or []]
    spacing = [round(float(length), 3) for length in header.get("PixelSpacing") or []]
    if not direction:  # projections of one series (two views, two sides) are no stack
        return None
    return json.dumps([series, int(rows), int(columns), int(header.get("SamplesPerPixel") or 1), direction, spacing])
