"""Image classification by a checkpoint in a local folder, in the Hugging Face layout with safetensors weights."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference import saliency
from inference.errors import BadInput, Unavailable
from inference.types import Heatmap, Image, Score

NO_FOLDER = "The classifier {name} is not installed: its folder is missing. Configure the folder of a checkpoint."
NO_WEIGHTS = (
    "The classifier {name} has no safetensors weights. Pickled weights are not loaded, since they can run code."
)
NO_LOAD = "The classifier {name} cannot be loaded: {why}. Check the folder, or install its requirements."
NO_LABEL = "{name} has no label {label!r}."
FAILED = "The classifier {name} cannot take this image: {why}"


class HuggingFaceClassifier:
    """A `Classifier` from a folder that holds config.json, preprocessor_config.json and model.safetensors.

    Nothing is imported or read before the first `classify`, and nothing is ever downloaded; code that comes with a
    checkpoint is not run. One instance may be shared by threads. Uses a CUDA device when there is one, unless
    `device` says which.
    """

    def __init__(self, folder: Path, name: str = "", device: str = "") -> None:
        self._folder = folder
        self._name = name or folder.name
        self._device = device
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None

    @property
    def name(self) -> str:
        """The model's name, as shown beside its scores."""
        return self._name

    def classify(self, image: Image, top_k: int = 5) -> list[Score]:
        """The `top_k` best labels (0: all), best first, of kind "score": 0..1, uncalibrated, not a probability.

        Scores are a sigmoid for each label when the checkpoint says multi_label_classification, else a softmax.
        The model gets what `eight_bit_rgb` makes of the pixels.
        Raises Unavailable when the checkpoint cannot be loaded, BadInput when it cannot take the image.
        """
        import torch

        model, values = self._load()[1], self._values(image)
        order = torch.argsort(values, descending=True)[: top_k or None].tolist()
        return [Score(str(model.config.id2label[index]), float(values[index])) for index in order]

    def prepare(self) -> None:
        """Load now what would be loaded with the first image. Raises Unavailable."""
        self._load()

    def saliency(self, image: Image, label: str) -> Heatmap:
        """Where the model looked for a label, as `inference.saliency` finds it. Raises BadInput or Unavailable."""
        processor, model = self._load()
        index = {str(name): number for number, name in model.config.id2label.items()}.get(label)
        if index is None:
            raise BadInput(NO_LABEL.format(name=self._name, label=label))
        inputs = processor(images=eight_bit_rgb(image.pixels), return_tensors="pt").to(model.device)
        return saliency.explain(model, lambda given: model(**given).logits[0, index], inputs, image, processor, label)

    def _values(self, image: Image) -> Any:
        processor, model = self._load()
        import torch

        try:
            inputs = processor(images=eight_bit_rgb(image.pixels), return_tensors="pt").to(model.device)
            with torch.inference_mode():
                logits = model(**inputs).logits[0].float().cpu()
        except (RuntimeError, ValueError, TypeError, KeyError) as error:
            raise BadInput(FAILED.format(name=self._name, why=error)) from error
        many = model.config.problem_type == "multi_label_classification"
        return torch.sigmoid(logits) if many else torch.softmax(logits, dim=-1)

    def _load(self) -> tuple[Any, Any]:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._read()
            return self._loaded

    def _read(self) -> tuple[Any, Any]:
        if not (self._folder / "config.json").is_file():
            raise Unavailable(NO_FOLDER.format(name=self._name))
        if not any(self._folder.glob("*.safetensors")):
            raise Unavailable(NO_WEIGHTS.format(name=self._name))
        try:
            import torch
            import transformers
            from safetensors import SafetensorError
        except ImportError as error:
            raise Unavailable(NO_LOAD.format(name=self._name, why="PyTorch or transformers is missing")) from error
        try:
            # trust_remote_code is said aloud: left out, transformers would ask on the terminal.
            safe = {"local_files_only": True, "trust_remote_code": False}
            images: Any = transformers.AutoImageProcessor
            models: Any = transformers.AutoModelForImageClassification
            processor = images.from_pretrained(str(self._folder), **safe)
            model = models.from_pretrained(str(self._folder), use_safetensors=True, **safe)
            if hasattr(model, "set_attn_implementation") and _has_attention(model):
                model.set_attn_implementation("eager")  # only it gives the weights that saliency needs
            device = self._device or ("cuda" if torch.cuda.is_available() else "cpu")
            return processor, model.to(device).eval()
        except (SafetensorError, OSError, ValueError, KeyError, RuntimeError, ImportError, AttributeError) as error:
            raise Unavailable(NO_LOAD.format(name=self._name, why=type(error).__name__)) from error


def _has_attention(model: Any) -> bool:
    return hasattr(model.config, "num_attention_heads")


def softmax(values: NDArray[Any]) -> NDArray[np.float32]:
    """Over the last axis, of any shape."""
    raised = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), dtype=np.float32)


def sigmoid(values: NDArray[Any]) -> NDArray[np.float32]:
    """Of each value; by tanh, which does not overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(values / 2.0)), dtype=np.float32)


def eight_bit_rgb(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 from (H, W) or (H, W, 3). 8-bit values are kept; others are stretched from the 0.5th to the
    99.5th percentile."""
    shown = pixels
    if pixels.dtype != np.uint8:
        low, high = (float(value) for value in np.percentile(pixels, (0.5, 99.5)))
        shown = np.clip((pixels.astype(np.float32) - low) * (255.0 / max(high - low, 1e-6)), 0, 255).astype(np.uint8)
    return shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, axis=2)
