"""Frames out of pixels.npy, by reading its header and that frame's bytes only: never the whole array.

The file is opened through the storage, so the pixels may lie on a disk or elsewhere. Layouts are those of
`inference.decode.decode`: (H, W) or (H, W, 3) of an image, (F, H, W) or (F, H, W, 3) of frames and volumes,
(T, F, H, W) of a series in time. Numbers count from 0. Only numpy: this runs in the web process.
"""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Literal

import numpy as np
from django.core.cache import cache
from numpy.typing import NDArray

from assistant.models import Annotation, Image

Plane = Literal["coronal", "sagittal"]
PLANES: dict[str, Plane] = {"coronal": "coronal", "sagittal": "sagittal"}
SAMPLED = 32  # frames that are read to know the range of values of a long series
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class NoFrame(LookupError):
    """The image has no frame, plane or time point of this number, or its pixels are gone."""


@dataclass(frozen=True, slots=True)
class Grid:
    """What the header of pixels.npy says, as (time points, frames, height, width, channels)."""

    dtype: np.dtype[Any]
    shape: tuple[int, int, int, int, int]
    offset: int

    @property
    def frame_bytes(self) -> int:
        return math.prod(self.shape[2:]) * self.dtype.itemsize


@contextmanager
def _opened(image: Image) -> Iterator[tuple[IO[bytes], Grid]]:
    if not image.pixels:
        raise NoFrame("This image has no pixels of its own: it is shown by tiles.")
    try:
        with image.pixels.open("rb") as file:
            yield file, _grid(file, image)
    except (OSError, ValueError, KeyError) as error:
        raise NoFrame("The decoded pixels of this image are missing or damaged.") from error


def _grid(file: Any, image: Image) -> Grid:
    shape, fortran, dtype = HEADERS[np.lib.format.read_magic(file)](file)
    if fortran or dtype.hasobject or dtype.kind not in "uif":
        raise ValueError(shape)
    times = shape[0] if image.decoded.get("volumes", 1) > 1 else 1
    inner = shape[1:] if times > 1 else shape
    frames = inner[0] if image.layout in ("frames", "volume") else 1
    inner = inner[1:] if image.layout in ("frames", "volume") else inner
    height, width, channels = (*inner, 1)[:3]
    return Grid(dtype, (times, frames, height, width, channels), file.tell())


def grid(image: Image) -> Grid:
    """The header alone. Raises NoFrame."""
    with _opened(image) as (_, found):
        return found


def frame(image: Image, number: int, time: int = 0) -> NDArray[Any]:
    """(H, W) or (H, W, 3), little-endian. Raises NoFrame."""
    with _opened(image) as (file, found):
        return _read(file, found, number, time)


def _read(file: IO[bytes], found: Grid, number: int, time: int) -> NDArray[Any]:
    times, frames, height, width, channels = found.shape
    if not (0 <= number < frames and 0 <= time < times):
        raise NoFrame(f"There is no frame {number}.")
    file.seek(found.offset + (time * frames + number) * found.frame_bytes)
    values = np.frombuffer(file.read(found.frame_bytes), found.dtype)
    shape = (height, width, channels) if channels > 1 else (height, width)
    return values.reshape(shape).astype(found.dtype.newbyteorder("<"), copy=False)


def plane(image: Image, which: Plane, number: int, time: int = 0) -> NDArray[Any]:
    """A volume cut through all its slices, head up: (F, W) at row `number`, or (F, H) at a column. Raises NoFrame."""
    with _opened(image) as (file, found):
        times, frames, height, width, channels = found.shape
        end = height if which == "coronal" else width
        if image.layout != "volume" or channels > 1 or not (0 <= number < end and 0 <= time < times):
            raise NoFrame(f"There is no {which} plane {number}.")
        cut = (slice(number, number + 1), slice(None)) if which == "coronal" else (slice(None), number)
        lines = [_read(file, found, one, time)[cut].reshape(-1) for one in range(frames)]
        affine = image.decoded.get("affine")
        upwards = affine is None or affine[2][2] >= 0
        return np.stack(lines[::-1] if upwards else lines)


def extent(image: Image) -> tuple[float, float]:
    """The least and the greatest value: exact up to SAMPLED frames, else of so many, evenly spread."""
    key = f"extent:{image.pk.hex}:{image.pixels.name}"
    known: tuple[float, float] | None = cache.get(key)
    if known is None:
        known = _extent(image)
        cache.set(key, known, 24 * 3600)
    return known


def _extent(image: Image) -> tuple[float, float]:
    with _opened(image) as (file, found):
        times, frames = found.shape[:2]
        every = np.unique(np.linspace(0, times * frames - 1, min(SAMPLED, times * frames)).astype(int))
        ends = []
        for at in every:
            values = _read(file, found, int(at) % frames, int(at) // frames)
            ends += [float(np.nanmin(values)), float(np.nanmax(values))]
    finite = [end for end in ends if math.isfinite(end)] or [0.0]
    return min(finite), max(finite)


def mask_frame(found: Annotation, number: int) -> NDArray[np.uint8]:
    """(H, W) uint8, 0 or 255: a mask on one frame, inflated no further than there. Raises NoFrame."""
    try:
        with found.file.open("rb") as file, zipfile.ZipFile(file) as archive, archive.open("mask.npy") as member:
            shape, _, dtype = HEADERS[np.lib.format.read_magic(member)](member)
            count = shape[0] if len(shape) == 3 else 1
            if not 0 <= number < count and len(shape) == 3:
                raise NoFrame(f"There is no frame {number}.")
            size = math.prod(shape[-2:]) * dtype.itemsize
            member.seek((number if len(shape) == 3 else 0) * size, 1)
            return np.frombuffer(member.read(size), dtype).reshape(shape[-2:]).astype(np.uint8, copy=False)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise NoFrame("This mask is missing or damaged.") from error
