"""A NIfTI file without what somebody typed into it: the same voxels in the same place, no text, no extensions."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from numpy.typing import NDArray

CLEAN = "clean.nii.gz"
# Free text, and numbers that the standard leaves unused and that programs fill with what they like.
EMPTIED = ("descrip", "aux_file", "intent_name", "db_name", "data_type", "unused_str", "extents", "session_error")


def write_clean(path: Path, header: Nifti1Header, voxels: NDArray[Any]) -> None:
    """Write `voxels`, (i, j, k, volumes) as in the file, behind a copy of `header` that says nothing of a person.

    What names sizes, types, scaling, units and place stays bit for bit; so do the voxels, also in their byte order.
    Header extensions and bytes between header and voxels are left out. The gzip header has no name and no time.
    """
    clean = header.copy()
    for name in EMPTIED:
        if name in clean:
            clean[name] = np.zeros((), dtype=clean.structarr.dtype[name])
    length = int(clean["sizeof_hdr"])
    clean["vox_offset"] = length + 4
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as file:
        file.write(clean.structarr.tobytes() + bytes(4))
        file.write(voxels.reshape(-1, order="F").view(np.uint8).data)
