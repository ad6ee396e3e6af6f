"""Boxes painted over in the pixels of DICOM files. Runs only inside the disposable child of `inference.burned_in`."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRLittleEndian

from inference.burned_in import mask_text
from inference.deidentify import add_method
from inference.deidentify.walk import CLEAN_PIXELS


def repaint(clean: Path, boxes: Sequence[Sequence[int]], folder: Path) -> None:
    """Write the DICOM file, or the zip of them, under its own name into `folder`, with the boxes painted over.

    The pixels are stored uncompressed, and the file says so: BurnedInAnnotation NO, and the Clean Pixel Data Option of
    PS3.15 (113101) among its de-identification methods.
    """
    if clean.suffix != ".zip":
        (folder / clean.name).write_bytes(_repainted(clean.read_bytes(), boxes))
        return
    with zipfile.ZipFile(clean) as source, zipfile.ZipFile(folder / clean.name, "w", zipfile.ZIP_STORED) as out:
        for entry in source.infolist():
            out.writestr(entry.filename, _repainted(source.read(entry), boxes))


def _repainted(content: bytes, boxes: Sequence[Sequence[int]]) -> bytes:
    dataset = dcmread(BytesIO(content))
    stored = pixel_array(dataset, raw=True)
    frames = int(dataset.get("NumberOfFrames") or 1)
    painted = mask_text(stored, boxes, 1 if frames > 1 else 0)
    if dataset.PhotometricInterpretation == "MONOCHROME1":  # its minimum is white
        for box in boxes:
            rows, columns = slice(box[1], box[3]), slice(box[0], box[2])
            painted[(slice(None),) * (stored.ndim - 2) + (rows, columns)] = stored.max()
    photometric = str(dataset.PhotometricInterpretation)
    if photometric.startswith("YBR"):
        painted = _black_in_ybr(painted, stored, boxes)
        photometric = "YBR_FULL"
    dataset.set_pixel_data(
        np.ascontiguousarray(painted), photometric, int(dataset.BitsStored), generate_instance_uid=False
    )
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.BurnedInAnnotation = "NO"
    add_method(dataset, CLEAN_PIXELS)
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _black_in_ybr(painted: np.ndarray, stored: np.ndarray, boxes: Sequence[Sequence[int]]) -> np.ndarray:
    """Black is (0, 128, 128) where colour is luminance and two differences."""
    black = np.array([0, 128, 128], dtype=stored.dtype)
    for x0, y0, x1, y1 in boxes:
        painted[..., y0:y1, x0:x1, :] = black
    return painted
