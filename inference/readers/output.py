"""The files that a reader leaves for its caller."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from inference.decode import PIXELS, PREVIEW


def write(folder: Path, pixels: NDArray[Any], preview: NDArray[np.uint8]) -> None:
    """Write pixels.npy, modality values of one frame or of all, and preview.png, (H, W) or (H, W, 3) uint8."""
    np.save(folder / PIXELS, pixels, allow_pickle=False)
    write_preview(folder, preview)


def write_frames(folder: Path, shape: tuple[int, ...], dtype: Any, frames: Iterable[NDArray[Any]]) -> None:
    """Write pixels.npy frame by frame, in C order: only one of them need be in memory, in any order of axes."""
    with (folder / PIXELS).open("wb") as file:
        described = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, described)
        for frame in frames:
            file.write(np.ascontiguousarray(frame, dtype=dtype).data)


def write_preview(folder: Path, preview: NDArray[np.uint8]) -> None:
    """Write preview.png alone."""
    # Compression is most of the time of a large image: there a larger file is the better bargain.
    Pillow.fromarray(preview).save(folder / PREVIEW, compress_level=3 if preview.size < 8_000_000 else 1)
