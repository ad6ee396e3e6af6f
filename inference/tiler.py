"""The disposable child of `inference.tiles`: renders one block of tiles of a slide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inference import disposable
from inference.errors import BadInput, Exhausted
from inference.tiles import BLOCK, OVERLAP, QUALITY, TILE, Geometry

OTHER_SLIDE = "This slide is not the one that was uploaded. Upload it again."
NO_NEAR_LEVEL = "This slide has no picture near this magnification, and making one needs too much memory."


def main() -> None:
    """Read the request, render, answer."""
    from inference.readers.slide import DAMAGED

    disposable.answer(render, lambda: DAMAGED)


def render(request: dict[str, Any]) -> dict[str, Any]:
    """Write `<column>_<row>.jpg` for each tile of the block. Raises BadInput or Exhausted."""
    import openslide
    from openslide.deepzoom import DeepZoomGenerator

    from inference.readers.slide import DAMAGED

    level, folder = int(request["level"]), Path(request["folder"])
    geometry = Geometry(*request["size"])
    try:
        with openslide.OpenSlide(request["source"]) as opened:
            if opened.dimensions != (geometry.width, geometry.height):
                raise BadInput(OTHER_SLIDE)
            pyramid = DeepZoomGenerator(opened, TILE, OVERLAP)
            for column, row in block(geometry, level, *request["block"]):
                _, _, (width, height) = pyramid.get_tile_coordinates(level, (column, row))
                if width * height > request["limits"]["pixels"] // 2:
                    raise Exhausted(NO_NEAR_LEVEL)
                tile = pyramid.get_tile(level, (column, row))
                tile.save(folder / f"{column}_{row}.jpg", quality=QUALITY, icc_profile=None)
    except openslide.OpenSlideError as error:
        raise BadInput(DAMAGED) from error
    return {}


def block(geometry: Geometry, level: int, across: int, down: int) -> list[tuple[int, int]]:
    """Column and row of each tile in a block."""
    columns, rows = geometry.tiles(level)
    return [
        (column, row)
        for row in range(down * BLOCK, min(rows, (down + 1) * BLOCK))
        for column in range(across * BLOCK, min(columns, (across + 1) * BLOCK))
    ]


if __name__ == "__main__":
    main()
