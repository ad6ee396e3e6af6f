"""The example of docs/adding-a-tool.md: a classifier of its own environment, with an older transformers.

Everything that an extra tool needs is this file and an entry in a catalogue, whose `environment = "example"` names the
folder inference/environments/example, from which the environment is built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference.checkpoints import Checkpoint
from inference.classify import eight_bit_rgb
from inference.errors import Unavailable
from inference.types import Image, Result, Score

NO_LOAD = "{name} cannot be loaded: {why}. Check its folder."


class ExampleClassifier:
    """Scores of one image: a softmax over the checkpoint's labels."""

    def __init__(self, model: Any, processor: Any) -> None:
        self._model = model
        self._processor = processor

    def classify(self, images: Sequence[Image], options: Mapping[str, Any]) -> Result:
        """The `top_k` best labels (5 unless the options say another number), best first."""
        import torch

        inputs = self._processor(images=eight_bit_rgb(images[0].pixels), return_tensors="pt").to(self._model.device)
        with torch.inference_mode():
            values = torch.softmax(self._model(**inputs).logits[0].float().cpu(), dim=-1)
        best = torch.argsort(values, descending=True)[: int(options.get("top_k", 5))].tolist()
        return Result(scores=tuple(Score(self._model.config.id2label[one], float(values[one])) for one in best))


def load(checkpoint: Checkpoint, folder: Path, device: str) -> ExampleClassifier:
    """From a folder in the Hugging Face layout with safetensors. Raises Unavailable."""
    import transformers

    safe = {"local_files_only": True, "trust_remote_code": False}
    images: Any = transformers.ViTImageProcessor
    models: Any = transformers.ViTForImageClassification
    try:
        processor = images.from_pretrained(str(folder), **safe)
        model = models.from_pretrained(str(folder), use_safetensors=True, **safe)
    except (OSError, ValueError) as error:
        raise Unavailable(NO_LOAD.format(name=checkpoint.name, why=type(error).__name__)) from error
    return ExampleClassifier(model.to(device).eval(), processor)
