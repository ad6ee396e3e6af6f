"""Stored values of one file's frames, decompressed one after another, and a place on disk to keep them meanwhile.

Colour comes out as RGB, whatever its model, its planar configuration or its palette was; a palette's colours have
8 bits. The values of float pixel data that are not finite become the lowest finite one of their frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import JPEG2000, UID, JPEG2000Lossless, JPEGLSLossless, JPEGLSNearLossless

from inference.errors import BadInput
from inference.readers.dicom.elements import clean, items
from inference.readers.dicom.opening import frame_count
from inference.readers.dicom.tables import Table

CODEC = "The pixels of this DICOM file ({name}) cannot be decompressed: they are damaged or of a kind not read here."
MISSING = "This DICOM file is incomplete: it has {found} of {expected} frames. Export it again and send that."
# The plugins whose frames can be written into, as pydicom's correction of signs needs; the others raise there.
PLUGINS = {
    JPEG2000: "pylibjpeg",
    JPEG2000Lossless: "pylibjpeg",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
}
PALETTE = "The colours of this DICOM file's palette are damaged or missing. Export it again and send that."


def frames(dataset: Dataset) -> Iterator[NDArray[Any]]:
    """Each frame as (H, W) or (H, W, 3), native byte order, after a modality look-up table if there is one.

    Raises BadInput where pixels are damaged, and what the codecs raise.
    """
    colours = _palette(dataset) if dataset.PhotometricInterpretation == "PALETTE COLOR" else None
    tables = items(dataset, "ModalityLUTSequence")
    table = Table.of(tables[0], dataset) if tables and colours is None else None
    for stored in _decompressed(dataset):
        frame = stored.astype(stored.dtype.newbyteorder("="), copy=False)
        if colours is not None:
            yield colours[np.clip(frame.astype(np.int32) - _first(dataset), 0, len(colours) - 1)]
        elif table:
            yield table.look_up(frame)
        elif frame.dtype.kind == "f":
            yield _finite(frame)
        else:
            yield frame


def _decompressed(dataset: Dataset) -> Iterator[NDArray[Any]]:
    """pydicom wraps every fault of a codec in RuntimeError, even "12 bits"."""
    expected, found = frame_count(dataset), 0
    plugin = PLUGINS.get(dataset.file_meta.TransferSyntaxUID, "")
    try:
        for stored in islice(iter_pixels(dataset, decoding_plugin=plugin, allow_excess_frames=False), expected):
            found += 1
            yield stored
    except (RuntimeError, ValueError) as error:
        name = clean(UID(dataset.file_meta.TransferSyntaxUID).name)
        raise BadInput(CODEC.format(name=name)) from error
    if found < expected:
        raise BadInput(MISSING.format(found=found, expected=expected))


def _finite(frame: NDArray[Any]) -> NDArray[Any]:
    finite = np.isfinite(frame)
    if not finite.all():
        frame = np.where(finite, frame, frame[finite].min() if finite.any() else 0)
    largest = np.finfo(np.float32).max
    single: NDArray[Any] = np.clip(frame, -largest, largest).astype(np.float32)
    return single


def _first(dataset: Dataset) -> int:
    """The stored value that the first entry of the palette is for."""
    return int(dataset.RedPaletteColorLookupTableDescriptor[1])


def _palette(dataset: Dataset) -> NDArray[np.uint8]:
    """The whole table (N, 3). Entries are 8 or 16 bits wide: 16-bit ones fill the range (PS3.3 C.7.6.3.1.5), but
    writers exist that put 8-bit colours into them, and big-endian files arrive byte-swapped; both leave the high byte
    empty."""
    try:
        entries = int(dataset.RedPaletteColorLookupTableDescriptor[0]) or 65536
        whole = apply_color_lut(np.arange(entries) + _first(dataset), dataset)
    except (AttributeError, ValueError, TypeError, IndexError) as error:
        raise BadInput(PALETTE) from error
    return (whole >> 8 if whole.max() > 255 else whole)[..., :3].astype(np.uint8)


class Store:
    """Frames of one shape, kept in a file beside the output until the range of all of them is known.

    A single frame stays in memory. `low` and `high` of each are those of its stored values.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "stored"
        self._file = self._path.open("w+b")
        self._kept: dict[int, NDArray[Any]] = {}
        self._at: list[tuple[int, Any]] = []
        self.shape: tuple[int, ...] = ()
        self.ends: list[tuple[float, float]] = []
        self.coloured = False

    def __len__(self) -> int:
        return len(self._at)

    @property
    def has_fractions(self) -> bool:
        """True when a frame is of a floating-point type."""
        return any(dtype.kind == "f" for _, dtype in self._at)

    def append(self, frame: NDArray[Any], keep: bool = False) -> None:
        """Write the frame; `keep`: it is the only one. The shape of all must agree (the caller has checked)."""
        self.shape = frame.shape
        self.ends.append((float(frame.min()), float(frame.max())))
        if frame.ndim == 3 and not self.coloured:
            self.coloured = not (
                np.array_equal(frame[..., 0], frame[..., 1]) and np.array_equal(frame[..., 0], frame[..., 2])
            )
        self._at.append((self._file.tell(), frame.dtype))
        if keep:
            self._kept[len(self._at) - 1] = frame
        else:
            self._file.write(np.ascontiguousarray(frame).data)

    def drop(self, length: int) -> None:
        """Forget all frames from number `length` on."""
        if length < len(self):
            self._file.seek(self._at[length][0])
            del self._at[length:], self.ends[length:]

    def __getitem__(self, index: int) -> NDArray[Any]:
        """Frame `index`; a colour frame whose three channels agree in the whole series is grey."""
        if index in self._kept:
            frame = self._kept[index]
        else:
            start, dtype = self._at[index]
            self._file.flush()
            self._file.seek(start)
            count = int(np.prod(self.shape))
            frame = np.frombuffer(self._file.read(count * dtype.itemsize), dtype=dtype).reshape(self.shape)
        return frame if frame.ndim == 2 or self.coloured else np.ascontiguousarray(frame[..., 0])

    def close(self) -> None:
        self._file.close()
        self._path.unlink()
