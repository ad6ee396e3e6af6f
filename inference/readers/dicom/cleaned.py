"""The de-identified copy of a file or series, its pixels carried over as they were encoded."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset

from inference.types import Cleaning

ONE, MANY = "clean.dcm", "clean.zip"


def clean_copy(dataset: Dataset, path: Path, cleaning: Cleaning) -> None:
    """De-identify `dataset` in place and write it. Nothing of the preamble or the file meta information is kept but
    what the pixels need: both may carry names."""
    from inference.deidentify import deidentify

    syntax = dataset.file_meta.TransferSyntaxUID
    deidentify(dataset, cleaning)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    dataset.file_meta, dataset.preamble = meta, b"\0" * 128
    dataset.save_as(path, enforce_file_format=True)


def pack(copies: Iterable[Path], folder: Path) -> str:
    """Put the copies together under a name in `folder`: one file, or a zip of 0001.dcm and so on, in this order."""
    paths = list(copies)
    if len(paths) == 1:
        paths[0].rename(folder / ONE)
        return ONE
    with zipfile.ZipFile(folder / MANY, "w", zipfile.ZIP_STORED) as archive:
        for number, path in enumerate(paths, start=1):
            archive.write(path, f"{number:04}.dcm")
            path.unlink()
    return MANY


def mapped(uids: dict[str, Any], cleaning: Cleaning) -> dict[str, Any]:
    """The UIDs as they stand in the clean copy; "" stays ""."""
    from inference.deidentify import mapped_uid

    def one(value: Any) -> Any:
        return mapped_uid(value, cleaning) if isinstance(value, str) and value else value

    return {name: [one(item) for item in value] if isinstance(value, list) else one(value) for name, value in uids.items()}
