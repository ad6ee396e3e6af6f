"""Text that is part of the picture: found by OCR (RapidOCR, its models are in the wheel), so that a person can decide.

Only where the text stands is kept, and how sure the reader was. The words are dropped at once: they may be names.
What OCR does not see is not found: tiny, faint, hand-written or turned text (docs/deidentification.md has figures).
No result means "none found", never "there is none".

    needs_check(decoded)              whether an image is of a kind that commonly carries text
    find_text_in_file(folder, ...)    in a disposable child with limits of its own: a crash is one failed check
    find_text, find_text_in_frames    the work itself, in the child: about 650 MB

Masking what was found is in `inference.masking`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference import disposable
from inference.decode import PIXELS, PREVIEW
from inference.errors import BadInput
from inference.types import Decoded

if TYPE_CHECKING:
    from rapidocr_onnxruntime import RapidOCR

# Modalities whose machines write into the picture, screens that were captured, and photographs: ultrasound, vessels,
# fluoroscopy and angiography, endoscopy, eyes, microscopes, "other".
COMMONLY = ("US", "IVUS", "BDUS", "XA", "RF", "ES", "XC", "GM", "OP", "OPT", "DMS", "HC", "SC", "OT", "DG", "IO", "PX")
NO_ANSWER = "The text in this picture could not be looked for. Look at the picture yourself before it is used."
DAMAGED = (
    "The text in this picture could not be looked for: its pixels are missing or damaged, or the check needs more "
    "memory than is allowed here. Look at the picture yourself before it is used."
)

TILE, OVERLAP = 1280, 160  # pixels: a tile is read at full size, and a line on the seam is whole in one of two
LARGEST = 3.0  # times that a small picture is enlarged: ultrasound machines write eight pixels high
LEAST_SCORE = 0.4  # of the recognised words, by RapidOCR; its own default is 0.5: a missed name is the worse error
MARGIN = 0.2  # of a line's height, added on each side: the detector cuts close
MOST_FRAMES = 12


@dataclass(frozen=True, slots=True)
class TextBox:
    """A rectangle around a line of text: x0 <= x < x1 are columns, y0 <= y < y1 are rows, whole pixels.

    `score` (0..1) is how sure the reader is of its words, `length` how many characters they have.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    score: float
    length: int


@dataclass(frozen=True, slots=True)
class Found:
    """The boxes of all frames together, and which frames (from 0) were looked at, of how many."""

    boxes: tuple[TextBox, ...]
    checked: tuple[int, ...]
    frames: int

    @property
    def sentence(self) -> str:
        """What was done, for the user."""
        count = len(self.boxes)
        lines = "No text was found" if not count else f"{count} line{'s' * (count > 1)} of text found"
        where = f" (looked at {len(self.checked)} of {self.frames} frames)" if self.frames > 1 else ""
        return f"{lines} in the picture{where}; text that is small, faint or turned may be missed."


@dataclass(frozen=True, slots=True)
class Limits(disposable.Limits):
    """What one check may use. onnxruntime reserves more address space than it touches."""

    memory: int = 3_000_000_000
    cpu_s: int = 120
    wall_s: float = 180.0


def needs_check(decoded: Decoded) -> bool:
    """Whether to look for text before anything else sees this image.

    Yes where the header says that text is burned in; for the modalities in COMMONLY and for what was captured or
    digitised (it has a ConversionType), whatever the header says, since "NO" is often a default; and for photographs,
    screenshots and videos, of which nothing is known. No for radiographs, CT, MR, NIfTI and slides otherwise: there a
    person can still ask for it.
    """
    if decoded.header.get("BurnedInAnnotation") == "YES" or decoded.header.get("ConversionType"):
        return True
    if decoded.kind in ("png", "jpeg", "tiff", "video"):
        return True
    return decoded.kind == "dicom" and (decoded.modality in COMMONLY or decoded.modality == "unknown")


