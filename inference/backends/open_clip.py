"""Zero-shot classification, and images and texts as vectors, by a folder of open_clip. Environment "openclip".

The folder is as its authors publish it (BiomedCLIP: Zhang et al. 2023): open_clip_config.json, the weights as
open_clip_model.safetensors or open_clip_pytorch_model.bin (of which only plain tensors are read), and the files of its
tokenizer. Where the text tower is one of transformers, the configuration of that tower is the folder's config.json;
BiomedCLIP comes without one, and its tower is BERT's base, whose sizes are transformers' own: tensors that do not fit
are refused. Names of repositories in the configuration are not followed: nothing is downloaded.

Heat maps are made for vision transformers of timm (BiomedCLIP) and for open_clip's own ResNets.
"""

from __future__ import annotations

import json
import pickle
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from inference import saliency
from inference.backends.clip import Clip, scored
from inference.checkpoints import Checkpoint
from inference.classify import eight_bit_rgb
from inference.errors import BadInput, Unavailable
from inference.torch_models import SAFE, part_of
from inference.types import Heatmap, Image

CONFIG = "open_clip_config.json"
WEIGHTS = ("*.safetensors", "*.bin", "*.pth")
PLAIN_TEXT = ("*.json", "*.txt", "*.model")
BERT_BASE = "bert-base-uncased"  # as in microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract
NO_LIBRARY = "{name} needs the environment openclip: manage.py models environment openclip ({why})."
NO_CONFIG = "{name} is not configured: its folder has no open_clip_config.json. Fetch it: manage.py models pull."
NO_WEIGHTS = "{name} has no weights in its folder: open_clip_model.safetensors, or the published .bin."
NO_LOAD = "{name} cannot be loaded: {why}. Check its folder."
NO_TEXT_CONFIG = "{name} lacks the configuration of its text tower: put the config.json of {tower} into its folder."
ELSEWHERE = "{name} names a part that lies elsewhere ({part}); nothing is downloaded."
FAILURES = (
    OSError,
    ValueError,
    RuntimeError,
    KeyError,
    TypeError,
    AttributeError,
    AssertionError,
    ImportError,
    EOFError,
)


class OpenClip:
    """What `Clip` asks of a model."""

    def __init__(self, model: Any, transform: Any, tokenizer: Any) -> None:
        self._model = model
        self._transform = transform
        self._tokenizer = tokenizer
        self.sigmoid = model.logit_bias is not None

    def images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            return _numpy(self._model.encode_image(self._pixels(images)))

    def texts(self, texts: list[str]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            return _numpy(self._model.encode_text(self._tokenizer(texts).to(self._device)))

    def scores(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """(T, L) of cosines to (T, L) of scores, by the checkpoint's own scale (and bias)."""
        bias = float(self._model.logit_bias.detach()) if self.sigmoid else None
        return scored(cosines, float(self._model.logit_scale.detach().exp()), bias)

    def saliency(self, image: Image, text: NDArray[np.float32], label: str) -> Heatmap:
        import torch

        processor = self._processor()
        if processor is None:
            raise BadInput(saliency.NO_MAP)
        target = torch.from_numpy(text).to(self._device)

        def cosine(inputs: Any) -> Any:
            features = self._model.encode_image(inputs["pixel_values"])
            return torch.nn.functional.cosine_similarity(features, target[None]).sum()

        inputs = {"pixel_values": self._pixels([image])}
        return saliency.explain(self._model.visual, cosine, inputs, image, processor, label)

    @property
    def _device(self) -> Any:
        return self._model.logit_scale.device

    def _pixels(self, images: Sequence[Image]) -> Any:
        import torch

        pictures = [self._transform(Pillow.fromarray(eight_bit_rgb(image.pixels))) for image in images]
        return torch.stack(pictures).to(self._device)

    def _processor(self) -> Any:
        """What `saliency.seen` asks of one; None for a tower of which no map can be made, and for padded images."""
        import open_clip
        from open_clip.modified_resnet import ModifiedResNet
        from timm.models import VisionTransformer

        visual = self._model.visual
        known = isinstance(getattr(visual, "trunk", visual), VisionTransformer | ModifiedResNet)
        told = open_clip.get_model_preprocess_cfg(self._model)
        if not known or told.get("resize_mode", "shortest") == "longest":
            return None
        size = told["size"]
        height, width = (size, size) if isinstance(size, int) else size
        crop, shortest = {"height": height, "width": width}, {"shortest_edge": min(height, width)}
        return SimpleNamespace(do_center_crop=told["resize_mode"] == "shortest", size=shortest, crop_size=crop)


def load(checkpoint: Checkpoint, folder: Path, device: str) -> Clip:
    """Reads configuration, weights and tokenizer of the folder. Raises Unavailable."""
    name = checkpoint.name
    if not (folder / CONFIG).is_file():
        raise Unavailable(NO_CONFIG.format(name=name))
    if not any(any(folder.glob(pattern)) for pattern in WEIGHTS):
        raise Unavailable(NO_WEIGHTS.format(name=name))
    try:
        import open_clip
        from safetensors import SafetensorError
    except ImportError as error:
        raise Unavailable(NO_LIBRARY.format(name=name, why=error)) from error
    with tempfile.TemporaryDirectory() as place:
        try:
            hugging_face = _arrange(checkpoint, folder, Path(place))
            model, transform = open_clip.create_model_from_pretrained(f"local-dir:{place}", device=device)
            tokenizer = open_clip.get_tokenizer(f"local-dir:{place}", **(SAFE if hugging_face else {}))
        except (*FAILURES, pickle.UnpicklingError, SafetensorError) as error:
            why = str(error).replace(place, "its folder").strip().partition("\n")[0][:120] or type(error).__name__
            raise Unavailable(NO_LOAD.format(name=name, why=why)) from error
    for module in model.visual.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False  # only then are there attention weights, which saliency needs
    return Clip(name, OpenClip(model.eval(), transform, tokenizer))


def _arrange(checkpoint: Checkpoint, folder: Path, place: Path) -> bool:
    """Fills `place` with links to the folder's weights and texts, and with configurations that lead nowhere else. True
    when text tower or tokenizer are of transformers. Raises Unavailable."""
    for pattern in (*WEIGHTS, *PLAIN_TEXT):
        for path in folder.glob(pattern):
            if path.name not in (CONFIG, "config.json"):
                (place / path.name).symlink_to(path.resolve())
    told = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    text, vision = told["model_cfg"]["text_cfg"], told["model_cfg"]["vision_cfg"]
    if ":" in (part := str(vision.get("timm_model_name", ""))):
        raise Unavailable(ELSEWHERE.format(name=checkpoint.name, part=part))
    if tower := str(text.get("hf_model_name", "")):
        _text_config(checkpoint.name, folder, tower).save_pretrained(place)
        text["hf_model_name"] = str(place)
    if text.get("hf_tokenizer_name"):
        text["hf_tokenizer_name"] = str(place)
    (place / CONFIG).write_text(json.dumps(told), encoding="utf-8")
    return bool(text.get("hf_tokenizer_name"))


def _text_config(name: str, folder: Path, tower: str) -> Any:
    """The configuration of a text tower of transformers. Raises Unavailable."""
    if (folder / "config.json").is_file():
        return part_of(folder, name, "AutoConfig")
    if BERT_BASE not in tower.lower():
        raise Unavailable(NO_TEXT_CONFIG.format(name=name, tower=tower))
    import transformers

    return transformers.BertConfig()


def _numpy(features: Any) -> NDArray[np.float32]:
    return np.asarray(features.float().cpu().numpy(), dtype=np.float32)
