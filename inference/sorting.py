"""What was uploaded together, sorted into series before anything is decoded.

A file is a series of its own, but for DICOM: there, files with the same SeriesInstanceUID and the same grid belong
together, whether they were sent one by one or in a zip. Headers and archives are read in a disposable process.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inference import disposable
from inference.decode import Limits
from inference.errors import BadInput, InferenceError
from inference.types import Kind

ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # with files, and without
GRID_NOTE = "This series holds images of several sizes or directions; each kind became an image of its own."
MANY_FILES = (
    "This is one file of a slide that is many (MRXS, VMS): alone it shows little, and such slides are not read here. "
    "Save the slide as one tiled pyramidal TIFF or SVS."
)
SLIDES_OF_MANY_FILES = (".mrxs", ".vms", ".vmu")  # the first is a JPEG by its content: only its name tells
SORTER = "inference.sorting"
SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Received:
    """A file as it came, and the name that its owner knows it by (shown to them, never a path here)."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Series:
    """Files to be decoded together, in any order. `notes` are sentences for the user."""

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
    limits = limits or Limits()
    files: list[Received] = []
    refused: list[Refused] = []
    for number, file in enumerate(received):
        if not _is_zip(file.path):
            files.append(file)
            continue
        inside = folder / f"zip-{number:04}"
        inside.mkdir()
        try:
            said = _ask({"do": "unpack", "source": str(file.path), "into": str(inside)}, folder, limits)
        except InferenceError as error:
            refused.append(Refused(file.name, str(error)))
            continue
        files += [Received(Path(entry["path"]), entry["name"]) for entry in said["files"]]
        refused += [Refused(entry["name"], entry["reason"]) for entry in said["refused"]]
    series, more = _grouped(files, folder, limits)
    return Sorted(tuple(series), tuple(refused + more))


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in ZIP


def _ask(request: dict[str, Any], folder: Path, limits: Limits) -> dict[str, Any]:
    spacious = replace(limits, cpu_s=int(SECONDS), wall_s=SECONDS)
    return disposable.ask(SORTER, request, folder, spacious)


def _grouped(files: Sequence[Received], folder: Path, limits: Limits) -> tuple[list[Series], list[Refused]]:
    """Each file by its kind; DICOM files by series and grid. A lone DICOM file needs no look into its header."""
    from inference.decoder import recognise

    kinds: dict[int, Kind] = {}
    refused: list[Refused] = []
    for number, file in enumerate(files):
        if file.name.lower().endswith(SLIDES_OF_MANY_FILES):
            refused.append(Refused(file.name, MANY_FILES))
            continue
        try:
            kinds[number] = recognise(file.path, limits)
        except InferenceError as error:
            refused.append(Refused(file.name, str(error)))
    dicom = [number for number, kind in kinds.items() if kind == "dicom"]
    groups: dict[int, str] = {}
    if len(dicom) > 1:
        groups, faults = _series_of(dicom, files, folder, limits)
        refused += faults
    elif dicom:
        groups = {dicom[0]: ""}
    grids = Counter(_uid_in(key) for key in set(groups.values()))
    series: dict[object, Series] = {}
    for number, kind in kinds.items():
        if kind != "dicom":
            series[number] = Series(kind, (files[number].path,), files[number].name)
        elif number in groups:
            key = groups[number]
            notes = (GRID_NOTE,) if grids[_uid_in(key)] > 1 else ()
            known = series.get(key, Series(kind, (), files[number].name, notes))
            series[key] = replace(known, sources=(*known.sources, files[number].path))
    return list(series.values()), refused


def _uid_in(key: str) -> str:
    """The series' UID in a key of `grouping.key`; another key is that of one file."""
    return str(json.loads(key)[0]) if key.startswith("[") else key


def _series_of(
    numbers: Sequence[int], files: Sequence[Received], folder: Path, limits: Limits
) -> tuple[dict[int, str], list[Refused]]:
    """The series' key of each file. When a header kills the reader, the files are asked about in halves, so that one
    bad file costs itself only."""
    paths = [str(files[number].path) for number in numbers]
    try:
        said = _ask({"do": "group", "sources": paths}, folder, limits)
        keys: list[str | None] = said["keys"]
    except InferenceError as error:
        if len(numbers) == 1:
            return {}, [Refused(files[numbers[0]].name, str(error))]
        half = len(numbers) // 2
        first, one = _series_of(numbers[:half], files, folder, limits)
        second, other = _series_of(numbers[half:], files, folder, limits)
        return first | second, one + other
    alone = {number: f"file {number}" for number in numbers}  # what has no header to group by stands for itself
    return {number: key or alone[number] for number, key in zip(numbers, keys, strict=True)}, []


# The disposable child


def main() -> None:
    """Unpack an archive, or say which files make a series."""
    disposable.answer(_work, lambda: "This archive or series cannot be read: it is damaged or incomplete.")


def _work(request: dict[str, Any]) -> dict[str, Any]:
    if request["do"] == "group":
        from inference.readers.grouping import key

        return {"keys": [key(Path(source)) for source in request["sources"]]}
    from inference.unpacking import unpack

    found: dict[str, list[dict[str, str]]] = {"files": [], "refused": []}
    for name, what in unpack(Path(request["source"]), Path(request["into"]), Limits(**request["limits"])):
        if isinstance(what, Path):
            found["files"].append({"name": name, "path": str(what)})
        else:
            found["refused"].append({"name": name, "reason": what})
    if not found["files"] and not found["refused"]:
        raise BadInput("This archive holds no files.")
    return found


if __name__ == "__main__":
    main()
