"""A mask as DICOM Segmentation that refers to its source. The source is an upload, so a disposable process reads it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from inference import disposable
from inference.errors import BadInput
from inference.types import Decoded

LIMITS = disposable.Limits(memory=4_000_000_000, cpu_s=120, wall_s=120.0, file_bytes=2_000_000_000)
MASK = "mask.npz"

NOT_DICOM = "A DICOM segmentation refers to a DICOM image, and this image is none. Take the PNG or the NIfTI."
NO_SOURCE = "The DICOM files of this image are no longer there, so no segmentation can refer to them."


@dataclass(frozen=True, slots=True)
class Region:
    """What a mask file says of itself. `by`: drawn by a person, by a person with a tool, or by a tool alone."""

    label: str
    by: Literal["MANUAL", "SEMIAUTOMATIC", "AUTOMATIC"]
    algorithm: str = ""


def seg(mask: NDArray[np.uint8], decoded: Decoded, source: Path, region: Region) -> bytes:
    """A DICOM Segmentation, BINARY, of a mask (F, H, W) or (H, W), that refers to the instances in `source`: the DICOM
    file, or the zip of them, that the image was made of. Raises BadInput."""
    if decoded.kind != "dicom":
        raise BadInput(NOT_DICOM)
    if not source.is_file():
        raise BadInput(NO_SOURCE)
    request = {
        "decoded": decoded.as_dict(),
        "source": str(source.resolve()),
        "region": {"label": region.label, "by": region.by, "algorithm": region.algorithm},
    }
    return _made(request, mask, "mask.dcm")


def _made(request: dict[str, Any], mask: NDArray[np.uint8], name: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="lightbox-export-") as folder:
        whole = mask if mask.ndim == 3 else mask[np.newaxis]
        np.savez_compressed(Path(folder) / MASK, mask=whole)
        disposable.ask("inference.exporter", {**request, "folder": folder, "name": name}, Path(folder), LIMITS)
        return (Path(folder) / name).read_bytes()
