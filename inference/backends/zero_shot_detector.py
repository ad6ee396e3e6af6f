"""Things that words name, as boxes with scores, by a zero-shot detector of transformers in a local folder.

Grounding DINO (Liu et al. 2024) reads all labels as one sentence; the label of a box is the one that holds the word it
fits best, where the library would give the words above a threshold, which may be half a label. OWL-ViT and OWLv2
(Minderer et al. 2023) score each label by itself. Boxes and scores are the library's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.checkpoints import Checkpoint
from inference.classify import eight_bit_rgb
from inference.errors import BadInput
from inference.torch_models import from_folder, part_of
from inference.types import Box, Image, Result

MOST_LABELS, MOST_BOXES = 20, 20
GROUNDING_DINO, OWL = 0.25, 0.1  # thresholds where none is asked for: the library's own
NO_LABELS = f"Detection needs labels in words: at least 1, at most {MOST_LABELS}."
NO_THRESHOLD = "A threshold for detection lies between 0 and 1."
TOO_LONG = "{name} reads at most {most} tokens; these labels have more. Use fewer or shorter ones."
CUT = f"Of {{count}} boxes above the threshold the {MOST_BOXES} with the highest scores are given."

Corners = tuple[float, float, float, float]
Found = tuple[str, float, Corners]


class ZeroShotDetector:
    """`detect` takes one image and the options `labels` (words) and `threshold` (0..1; the family's own without)."""

    def __init__(self, checkpoint: Checkpoint, folder: Path, device: str) -> None:
        self._name = checkpoint.name
        self._model = from_folder(folder, checkpoint.name, "AutoModelForZeroShotObjectDetection", device)
        self._processor = part_of(folder, checkpoint.name, "AutoProcessor")

    def detect(self, images: Sequence[Image], options: Mapping[str, Any]) -> Result:
        """Boxes in pixels of the image, within it, highest score first; one thing may have several.

        Raises BadInput for labels that are none, too many or too long.
        """
        labels = _labels(options)
        picture = eight_bit_rgb(images[0].pixels)
        is_owl = self._model.config.model_type.startswith("owl")
        threshold = _threshold(options, OWL if is_owl else GROUNDING_DINO)
        found = (self._by_owl if is_owl else self._by_dino)(picture, labels, threshold)
        height, width = picture.shape[:2]
        boxes = [box for one in sorted(found, key=lambda one: -one[1]) if (box := _within(one, width, height))]
        notes = (CUT.format(count=len(boxes)),) if len(boxes) > MOST_BOXES else ()
        return Result(boxes=tuple(boxes[:MOST_BOXES]), notes=notes)

    def _by_dino(self, picture: NDArray[np.uint8], labels: list[str], threshold: float) -> list[Found]:
        import torch

        inputs = self._processor(images=picture, text=[[one.lower() for one in labels]], return_tensors="pt")
        most = int(self._model.config.max_text_len)
        spans = _spans(inputs["input_ids"][0].tolist(), self._processor.tokenizer.convert_tokens_to_ids("."))
        if inputs["input_ids"].shape[1] > most or len(spans) != len(labels):
            raise BadInput(TOO_LONG.format(name=self._name, most=most))
        outputs = self._outputs(inputs)
        sizes = [picture.shape[:2]]
        (kept,) = self._processor.post_process_grounded_object_detection(
            outputs, inputs["input_ids"], threshold=threshold, target_sizes=sizes
        )
        words = torch.sigmoid(outputs.logits[0])
        words = words[words.max(dim=-1).values > threshold].cpu()
        best = [int(np.argmax([float(word[span].max()) for span in spans])) for word in words]
        return [
            (labels[at], float(score), tuple(box.tolist()))
            for at, score, box in zip(best, kept["scores"].cpu(), kept["boxes"].cpu(), strict=True)
        ]

    def _by_owl(self, picture: NDArray[np.uint8], labels: list[str], threshold: float) -> list[Found]:
        most = int(self._model.config.text_config.max_position_embeddings)
        if max(len(self._processor.tokenizer(one)["input_ids"]) for one in labels) > most:
            raise BadInput(TOO_LONG.format(name=self._name, most=most))
        # The processor would pad to what its tokenizer says; the text model takes its own length.
        inputs = self._processor(images=picture, text=[labels], return_tensors="pt", max_length=most)
        (kept,) = self._processor.post_process_grounded_object_detection(
            self._outputs(inputs), threshold=threshold, target_sizes=[picture.shape[:2]], text_labels=[labels]
        )
        return [
            (label, float(score), tuple(box.tolist()))
            for label, score, box in zip(kept["text_labels"], kept["scores"].cpu(), kept["boxes"].cpu(), strict=True)
        ]

    def _outputs(self, inputs: Any) -> Any:
        import torch

        with torch.inference_mode():
            return self._model(**inputs.to(self._model.device))


def load(checkpoint: Checkpoint, folder: Path, device: str) -> ZeroShotDetector:
    """Reads the weights. Raises Unavailable."""
    return ZeroShotDetector(checkpoint, folder, device)


def _labels(options: Mapping[str, Any]) -> list[str]:
    """Without full stops, which part the labels of Grounding DINO."""
    given = [" ".join(str(label).replace(".", " ").split()) for label in options.get("labels", ())]
    labels = list(dict.fromkeys(filter(None, given)))
    if not 1 <= len(labels) <= MOST_LABELS:
        raise BadInput(NO_LABELS)
    return labels


def _threshold(options: Mapping[str, Any], usual: float) -> float:
    given = options.get("threshold")
    if given is None:
        return usual
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 1:
        raise BadInput(NO_THRESHOLD)
    return float(given)


def _spans(tokens: list[int], stop: int) -> list[list[int]]:
    """The places of each label's tokens: [CLS] first label . second label . [SEP]"""
    spans: list[list[int]] = [[]]
    for place, token in enumerate(tokens[1:], 1):
        if token == stop:
            spans.append([])
        else:
            spans[-1].append(place)
    return [span for span in spans[:-1] if span]


def _within(found: Found, width: int, height: int) -> Box | None:
    """The part that lies on the image; None where nothing does."""
    label, score, (left, top, right, bottom) = found
    x0, y0, x1, y1 = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
    return Box(label, x0, y0, x1, y1, score) if x0 < x1 and y0 < y1 and np.isfinite(score) else None
