"""DICOM SEG and RTSTRUCT as masks on the grid of the image that they were drawn on, read in a disposable process.

A file says by UIDs which series it belongs to (`referenced`); with a `Cleaning` they are mapped as those of the images
were, so that the two find each other although neither keeps its own.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference import disposable
from inference.decode import Limits
from inference.errors import BadInput
from inference.types import Cleaning, Decoded

DAMAGED = "This DICOM segmentation or structure set cannot be read: it is damaged or of a kind not read here."


@dataclass(frozen=True, slots=True)
class Reference:
    """What a file says it was drawn on: UIDs, "" where it does not say; mapped when cleaned."""

    series: str
    study: str
    frame_of_reference: str


@dataclass(frozen=True, slots=True)
class Overlay:
    """One region. `mask` is uint8, 0 or 255, (H, W) of an image, (F, H, W) of frames and volumes."""

    label: str
    source: str
    mask: NDArray[np.uint8]


def referenced(source: Path, cleaning: Cleaning | None = None, limits: Limits | None = None) -> Reference:
    """What the file was drawn on. Raises BadInput or Exhausted."""
    return Reference(**_ask({"do": "referenced"}, source, cleaning, limits, None)["reference"])


def read_overlays(
    source: Path, target: Decoded, cleaning: Cleaning | None = None, limits: Limits | None = None
) -> list[Overlay]:
    """The regions of the file on the grid of `target`. Raises BadInput, with the reason when they do not fit."""
    with tempfile.TemporaryDirectory(prefix="lightbox-overlay-") as folder:
        said = _ask({"do": "read", "target": target.as_dict()}, source, cleaning, limits, Path(folder))
        return [Overlay(one["label"], one["source"], _load(Path(folder) / one["file"])) for one in said["overlays"]]


def _load(path: Path) -> NDArray[np.uint8]:
    with np.load(path, allow_pickle=False) as kept:
        mask: NDArray[np.uint8] = kept["mask"]
    return mask


def _ask(
    request: dict[str, Any], source: Path, cleaning: Cleaning | None, limits: Limits | None, folder: Path | None
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="lightbox-overlay-") as workplace:
        whole = {
            **request,
            "source": str(source.resolve()),
            "folder": str((folder or Path(workplace)).resolve()),
            "cleaning": asdict(cleaning) if cleaning else None,
        }
        return disposable.ask("inference.overlays", whole, Path(workplace), limits or Limits(cpu_s=60, wall_s=60.0))


# The disposable child


def main() -> None:
    """Read the request, answer it."""
    disposable.answer(_work, lambda: DAMAGED)


def _work(request: dict[str, Any]) -> dict[str, Any]:
    from inference.readers import overlay

    cleaning = Cleaning(**request["cleaning"]) if request["cleaning"] else None
    limits = Limits(**request["limits"])
    dataset = overlay.opened(Path(request["source"]), limits)
    if request["do"] == "referenced":
        return {"reference": asdict(overlay.reference(dataset, cleaning))}
    target = Decoded.from_dict(request["target"])
    made = []
    for number, one in enumerate(overlay.overlays(dataset, target, cleaning, limits), 1):
        name = f"overlay-{number}.npz"
        np.savez_compressed(Path(request["folder"]) / name, mask=one.mask)
        made.append({"label": one.label, "source": one.source, "file": name})
    if not made:
        raise BadInput("This file marks no region on the image that it belongs to.")
    return {"overlays": made}


if __name__ == "__main__":
    main()
