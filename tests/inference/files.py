"""Real files that the wheels carry, and DICOM files written to order."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel
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
NIFTI_IMAGES = package_folder("nibabel") / "tests" / "data"
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


def nifti_bytes(
    voxels: np.ndarray, affine: np.ndarray | None = None, version: int = 1, unit: str = "mm", big: bool = False
) -> bytes:
    """A NIfTI file of these voxels (i, j, k, ...), placed by its sform; unplaced without an affine."""
    header_class = {1: nibabel.Nifti1Header, 2: nibabel.Nifti2Header}[version]
    image_class = {1: nibabel.Nifti1Image, 2: nibabel.Nifti2Image}[version]
    header = header_class(endianness=">" if big else "<")
    header.set_data_dtype(voxels.dtype)
    header.set_xyzt_units(unit, "sec")
    image = image_class(voxels, affine, header)
    if affine is None:
        image.set_sform(None, 0)
        image.set_qform(None, 0)
    return bytes(image.to_bytes())


def sample_nifti() -> bytes:
    """A real scan of a head, 33 x 41 x 25, 16 bits, with slope and intercept."""
    return (NIFTI_IMAGES / "anatomical.nii").read_bytes()


def sample_nifti_gz() -> bytes:
    """A real scan, NIfTI-2, oblique, two volumes of 32 x 20 x 12."""
    return (NIFTI_IMAGES / "example_nifti2.nii.gz").read_bytes()


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, 6, mtime=0)
