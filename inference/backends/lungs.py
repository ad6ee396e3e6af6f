"""The lungs on a frontal chest radiograph, by `inference.classical.segment_lungs`: a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference.checkpoints import Checkpoint
from inference.classical import segment_lungs
from inference.types import Image, Result

LIMIT = "A classical baseline outlines the air-filled lung; consolidated or hidden parts are left out."


class Lungs:
    """`segment` takes one image and no options."""

    def segment(self, images: Sequence[Image], _options: Mapping[str, Any]) -> Result:
        """Two masks. Raises BadInput for what is not plausibly a frontal chest radiograph."""
        return Result(masks=tuple(segment_lungs(images[0])), notes=(LIMIT,))


def load(_checkpoint: Checkpoint, _folder: Path, _device: str) -> Lungs:
    """Nothing to load."""
    return Lungs()
