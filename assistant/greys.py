"""From modality values to 8-bit greys by a window, as DICOM PS3.3 C.11.2.1 says.

static/app/viewer/greys.js does the same in the browser; only numpy, since this runs in the web process.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from assistant.models import Image

Function = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
FUNCTIONS: dict[str, Function] = {"LINEAR_EXACT": "LINEAR_EXACT", "SIGMOID": "SIGMOID"}
FULL_BLACK, FULL_WHITE = 0.5, 99.5  # percentiles


def function_of(image: Image) -> Function:
    """How the window of this image is meant: as its file says, else from end to end."""
    if image.decoded.get("window_source") != "file":
        return "LINEAR_EXACT"
    said = str(image.decoded.get("header", {}).get("VOILUTFunction", "")).upper()
    return FUNCTIONS.get(said, "LINEAR")


def window_of(image: Image, values: NDArray[Any]) -> tuple[float, float] | None:
    """(centre, width) that this image is shown with at first; None for 8 bits that are shown as they are."""
    if image.decoded.get("window"):
        centre, width = image.decoded["window"]
        return float(centre), float(width)
    if values.dtype == np.uint8:
        return None
    if values.ndim == 3:  # deep colour: the preview drops the low bits
        top = 2.0 ** int(image.decoded.get("bits_stored", 16)) - 1
        return top / 2, top
    return spread(values)


def spread(values: NDArray[Any]) -> tuple[float, float]:
    """The window from the 0.5th to the 99.5th percentile."""
    step = max(1, int((values.size / 1_000_000) ** 0.5))
    low, high = (float(end) for end in np.percentile(values[::step, ::step], (FULL_BLACK, FULL_WHITE)))
    return (low + high) / 2, max(high - low, 1e-6)


def windowed(
    values: NDArray[Any], window: tuple[float, float] | None, function: Function = "LINEAR"
) -> NDArray[np.uint8]:
    """8-bit greys, or colours of (H, W, 3). Raises nothing: values that are no numbers become black."""
    if window is None:
        return values.astype(np.uint8, copy=False)
    centre, width = window
    scaled = np.nan_to_num(values.astype(np.float32), nan=-np.inf)
    with np.errstate(over="ignore"):
        if function == "SIGMOID":
            greys = 255.0 / (1.0 + np.exp(-4.0 * (scaled - centre) / width))
        elif function == "LINEAR" and width > 1:
            greys = ((scaled - (centre - 0.5)) / (width - 1) + 0.5) * 255.0
        elif function == "LINEAR":  # width 1: a threshold
            greys = np.where(scaled > centre - 0.5, 255.0, 0.0)
        else:
            greys = ((scaled - centre) / max(width, 1e-9) + 0.5) * 255.0
    painted: NDArray[np.uint8] = np.rint(np.clip(greys, 0, 255)).astype(np.uint8)
    return painted
