"""The lungs on a frontal chest radiograph, by `inference.classical.segment_lungs_completed`: a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference.checkpoints import Checkpoint
from inference.classical import segment_lungs_completed
from inference.types import Image, Result

LIMIT = "A classical baseline outlines the air-filled lung; consolidated or hidden parts are left out."
COMPLETED = (
    "A large part of the {label} is not dark (consolidated, collapsed or under an effusion, or the lung is small): it "
    "was completed by the mirrored shape of the other lung, so a part of the outline was not seen."
)
CLASSICAL = "Outlined by a classical baseline, not a trained model."


class Lungs:
    """`segment` takes one image and no options."""

    def segment(self, images: Sequence[Image], _options: Mapping[str, Any]) -> Result:
        """Two masks. Raises BadInput for what is not plausibly a frontal chest radiograph."""
        masks, completed = segment_lungs_completed(images[0])
        notes = (COMPLETED.format(label=completed), CLASSICAL) if completed else (LIMIT,)
        return Result(masks=tuple(masks), notes=notes)


def load(_checkpoint: Checkpoint, _folder: Path, _device: str) -> Lungs:
    """Nothing to load."""
    return Lungs()
