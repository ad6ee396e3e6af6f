"""Zero-shot classification, and images and texts as vectors, by models of the CLIP family.

A folder in transformers' layout (CLIPModel, SiglipModel: config.json, model.safetensors, preprocessor and tokenizer
files). open_clip's layout (open_clip_config.json: BiomedCLIP as published) is told apart: `open_clip.py` reads it.
CLIP: Radford et al. 2021; SigLIP: Zhai et al. 2023.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference import saliency
from inference.checkpoints import Checkpoint
from inference.classify import eight_bit_rgb, sigmoid, softmax
from inference.errors import BadInput, Unavailable
from inference.torch_models import from_folder, part_of
from inference.types import Heatmap, Image, Result, Score

OPEN_CLIP = (
    "{name} is in open_clip's layout, which another backend reads: say in its entry "
    'backend = "open-clip" and environment = "openclip".'
)
TEMPLATES = ("{}",)
MOST_LABELS, MOST_TEMPLATES = 200, 40
BATCH = 16
NO_LABELS = "Zero-shot classification needs labels: at least {least}, at most {most}."
NO_SLOT = "A template needs the place of the label, {{}}: {template!r} has none."
SOFTMAX = "The scores of one image add up to one over the labels that were asked for: they say which label fits best."
SIGMOID = "Each label is scored on its own; scores of this family are often low even for the label that fits best."


class Clip:
    """`zero_shot`, `embed_images` and `embed_texts` of one checkpoint. A score is no probability."""

    def __init__(self, name: str, encoder: Any) -> None:
        self._name = name
        self._encoder = encoder

    def embed_images(self, images: Sequence[Image], _options: Mapping[str, Any]) -> Result:
        """`vectors` (N, D) float32, rows L2-normalised, in the order of the images. Raises BadInput."""
        parts = [self._encoder.images(images[at : at + BATCH]) for at in range(0, len(images), BATCH)]
        return Result(vectors=_unit(np.concatenate(parts)))

    def embed_texts(self, _images: Sequence[Image], options: Mapping[str, Any]) -> Result:
        """`vectors` (N, D) float32 of `options["texts"]`, rows L2-normalised, of the space of `embed_images`."""
        texts = [str(text) for text in options.get("texts", ())]
        if not texts:
            raise BadInput("There are no texts to embed.")
        return Result(vectors=self._texts(texts))

    def zero_shot(self, images: Sequence[Image], options: Mapping[str, Any]) -> Result:
        """Scores of one image for `labels`, as the mean over `templates` (each with {} where the label goes).

        CLIP: a softmax over the labels of each template; SigLIP: a sigmoid for each. The best `top_k` (0: all), best
        first. `arrays["scores_by_template"]` is (T, L) float32, in the order of the options. With `saliency`, a
        heat map for the best label. Raises BadInput.
        """
        labels, templates = _checked(options)
        image = _unit(self._encoder.images(images[:1]))[0]
        prompts = [template.replace("{}", label) for template in templates for label in labels]
        texts = self._texts(prompts).reshape(len(templates), len(labels), -1)
        scores = self._encoder.scores(texts @ image)
        mean = scores.mean(axis=0)
        order = np.argsort(-mean, kind="stable")[: int(options.get("top_k", 5)) or None]
        found = tuple(Score(labels[at], float(mean[at])) for at in order)
        maps: tuple[Heatmap, ...] = ()
        if options.get("saliency"):
            maps = (self._encoder.saliency(images[0], texts[:, order[0]].mean(axis=0), labels[order[0]]),)
        note = SIGMOID if self._encoder.sigmoid else SOFTMAX
        return Result(scores=found, heatmaps=maps, arrays={"scores_by_template": scores}, notes=(note,))

    def _texts(self, texts: list[str]) -> NDArray[np.float32]:
        return _unit(
            np.concatenate([self._encoder.texts(texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)])
        )


class Transformers:
    """CLIPModel or SiglipModel of transformers."""

    def __init__(self, checkpoint: Checkpoint, folder: Path, device: str) -> None:
        name = checkpoint.name
        # eager: attention weights are needed for saliency, and no other implementation gives them
        self._model = from_folder(folder, name, "AutoModel", device, attn_implementation="eager")
        self._processor = part_of(folder, name, "AutoImageProcessor")
        self._tokenizer = part_of(folder, name, "AutoTokenizer")
        self.sigmoid = "siglip" in self._model.config.model_type

    def images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            return _numpy(self._model.get_image_features(**self._inputs(images)))

    def texts(self, texts: list[str]) -> NDArray[np.float32]:
        import torch

        longest = int(self._model.config.text_config.max_position_embeddings)
        padding = "max_length" if self.sigmoid else True  # SigLIP was trained on texts of one length
        options = {"padding": padding, "truncation": True, "max_length": longest, "return_tensors": "pt"}
        tokens = self._tokenizer(texts, **options).to(self._model.device)
        tokens.pop("token_type_ids", None)
        if self.sigmoid:
            tokens.pop("attention_mask", None)
        with torch.inference_mode():
            return _numpy(self._model.get_text_features(**tokens))

    def scores(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """(T, L) of cosines to (T, L) of scores, by the checkpoint's own scale (and bias)."""
        bias = float(self._model.logit_bias.detach()) if self.sigmoid else None
        return scored(cosines, float(self._model.logit_scale.detach().exp()), bias)

    def saliency(self, image: Image, text: NDArray[np.float32], label: str) -> Heatmap:
        import torch

        target = torch.from_numpy(text).to(self._model.device)

        def cosine(inputs: Any) -> Any:
            features = _tensor(self._model.get_image_features(**inputs))
            return torch.nn.functional.cosine_similarity(features, target[None]).sum()

        return saliency.explain(self._model.vision_model, cosine, self._inputs([image]), image, self._processor, label)

    def _inputs(self, images: Sequence[Image]) -> Any:
        pictures = [eight_bit_rgb(image.pixels) for image in images]
        return self._processor(images=pictures, return_tensors="pt").to(self._model.device)


def load(checkpoint: Checkpoint, folder: Path, device: str) -> Clip:
    """From a folder of transformers. Raises Unavailable."""
    if (folder / "open_clip_config.json").is_file() and not (folder / "config.json").is_file():
        raise Unavailable(OPEN_CLIP.format(name=checkpoint.name))
    return Clip(checkpoint.name, Transformers(checkpoint, folder, device))


def _checked(options: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    labels = [str(label) for label in options.get("labels", ())]
    templates = [str(template) for template in options.get("templates", ())] or list(TEMPLATES)
    if not 1 <= len(labels) <= MOST_LABELS or len(templates) > MOST_TEMPLATES:
        raise BadInput(NO_LABELS.format(least=1, most=MOST_LABELS))
    for template in templates:
        if "{}" not in template:
            raise BadInput(NO_SLOT.format(template=template))
    return labels, templates


def _tensor(features: Any) -> Any:
    """transformers 5 gives an output whose pooled part is the projected vector; older ones the vector itself."""
    return getattr(features, "pooler_output", features)


def _numpy(features: Any) -> NDArray[np.float32]:
    return np.asarray(_tensor(features).float().cpu().numpy(), dtype=np.float32)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def scored(cosines: NDArray[np.float32], scale: float, bias: float | None) -> NDArray[np.float32]:
    """(T, L) of cosines to (T, L) of scores: a softmax over the labels, or with a bias (SigLIP) a sigmoid for each."""
    return softmax(cosines * scale) if bias is None else sigmoid(cosines * scale + bias)
