"""Brain extraction of T1-weighted MR volumes by deepbet (Fisch et al. 2024), in the environment "brain".

Its weights come in its package. deepbet takes a NIfTI image and turns it to R-A-S+ itself by the affine; what it gives
back lies on the grid that it was given. Whether it is a head, and T1-weighted, neither deepbet nor this file checks.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference.checkpoints import Checkpoint
from inference.errors import BadInput, Unavailable
from inference.types import Mask, Result, Volume

THRESHOLD = 0.5  # deepbet's own
NO_LIBRARY = "{name} needs the environment brain: manage.py models environment brain ({why})."
NO_PLACE = "This volume does not say how the patient lies, so deepbet cannot turn it upright, nor its size be measured."
NO_VOLUME = "deepbet reads one volume of MR, not a single image."
NO_BRAIN = "No brain was found in this volume: deepbet reads T1-weighted MR of the whole head."
FAILED = "deepbet cannot take this volume: {why}"
LIMIT = "deepbet was made for T1-weighted MR of the whole head; on other sequences or parts its outline means nothing."


class Deepbet:
    """`segment` takes one volume with an affine, and no options."""

    def __init__(self, extraction: Any) -> None:
        self._extraction = extraction

    def segment(self, images: Sequence[Volume], _options: Mapping[str, Any]) -> Result:
        """One mask "brain", (S, H, W) on the volume's own grid, with its volume. Raises BadInput."""
        volume = images[0]
        if volume.pixels.ndim != 3:
            raise BadInput(NO_VOLUME)
        if volume.affine is None:
            raise BadInput(NO_PLACE)
        inside = self._inside(volume)
        if not inside.any():
            raise BadInput(NO_BRAIN)
        voxel_cm3 = abs(float(np.linalg.det(np.asarray(volume.affine)[:3, :3]))) / 1000
        pixels = np.where(inside, 255, 0).astype(np.uint8)
        return Result(masks=(Mask("brain", pixels, volume_cm3=float(inside.sum()) * voxel_cm3),), notes=(LIMIT,))

    def _inside(self, volume: Volume) -> Any:
        import nibabel

        # NIfTI's axes are (column, row, slice), as those of the affine; ours are (slice, row, column).
        given = np.ascontiguousarray(volume.pixels.transpose(2, 1, 0), dtype=np.float32)
        if float(given.min()) == float(given.max()):
            raise BadInput(NO_BRAIN)
        try:
            _, mask, _ = self._extraction.run(
                nibabel.Nifti1Image(given, np.asarray(volume.affine)), threshold=THRESHOLD
            )
        except (AssertionError, ValueError) as error:  # it asks for the largest region, or its box, where there is none
            raise BadInput(NO_BRAIN) from error
        except RuntimeError as error:
            raise BadInput(FAILED.format(why=str(error)[:120])) from error
        return (np.asarray(mask.dataobj) > 0).transpose(2, 1, 0)


def load(checkpoint: Checkpoint, _folder: Path, device: str) -> Deepbet:
    """Reads the weights of the package. Raises Unavailable."""
    try:
        deepbet: Any = importlib.import_module("deepbet")
    except ImportError as error:
        raise Unavailable(NO_LIBRARY.format(name=checkpoint.name, why=error)) from error
    return Deepbet(deepbet.BrainExtraction(no_gpu=device == "cpu"))
