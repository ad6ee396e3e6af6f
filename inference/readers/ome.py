"""The few numbers taken from OME-XML: sizes of pixels and of axes. Its text (names, dates, comments) is never read out.

Matched by pattern instead of parsed: of a document that comes with a file, only the attributes of one element count.
"""

from __future__ import annotations

import math
import re

from inference.types import Spacing

PIXELS = re.compile(r"<(?:\w+:)?Pixels\b([^<>]*)>")
ATTRIBUTE = re.compile(r'(\w+)\s*=\s*"([^"]{0,40})"')
# The schema's default is the micrometre; its sign may be the micro sign or the Greek letter.
MILLIMETRES = {"µm": 1e-3, "\u03bcm": 1e-3, "um": 1e-3, "nm": 1e-6, "mm": 1.0, "cm": 10.0, "m": 1000.0}


def ome_spacing(xml: str | None, turned: bool = False) -> Spacing | None:
    """PhysicalSizeX and PhysicalSizeY in millimetres; None unless both are there, positive and in a unit of length."""
    found = _attributes(xml)
    column, row = _millimetres(found, "X"), _millimetres(found, "Y")
    if not column or not row:
        return None
    return Spacing(column, row, "OME metadata") if turned else Spacing(row, column, "OME metadata")


def ome_facts(xml: str | None) -> dict[str, str]:
    """Sizes of the axes beyond rows and columns, in the order of pages, and the distance of slices."""
    found = _attributes(xml)
    order = found.get("DimensionOrder", "")
    facts: dict[str, str] = {}
    if re.fullmatch("XY[ZCT]{3}", order):
        sizes = [(axis, found.get(f"Size{axis}", "")) for axis in order[2:]]
        facts["Axes"] = ", ".join(f"{axis} {size}" for axis, size in sizes if re.fullmatch(r"\d{1,6}", size))
    depth = _millimetres(found, "Z")
    if depth:
        facts["SpacingBetweenSlices"] = f"{depth:g}"
    return {name: text for name, text in facts.items() if text}


def _attributes(xml: str | None) -> dict[str, str]:
    element = PIXELS.search(xml or "")
    return dict(ATTRIBUTE.findall(element[1])) if element else {}


def _millimetres(found: dict[str, str], axis: str) -> float | None:
    try:
        size = float(found[f"PhysicalSize{axis}"]) * MILLIMETRES[found.get(f"PhysicalSize{axis}Unit", "µm")]
    except (KeyError, ValueError):
        return None
    return size if math.isfinite(size) and 0 < size < 1000 else None
