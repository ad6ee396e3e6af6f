"""Real files that the wheels carry, and DICOM files written to order."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid


def package_folder(name: str) -> Path:
    spec = find_spec(name)
    assert spec
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))


WHEEL_IMAGES = package_folder("data_store") / "data"
PYDICOM_IMAGES = package_folder("pydicom") / "data" / "test_files"
CHEST = WHEEL_IMAGES / "RG1_UNCR.dcm"  # a real chest radiograph, MONOCHROME1, whose preamble is a TIFF header
COLOUR_ULTRASOUND = PYDICOM_IMAGES / "examples_rgb_color.dcm"
JPEG2000 = PYDICOM_IMAGES / "examples_jpeg2k.dcm"
RUN_LENGTH = PYDICOM_IMAGES / "MR_small_RLE.dcm"
DEFLATED = PYDICOM_IMAGES / "image_dfl.dcm"


def write_dicom(path: Path, stored: np.ndarray, **elements: Any) -> Path:
    """An uncompressed grey digital radiograph; `elements` replace or add data elements, None removes one."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    bits = stored.dtype.itemsize * 8
    values: dict[str, Any] = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "PatientName": "Doe^Jane",
        "PatientID": "SECRET-17",
        "StudyDate": "20200102",
        "Modality": "DX",
        "BodyPartExamined": "CHEST",
        "Rows": stored.shape[0],
        "Columns": stored.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(stored.dtype.kind == "i"),
        "PixelData": stored.tobytes(),
    }
    for keyword, value in {**values, **elements}.items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def ramp(dtype: Any = np.uint16, top: int = 1000, side: int = 64) -> np.ndarray:
    """(side, side) growing from 0 at the left to `top` at the right."""
    return np.tile(np.linspace(0, top, side).astype(dtype), (side, 1))


def voi_lut_item(entries: np.ndarray) -> Dataset:
    """A VOI LUT of 16-bit entries that begins at 0."""
    item = Dataset()
    item.LUTDescriptor = [len(entries), 0, 16]
    item.LUTData = entries.astype(np.uint16).tobytes()
    return item
