"""From stored to modality values (PS3.3 C.11.1), of all frames in one type, and MONOCHROME1 mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rescale = tuple[float, float]
"""Slope and intercept of a frame."""


def usable(slope: float, intercept: float) -> bool:
    """False for a rescale that no device means."""
    return slope != 0 and abs(slope) <= 1e6 and abs(intercept) <= 1e9


@dataclass(frozen=True, slots=True)
class Scale:
    """What the values of all frames have in common: their type and their ends, `low` and `high`."""

    dtype: Any
    low: float
    high: float

    @classmethod
    def of(cls, ends: Sequence[tuple[float, float]], rescales: Sequence[Rescale], floats: bool) -> Scale:
        """`ends` and `rescales` of each frame. The smallest integer type that holds all, float32 for fractions."""
        scaled = [
            end * slope + intercept for pair, (slope, intercept) in zip(ends, rescales, strict=True) for end in pair
        ]
        whole = not floats and all(slope.is_integer() and intercept.is_integer() for slope, intercept in rescales)
        low, high = min(scaled), max(scaled)
        return cls(smallest_type(low, high) if whole else np.float32, low, high)

    def values(self, stored: NDArray[Any], rescale: Rescale) -> NDArray[Any]:
        """Modality values of one frame, `dtype`; by blocks, since a float64 copy takes eight bytes a pixel."""
        if rescale == (1.0, 0.0):
            return stored.astype(self.dtype)
        values = np.empty(stored.shape, dtype=self.dtype)
        for rows in blocks(stored):
            values[rows] = stored[rows].astype(np.float64) * rescale[0] + rescale[1]
        return values

    def mirror(self, values: NDArray[Any]) -> None:
        """`low + high - value` in place, within all frames' range and in the same type: it cannot overflow."""
        low, high = (values.dtype.type(end) for end in (self.low, self.high))
        for rows in blocks(values):
            values[rows] = low + (high - values[rows])


def smallest_type(low: float, high: float) -> Any:
    for dtype in (np.uint8, np.int16, np.uint16, np.int32, np.uint32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return dtype
    return np.float64


def blocks(array: NDArray[Any]) -> list[slice]:
    """Slices of rows of about a million pixels."""
    step = max(1, 1_000_000 // max(1, array.shape[1]))
    return [slice(start, start + step) for start in range(0, array.shape[0], step)]
