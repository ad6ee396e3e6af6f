"""What several readers need: sizes refused before pixels are touched, and greys for files that name no window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import BadInput, Exhausted

if TYPE_CHECKING:
    from inference.decode import Limits

TOO_MANY_PIXELS = "This image claims {columns} x {rows} pixels; at most {limit:g} megapixels are read."
TOO_MANY_VOXELS = "This file claims {claimed:.0f} million values in all; at most {limit:g} million are read."
TOO_MANY_FRAMES = "This file claims {frames} frames; at most {limit} are read."
NO_PIXELS = "This image has no pixels: it claims {columns} x {rows}."


def check_size(rows: int, columns: int, limits: Limits, frames: int = 1) -> None:
    """Refuse a claimed size before any pixel is touched. Raises BadInput or Exhausted."""
    if rows < 1 or columns < 1 or frames < 1:
        raise BadInput(NO_PIXELS.format(columns=columns, rows=rows))
    if rows * columns > limits.pixels:
        raise Exhausted(TOO_MANY_PIXELS.format(columns=columns, rows=rows, limit=limits.pixels / 1e6))
    if frames > limits.frames:
        raise Exhausted(TOO_MANY_FRAMES.format(frames=frames, limit=limits.frames))
    if rows * columns * frames > limits.voxels:
        raise Exhausted(TOO_MANY_VOXELS.format(claimed=rows * columns * frames / 1e6, limit=limits.voxels / 1e6))


def grey_if_grey(pixels: NDArray[Any]) -> NDArray[Any]:
    """(H, W) when the three channels of (H, W, 3) agree everywhere, else the array as it is."""
    if pixels.ndim == 3 and all(np.array_equal(pixels[..., 0], pixels[..., other]) for other in (1, 2)):
        return np.ascontiguousarray(pixels[..., 0])
    return pixels


def spread(pixels: NDArray[Any]) -> tuple[float, float]:
    """Centre and width of a window from the 0.5th to the 99.5th percentile, for pixels that carry no window.

    Very large images are sampled on a regular grid, which moves the percentiles by less than a grey level.
    """
    step = max(1, int((pixels.size / 4_000_000) ** 0.5))
    low, high = (float(value) for value in np.percentile(pixels[::step, ::step], (0.5, 99.5)))
    if high <= low:
        low, high = float(pixels.min()), float(pixels.max())
    return (low + high) / 2, max(high - low, 1e-6)


def percentile_note(window: tuple[float, float]) -> str:
    """The sentence that says a window was ours and not the file's."""
    low, high = window[0] - window[1] / 2, window[0] + window[1] / 2
    return f"The file names no grey window: the preview shows its 0.5th to 99.5th percentile ({low:g} to {high:g})."


def stretch(pixels: NDArray[Any], window: tuple[float, float]) -> NDArray[np.uint8]:
    scaled = (pixels.astype(np.float32) - (window[0] - window[1] / 2)) * (255.0 / window[1])
    preview: NDArray[np.uint8] = np.clip(scaled + 0.5, 0, 255).astype(np.uint8)
    return preview
