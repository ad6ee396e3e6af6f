"""The de-identified copy of a file or series, its pixels carried over as they were encoded."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from inference.types import Cleaning

MANY = "clean.zip"


def clean_copy(dataset: Dataset, folder: Path, cleaning: Cleaning) -> Path:
    """De-identify `dataset` in place and write it into `folder`, which is made."""
    from inference.deidentify import deidentify, write_clean

    deidentify(dataset, cleaning)
    folder.mkdir()
    return folder / write_clean([dataset], folder)


def pack(copies: Iterable[Path], folder: Path) -> str:
    """Put the copies together in `folder`: one file, or a zip of 0001.dcm and so on, in this order; returns its name.

    One at a time: memory holds no second copy of a series.
    """
    paths = list(copies)
    if len(paths) == 1:
        return paths[0].rename(folder / paths[0].name).name
    with zipfile.ZipFile(folder / MANY, "w", zipfile.ZIP_STORED) as archive:
        for number, path in enumerate(paths, start=1):
            # A fixed date: that of the archive's making is nobody's business.
            with archive.open(zipfile.ZipInfo(f"{number:04}.dcm"), "w") as out:
                out.write(path.read_bytes())
            path.unlink()
    return MANY


def mapped(uids: dict[str, Any], cleaning: Cleaning) -> dict[str, Any]:
    """The UIDs as they stand in the clean copy; "" stays ""."""
    from inference.deidentify import mapped_uid

    def one(value: Any) -> Any:
        return mapped_uid(value, cleaning) if isinstance(value, str) and value else value

    return {
        name: [one(item) for item in value] if isinstance(value, list) else one(value) for name, value in uids.items()
    }
