"""PNG and JPEG, by Pillow. They carry no trustworthy physical size: their resolution field is a printer's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from inference.decoder import recognise
from inference.readers.greys import check_size, grey_if_grey, percentile_note, spread, stretch
from inference.readers.output import write
from inference.types import Cleaning, Decoded

if TYPE_CHECKING:
    from inference.decode import Limits

APNG = "This is an animated PNG; only its first picture is shown."
DEEP_COLOUR = "This PNG has 16 bits a colour; 8 are kept."


def read(sources: Sequence[Path], folder: Path, limits: Limits, cleaning: Cleaning | None = None) -> Decoded:
    """Write preview and pixels into `folder`. Raises BadInput, Exhausted, and whatever Pillow raises on damage.

    `cleaning` changes nothing: only pixels are taken from these files.
    """
    kind = recognise(sources[0], limits)
    notes: list[str] = []
    Pillow.MAX_IMAGE_PIXELS = None  # opening reads the header only, and our own check has a better sentence
    with Pillow.open(sources[0], formats=[kind.upper()]) as opened:
        check_size(opened.height, opened.width, limits)
        if getattr(opened, "n_frames", 1) > 1 and kind == "png":
            notes.append(APNG)
        opened.load()
        picture = ImageOps.exif_transpose(opened)
    deep = picture.mode.startswith("I")
    if not deep and kind == "png" and _png_depth(sources[0]) == 16:
        notes.append(DEEP_COLOUR)
    pixels = np.asarray(picture).astype(np.uint16) if deep else grey_if_grey(np.asarray(flat(picture)))
    window = spread(pixels) if deep else None
    if window:
        notes.append(percentile_note(window))
    write(folder, pixels, stretch(pixels, window) if window else pixels.astype(np.uint8, copy=False))
    return Decoded(
        kind=kind,
        modality="unknown",
        width=pixels.shape[1],
        height=pixels.shape[0],
        photometric="RGB" if pixels.ndim == 3 else "MONOCHROME2",
        bits_stored=16 if deep else 8,
        window=window,
        window_source="percentiles" if window else "full range",
        notes=tuple(notes),
    )


def flat(picture: Pillow.Image) -> Pillow.Image:
    """8-bit grey or RGB: palettes looked up, transparency laid on black, other colour models converted."""
    if picture.mode in ("1", "L"):
        return picture.convert("L")
    if "A" in picture.mode or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        return Pillow.alpha_composite(Pillow.new("RGBA", clear.size, "black"), clear).convert("RGB")
    return picture.convert("RGB")


def _png_depth(source: Path) -> int:
    """Bits a channel as the PNG header says: byte 24, in the IHDR chunk that must come first."""
    with source.open("rb") as file:
        return file.read(25)[24]
