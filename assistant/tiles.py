"""Tiles of a slide, cut by a disposable child a block at a time and kept in DATA_DIR/tiles/<image>, within a bound."""

import shutil
import tempfile
import threading
from pathlib import Path

from django.conf import settings
from django.db.models.fields.files import FieldFile

from assistant import uploads
from assistant.models import Image
from inference.errors import Unavailable
from inference.tiles import Geometry, tile_path, tiles

LIMIT = 2_000_000_000  # bytes of all kept tiles
BUSY = "Too many tiles are being cut at the moment. Try again in a moment."
_slots = threading.BoundedSemaphore(2)  # a child may use its full memory limit


class NoTile(LookupError):
    """The image is no slide, or its pyramid has no tile there."""


def tile(image: Image, level: int, column: int, row: int) -> bytes:
    """The JPEG of a tile of the DeepZoom pyramid. Raises NoTile, or an InferenceError."""
    geometry = Geometry(image.width, image.height)
    if image.layout != "slide" or not geometry.has(level, column, row):
        raise NoTile
    path = tile_path(image.tile_folder, level, column, row)
    if not path.exists():
        _cut(image, geometry, level, column, row)
    return path.read_bytes()


def _cut(image: Image, geometry: Geometry, level: int, column: int, row: int) -> None:
    folder = image.tile_folder
    if not _slots.acquire(timeout=20):
        raise Unavailable(BUSY)
    try:
        if tile_path(folder, level, column, row).exists():  # came with the block of another request
            return
        folder.mkdir(parents=True, exist_ok=True)
        _trim(folder)
        tiles(_source(image, folder), folder, level, column, row, uploads.limits(), geometry=geometry)
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


def _download(file: FieldFile, copy: Path) -> None:
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
