"""Pictures for a served model: data URLs made anew, each behind a line that names it; volumes as slices or a montage.

The lines come from the allow-list (`inference.allowed`). No address is ever given to a server to fetch.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from inference.errors import BadInput

LONGEST = 1024  # pixels of the longer side, unless the caller knows what suits the model
IN_MONTAGE = 12
WHITE, BLACK = 255, 0
UNREADABLE = "This picture cannot be prepared for the model: it is not a readable 8-bit PNG or JPEG."


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture as a model gets it: the line that names it ("img1, chest radiograph, PA"), and an 8-bit PNG or JPEG."""

    line: str
    picture: bytes


def data_url(picture: bytes, longest: int = LONGEST) -> str:
    """`data:image/png;base64,...` of an 8-bit PNG or JPEG file's bytes, shrunk to `longest` pixels at most a side.

    Always encoded anew, so that comments and EXIF stay behind. Raises BadInput when the bytes are no such picture.
    """
    try:
        with Pillow.open(BytesIO(picture), formats=["PNG", "JPEG"]) as opened:
            if opened.mode.startswith(("I", "F")):
                raise BadInput(UNREADABLE)
            small = opened if opened.mode in ("L", "RGB") else opened.convert("RGB")
            small.thumbnail((longest, longest), Pillow.Resampling.LANCZOS)
            clean = Pillow.frombytes(small.mode, small.size, small.tobytes())
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError) as error:
        raise BadInput(UNREADABLE) from error
    buffer = BytesIO()
    clean.save(buffer, "PNG", compress_level=3)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def parts(shown: Sequence[Shown], longest: int = LONGEST) -> list[dict[str, Any]]:
    """A message's content: for each picture its line, where it has one, then the picture. Raises BadInput."""
    content: list[dict[str, Any]] = []
    for one in shown:
        if one.line:
            content.append({"type": "text", "text": one.line})
        content.append({"type": "image_url", "image_url": {"url": data_url(one.picture, longest)}})
    return content


def png(pixels: NDArray[np.uint8]) -> bytes:
    """The file of an 8-bit picture, (H, W) or (H, W, 3)."""
    buffer = BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def evenly(count: int, most: int = IN_MONTAGE) -> list[int]:
    """At most `most` of `count` slices, from 0, evenly spread: the middle of each of so many equal parts."""
    most = min(most, count)
    return [(2 * i + 1) * count // (2 * most) for i in range(most)]


def montage(pixels: Sequence[NDArray[np.uint8]], labels: Sequence[str], longest: int = LONGEST) -> NDArray[np.uint8]:
    """Pictures of one size in a grid, row by row, its longer side at most `longest` pixels; each bears its label.

    `pixels` are (H, W) or all (H, W, 3); the grid has as many columns as make it closest to a square. Raises BadInput
    when there are none, or when sizes differ.
    """
    if not pixels or len({one.shape for one in pixels}) != 1 or len(labels) != len(pixels):
        raise BadInput("A montage needs pictures of one size, and a label for each.")
    height, width = pixels[0].shape[:2]
    columns = min(range(1, len(pixels) + 1), key=lambda n: _sides(len(pixels), n, width, height))
    rows = math.ceil(len(pixels) / columns)
    scale = min(1.0, longest / max(columns * width, rows * height))
    size = max(1, int(width * scale)), max(1, int(height * scale))
    sheet = Pillow.new("RGB" if pixels[0].ndim == 3 else "L", (columns * size[0], rows * size[1]))
    for i, one in enumerate(pixels):
        tile = Pillow.fromarray(one).resize(size, Pillow.Resampling.LANCZOS)
        _label(tile, labels[i])
        sheet.paste(tile, (i % columns * size[0], i // columns * size[1]))
    return np.asarray(sheet)


def _sides(count: int, columns: int, width: int, height: int) -> int:
    """The longer side of the grid: the shorter it is, the less the pictures shrink."""
    return max(columns * width, math.ceil(count / columns) * height)


def _label(tile: Pillow.Image, text: str) -> None:
    """White on black in the upper left corner, readable on any picture."""
    font = ImageFont.load_default(max(10, tile.height // 12))
    draw = ImageDraw.Draw(tile)
    colour = (WHITE, BLACK) if tile.mode == "L" else ((WHITE,) * 3, (BLACK,) * 3)
    left, top, right, bottom = draw.textbbox((2, 1), text, font)
    draw.rectangle((left - 2, top - 1, right + 2, bottom + 1), fill=colour[1])
    draw.text((2, 1), text, fill=colour[0], font=font)
