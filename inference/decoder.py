"""The disposable child of `inference.decode`: `python -m inference.decoder '{"source": ..., "folder": ..., ...}'`.

It decides what the file is by its content, and writes the preview and the pixels into the folder.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from inference import disposable
from inference.errors import BadInput, Exhausted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image as PillowImage

    from inference.decode import Limits
    from inference.types import Decoded

Kind = Literal["png", "jpeg", "dicom"]

EMPTY = "This file is empty."
OTHER = "This is not a PNG, JPEG or DICOM file (it looks like {what})."
DAMAGED = "This {kind} file cannot be read: it is damaged or incomplete. Export it again and send that."
TOO_BIG = "This file is {size:.1f} MB; at most {limit:g} MB are read."
TOO_MANY_PIXELS = "This image claims {columns} x {rows} pixels; at most {limit:g} megapixels are read."
NO_PIXELS = "This image has no pixels: it claims {columns} x {rows}."
APNG = "This is an animated PNG; only its first picture is shown."
DEEP_COLOUR = "This PNG has 16 bits a colour; 8 are kept."

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
    """Read the request from the command line, decode, answer."""
    kind: Kind | None = None

    def work(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal kind
        source, limits = Path(request["source"]), _limits(request["limits"])
        kind = recognise(source, limits)
        return read(kind, source, Path(request["folder"]), limits).as_dict()

    disposable.answer(work, lambda: damaged(kind))


def damaged(kind: Kind | None) -> str:
    """The sentence about a file that its library could not read."""
    return DAMAGED.format(kind={"png": "PNG", "jpeg": "JPEG", "dicom": "DICOM", None: "image"}[kind])


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


def read(kind: Kind, source: Path, folder: Path, limits: Limits) -> Decoded:
    """Decode, and write preview.png and pixels.npy into `folder`."""
    import numpy as np
    from PIL import Image as Pillow

    from inference.decode import PIXELS, PREVIEW

    Pillow.MAX_IMAGE_PIXELS = limits.pixels
    warnings.simplefilter("error", Pillow.DecompressionBombWarning)
    if kind == "dicom":
        from inference.dicom import read_dicom

        pixels, preview, decoded = read_dicom(source, limits)
    else:
        pixels, preview, decoded = _read_raster(kind, source, limits)
    np.save(folder / PIXELS, pixels, allow_pickle=False)
    # Compression is most of the time of a large image: there a larger file is the better bargain.
    Pillow.fromarray(preview).save(folder / PREVIEW, compress_level=3 if preview.size < 8_000_000 else 1)
    return decoded


def check_size(rows: int, columns: int, limits: Limits) -> None:
    """Refuse a claimed size before any pixel is touched. Raises BadInput or Exhausted."""
    if rows < 1 or columns < 1:
        raise BadInput(NO_PIXELS.format(columns=columns, rows=rows))
    if rows * columns > limits.pixels:
        raise Exhausted(TOO_MANY_PIXELS.format(columns=columns, rows=rows, limit=limits.pixels / 1e6))


def grey_if_grey(pixels: NDArray[Any]) -> NDArray[Any]:
    """(H, W) when the three channels of (H, W, 3) agree everywhere, else the array as it is."""
    import numpy as np

    if pixels.ndim == 3 and all(np.array_equal(pixels[..., 0], pixels[..., other]) for other in (1, 2)):
        return np.ascontiguousarray(pixels[..., 0])
    return pixels


def spread(pixels: NDArray[Any]) -> tuple[float, float]:
    """Centre and width of a window from the 0.5th to the 99.5th percentile, for pixels that carry no window.

    Very large images are sampled on a regular grid, which moves the percentiles by less than a grey level.
    """
    import numpy as np

    step = max(1, int((pixels.size / 4_000_000) ** 0.5))
    low, high = (float(value) for value in np.percentile(pixels[::step, ::step], (0.5, 99.5)))
    if high <= low:
        low, high = float(pixels.min()), float(pixels.max())
    return (low + high) / 2, max(high - low, 1e-6)


def _read_raster(
    kind: Literal["png", "jpeg"], source: Path, limits: Limits
) -> tuple[NDArray[Any], NDArray[Any], Decoded]:
    """PNG and JPEG. They carry no trustworthy physical size: their resolution field is a printer's, so no spacing."""
    import numpy as np
    from PIL import Image as Pillow
    from PIL import ImageOps

    from inference.types import Decoded

    notes: list[str] = []
    Pillow.MAX_IMAGE_PIXELS = None  # opening reads the header only, and our own check has a better sentence
    with Pillow.open(source, formats=[kind.upper()]) as opened:
        check_size(opened.height, opened.width, limits)
        if getattr(opened, "n_frames", 1) > 1 and kind == "png":
            notes.append(APNG)
        opened.load()
        picture = ImageOps.exif_transpose(opened)
    deep = picture.mode.startswith("I")
    if not deep and _png_depth(kind, source) == 16:
        notes.append(DEEP_COLOUR)
    pixels = np.asarray(picture).astype(np.uint16) if deep else grey_if_grey(np.asarray(_flat(picture)))
    window = spread(pixels) if deep else None
    if window:
        notes.append(percentile_note(window))
    decoded = Decoded(
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
    return pixels, _stretch(pixels, window) if window else pixels, decoded


def percentile_note(window: tuple[float, float]) -> str:
    """The sentence that says a window was ours and not the file's."""
    low, high = window[0] - window[1] / 2, window[0] + window[1] / 2
    return f"The file names no grey window: the preview shows its 0.5th to 99.5th percentile ({low:g} to {high:g})."


def _stretch(pixels: NDArray[Any], window: tuple[float, float]) -> NDArray[np.uint8]:
    import numpy as np

    scaled = (pixels.astype(np.float32) - (window[0] - window[1] / 2)) * (255.0 / window[1])
    preview: NDArray[np.uint8] = np.clip(scaled + 0.5, 0, 255).astype(np.uint8)
    return preview


def _flat(picture: PillowImage.Image) -> PillowImage.Image:
    """8-bit grey or RGB: palettes looked up, transparency laid on black, other colour models converted."""
    from PIL import Image as Pillow

    if picture.mode in ("1", "L"):
        return picture.convert("L")
    if "A" in picture.mode or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        return Pillow.alpha_composite(Pillow.new("RGBA", clear.size, "black"), clear).convert("RGB")
    return picture.convert("RGB")


def _png_depth(kind: Kind, source: Path) -> int:
    """Bits a channel as the PNG header says: byte 24, in the IHDR chunk that must come first."""
    if kind != "png":
        return 8
    with source.open("rb") as file:
        return file.read(25)[24]


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
