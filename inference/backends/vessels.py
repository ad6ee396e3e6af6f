"""Vessels on a photograph of the fundus, by Sato's filter (Sato et al. 1998, scikit-image): a baseline without weights.

The green channel has the most contrast between vessels and the retina. It is brought to at most SIDE pixels a side; the
dark surround of the camera's field is found by its brightness and left out, with a rim; slow changes of brightness are
divided away. Sato's filter answers to dark tubes of the widths of vessels; what answers most, and what is connected to
it and still answers, is kept, less small objects.

Deterministic. Limits: the share of the field that is kept hardly varies from photograph to photograph, so it says
nothing of a patient. The edge of the optic disc, haemorrhages and reflections may be taken for vessels, thin ones are
missed. Arteries and veins are not told apart. Research use only.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from inference.checkpoints import Checkpoint
from inference.errors import BadInput
from inference.types import Image, Mask, Result

SIDE = 768  # of the working grid; smaller photographs are worked on as they are
SEEDS, KEPT = 94.0, 88.0  # percentiles of the answer in the field: a seed, and what may join one
LEAST_SHARE = 0.0004  # of the field: what is smaller is no vessel
LEAST_FIELD = 0.2  # of the photograph
FAINT = 0.02  # of the local brightness: answers below are noise
NO_COLOUR = "This image is grey; vessels are looked for on colour photographs of the fundus."
NO_FIELD = "No field of a fundus camera was found: most of this image is dark."
NO_VESSELS = "No vessels were found: nothing dark and narrow stands out on this photograph."
LIMIT = (
    "Outlined by a classical baseline (Sato's filter), not a trained model: thin vessels are missed, and the edge of "
    "the disc or a haemorrhage may be taken for one. How much is outlined says nothing of the patient."
)

Bits = NDArray[np.bool_]
Greys = NDArray[np.float64]


class Vessels:
    """`segment` takes one colour photograph and no options."""

    def segment(self, images: Sequence[Image], _options: Mapping[str, Any]) -> Result:
        """One mask "vessels" of the image's own size. Raises BadInput."""
        image = images[0]
        if not image.is_colour:
            raise BadInput(NO_COLOUR)
        green = _working(image.pixels[..., 1])
        field = _field(_working(image.pixels.max(axis=2)))
        found = _vessels(green, field)
        if not found.any():
            raise BadInput(NO_VESSELS)
        inside = _enlarged(found, image)
        area = float(inside.sum()) * image.spacing.pixel_area_cm2 if image.spacing else None
        mask = Mask("vessels", np.where(inside, 255, 0).astype(np.uint8), area)
        return Result(masks=(mask,), notes=(LIMIT,))


def _field(brightest: Greys) -> Bits:
    """The largest bright region, filled, less a rim whose edge would look like a vessel. Raises BadInput."""
    from scipy import ndimage

    top = float(np.percentile(brightest, 99))
    labels, count = ndimage.label(brightest > 0.12 * top)
    if not count or top <= 0:
        raise BadInput(NO_FIELD)
    largest = labels == int(np.bincount(labels.ravel())[1:].argmax()) + 1
    filled = ndimage.binary_fill_holes(largest)
    rim = max(3, round(0.015 * max(filled.shape)))
    depth = ndimage.distance_transform_edt(np.pad(filled, 1))[1:-1, 1:-1]
    field: Bits = depth > rim
    if field.mean() < LEAST_FIELD:
        raise BadInput(NO_FIELD)
    return field


def _vessels(green: Greys, field: Bits) -> Bits:
    filters: Any = importlib.import_module("skimage.filters")
    morphology: Any = importlib.import_module("skimage.morphology")
    long = max(green.shape)
    even = _even(green, field, long / 20)
    widths = np.linspace(max(1.0, long / 700), max(2.0, long / 180), 4)
    answer: Greys = filters.sato(even, sigmas=widths, black_ridges=True) * field
    high, low = (max(FAINT, float(np.percentile(answer[field], share))) for share in (SEEDS, KEPT))
    found = filters.apply_hysteresis_threshold(answer, low, high) & field
    kept: Bits = morphology.remove_small_objects(found, max_size=max(8, round(LEAST_SHARE * float(field.sum()))))
    return kept


def _even(green: Greys, field: Bits, sigma: float) -> Greys:
    """Brightness over that of the surroundings, which are taken within the field only; 1 outside of it."""
    from scipy import ndimage

    weight = ndimage.gaussian_filter(field.astype(np.float64), sigma)
    around = ndimage.gaussian_filter(np.where(field, green, 0.0), sigma) / np.maximum(weight, 1e-6)
    return np.where(field, green / np.maximum(around, 1e-6), 1.0)


def _working(channel: NDArray[Any]) -> Greys:
    height, width = channel.shape
    shrink = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    small = Pillow.fromarray(channel.astype(np.float32)).resize(size, Pillow.Resampling.BOX)
    return np.asarray(small, dtype=np.float64)


def _enlarged(found: Bits, image: Image) -> Bits:
    grown = Pillow.fromarray(found.astype(np.float32)).resize((image.width, image.height), Pillow.Resampling.BILINEAR)
    inside: Bits = np.asarray(grown) > 0.5
    return inside


def load(_checkpoint: Checkpoint, _folder: Path, _device: str) -> Vessels:
    """Nothing to load."""
    return Vessels()
