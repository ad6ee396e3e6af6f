"""Whole-slide images, by OpenSlide: facts and a small preview; the rest is read tile by tile (`inference.tiles`).

Runs only inside the child. A slide's label and macro pictures carry names and numbers of patients: they are never read.
So is none of its free text. Does not handle slides of several files (MRXS, VMS), nor pyramids in SubIFDs (OME-TIFF).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openslide
from PIL import Image as Pillow

from inference.errors import BadInput, Exhausted
from inference.readers.output import write_preview
from inference.types import Cleaning, Decoded, Spacing

if TYPE_CHECKING:
    from inference.decode import Limits

PREVIEW_SIDE = 1024
WIDEST = 2_000_000  # pixels along a side; the largest slides of today have a quarter of a million
# A pyramid that is no scanner's names its resolution where a printer's stands too: only what a microscope has counts.
MICROSCOPE = (0.02, 10.0)  # micrometres a pixel

DAMAGED = "This slide cannot be read: it is damaged or incomplete. Export it again and send that."
TOO_WIDE = "This slide claims {width} x {height} pixels; at most {limit} along a side are read."
NO_SMALL_LEVEL = (
    "The smallest picture in this slide has {width} x {height} pixels; one of at most {limit:g} megapixels is needed. "
    "Save it as a pyramid."
)
HIDDEN = "This slide also holds pictures ({names}), which may show a name; they are not shown."
NO_MPP = "This slide does not say how large a pixel is: lengths cannot be measured on it."

VENDORS = {"generic-tiff": "unknown (tiled TIFF)"}


def read(sources: Sequence[Path], folder: Path, limits: Limits, cleaning: Cleaning | None = None) -> Decoded:
    """Write preview.png into `folder`. Raises BadInput or Exhausted.

    `cleaning` changes nothing: of the file itself, only pixels of the tissue and numbers are ever shown.
    """
    try:
        with openslide.OpenSlide(sources[0]) as opened:
            width, height = opened.dimensions
            if max(width, height) > WIDEST:
                raise Exhausted(TOO_WIDE.format(width=width, height=height, limit=WIDEST))
            write_preview(folder, np.asarray(_preview(opened, limits)))
            return _facts(opened)
    except openslide.OpenSlideError as error:
        raise BadInput(DAMAGED) from error


def _preview(opened: Any, limits: Limits) -> Any:
    """At most PREVIEW_SIDE along a side, RGB, made from the smallest level that is no smaller."""
    scale = max(1.0, max(opened.dimensions) / PREVIEW_SIDE)
    level = opened.get_best_level_for_downsample(scale)
    width, height = opened.level_dimensions[level]
    if width * height > limits.pixels // 2:
        raise Exhausted(NO_SMALL_LEVEL.format(width=width, height=height, limit=limits.pixels / 2e6))
    wanted = tuple(max(1, round(side / scale)) for side in opened.dimensions)
    region = opened.read_region((0, 0), level, (width, height))
    return flat(region).resize(wanted, Pillow.Resampling.BOX, reducing_gap=2)


def flat(region: Pillow.Image) -> Pillow.Image:
    """RGB: where a slide has no pixels it is transparent, and shown white as the light of a microscope."""
    white = Pillow.new("RGB", region.size, "white")
    white.paste(region, mask=region.getchannel("A"))
    return white


def _facts(opened: Any) -> Decoded:
    width, height = opened.dimensions
    properties = opened.properties
    vendor = str(properties.get("openslide.vendor", ""))
    spacing, notes = _spacing(properties, vendor), []
    if spacing is None:
        notes.append(NO_MPP)
    hidden = [name for name in ("label", "macro") if name in opened.associated_images]
    if hidden:
        notes.append(HIDDEN.format(names=", ".join(hidden)))
    power = _number(properties.get("openslide.objective-power"))
    facts = {
        "Vendor": VENDORS.get(vendor, vendor),
        "ObjectivePower": f"{power:g}" if power and power < 1000 else "",
        "Levels": str(opened.level_count),
        "LevelDownsamples": ", ".join(f"{downsample:.4g}" for downsample in opened.level_downsamples),
    }
    return Decoded(
        kind="slide",
        modality="unknown" if vendor == "generic-tiff" else "SM",
        width=width,
        height=height,
        layout="slide",
        spacing=spacing,
        photometric="RGB",
        header={name: text for name, text in facts.items() if text},
        notes=tuple(notes),
    )


def _spacing(properties: Any, vendor: str) -> Spacing | None:
    column, row = (_number(properties.get(f"openslide.mpp-{axis}")) for axis in "xy")
    if not column or not row:
        return None
    low, high = MICROSCOPE if vendor == "generic-tiff" else (1e-3, 1e3)
    if not (low <= column <= high and low <= row <= high):
        return None
    return Spacing(row / 1000, column / 1000, "slide header")


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None
