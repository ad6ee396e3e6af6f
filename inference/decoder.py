"""The disposable child of `inference.decode`: reads one file, or the files of one series, into a folder.

What a file is is decided by its content (`recognise`). One kind of file, one module in `inference.readers`, one line
in READERS; each has `read(sources, folder, limits, cleaning)`, which checks the claimed sizes, writes preview.png and
pixels.npy, with `cleaning` the de-identified file too, and says what it found.
"""

from __future__ import annotations

import logging
import re
import warnings
import zlib
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
    "dicom": "inference.readers.dicom.series",
    "overlay": "inference.readers.dicom.series",  # which says that it is shown over images
    "tiff": "inference.readers.tiff",
    "nifti": "inference.readers.nifti",
    "video": "inference.readers.video",
}
NAMES: dict[Kind, str] = {
    "png": "PNG",
    "jpeg": "JPEG",
    "tiff": "TIFF",
    "dicom": "DICOM",
    "nifti": "NIfTI",
    "slide": "slide",
    "video": "video",
    "overlay": "DICOM",
}
# The first class that a DICOM file names is its own: segmentations, label maps and structure sets lie on other images.
CLASS = re.compile(rb"1\.2\.840\.10008\.5\.1\.4\.1\.1\.([\d.]+)")
OVERLAYS = (b"66.4", b"66.7", b"481.3")

EMPTY = "This file is empty."
OTHER = (
    "This is not an image or video that is read here, such as DICOM, NIfTI, TIFF, PNG or MP4 (it looks like {what})."
)
DAMAGED = "This {kind} file cannot be read: it is damaged or incomplete. Export it again and send that."
TOO_BIG = "This file is {size:.1f} MB; at most {limit:g} MB are read."

TIFFS = (b"II*\x00", b"MM\x00*", b"II+\x00\x08\x00\x00\x00", b"MM\x00+\x00\x08\x00\x00")  # the last two: BigTIFF
ISO_PICTURES = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")  # still pictures in the container of MP4

LOOKS_LIKE = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"\x1f\x8b", "a gzip archive without a NIfTI volume in it"),
    (b"BM", "a BMP"),
    (b"RIFF", "a WebP or WAV"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000"),
    (b"\x5c\x01\x00\x00", "an Analyze header"),
    (b"\x00\x00\x01\xba", "an MPEG program stream"),
    (b"\x30\x26\xb2\x75", "a Windows Media video"),
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
        first = CLASS.search(head, 132)
        return "overlay" if first and first[1] in OVERLAYS else "dicom"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(TIFFS):
        return "tiff"
    if _is_nifti(head):
        return "nifti"
    if _is_video(head):
        return "video"
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


def _is_nifti(head: bytes) -> bool:
    """NIfTI-1 or -2 by length of header and magic, also inside gzip, of which only the beginning is inflated."""
    if head.startswith(b"\x1f\x8b"):
        try:
            head = zlib.decompressobj(zlib.MAX_WBITS + 16).decompress(head, 600)
        except zlib.error:
            return False
    lengths = {int.from_bytes(head[:4], order) for order in ("little", "big")}
    return (348 in lengths and head[344:348] in (b"n+1\0", b"ni1\0")) or (
        540 in lengths and head[4:8] in (b"n+2\0", b"ni2\0")
    )


def _is_video(head: bytes) -> bool:
    """MP4 and MOV, AVI, WebM and Matroska; GIF, which may move."""
    if head[4:8] == b"ftyp":
        return head[8:12] not in ISO_PICTURES
    avi = head.startswith(b"RIFF") and head[8:12] == b"AVI "
    return avi or head[4:8] in (b"moov", b"mdat", b"wide") or head.startswith((b"\x1aE\xdf\xa3", b"GIF8"))


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
