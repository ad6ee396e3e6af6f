"""Decoding an uploaded file, or the files of a series, in a disposable process.

Image codecs crash on hostile or damaged input: segmentation faults, native panics, gigabytes from a small file. So no
upload is ever parsed in the process that asks. `decode` has `inference.decoder` do it in a process that may die
(`inference.disposable`): it writes the preview and the pixels, and says what it found.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference import disposable
from inference.disposable import NO_ANSWER
from inference.errors import BadInput
from inference.types import Cleaning, Decoded, Image

PREVIEW = "preview.png"
PIXELS = "pixels.npy"
SERIES_SECONDS = 120.0
NO_FRAME = "There is no frame {frame}: this image has {frames}."
GONE = "The decoded pixels of this image are missing or damaged. Upload the image again."


@dataclass(frozen=True, slots=True)
class Limits(disposable.Limits):
    """What one decoding may use. `file_bytes` also bounds an inflated data set; a series of many files has more time
    (`for_sources`), and its pixels may be larger than any file of it."""

    pixels: int = 64_000_000  # rows x columns of a frame
    voxels: int = 400_000_000  # rows x columns x frames x time points
    frames: int = 20_000
    written_bytes: int = 1_000_000_000  # largest file that is written

    def for_sources(self, sources: Sequence[Path]) -> Limits:
        """The same, with time for so many files and bytes: a tenth of a second for each file after the first, and
        three for each ten megabytes after fifty, up to 120 s in all."""
        size = sum(source.stat().st_size for source in sources)
        more = 0.1 * (len(sources) - 1) + 0.3e-6 * max(0, size - 50_000_000)
        wall_s = max(self.wall_s, min(self.wall_s + more, SERIES_SECONDS))
        return replace(self, wall_s=wall_s, cpu_s=max(self.cpu_s, min(int(self.cpu_s + more), int(SERIES_SECONDS))))


def decode(
    source: Path | Sequence[Path], folder: Path, limits: Limits | None = None, cleaning: Cleaning | None = None
) -> Decoded:
    """Read a file, or the files of one series, judged by content; write `preview.png`, `pixels.npy` and a clean copy.

    `folder` is made when absent. `preview.png` is 8-bit, grey or RGB, (H, W): the whole image, or the frame in the
    middle of a volume, the first of a cine, a slide at low resolution. `pixels.npy` holds modality values as
    `inference.types.Image.pixels` describes them, in the smallest integer type that holds them, or float32 when
    rescaling makes fractions: (H, W) or (H, W, 3) for an image, (F, H, W) or (F, H, W, 3) for frames and volumes,
    (T, F, H, W) for a series in time, C order; a slide has none. With `cleaning`, `Decoded.clean` names the
    de-identified copy of a DICOM or NIfTI source, also in `folder`. All appear only when all are complete.

    Raises BadInput (not readable, with the reason) or Exhausted (a limit of `limits` was hit), nothing else.
    """
    sources = [source] if isinstance(source, Path) else list(source)
    if not sources or not all(one.is_file() for one in sources):
        raise BadInput("The uploaded file is no longer there. Upload it again.")
    limits = (limits or Limits()).for_sources(sources)
    folder.mkdir(parents=True, exist_ok=True)
    workplace = Path(tempfile.mkdtemp(prefix=".decode-", dir=folder))
    try:
        decoded = _ask_child(sources, workplace, limits, cleaning)
        for name in filter(None, (PIXELS, PREVIEW, decoded.clean)):
            if name != PIXELS or decoded.layout != "slide":
                (workplace / name).replace(folder / name)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)
    return decoded


def load(folder: Path, decoded: Decoded, frame: int = 0) -> Image:
    """One frame of the pixels that `decode` wrote into `folder`. Raises BadInput when they are missing or no fit."""
    try:
        pixels = np.load(folder / PIXELS, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(GONE) from error
    return as_image(pixels, decoded, frame)


def as_image(pixels: NDArray[Any], decoded: Decoded, frame: int = 0) -> Image:
    """Frame `frame` (from 0, of the first time point) of what pixels.npy holds, with what the header says of it."""
    if decoded.volumes > 1:
        pixels = pixels[0]
    if decoded.layout in ("frames", "volume"):
        if not 0 <= frame < pixels.shape[0]:
            raise BadInput(NO_FRAME.format(frame=frame + 1, frames=decoded.frames))
        pixels = pixels[frame]
    if pixels.shape[:2] != (decoded.height, decoded.width):
        raise BadInput(GONE)
    return Image(
        pixels=np.asarray(pixels),
        spacing=decoded.spacing,
        modality=decoded.modality,
        body_part=decoded.body_part,
        view=decoded.view,
        orientation=decoded.orientation,
        inverted=decoded.inverted,
    )


def _ask_child(sources: list[Path], workplace: Path, limits: Limits, cleaning: Cleaning | None) -> Decoded:
    request = {
        "sources": [str(source.resolve()) for source in sources],
        "folder": str(workplace.resolve()),
        "cleaning": asdict(cleaning) if cleaning else None,
    }
    said = disposable.ask("inference.decoder", request, workplace, limits)
    try:
        return Decoded.from_dict(said)
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(NO_ANSWER) from error
