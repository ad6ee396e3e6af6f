"""The greys of the preview (PS3.3 C.11.2): the first VOI LUT, else the first window of the file, else percentiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_windowing

from inference.errors import BadInput
from inference.readers.dicom.elements import clean, items, numbers, parts
from inference.readers.dicom.tables import Table
from inference.readers.dicom.values import blocks
from inference.readers.greys import percentile_note, spread
from inference.types import WindowSource

BAD_WINDOW = "The file's grey window ({centre:g}/{width:g}) cannot be applied."
BAD_TABLE = "The file's VOI LUT cannot be applied: it is damaged."
MANY_WINDOWS = "The file offers {count} grey windows; the first is shown."
MANY_TABLES = "The file offers {count} VOI LUTs ({names}); the first is shown."
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


@dataclass(frozen=True, slots=True)
class Greys:
    """An 8-bit preview (H, W), what it was made by, and the sentences about that."""

    preview: NDArray[np.uint8]
    window: tuple[float, float] | None
    source: WindowSource
    notes: tuple[str, ...]


def named_windows(voi: Dataset) -> tuple[tuple[str, float, float], ...]:
    """All windows of a VOI LUT module or functional group: explanation ("" without one), centre, width."""
    explanations = [clean(part) for part in parts(voi, "WindowCenterWidthExplanation")]
    pairs = list(zip(numbers(voi, "WindowCenter"), numbers(voi, "WindowWidth"), strict=False))
    explanations += [""] * (len(pairs) - len(explanations))
    return tuple((explanations[index], *pair) for index, pair in enumerate(pairs))


def greys(values: NDArray[Any], voi: Dataset, dataset: Dataset) -> Greys:
    """The preview of one frame's modality values; `voi` holds the VOI elements that hold for it."""
    notes: list[str] = []
    tables = items(voi, "VOILUTSequence")
    if tables:
        try:
            preview = _looked_up(values, Table.of(tables[0], dataset))
        except BadInput:
            notes.append(BAD_TABLE)
        else:
            if len(tables) > 1:
                names = [clean(str(item.get("LUTExplanation") or "")) or "unnamed" for item in tables]
                notes.append(MANY_TABLES.format(count=len(tables), names=", ".join(names)))
            return Greys(preview, None, "VOI LUT", tuple(notes))
    windows = named_windows(voi)
    if windows:
        _, centre, width = windows[0]
        function = str(voi.get("VOILUTFunction") or "LINEAR").upper()
        if len(windows) > 1:
            notes.append(MANY_WINDOWS.format(count=len(windows)))
        if width >= (1 if function == "LINEAR" else 1e-6) and function in FUNCTIONS:
            return Greys(windowed(values, centre, width, function), (centre, width), "file", tuple(notes))
        notes.append(BAD_WINDOW.format(centre=centre, width=width))
    centre, width = spread(values)
    notes.append(percentile_note((centre, width)))
    return Greys(windowed(values, centre, width, "LINEAR_EXACT"), (centre, width), "percentiles", tuple(notes))


def windowed(values: NDArray[Any], centre: float, width: float, function: str) -> NDArray[np.uint8]:
    """The windowing of PS3.3 C.11.2.1, by pydicom, told that its output has 8 bits."""
    told = Dataset()
    told.PhotometricInterpretation, told.PixelRepresentation, told.BitsStored = "MONOCHROME2", 0, 8
    told.WindowCenter, told.WindowWidth, told.VOILUTFunction = centre, width, function
    preview = np.empty(values.shape, dtype=np.uint8)
    with np.errstate(over="ignore"):  # a sigmoid far from its centre
        for rows in blocks(values):
            preview[rows] = np.rint(np.clip(apply_windowing(values[rows], told), 0, 255))
    return preview


def _looked_up(values: NDArray[Any], table: Table) -> NDArray[np.uint8]:
    """The 8 high bits of the table's output."""
    whole = values if np.issubdtype(values.dtype, np.integer) else np.rint(np.clip(values, -(2**30), 2**30))
    greys = np.minimum(table.look_up(whole), 2**table.bits - 1).astype(np.uint32)
    preview: NDArray[np.uint8] = (greys * 255 // (2**table.bits - 1)).astype(np.uint8)
    return preview
