"""The disposable child of `inference.decode`: reads one file, or the files of one series, into a folder.

What a file is is decided by its content (`recognise`). One kind of file, one module in `inference.readers`, one line
in READERS; each has `read(sources, folder, limits, cleaning)`, which checks the claimed sizes, writes preview.png and
pixels.npy, with `cleaning` the de-identified file too, and says what it found.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference import disposable
from inference.errors import BadInput, Exhausted
from inference.types import Cleaning, Decoded, Gate, Kind

if TYPE_CHECKING:
    from inference.decode import Limits

log = logging.getLogger("lightbox.decoder")

READERS: dict[Kind, str] = {
    "png": "inference.readers.raster",
    "jpeg": "inference.readers.raster",
    "dicom": "inference.readers.dicom",
}
NAMES: dict[Kind, str] = {
    "png": "PNG",
    "jpeg": "JPEG",
    "tiff": "TIFF",
    "dicom": "DICOM",
    "nifti": "NIfTI",
    "slide": "slide",
    "video": "video",
}

EMPTY = "This file is empty."
OTHER = "This is not a PNG, JPEG or DICOM file (it looks like {what})."
DAMAGED = "This {kind} file cannot be read: it is damaged or incomplete. Export it again and send that."
TOO_BIG = "This file is {size:.1f} MB; at most {limit:g} MB are read."

LOOKS_LIKE = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"\x1f\x8b", "a gzip archive, perhaps NIfTI"),
    (b"GIF8", "a GIF"),
    (b"II*\x00", "a TIFF"),
    (b"MM\x00*", "a TIFF"),
    (b"BM", "a BMP"),
    (b"RIFF", "a WebP, WAV or AVI"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000"),
    (b"\x5c\x01\x00\x00", "a NIfTI volume"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a Windows program"),
    (b"<", "HTML, SVG or XML"),
)


def main() -> None:
    """Read the request, decode, answer."""
    kind: Kind | None = None

    def work(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal kind
        sources, limits = [Path(source) for source in request["sources"]], _limits(request["limits"])
        kind = recognise(sources[0], limits)
        cleaning = Cleaning(**request["cleaning"]) if request["cleaning"] else None
        return read(kind, sources, Path(request["folder"]), limits, cleaning).as_dict()

    disposable.answer(work, lambda: damaged(kind))


def damaged(kind: Kind | None) -> str:
    """The sentence about a file that its library could not read."""
    return DAMAGED.format(kind=NAMES[kind] if kind else "image")


def recognise(source: Path, limits: Limits) -> Kind:
    """What the file is by its first bytes, DICOM first: its preamble may be a valid TIFF or JPEG header.

    A DICOM file without preamble counts when it begins with group 0008; reading it decides. Raises BadInput.
    """
    size = source.stat().st_size
    if size == 0:
        raise BadInput(EMPTY)
    if size > limits.file_bytes:
        raise Exhausted(TOO_BIG.format(size=size / 1e6, limit=limits.file_bytes / 1e6))
    with source.open("rb") as file:
        head = file.read(4096)
    if head[128:132] == b"DICM":
        return "dicom"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:2] in (b"\x08\x00", b"\x00\x08") and len(head) > 132:
        return "dicom"
    raise BadInput(OTHER.format(what=_looks_like(head)))


def read(
    kind: Kind, sources: Sequence[Path], folder: Path, limits: Limits, cleaning: Cleaning | None = None
) -> Decoded:
    """Decode by the reader of this kind."""
    from PIL import Image as Pillow

    Pillow.MAX_IMAGE_PIXELS = limits.pixels
    warnings.simplefilter("error", Pillow.DecompressionBombWarning)
    decoded: Decoded = import_module(READERS[kind]).read(sources, folder, limits, cleaning)
    return replace(decoded, gate=_gate(decoded, folder))


def _gate(decoded: Decoded, folder: Path) -> Gate | None:
    """What kind of image this is, by what was just written. An image that the gate trips over is still an image."""
    import numpy as np
    from PIL import Image as Pillow

    from inference.decode import PIXELS, PREVIEW
    from inference.gate import decide

    try:
        with Pillow.open(folder / PREVIEW, formats=["PNG"]) as picture:
            preview = np.asarray(picture)
        there = (folder / PIXELS).is_file()
        return decide(decoded, preview, np.load(folder / PIXELS, mmap_mode="r") if there else None)
    except Exception:
        log.warning("the gate failed", exc_info=True)
        return None


def _limits(values: dict[str, Any]) -> Limits:
    from inference.decode import Limits

    return Limits(**values)


def _looks_like(head: bytes) -> str:
    for signature, name in LOOKS_LIKE:
        if head.startswith(signature):
            return name
    try:
        head[:1024].decode("utf-8")
    except UnicodeDecodeError as error:
        return "text" if error.start > 1000 else "binary data of an unknown kind"
    return "binary data of an unknown kind" if b"\x00" in head else "text"


if __name__ == "__main__":
    main()
