"""An image of a conversation as a served model gets it: its preview, or chosen slices, or a montage of a volume."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from assistant import frames, greys
from assistant.models import Image
from inference import allowed
from inference.errors import BadInput
from inference.shown import LONGEST, Shown, evenly, montage, png
from inference.types import Decoded

NO_SLICES = "{name} is a single image: it has no slices to choose from."
NO_SUCH = "{name} has no slice {number}: they count from 1 to {count}."
GONE = "{name} cannot be shown: its decoded pixels are missing or damaged. Upload it again."
FIRST = ", the first of {all} time points"
IN_GRID = "{line}: {count} of its {all} {what}s as a grid, row by row, each with its number drawn in: {places}."


def shown(image: Image, name: str, slices: Sequence[int] = (), longest: int = LONGEST) -> list[Shown]:
    """The pictures of an image, each with its line. `slices` count from 1; without them a volume or cine is a montage.

    Raises BadInput. The caller has seen to it that the image is not held.
    """
    decoded = replace(image.facts, gate=image.kind_of())
    line = allowed.line(name, decoded) + (FIRST.format(all=decoded.volumes) if decoded.volumes > 1 else "")
    several = image.layout in ("volume", "frames") and image.frames > 1
    if slices and not several:
        raise BadInput(NO_SLICES.format(name=name))
    if wrong := next((k for k in slices if not 1 <= k <= image.frames), None):
        raise BadInput(NO_SUCH.format(name=name, number=wrong, count=image.frames))
    if slices:
        chosen = [k - 1 for k in dict.fromkeys(slices)]
        return [
            Shown(f"{line}, {allowed.place(decoded, k)}", png(p))
            for k, p in zip(chosen, _painted(image, name, chosen), strict=True)
        ]
    if several and image.pixels:
        return [_montage(image, name, line, decoded, longest)]
    try:
        with image.preview.open("rb") as file:
            return [Shown(line, file.read())]
    except OSError as error:
        raise BadInput(GONE.format(name=name)) from error


def _montage(image: Image, name: str, line: str, decoded: Decoded, longest: int) -> Shown:
    chosen = evenly(image.frames)
    sheet = montage(_painted(image, name, chosen), [str(k + 1) for k in chosen], longest)
    said = IN_GRID.format(
        line=line,
        count=len(chosen),
        all=image.frames,
        what="slice" if image.layout == "volume" else "frame",
        places="; ".join(allowed.place(decoded, k) for k in chosen),
    )
    return Shown(said, png(sheet))


def _painted(image: Image, name: str, numbers: Sequence[int]) -> list[NDArray[np.uint8]]:
    """These frames as 8-bit greys or colours, by one window."""
    try:
        read = [frames.frame(image, k) for k in numbers]
    except frames.NoFrame as error:
        raise BadInput(GONE.format(name=name)) from error
    window = greys.window_of(image, read[len(read) // 2])
    return [greys.windowed(values, window, greys.function_of(image)) for values in read]
