"""A call of a model as a message: what a worker is asked, and what it answers. JSON, with arrays in files beside it.

The files lie in one folder of the call: `in-0.npz`, ... for the images, `out.npz` for the result. Messages name them by
signed references (`inference.references`), so that a worker opens nothing else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import BadInput
from inference.types import Box, Heatmap, Image, Line, Mask, Picture, Result, Score, Spacing, Volume

NOT_OURS = "The file of this call is not one that Lightbox has written."
ARRAYS = (("masks", Mask), ("heatmaps", Heatmap), ("pictures", Picture))
PLAIN = (("scores", Score), ("boxes", Box), ("lines", Line))


@dataclass(frozen=True, slots=True)
class Job:
    """One call of one checkpoint. `inputs` and `output` are signed references; the caller waits on `reply_to`.

    `id` names the call and its attempt: a worker that gets a job twice does it once.
    """

    id: str
    checkpoint: str
    task: str
    inputs: tuple[str, ...]
    output: str
    reply_to: str
    options: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Job:
        """Raises TypeError or KeyError on anything that is not a job."""
        return cls(**{**data, "inputs": tuple(data["inputs"])})


@dataclass(frozen=True, slots=True)
class Record:
    """What a worker knows of a call that it carried out: times in seconds since the epoch by its own clock."""

    checkpoint: str
    name: str
    revision: str
    licence: str
    device: str
    started: float
    ended: float
    load_seconds: float = 0.0
    memory_mb: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def write_input(path: Path, given: Image | Volume) -> None:
    """An image or volume as one .npz: its array, and what is known of it as JSON."""
    facts = {one.name: getattr(given, one.name) for one in dataclasses.fields(given) if one.name != "pixels"}
    if isinstance(given, Image) and given.spacing:
        facts["spacing"] = dataclasses.asdict(given.spacing)
    facts["is"] = "image" if isinstance(given, Image) else "volume"
    np.savez(path, pixels=given.pixels, facts=np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8))


def read_input(path: Path) -> Image | Volume:
    """What `write_input` has written. Raises BadInput for any other file."""
    with _opened(path) as kept:
        facts, pixels = json.loads(kept["facts"].tobytes()), kept["pixels"]
    if facts.pop("is") == "volume":
        affine = facts.pop("affine")
        return Volume(pixels, tuple(map(tuple, affine)) if affine else None, **facts)
    spacing, orientation = facts.pop("spacing"), facts.pop("orientation")
    return Image(
        pixels,
        spacing=Spacing(**spacing) if spacing else None,
        orientation=(orientation[0], orientation[1]) if orientation else None,
        **facts,
    )


def write_result(path: Path, result: Result) -> None:
    """A result as one compressed .npz: arrays by name, and the rest as JSON."""
    told: dict[str, Any] = {"values": result.values, "text": result.text, "notes": result.notes}
    arrays: dict[str, NDArray[Any]] = {f"array-{name}": array for name, array in result.arrays.items()}
    for name, _ in PLAIN:
        told[name] = [dataclasses.asdict(one) for one in getattr(result, name)]
    for name, _ in ARRAYS:
        told[name] = [
            {one.name: getattr(item, one.name) for one in dataclasses.fields(item) if one.name != "pixels"}
            for item in getattr(result, name)
        ]
        arrays |= {f"{name}-{number}": item.pixels for number, item in enumerate(getattr(result, name))}
    if result.vectors is not None:
        arrays["vectors"] = result.vectors
    arrays["told"] = np.frombuffer(json.dumps(told, allow_nan=False).encode(), dtype=np.uint8)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def read_result(path: Path) -> Result:
    """What `write_result` has written. Raises BadInput for any other file."""
    with _opened(path) as kept:
        told = json.loads(kept["told"].tobytes())
        made: dict[str, Any] = {name: tuple(kind(**one) for one in told[name]) for name, kind in PLAIN}
        for name, kind in ARRAYS:
            made[name] = tuple(kind(pixels=kept[f"{name}-{number}"], **one) for number, one in enumerate(told[name]))
        arrays = {name.removeprefix("array-"): kept[name] for name in kept.files if name.startswith("array-")}
        vectors = kept["vectors"] if "vectors" in kept.files else None
        rest = {"values": told["values"], "text": told["text"], "notes": tuple(told["notes"])}
    return Result(**made, vectors=vectors, arrays=arrays, **rest)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with np.load(path, allow_pickle=False) as kept:
            yield kept
    except (OSError, EOFError, KeyError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise BadInput(NOT_OURS) from error
