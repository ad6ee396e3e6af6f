"""torchxrayvision's DenseNet classifiers of chest radiographs (Cohen et al., MIDL 2022), in the environment "xray".

The folder holds the tensors of one published weight as safetensors. The published files are pickles of whole modules,
which are not opened here. `options.weights` of the catalogue names the weight ("densenet121-res224-all"): from it come
the labels and the operating points, as the library lists them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from inference import saliency
from inference.checkpoints import Checkpoint
from inference.errors import BadInput, Unavailable
from inference.types import Image, Result, Score

SIDE = 224
NO_LIBRARY = "{name} needs the environment xray: manage.py models environment xray ({why})."
NO_WEIGHTS = "{name} has no safetensors weights in its folder. Its published file is a pickle, which is not opened."
NO_NAME = "{name} names no weights that torchxrayvision knows; options.weights of its entry says which."
NO_LOAD = "{name} cannot be loaded: the tensors in its folder do not fit ({why})."
COLOUR = "The image is in colour; this model reads grey chest radiographs."
POINTS = (
    "Scores are rescaled so that 0.5 is the operating point that was published with these weights: above it, the model "
    "would call the label. It is no probability, and the point may not suit other images."
)


class TorchXRayVision:
    """`classify` takes one grey image and the options `top_k` (5; 0: all) and `saliency`."""

    def __init__(self, model: Any, name: str) -> None:
        self._model = model
        self._name = name

    def classify(self, images: Sequence[Image], options: Mapping[str, Any]) -> Result:
        """Scores of the labels that the weights were trained on, best first. Raises BadInput."""
        import torch

        pixels = torch.from_numpy(prepared(images[0])).to(next(self._model.parameters()).device)
        with torch.inference_mode():
            values = self._model(pixels)[0].float().cpu().numpy()
        named = [(label, float(value)) for label, value in zip(self._model.targets, values, strict=True) if label]
        scores = [Score(label, value) for label, value in sorted(named, key=lambda one: -one[1])]
        maps = (self._map(images[0], pixels, scores[0].label),) if options.get("saliency") else ()
        return Result(scores=tuple(scores[: int(options.get("top_k", 5)) or None]), heatmaps=maps, notes=(POINTS,))

    def _map(self, image: Image, pixels: Any, label: str) -> Any:
        index = self._model.targets.index(label)
        model = self._model

        def logit(inputs: Any) -> Any:
            return model.classifier(model.features2(inputs["pixel_values"]))[0, index]

        return saliency.explain(model, logit, {"pixel_values": pixels}, image, _Centre(), label)


class _Centre:
    """What `saliency.seen` asks a processor: the shorter side becomes SIDE, and the centre is taken."""

    do_center_crop = True
    size = {"shortest_edge": SIDE}
    crop_size = {"height": SIDE, "width": SIDE}


def prepared(image: Image) -> NDArray[np.float32]:
    """(1, 1, 224, 224) from -1024 to 1024: greys stretched to the whole range, the centre square resized. Raises
    BadInput."""
    if image.is_colour:
        raise BadInput(COLOUR)
    side = min(image.height, image.width)
    top, left = (image.height - side) // 2, (image.width - side) // 2
    square = image.pixels[top : top + side, left : left + side].astype(np.float32)
    low, high = (0.0, 255.0) if image.pixels.dtype == np.uint8 else _range(image.pixels)
    resized = Pillow.fromarray(square).resize((SIDE, SIDE), Pillow.Resampling.BILINEAR)
    scaled = (np.asarray(resized) - low) / max(high - low, 1e-6)
    return np.asarray((2.0 * np.clip(scaled, 0, 1) - 1.0) * 1024.0, dtype=np.float32)[None, None]


def _range(pixels: NDArray[Any]) -> tuple[float, float]:
    return float(pixels.min()), float(pixels.max())


def load(checkpoint: Checkpoint, folder: Path, device: str) -> TorchXRayVision:
    """Raises Unavailable."""
    try:
        import torch
        import torchxrayvision
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise Unavailable(NO_LIBRARY.format(name=checkpoint.name, why=error)) from error
    known = torchxrayvision.models.model_urls.get(str(checkpoint.options.get("weights", "")))
    if known is None:
        raise Unavailable(NO_NAME.format(name=checkpoint.name))
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise Unavailable(NO_WEIGHTS.format(name=checkpoint.name))
    model = torchxrayvision.models.DenseNet(num_classes=len(known["labels"]), weights=None)
    try:
        tensors = load_file(files[0])
        tensors.pop("op_threshs", None)  # the library's list is used, which names the labels too
        model.load_state_dict(tensors)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise Unavailable(NO_LOAD.format(name=checkpoint.name, why=str(error)[:120])) from error
    model.targets = model.pathologies = list(known["labels"])
    model.op_threshs = torch.tensor(known["op_threshs"])
    return TorchXRayVision(model.to(device).eval(), checkpoint.name)
