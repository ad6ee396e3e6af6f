"""Quality and cardiothoracic ratio of a frontal chest radiograph, by `inference.chest`: a baseline without weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference import chest
from inference.checkpoints import Checkpoint
from inference.types import Image, Result


class ChestBaseline:
    """`classify` takes one image and no options."""

    def classify(self, images: Sequence[Image], _options: Mapping[str, Any]) -> Result:
        """As `inference.chest.read`. Raises BadInput for what is not plausibly a frontal chest radiograph."""
        return chest.read(images[0])


def load(_checkpoint: Checkpoint, _folder: Path, _device: str) -> ChestBaseline:
    """Nothing to load."""
    return ChestBaseline()
