"""Text burned into pixels: which images are searched for it, where it stands, and painting over it.

Found by RapidOCR (PP-OCR detection and recognition as ONNX, weights in the wheel), always in a disposable process. What
the text says is not kept: it may be a name. Does not find: handwriting, text on end or upside down, letters under about
7 pixels high, text fainter than the noise around it. So a search that finds nothing proves nothing, and says only that.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference import disposable
from inference.errors import BadInput
from inference.types import Decoded

if TYPE_CHECKING:
    from rapidocr_onnxruntime import RapidOCR

SEARCHED = frozenset({"US", "SC", "XA", "RF", "ES", "OT"})
LIMITS = disposable.Limits(memory=4_000_000_000, cpu_s=120, wall_s=120.0, file_bytes=2_000_000_000)
TILE, OVERLAP = 1600, 160  # pixels; the detector shrinks what is larger, and small letters with it
SMALL = (
    640  # an image with a shorter side below this is enlarged twice: letters of 8 pixels are at the detector's limit
)
ENOUGH = 0.4  # of the recogniser's confidence; edges of bones and ribs that look like strokes score below
MARGIN = 2  # pixels around a box, for the soft edges of letters


@dataclass(frozen=True, slots=True)
class TextBox:
    """Columns x0 <= x < x1 and rows y0 <= y < y1 in pixels of the frame, and the recogniser's confidence (0..1)."""

    x0: int
    y0: int
    x1: int
    y1: int
    score: float


def needs_check(decoded: Decoded) -> bool:
    """Whether images of this kind are searched at upload: ultrasound, angiography and fluoroscopy, endoscopy, secondary
    captures, and whatever says of itself that it has text burned in (BurnedInAnnotation)."""
    return decoded.modality in SEARCHED or decoded.header.get("BurnedInAnnotation") == "YES"


def find_text_in_file(pixels: Path, decoded: Decoded) -> list[TextBox]:
    """Where text stands on any of the sampled frames of a pixels.npy: the first, the middle and the last one.

    Raises BadInput or Exhausted when the search itself fails.
    """
    request = {"do": "find", "pixels": str(pixels.resolve()), "decoded": decoded.as_dict()}
    with tempfile.TemporaryDirectory(prefix="lightbox-ocr-") as folder:
        said = disposable.ask("inference.burned_in", request, Path(folder), LIMITS)
    try:
        return [TextBox(**box) for box in said["boxes"]]
    except (KeyError, TypeError) as error:
        raise BadInput(disposable.NO_ANSWER) from error


def mask_text_in_files(
    pixels: Path, preview: Path, clean: Path | None, boxes: Sequence[Sequence[int]], folder: Path
) -> None:
    """Write pixels.npy, preview.png and the clean DICOM copy (a file or a zip of them), each under its own name, into
    `folder`, with the boxes [x0, y0, x1, y1] painted over on every frame. Raises BadInput or Exhausted."""
    request = {
        "do": "mask",
        "pixels": str(pixels.resolve()),
        "preview": str(preview.resolve()),
        "clean": str(clean.resolve()) if clean else None,
        "boxes": [list(map(int, box)) for box in boxes],
        "folder": str(folder.resolve()),
    }
    with tempfile.TemporaryDirectory(prefix="lightbox-mask-") as workplace:
        disposable.ask("inference.burned_in", request, Path(workplace), LIMITS)


def find_text(pixels: NDArray[np.uint8], engine: RapidOCR | None = None) -> list[TextBox]:
    """Boxes around text on one frame, (H, W) or (H, W, 3) uint8. Large frames are searched in overlapping tiles."""
    from rapidocr_onnxruntime import RapidOCR

    engine = engine or RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1, text_score=ENOUGH)
    picture = pixels if pixels.ndim == 3 else np.repeat(pixels[..., np.newaxis], 3, axis=2)
    boxes: list[TextBox] = []
    for top in _starts(picture.shape[0]):
        for left in _starts(picture.shape[1]):
            boxes += _found(engine, picture[top : top + TILE, left : left + TILE], left, top, picture.shape)
    return merged(boxes)


def merged(boxes: Sequence[TextBox]) -> list[TextBox]:
    """The boxes with those that overlap by more than half of the smaller one made one, top to bottom."""
    kept: list[TextBox] = []
    for box in sorted(boxes, key=lambda b: (b.y0, b.x0)):
        same = next((other for other in kept if _overlap(box, other) > 0.5), None)
        if same is None:
            kept.append(box)
            continue
        kept[kept.index(same)] = TextBox(
            min(same.x0, box.x0),
            min(same.y0, box.y0),
            max(same.x1, box.x1),
            max(same.y1, box.y1),
            max(same.score, box.score),
        )
    return kept


