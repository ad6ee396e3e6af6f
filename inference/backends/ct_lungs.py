"""The air-filled lungs in a CT of the chest, by threshold and connected regions: a baseline without weights.

Air within the body is darker than -400 HU; what touches the sides of the volume is air around it. The largest region
that is left, or the two largest, are the lungs; one that lies on both sides is cut in the middle of the body. Large
airways are part of it. Consolidated lung is not air, and is left out.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.checkpoints import Checkpoint
from inference.errors import BadInput
from inference.types import Mask, Result, Volume

AIR = -400  # HU: half-way between air and soft tissue
LEAST_CM3 = 200.0  # of both lungs together
LIMIT = (
    "A classical baseline outlines the air in the lungs, large airways included; consolidated parts are left out, and "
    "the cut between the two is straight where they touch."
)
NOT_HU = "These numbers are no Hounsfield units (none is below -400), so air cannot be told from tissue."
NO_PLACE = "This volume does not say how the patient lies, so right and left cannot be told, nor volumes measured."
NO_LUNGS = "No lungs were found: {found:.0f} cm3 of air lie within the body, and lungs have more than {least:.0f} cm3."

Bits = NDArray[np.bool_]


class CtLungs:
    """`segment` takes one volume in HU, and no options."""

    def segment(self, images: Sequence[Volume], _options: Mapping[str, Any]) -> Result:
        """Masks "right lung" and "left lung", of the patient. Raises BadInput."""
        volume = images[0]
        if volume.affine is None:
            raise BadInput(NO_PLACE)
        if float(volume.pixels.min()) > AIR:
            raise BadInput(NOT_HU)
        voxel_cm3 = abs(float(np.linalg.det(np.asarray(volume.affine)[:3, :3]))) / 1000
        lungs = _largest(_inner_air(volume.pixels < AIR))
        if (found := float(lungs.sum()) * voxel_cm3) < LEAST_CM3:
            raise BadInput(NO_LUNGS.format(found=found, least=LEAST_CM3))
        right = _right_of_middle(lungs, volume.affine)
        sides = (("right lung", lungs & right), ("left lung", lungs & ~right))
        return Result(masks=tuple(_mask(name, side, voxel_cm3) for name, side in sides if side.any()), notes=(LIMIT,))


def _inner_air(air: Bits) -> Bits:
    """Without the regions of each slice that touch a side of it: the patient's table and the room are around him."""
    segmentation: Any = importlib.import_module("skimage.segmentation")
    return np.stack([segmentation.clear_border(slice_) for slice_ in air])


def _largest(air: Bits) -> Bits:
    """The largest region, and the second where it has at least a fifth of its size."""
    from scipy import ndimage

    labels, count = ndimage.label(air)
    if not count:
        return air
    sizes = np.bincount(labels.ravel())[1:]
    order = np.argsort(sizes)[::-1][:2]
    kept = [number + 1 for number in order if sizes[number] * 5 >= sizes[order[0]]]
    filled: Bits = ndimage.binary_closing(np.isin(labels, kept), iterations=2)
    return filled


def _right_of_middle(lungs: Bits, affine: Sequence[Sequence[float]]) -> Bits:
    """What lies on the patient's right (+x in R-A-S+) of the middle of the lungs."""
    slices, rows, columns = np.ogrid[tuple(slice(size) for size in lungs.shape)]
    x = affine[0][0] * columns + affine[0][1] * rows + affine[0][2] * slices + affine[0][3]
    inside = np.broadcast_to(x, lungs.shape)[lungs]
    right: Bits = np.broadcast_to(x, lungs.shape) > (inside.min() + inside.max()) / 2
    return right


def _mask(label: str, inside: Bits, voxel_cm3: float) -> Mask:
    return Mask(label, np.where(inside, 255, 0).astype(np.uint8), volume_cm3=float(inside.sum()) * voxel_cm3)


def load(_checkpoint: Checkpoint, _folder: Path, _device: str) -> CtLungs:
    """Nothing to load."""
    return CtLungs()
