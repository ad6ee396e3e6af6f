"""Real files that the wheels carry, and DICOM files written to order."""

from __future__ import annotations

import gzip
import tempfile
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import nibabel
import numpy as np
import tifffile
from PIL import Image as Pillow
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid
from skimage import data as skimage_data


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


def written(write: Any, name: str = "a") -> bytes:
    """What a library that only writes to paths writes."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


def tiff_bytes(pixels: np.ndarray, **options: Any) -> bytes:
    """A TIFF by tifffile, whose options these are."""
    buffer = BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def sample_tiff() -> bytes:
    """Two plain pages of 16 bits, in strips, with OME metadata: damage to pixels is no damage to the file."""
    pages = np.stack([skimage_data.camera()[::2, ::2].astype(np.uint16) * step for step in (100, 200)])
    size = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
    return tiff_bytes(pages, ome=True, metadata=size, rowsperstrip=32)


def sample_tiff_lzw() -> bytes:
    """What tifffile leaves to Pillow."""
    buffer = BytesIO()
    Pillow.fromarray(skimage_data.astronaut()[::2, ::2]).save(buffer, "TIFF", compression="tiff_lzw")
    return buffer.getvalue()


def tissue(width: int = 6000, height: int = 5000) -> np.ndarray:
    """(height, width, 3) of real stained tissue, enlarged: each of its pixels becomes a square."""
    real = skimage_data.immunohistochemistry()
    scale = max(-(-height // real.shape[0]), -(-width // real.shape[1]))
    return real.repeat(scale, 0).repeat(scale, 1)[:height, :width]


def slide_bytes(pixels: np.ndarray, description: str | None = None, steps: tuple[int, ...] = (1, 4, 16)) -> bytes:
    """A tiled TIFF pyramid as OpenSlide reads it; with a description that begins with "Aperio", an SVS."""
    buffer = BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for step in steps:
            file.write(
                pixels[::step, ::step],
                photometric="rgb",
                tile=(256, 256),
                compression="zlib",
                subfiletype=int(step > 1 and description is None),
                description=description,
                metadata=None,
            )
    return buffer.getvalue()


APERIO = (
    "Aperio Image Library v11.2.1 \r\n{width}x{height} [0,0 {width}x{height}] (256x256) RAW|AppMag = 20|MPP = 0.4990|"
    "ScanScope ID = SECRETSCOPE|Filename = DOE JANE|Date = 12/29/09|User = doe"
)


def sample_slide() -> bytes:
    """A small SVS."""
    return slide_bytes(tissue(1500, 1000), APERIO.format(width=1500, height=1000))


def clip(frames: int = 30, width: int = 160, height: int = 120, colour: bool = True) -> np.ndarray:
    """(frames, height, width, 3) RGB: each frame a shade of its own, with a square that wanders to the right."""
    moving = np.zeros((frames, height, width, 3), dtype=np.uint8)
    for number, frame in enumerate(moving):
        frame[:] = 40 + 5 * (number % 40)
        left = number * (width - 32) // max(1, frames)
        frame[40:72, left : left + 32] = (230, 30, 30) if colour else 230
    return moving


def video_bytes(frames: np.ndarray, name: str = "a.mp4", code: str = "mp4v", rate: float = 25) -> bytes:
    """A video as OpenCV writes it: the container by the name, the coding by its four letters."""

    def write(path: Path) -> None:
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), rate, frames.shape[2:0:-1])
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
        writer.release()

    return written(write, name)


def sample_video() -> bytes:
    """An MP4 of a second."""
    return video_bytes(clip())


def sample_avi() -> bytes:
    return video_bytes(clip(), "a.avi", "MJPG")


def sample_webm() -> bytes:
    return video_bytes(clip(), "a.webm", "VP80")


def gif_bytes(frames: np.ndarray, milliseconds: int = 80) -> bytes:
    pictures = [Pillow.fromarray(frame) for frame in frames]
    buffer = BytesIO()
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0)
    return buffer.getvalue()


def sample_gif() -> bytes:
    return gif_bytes(clip(10))
