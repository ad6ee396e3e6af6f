"""Pixel values of any number type to those that pixels.npy keeps, a piece at a time: volumes are large."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import BadInput

NO_VALUES = "This file has no pixel that is a number: all are NaN or infinite."
NOT_FINITE = "{count} of its values are not numbers (NaN or infinite); they are shown as the lowest value."
WINDOW = "The file names no grey window: the preview shows the 0.5th to 99.5th percentile without background ({ends})."
PIECE = 4_000_000
SAMPLE = 1_000_000


@dataclass(frozen=True, slots=True)
class Values:
    """How stored values become modality values: times `slope` plus `intercept`, in `dtype`.

    `low` and `high` are the ends of the finite modality values, `not_finite` counts the others.
    """

    slope: float
    intercept: float
    dtype: Any
    low: float
    high: float
    not_finite: int

    def of(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Modality values of a piece, of the same shape; what is not finite becomes `low`."""
        if self.slope == 1 and self.intercept == 0:
            values = stored.astype(np.float64) if stored.dtype == np.float16 else stored
        else:
            values = stored.astype(np.float64) * self.slope + self.intercept
        if self.not_finite:
            values = np.where(np.isfinite(values), values, self.low)
        return values.astype(self.dtype)

    def notes(self) -> list[str]:
        return [NOT_FINITE.format(count=self.not_finite)] if self.not_finite else []


def survey(stored: NDArray[Any], slope: float = 1.0, intercept: float = 0.0) -> Values:
    """Look through all values of a contiguous array. Raises BadInput when none is finite."""
    low, high, not_finite = np.inf, -np.inf, 0
    for piece in _pieces(stored):
        if piece.dtype.kind == "f":
            finite = piece[np.isfinite(piece)]
            not_finite += piece.size - finite.size
            piece = finite
        if piece.size:
            low, high = min(low, float(piece.min())), max(high, float(piece.max()))
    if low > high:
        raise BadInput(NO_VALUES)
    low, high = sorted((low * slope + intercept, high * slope + intercept))
    whole = stored.dtype.kind in "iub" and float(slope).is_integer() and float(intercept).is_integer()
    return Values(
        slope, intercept, smallest_type(low, high) if whole else _float_type(low, high), low, high, not_finite
    )


def smallest_type(low: float, high: float) -> Any:
    """The integer type of at most 32 bits that holds both ends, or float64, exact for integers to 2^53."""
    for dtype in (np.uint8, np.int16, np.uint16, np.int32, np.uint32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return dtype
    return np.float64


def foreground(stored: NDArray[Any], values: Values) -> tuple[float, float]:
    """Centre and width of a window from the 0.5th to the 99.5th percentile of what is not background.

    The most frequent value is background when a tenth or more of all pixels have it: the air around a head, the
    nothing around a mask. Taken over about a million values at regular distances.
    """
    flat = stored.ravel(order="K")
    sample = values.of(flat[:: max(1, flat.size // SAMPLE)])
    found, counts = np.unique(sample, return_counts=True)
    if counts.max() * 10 >= sample.size:
        sample = sample[sample != found[counts.argmax()]]
    low, high = (float(end) for end in np.percentile(sample, (0.5, 99.5))) if sample.size else (0.0, 0.0)
    if high <= low:
        low, high = values.low, values.high
    return (low + high) / 2, max(high - low, 1e-6)


def foreground_note(window: tuple[float, float]) -> str:
    """The sentence that says a window was ours and not the file's."""
    return WINDOW.format(ends=f"{window[0] - window[1] / 2:g} to {window[0] + window[1] / 2:g}")


def _float_type(low: float, high: float) -> Any:
    return np.float32 if max(abs(low), abs(high)) < float(np.finfo(np.float32).max) else np.float64


def _pieces(stored: NDArray[Any]) -> Iterator[NDArray[Any]]:
    flat = stored.ravel(order="K")
    for start in range(0, flat.size, PIECE):
        yield flat[start : start + PIECE]
