"""Volumes and masks as NIfTI-1, for the viewer and for other programs, without nibabel in the web process.

pixels.npy is (slices, rows, columns) in C order and NIfTI counts (i, j, k) in Fortran order: with i the column, j the
row and k the slice the voxels are the same bytes, so a volume of gigabytes is sent as it lies on the disk.
Layout: https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields
"""

import asyncio
import gzip
import struct
from collections.abc import AsyncGenerator

import numpy as np
from numpy.typing import NDArray

from assistant.models import Image
from inference.decode import GONE
from inference.errors import BadInput
from inference.grids import source_affine, to_source_grid
from inference.types import Affine

# numpy's name, and NIfTI's code of the type
CODES = {
    "uint8": 2,
    "int16": 4,
    "int32": 8,
    "float32": 16,
    "float64": 64,
    "int8": 256,
    "uint16": 512,
    "uint32": 768,
    "int64": 1024,
}
FIELDS = struct.Struct("<i 10s 18s i h c B 8h 3f h h h h 8f f f f h B B f f f f i i 80s 24s h h 6f 12f 16s 4s 4x")
LONGEST = 32_767  # a dimension is an int16
MILLIMETRES = 2
SCANNER = 1
CHUNK = 1024**2

NO_VOLUME = "This image is no volume: it has no slices that lie at even distances in the patient."
NO_PLACE = "This file does not say how its slices lie in the patient, so they are shown one by one."
COLOUR = "Volumes in colour are shown slice by slice."
TOO_LONG = f"NIfTI files hold up to {LONGEST} voxels along an axis, and this volume has more."
NO_TIME = "There is no time point {time}: this image has {times}."


def voxels(image: Image, time: int = 0) -> NDArray[np.generic]:
    """(slices, rows, columns), read as needed. Raises BadInput: no volume, no such time point, pixels that are gone."""
    facts = image.facts
    if facts.layout != "volume":
        raise BadInput(NO_VOLUME)
    if facts.affine is None:
        raise BadInput(NO_PLACE)
    try:
        pixels = np.load(image.pixels.path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(GONE) from error
    if not 0 <= time < facts.volumes:
        raise BadInput(NO_TIME.format(time=time + 1, times=facts.volumes))
    found: NDArray[np.generic] = pixels[time] if facts.volumes > 1 else pixels
    if found.ndim == 4:
        raise BadInput(COLOUR)
    if found.shape != (facts.frames, facts.height, facts.width) or not found.flags.c_contiguous:
        raise BadInput(GONE)
    return found


def header(dtype: np.dtype[np.generic], size: tuple[int, ...], affine: Affine | NDArray[np.float64]) -> bytes:
    """352 bytes: the header, and that no extension follows. `size` is (i, j, k). Raises BadInput when it cannot be."""
    if max(size) > LONGEST:
        raise BadInput(TOO_LONG)
    if dtype.name not in CODES:
        raise BadInput(f"Voxels of the type {dtype.name} cannot be written to a NIfTI file.")
    matrix = np.asarray(affine, dtype=np.float64)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    return FIELDS.pack(
        *(348, b"", b"", 0, 0, b"r", 0),
        *(3, *size, 1, 1, 1, 1),
        *(0.0, 0.0, 0.0, 0),  # no intent
        *(CODES[dtype.name], 8 * dtype.itemsize, 0),
        *(1.0, *spacing, 0.0, 0.0, 0.0, 0.0),
        *(352.0, 1.0, 0.0),  # where the voxels begin; values are as stored
        *(0, 0, MILLIMETRES),
        *(0.0, 0.0, 0.0, 0.0, 0, 0),
        *(b"Lightbox: research use only, not for diagnosis", b""),
        *(0, SCANNER),  # the affine, and no quaternion beside it that could disagree
        *(0.0,) * 6,
        *matrix[:3].ravel(),
        *(b"", b"n+1\0"),
    )


async def chunks(head: bytes, array: NDArray[np.generic]) -> AsyncGenerator[bytes, None]:
    """The file in pieces: the array is mapped from the disk, and never in memory as a whole."""
    yield head
    flat = array.data.cast("B")
    for start in range(0, len(flat), CHUNK):
        yield await asyncio.to_thread(bytes, flat[start : start + CHUNK])


def mask_file(mask: NDArray[np.uint8], image: Image, source_grid: bool = False) -> bytes:
    """A gzipped NIfTI of 0 and 1. `mask` is (slices, rows, columns), not 0 where it is. Raises BadInput when it is not
    of the image's size. `source_grid`: on the voxels as the uploaded file counts them, instead of as they are shown."""
    facts = image.facts
    ones = (mask > 0).astype(np.uint8)
    grid = to_source_grid(ones, facts)
    affine = source_affine(facts)
    if not source_grid:
        grid, affine = (
            ones.reshape(facts.frames, facts.height, facts.width).transpose(2, 1, 0),
            np.asarray(facts.affine),
        )
    assert affine is not None  # asked for volumes only
    head = header(ones.dtype, grid.shape, affine)
    return gzip.compress(head + grid.tobytes(order="F"), compresslevel=1, mtime=0)
