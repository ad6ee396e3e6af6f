"""Any image classifier of transformers, from a folder with config.json, preprocessor_config.json and safetensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference.checkpoints import Checkpoint
from inference.classify import HuggingFaceClassifier
from inference.types import Image, Result


class HfClassifier:
    """`classify` takes one image and the options `top_k` (5; 0: all labels) and `saliency` (a heat map of the best)."""

    def __init__(self, model: HuggingFaceClassifier) -> None:
        self._model = model

    def classify(self, images: Sequence[Image], options: Mapping[str, Any]) -> Result:
        """Scores, best first. Raises BadInput."""
        scores = self._model.classify(images[0], int(options.get("top_k", 5)))
        wanted = options.get("saliency") and scores
        maps = (self._model.saliency(images[0], scores[0].label),) if wanted else ()
        return Result(scores=tuple(scores), heatmaps=maps)


def load(checkpoint: Checkpoint, folder: Path, device: str) -> HfClassifier:
    """Reads the weights. Raises Unavailable."""
    model = HuggingFaceClassifier(folder, checkpoint.name, device)
    model.prepare()
    return HfClassifier(model)