def find_text_in_file(folder: Path, decoded: Decoded, limits: Limits | None = None) -> Found:
    """Text in what `inference.decode.decode` wrote into `folder`: the preview, or a sample of the frames.

    Raises BadInput (gone or unreadable) or Exhausted; then nothing is known, and a person has to look.
    """
    request = {"folder": str(folder.resolve()), "decoded": decoded.as_dict()}
    with TemporaryDirectory(prefix="lightbox-text-") as workplace:
        said = disposable.ask("inference.burned_in", request, Path(workplace), limits or Limits())
    try:
        boxes = tuple(TextBox(**box) for box in said["boxes"])
        return Found(boxes, tuple(said["checked"]), int(said["frames"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(NO_ANSWER) from error


def find_text(pixels: NDArray[np.uint8]) -> list[TextBox]:
    """Lines of text in one picture, (H, W) or (H, W, 3) uint8, from the top down.

    A large picture is read whole, shrunk, for large letters, and in tiles, for small ones; a small one is enlarged.
    """
    if pixels.size == 0:
        return []
    picture = np.ascontiguousarray(pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2))
    height, width = picture.shape[:2]
    scale = max(height, width) / min(TILE, LARGEST * max(height, width))
    found = _read(_resized(picture, scale), scale)
    if scale > 1:
        for top in _starts(height):
            for left in _starts(width):
                found += _read(picture[top : top + TILE, left : left + TILE], left=left, top=top)
    return merged([_clipped(box, width, height) for box in found])


def find_text_in_frames(frames: NDArray[np.uint8]) -> Found:
    """Text in (F, H, W) or (F, H, W, 3) uint8, of which a sample is read: first, middle and last frame, and, as long
    as a round of them shows text where none was, those half-way between; twelve frames at most."""
    rounds, checked, boxes = [0, len(frames) // 2, len(frames) - 1], dict[int, None](), list[TextBox]()
    while rounds and len(checked) < MOST_FRAMES:
        grown = False
        for number in rounds[: MOST_FRAMES - len(checked)]:
            if number not in checked:
                fresh = find_text(frames[number])
                grown = grown or (bool(checked) and any(not _covered(box, boxes) for box in fresh))
                boxes, checked[number] = merged([*boxes, *fresh]), None
        known = sorted(checked)
        between = [(one + two) // 2 for one, two in pairwise(known) if two - one > 1]
        rounds = between if grown else []
    return Found(tuple(boxes), tuple(sorted(checked)), len(frames))


def merged(boxes: Sequence[TextBox]) -> list[TextBox]:
    """Boxes of which none lies mostly within another: such are joined, with the better score."""
    joined: list[TextBox] = []
    for box in sorted(boxes, key=lambda one: (one.y0, one.x0)):
        while twin := next((other for other in joined if _shared(box, other) > 0.5), None):
            joined.remove(twin)
            box = _union(box, twin)
        joined.append(box)
    return sorted(joined, key=lambda one: (one.y0, one.x0))


def main() -> None:
    """The disposable child."""

    def work(request: dict[str, Any]) -> dict[str, Any]:
        found = _in_folder(Path(request["folder"]), Decoded.from_dict(request["decoded"]))
        return {"boxes": [asdict(box) for box in found.boxes], "checked": found.checked, "frames": found.frames}

    disposable.answer(work, lambda: DAMAGED)


def _in_folder(folder: Path, decoded: Decoded) -> Found:
    from PIL import Image as Pillow

    if decoded.layout in ("image", "slide"):
        with Pillow.open(folder / PREVIEW, formats=["PNG"]) as opened:
            preview = np.asarray(opened.convert("L" if opened.mode == "L" else "RGB"))
        boxes = find_text(preview)
        if decoded.layout == "image" and (full := _outside_the_window(folder, decoded)) is not None:
            boxes = merged([*boxes, *find_text(full)])
        return Found(tuple(boxes), (0,), 1)
    pixels = np.load(folder / PIXELS, mmap_mode="r", allow_pickle=False)
    return find_text_in_frames(_Frames(pixels[0] if decoded.volumes > 1 else pixels, decoded))  # type: ignore[arg-type]


def _outside_the_window(folder: Path, decoded: Decoded) -> NDArray[np.uint8] | None:
    """The picture in its full range, where the preview's window shows less than half of it: text may be clipped."""
    if decoded.window is None:
        return None
    pixels = np.load(folder / PIXELS, mmap_mode="r", allow_pickle=False)
    low, high = float(pixels.min()), float(pixels.max())
    return None if decoded.window[1] > (high - low) / 2 else _grey(pixels, low, high)


class _Frames:
    """Frames made 8-bit one at a time, so that a long cine is never in memory as a whole."""

    def __init__(self, pixels: NDArray[Any], decoded: Decoded) -> None:
        self._pixels = pixels
        centre, width = decoded.window or (None, None)
        sample = pixels[:: max(1, len(pixels) // 8)]
        self._low = float(sample.min()) if centre is None or width is None else centre - width / 2
        self._high = float(sample.max()) if centre is None or width is None else centre + width / 2

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, number: int) -> NDArray[np.uint8]:
        frame = np.asarray(self._pixels[number])
        return frame if frame.dtype == np.uint8 else _grey(frame, self._low, self._high)


def _grey(pixels: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    scaled = (np.asarray(pixels, dtype=np.float32) - low) * (255.0 / max(high - low, 1e-6))
    grey: NDArray[np.uint8] = np.clip(scaled, 0, 255).astype(np.uint8)
    return grey


@cache
def _reader() -> RapidOCR:
    """Loaded on first use, 0.3 s; one thread, since the children of one machine share its cores."""
    from rapidocr_onnxruntime import RapidOCR

    return RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1, text_score=LEAST_SCORE, det_limit_side_len=32)


def _read(picture: NDArray[np.uint8], scale: float = 1.0, left: int = 0, top: int = 0) -> list[TextBox]:
    """Boxes in the whole picture's pixels; `scale` is how much smaller this one was made."""
    lines, _ = _reader()(np.ascontiguousarray(picture[..., ::-1]))  # it expects blue, green, red
    return [_box(corners, words, score, scale, left, top) for corners, words, score in lines or []]


def _box(corners: Any, words: str, score: float, scale: float, left: int, top: int) -> TextBox:
    points = np.asarray(corners, dtype=np.float64) * scale + (left, top)
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    margin = max(2.0, MARGIN * min(x1 - x0, y1 - y0))
    length = len(re.sub(r"\s", "", words))
    low, high = np.floor((x0 - margin, y0 - margin)), np.ceil((x1 + margin, y1 + margin))
    return TextBox(int(low[0]), int(low[1]), int(high[0]), int(high[1]), round(float(score), 3), length)


def _resized(picture: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """`scale` times smaller."""
    from PIL import Image as Pillow

    size = max(1, round(picture.shape[1] / scale)), max(1, round(picture.shape[0] / scale))
    method = Pillow.Resampling.BOX if scale > 1 else Pillow.Resampling.BILINEAR
    resized: NDArray[np.uint8] = np.asarray(Pillow.fromarray(picture).resize(size, method))
    return resized


def _starts(length: int) -> list[int]:
    """Where tiles begin along a side."""
    if length <= TILE:
        return [0]
    count = -(-(length - OVERLAP) // (TILE - OVERLAP))
    return [round(index * (length - TILE) / (count - 1)) for index in range(count)]


def _clipped(box: TextBox, width: int, height: int) -> TextBox:
    x0, y0, x1, y1 = max(0, box.x0), max(0, box.y0), min(width, box.x1), min(height, box.y1)
    return TextBox(x0, y0, max(x0, x1), max(y0, y1), box.score, box.length)


def _area(box: TextBox) -> int:
    return max(0, box.x1 - box.x0) * max(0, box.y1 - box.y0)


def _shared(one: TextBox, two: TextBox) -> float:
    """The part of the smaller box that the other covers."""
    width, height = min(one.x1, two.x1) - max(one.x0, two.x0), min(one.y1, two.y1) - max(one.y0, two.y0)
    return max(0, width) * max(0, height) / max(1, min(_area(one), _area(two)))


def _covered(box: TextBox, boxes: Sequence[TextBox]) -> bool:
    return any(_shared(box, other) > 0.5 for other in boxes)


def _union(one: TextBox, two: TextBox) -> TextBox:
    better = max(one, two, key=lambda box: box.score)
    corners = min(one.x0, two.x0), min(one.y0, two.y0), max(one.x1, two.x1), max(one.y1, two.y1)
    return TextBox(*corners, better.score, better.length)


if __name__ == "__main__":
    main()
