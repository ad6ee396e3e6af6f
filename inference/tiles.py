"""Tiles of a whole-slide image, made when somebody looks there.

A viewer asks for one tile after another; a disposable child (`inference.tiler`) opens the slide once for a whole block
of them, and leaves them as files. Geometry is DeepZoom's and plain arithmetic: a web process needs no OpenSlide.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from inference import disposable
from inference.decode import Limits
from inference.errors import BadInput
from inference.types import Decoded

TILE, OVERLAP = 254, 1  # with a pixel of its neighbours on each side, an inner tile has 256 x 256 pixels
BLOCK = 8  # tiles along a side of what one child renders
QUALITY = 85  # of JPEG

NO_TILE = "There is no tile {column}, {row} at level {level} of this slide."
NO_SLIDE = "This image is not a slide: it has no tiles."


@dataclass(frozen=True, slots=True)
class Geometry:
    """A DeepZoom pyramid: level 0 is one pixel, the last level is the whole slide, each twice the one before."""

    width: int
    height: int

    @property
    def levels(self) -> int:
        """How many there are."""
        return (max(self.width, self.height) - 1).bit_length() + 1

    def size(self, level: int) -> tuple[int, int]:
        """Width and height of a level in pixels."""
        width, height = self.width, self.height
        for _ in range(self.levels - 1 - level):
            width, height = ceil(width / 2), ceil(height / 2)
        return width, height

    def tiles(self, level: int) -> tuple[int, int]:
        """Columns and rows of tiles of a level."""
        width, height = self.size(level)
        return ceil(width / TILE), ceil(height / TILE)

    def tile_size(self, level: int, column: int, row: int) -> tuple[int, int]:
        """Width and height of a tile in pixels, overlap included."""
        sides = zip((column, row), self.size(level), self.tiles(level), strict=True)
        one, other = (
            min(TILE, side - place * TILE) + OVERLAP * (place > 0) + OVERLAP * (place < count - 1)
            for place, side, count in sides
        )
        return one, other

    def has(self, level: int, column: int, row: int) -> bool:
        """Whether there is such a tile."""
        if not 0 <= level < self.levels:
            return False
        columns, rows = self.tiles(level)
        return 0 <= column < columns and 0 <= row < rows

    def dzi(self) -> str:
        """The DeepZoom descriptor, XML."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>'
            f'<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="jpg" Overlap="{OVERLAP}" '
            f'TileSize="{TILE}"><Size Width="{self.width}" Height="{self.height}"/></Image>'
        )


def slide_geometry(decoded: Decoded) -> Geometry:
    """The pyramid of a decoded slide. Raises BadInput for another layout."""
    if decoded.layout != "slide":
        raise BadInput(NO_SLIDE)
    return Geometry(decoded.width, decoded.height)


def tile_path(folder: Path, level: int, column: int, row: int) -> Path:
    """Where a tile is once it has been made."""
    return folder / str(level) / f"{column}_{row}.jpg"


def tiles(
    source: Path,
    folder: Path,
    level: int,
    column: int,
    row: int,
    limits: Limits | None = None,
    *,
    geometry: Geometry,
) -> Path:
    """The JPEG of one tile; with it, the block of BLOCK x BLOCK tiles that it lies in is made, when it is not there.

    `folder` is the slide's own, only for tiles. Two callers at once both render, and write the same. Raises BadInput
    (no such tile, or the slide is damaged there) or Exhausted (a limit was hit).
    """
    if not geometry.has(level, column, row):
        raise BadInput(NO_TILE.format(level=level, column=column, row=row))
    path = tile_path(folder, level, column, row)
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    workplace = Path(tempfile.mkdtemp(prefix=".tiles-", dir=folder))
    try:
        request = {
            "source": str(source.resolve()),
            "folder": str(workplace.resolve()),
            "level": level,
            "block": [column // BLOCK, row // BLOCK],
            "size": [geometry.width, geometry.height],
        }
        disposable.ask("inference.tiler", request, workplace, limits or Limits())
        for made in workplace.glob("*.jpg"):
            made.replace(path.parent / made.name)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)
    if not path.is_file():
        raise BadInput(disposable.NO_ANSWER)
    return path
