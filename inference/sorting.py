"""What was uploaded together, sorted into series before anything is decoded.

A file is a series of its own, but for DICOM: there, files with the same SeriesInstanceUID and the same grid belong
together, whether they were sent one by one or in a zip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.decode import Limits
from inference.decoder import recognise
from inference.errors import InferenceError
from inference.types import Kind


@dataclass(frozen=True, slots=True)
class Received:
    """A file as it came, and the name that its owner knows it by (shown to them, never a path here)."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Series:
    """Files to be decoded together, in the order of frames. `notes` are sentences for the user."""

    kind: Kind
    sources: tuple[Path, ...]
    name: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that cannot be read, and one line that says why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sorted:
    series: tuple[Series, ...]
    refused: tuple[Refused, ...]


def sort(received: Sequence[Received], folder: Path, limits: Limits | None = None) -> Sorted:
    """Series and refused files, each in the order of upload. What is unpacked goes into `folder`.

    Never raises: what is wrong with a file is said of that file, and the others go on.
    """
    series: list[Series] = []
    refused: list[Refused] = []
    for file in received:
        try:
            kind = recognise(file.path, limits or Limits())
        except InferenceError as error:
            refused.append(Refused(file.name, str(error)))
        else:
            series.append(Series(kind, (file.path,), file.name))
    return Sorted(tuple(series), tuple(refused))
