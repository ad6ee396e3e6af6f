"""Tiles of a slide, cut by a disposable child a block at a time and kept in DATA_DIR/tiles/<image>, within a bound."""

import math
import shutil
import tempfile
import threading
from pathlib import Path

from django.conf import settings
from django.core.files.base import File

from assistant import viewing
from assistant.models import Image
from inference.decode import Limits
from inference.errors import Unavailable

LIMIT = 2_000_000_000  # bytes of all kept tiles
BUSY = "Too many tiles are being cut at the moment. Try again in a moment."
_slots = threading.BoundedSemaphore(2)  # a child may use its full memory limit


class NoTile(LookupError):
    """The image is no slide, or its pyramid has no tile there."""


def tile(image: Image, level: int, column: int, row: int) -> bytes:
    """The JPEG of a tile of the DeepZoom pyramid. Raises NoTile, or an InferenceError."""
    if image.layout != "slide" or not _within(image, level, column, row):
        raise NoTile
    folder = image.tile_folder
    path = folder / str(level) / f"{column}_{row}.jpg"
    if not path.exists():
        _cut(image, folder, level, column, row)
    return path.read_bytes()


def _within(image: Image, level: int, column: int, row: int) -> bool:
    levels = viewing.levels(image)
    if not 0 <= level < levels:
        return False
    scale = 2 ** (levels - 1 - level)
    wide, high = (math.ceil(math.ceil(side / scale) / viewing.TILE) for side in (image.width, image.height))
    return 0 <= column < wide and 0 <= row < high


def _cut(image: Image, folder: Path, level: int, column: int, row: int) -> None:
    from inference import tiles

    if not _slots.acquire(timeout=20):
        raise Unavailable(BUSY)
    try:
        if (folder / str(level) / f"{column}_{row}.jpg").exists():  # came with the block of another request
            return
        folder.mkdir(parents=True, exist_ok=True)
        _trim(folder)
        tiles.tiles(_source(image, folder), folder, level, column, row, Limits())
    finally:
        _slots.release()


def _source(image: Image, folder: Path) -> Path:
    """The slide as a file: its own on a disk, else a copy beside its tiles."""
    try:
        return Path(image.source.path)
    except NotImplementedError:
        copy = folder / Path(str(image.source.name)).name
        if not copy.exists():
            _download(image.source, copy)
        return copy


def _download(file: File[bytes], copy: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=copy.parent, delete=False) as part, file.open("rb") as source:
        shutil.copyfileobj(source, part)
    Path(part.name).replace(copy)


def _trim(in_use: Path) -> None:
    """Over the bound, the tiles of the slides that were cut longest ago go."""
    in_use.touch()
    folders = [folder for folder in (settings.DATA_DIR / "tiles").iterdir() if folder.is_dir()]
    sizes = {folder: sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) for folder in folders}
    for folder in sorted(folders, key=lambda f: f.stat().st_mtime):
        if sum(sizes.values()) <= LIMIT or folder == in_use:
            return
        shutil.rmtree(folder, ignore_errors=True)
        del sizes[folder]
