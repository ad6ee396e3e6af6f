"""Decoding an uploaded file in a disposable process.

Image codecs crash on hostile or damaged input: segmentation faults, native panics, gigabytes from a small file. So no
upload is ever parsed in the process that asks. `decode` has `inference.decoder` do it in a process that may die
(`inference.disposable`): it writes the preview and the pixels, and says what it found.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference import disposable
from inference.disposable import NO_ANSWER
from inference.errors import BadInput
from inference.types import Decoded, Image

PREVIEW = "preview.png"
PIXELS = "pixels.npy"
GONE = "The decoded pixels of this image are missing or damaged. Upload the image again."


@dataclass(frozen=True, slots=True)
class Limits(disposable.Limits):
    """What one decoding may use. `file_bytes` also bounds an inflated data set."""

    pixels: int = 64_000_000  # rows x columns


def decode(source: Path, folder: Path, limits: Limits | None = None) -> Decoded:
    """Read the PNG, JPEG or DICOM file `source`, judged by content, and write `preview.png` and `pixels.npy`.

    `folder` is made when absent. `preview.png` is 8-bit, grey or RGB, (H, W) of the whole image. `pixels.npy` holds
    modality values as `inference.types.Image.pixels` describes them: (H, W) or (H, W, 3), in the smallest integer
    type that holds them, or float32 when rescaling makes fractions. Both appear only when both are complete.

    Raises BadInput (not readable, with the reason) or Exhausted (a limit of `limits` was hit), nothing else.
    """
    limits = limits or Limits()
    if not source.is_file():
        raise BadInput("The uploaded file is no longer there. Upload it again.")
    folder.mkdir(parents=True, exist_ok=True)
    workplace = Path(tempfile.mkdtemp(prefix=".decode-", dir=folder))
    try:
        decoded = _ask_child(source, workplace, limits)
        for name in (PIXELS, PREVIEW):
            (workplace / name).replace(folder / name)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)
    return decoded


def load(folder: Path, decoded: Decoded) -> Image:
    """The image whose pixels `decode` wrote into `folder`. Raises BadInput when they are missing or do not fit."""
    try:
        pixels = np.load(folder / PIXELS, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(GONE) from error
    if pixels.shape[:2] != (decoded.height, decoded.width):
        raise BadInput(GONE)
    return Image(
        pixels=pixels,
        spacing=decoded.spacing,
        modality=decoded.modality,
        body_part=decoded.body_part,
        view=decoded.view,
        orientation=decoded.orientation,
        inverted=decoded.inverted,
    )


def _ask_child(source: Path, workplace: Path, limits: Limits) -> Decoded:
    request = {"source": str(source.resolve()), "folder": str(workplace.resolve())}
    said = disposable.ask("inference.decoder", request, workplace, limits)
    try:
        return Decoded.from_dict(said)
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(NO_ANSWER) from error
