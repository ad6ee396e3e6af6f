"""Masks as files, frame by frame: a volume's mask is as large as the volume, and is never held whole here.

The file is what `numpy.savez_compressed(file, mask=...)` writes: a zip with mask.npy, uint8 0 or 255, (H, W) or
(F, H, W).
"""

from __future__ import annotations

import io
import math
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from inference.errors import BadInput

Mask = NDArray[np.uint8]

NAME = "mask.npy"
GONE = "The file of this mask is missing or damaged."


def write(shape: tuple[int, ...], frames: Iterable[Mask]) -> IO[bytes]:
    """An open temporary file, at its start, that holds the frames; `shape` is (H, W) or (F, H, W)."""
    out = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's to close
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=2) as packed,
        packed.open(NAME, "w", force_zip64=True) as array,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(array, header)
        written = sum(array.write(np.asarray(frame, dtype=np.uint8).tobytes()) for frame in frames)
        assert written == math.prod(shape), "as many frames as the shape says"
    out.seek(0)
    return out


def frames(file: Any) -> Iterator[Mask]:
    """The frames of a stored mask, one after the other. `file` is a FieldFile. Raises BadInput when it is damaged."""
    with _opened(file) as (array, shape):
        for _ in range(math.prod(shape[:-2])):
            yield _next(array, shape)


def frame(file: Any, number: int) -> Mask:
    """One frame, (H, W), of a stored mask; what lies before it is inflated and forgotten. Raises BadInput."""
    with _opened(file) as (array, shape):
        if not 0 <= number < math.prod(shape[:-2]):
            raise BadInput(f"There is no frame {number + 1}: this mask has {math.prod(shape[:-2])}.")
        for _ in range(number):
            array.read(math.prod(shape[-2:]))
        return _next(array, shape)


@contextmanager
def _opened(file: Any) -> Iterator[tuple[IO[bytes], tuple[int, ...]]]:
    try:
        with file.open("rb") as opened, zipfile.ZipFile(opened) as packed, packed.open(NAME) as array:
            np.lib.format.read_magic(array)
            shape, _, dtype = np.lib.format.read_array_header_1_0(array)
            if dtype != np.uint8 or len(shape) not in (2, 3):
                raise ValueError("no mask")
            yield array, shape
    except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise BadInput(GONE) from error


def _next(array: IO[bytes], shape: tuple[int, ...]) -> Mask:
    found = np.frombuffer(array.read(math.prod(shape[-2:])), dtype=np.uint8)
    return found.reshape(shape[-2:])


def as_png(mask: Mask) -> bytes:
    """An 8-bit grey PNG."""
    out = io.BytesIO()
    Picture.fromarray(mask).save(out, "PNG")
    return out.getvalue()
