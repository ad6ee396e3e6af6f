"""What the values of the pixels say about the kind of image: CT has a scale of its own, and volumes an extent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.gate_rules import TELL, Guess, rise
from inference.types import Decoded

SAMPLE = 200_000  # values looked at, on a regular grid
AIR = (-1100, -850)  # HU
SOFT = (-150, 200)  # fat to contrast-filled soft tissue, HU
LABELS = 40  # at most so many different whole values: a label map
HEAD_MM = ((110, 190), (130, 240), (80, 260))  # across, front to back, feet to head, of a head's outline


def values_say(decoded: Decoded, pixels: NDArray[Any]) -> Guess | None:
    """CT for values on the Hounsfield scale; a label map or MR for other volumes. None where they say nothing.

    A volume that is neither may also be PET or SPECT, so MR is said with the least confidence that counts.
    """
    if pixels.ndim == 3 and decoded.layout == "image":  # colour
        return None
    values = _sampled(pixels)
    if values.size == 0:
        return None
    confidence = 0.95 if decoded.unit == "HU" else 0.9 * hounsfield(values)
    if confidence >= TELL:
        signs = ("values on the Hounsfield scale: air near -1000, soft tissue near 0",)
        return Guess("CT", _head(decoded, pixels, -300.0), confidence, signs)
    if decoded.layout != "volume":
        return None
    if np.unique(values).size <= LABELS and np.array_equal(values, np.rint(values)):
        return Guess("OT", "", 0.8, ("a volume of a few whole numbers, as a mask or label map has",))
    signs = ("a volume whose values are not on the Hounsfield scale, as PET would be too",)
    return Guess("MR", _head(decoded, pixels, 0.15 * float(np.percentile(values, 99))), TELL, signs)


def hounsfield(values: NDArray[np.float64]) -> float:
    """0..1: how much values look like HU: air or the padding beyond it, and of the rest much in soft tissue."""
    low, high = np.percentile(values, (0.1, 99.9))
    air = float(((values >= AIR[0]) & (values <= AIR[1])).mean())
    body = values[values > AIR[1]]
    if body.size == 0:
        return 0.0
    soft = float(((body >= SOFT[0]) & (body <= SOFT[1])).mean())
    return min(rise(low, -700, -880), rise(high, 6000, 4500), rise(air, 0.005, 0.02), rise(soft, 0.15, 0.35))


def _sampled(pixels: NDArray[Any]) -> NDArray[np.float64]:
    step = max(1, int((pixels.size / SAMPLE) ** (1 / min(pixels.ndim, 3))))
    steps = (slice(None),) * (pixels.ndim - 3) + (slice(None, None, step),) * min(pixels.ndim, 3)
    values = np.asarray(pixels[steps], dtype=np.float64).ravel()
    return values[np.isfinite(values)]


def _head(decoded: Decoded, pixels: NDArray[Any], threshold: float) -> str:
    """HEAD when what is brighter than `threshold` has a head's extent, clear of the sides of the volume."""
    if decoded.layout != "volume" or decoded.affine is None or pixels.ndim < 3:
        return ""
    volume = pixels[0] if decoded.volumes > 1 else pixels
    step = max(1, round((volume.size / 2_000_000) ** (1 / 3)))
    volume = np.nan_to_num(np.asarray(volume[::step, ::step, ::step], dtype=np.float32))
    column, row, slice_ = (float(np.linalg.norm([line[axis] for line in decoded.affine[:3]])) for axis in range(3))
    inside = volume > threshold
    extents = []
    for axis, millimetres in ((2, column), (1, row), (0, slice_)):
        # A tenth of the widest profile: a table or a stray voxel is not the head.
        profile = inside.sum(axis=tuple(other for other in range(3) if other != axis))
        filled = np.flatnonzero(profile > 0.1 * max(profile.max(), 1))
        if filled.size == 0 or (axis != 0 and (filled[0] == 0 or filled[-1] == len(profile) - 1)):
            return ""
        extents.append((filled[-1] - filled[0] + 1) * millimetres * step)
    fits = all(low <= extent <= high for extent, (low, high) in zip(extents, HEAD_MM, strict=True))
    return "HEAD" if fits else ""