def mask_text(pixels: NDArray[Any], boxes: Sequence[Sequence[int]], frame_axes: int = 0) -> NDArray[Any]:
    """A copy with the boxes [x0, y0, x1, y1] set to the array's minimum on every frame.

    `frame_axes` axes come before rows and columns: 0 for (H, W) and (H, W, 3), 1 for frames, 2 for frames in time.
    """
    painted = pixels.copy()
    before = (slice(None),) * frame_axes
    for x0, y0, x1, y1 in boxes:
        painted[(*before, slice(max(y0, 0), y1), slice(max(x0, 0), x1))] = pixels.min()
    return painted


def _starts(length: int) -> list[int]:
    return [0] if length <= TILE else [*range(0, length - TILE, TILE - OVERLAP), length - TILE]


def _found(engine: RapidOCR, tile: NDArray[np.uint8], left: int, top: int, shape: tuple[int, ...]) -> list[TextBox]:
    factor = 2 if min(tile.shape[:2]) < SMALL else 1
    enlarged = tile.repeat(factor, axis=0).repeat(factor, axis=1)
    lines, _ = engine(np.ascontiguousarray(enlarged[..., ::-1]))  # it takes BGR, as OpenCV does
    found = []
    for corners, text, score in lines or []:
        if not any(letter.isalnum() for letter in text):
            continue
        points = np.asarray(corners, dtype=float) / factor
        (x0, y0), (x1, y1) = np.floor(points.min(axis=0)) - MARGIN, np.ceil(points.max(axis=0)) + MARGIN
        x0, x1 = max(int(x0) + left, 0), min(int(x1) + left, shape[1])
        y0, y1 = max(int(y0) + top, 0), min(int(y1) + top, shape[0])
        found.append(TextBox(x0, y0, x1, y1, round(float(score), 3)))
    return found


def _overlap(one: TextBox, other: TextBox) -> float:
    """The shared area as a share (0..1) of the smaller box."""
    wide = min(one.x1, other.x1) - max(one.x0, other.x0)
    high = min(one.y1, other.y1) - max(one.y0, other.y0)
    smaller = min((b.x1 - b.x0) * (b.y1 - b.y0) for b in (one, other))
    return max(wide, 0) * max(high, 0) / max(smaller, 1)


# The disposable child


def main() -> None:
    """Search or paint, as the request says."""
    disposable.answer(_work, lambda: "The pixels of this image could not be searched for text.")


def _work(request: dict[str, Any]) -> dict[str, Any]:
    if request["do"] == "find":
        return {
            "boxes": [asdict(box) for box in _search(Path(request["pixels"]), Decoded.from_dict(request["decoded"]))]
        }
    _paint(request)
    return {}


def _search(path: Path, decoded: Decoded) -> list[TextBox]:
    from rapidocr_onnxruntime import RapidOCR

    from inference.decode import as_image
    from inference.readers.greys import spread, stretch

    engine = RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1, text_score=ENOUGH)
    pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    boxes: list[TextBox] = []
    for frame in sorted({0, decoded.frames // 2, decoded.frames - 1}):
        values = as_image(pixels, decoded, frame).pixels
        # Over all values: text is often brighter than any window shows apart from tissue.
        whole = (float(values.min()), float(values.max()))
        ranges = [spread(values)] if values.dtype != np.uint8 else []
        ranges.append(((whole[0] + whole[1]) / 2, max(whole[1] - whole[0], 1e-6)))
        for window in ranges if values.ndim == 2 else ranges[:1]:
            grey = values if values.dtype == np.uint8 else stretch(values, window)
            boxes += find_text(grey, engine)
            if values.dtype == np.uint8:
                break
    return merged(boxes)


def _paint(request: dict[str, Any]) -> None:
    from PIL import Image as Pillow

    folder, boxes = Path(request["folder"]), request["boxes"]
    source, preview = Path(request["pixels"]), Path(request["preview"])
    pixels = np.load(source, allow_pickle=False)
    with Pillow.open(preview, formats=["PNG"]) as picture:
        shown = np.asarray(picture)
    frame_axes = pixels.ndim - shown.ndim
    np.save(folder / "pixels.npy", mask_text(pixels, boxes, frame_axes), allow_pickle=False)
    Pillow.fromarray(mask_text(shown, boxes)).save(folder / "preview.png", compress_level=3)
    if request["clean"]:
        from inference.repaint import repaint

        repaint(Path(request["clean"]), boxes, folder)


if __name__ == "__main__":
    main()
