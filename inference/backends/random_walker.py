"""The region that a box, points or a lasso mark, by the random walker of `inference.prompted`: a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference.checkpoints import Checkpoint
from inference.prompted import ClassicalSegmenter
from inference.types import Image, Prompts, Result

LIMIT = "Outlined by a classical baseline, not a trained model: check the outline, and correct it if needed."


class RandomWalker:
    """`segment` takes one image and the options `prompts` (as `Prompts.as_dict`) and `label`."""

    def segment(self, images: Sequence[Image], options: Mapping[str, Any]) -> Result:
        """One mask of the image's own size. Raises BadInput when the prompts mark nothing."""
        prompts = Prompts.from_dict(options["prompts"])
        mask = ClassicalSegmenter()(images[0], prompts, str(options.get("label") or "marked region"))
        return Result(masks=(mask,), notes=(LIMIT,))


def load(_checkpoint: Checkpoint, _folder: Path, _device: str) -> RandomWalker:
    """Nothing to load."""
    return RandomWalker()
