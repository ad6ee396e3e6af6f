"""All voxels of a volume of the conversation, for the tools that look at it as a whole."""

import numpy as np

from assistant.models import Image
from assistant.tools.base import NO_GRID, Declined
from inference.decode import GONE
from inference.errors import BadInput
from inference.types import Volume

LARGEST = 256 * 1024 * 1024  # voxels that are read into memory
TOO_LARGE = "{name} has too many voxels to be looked at as a whole ({found:,}; at most {most:,}). Choose slices of it."


def volume(image: Image, name: str) -> Volume:
    """All voxels of a volume, of the first time point. Raises BadInput or Declined."""
    if not image.pixels:
        raise BadInput(NO_GRID)
    if (found := image.frames * image.height * image.width) > LARGEST:
        raise Declined(TOO_LARGE.format(name=name, found=found, most=LARGEST))
    try:
        with image.pixels.open("rb") as file:
            voxels = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise BadInput(GONE) from error
    kind = image.kind_of()
    whole = voxels[0] if image.facts.volumes > 1 else voxels
    return Volume(whole, image.facts.affine, kind.modality or image.modality, kind.body_part or None)
