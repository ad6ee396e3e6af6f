"""Classifiers that are one file of weights (ONNX, TorchScript): the catalogue's entry says what such a file does not.

    input_size   the side in pixels to which the whole image is resized, bilinear, no crop; left out: the model's own
    mean, std    for each channel, of values scaled to 0..1; left out: 0 and 1
    labels       in the order of the outputs; left out: labels.txt (one a line) or labels.json in the folder
    options      output = "softmax" or "sigmoid", of logits, or "probabilities", for numbers that are 0 to 1 already;
                 file = the name of the file, where the folder holds several

The model sees what `eight_bit_rgb` makes of the pixels. A model of one channel takes grey images.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from inference.checkpoints import Checkpoint
from inference.classify import eight_bit_rgb, sigmoid, softmax
from inference.errors import BadInput, Unavailable
from inference.types import Image, Result, Score

OUTPUTS = ("softmax", "sigmoid", "probabilities")
SLACK = 1e-3  # how far from 0..1 a probability may be rounded

NO_FILE = "{name} has no file {wanted} in its folder."
SEVERAL = "The folder of {name} holds several files of weights ({found}): options.file of its entry says which."
NO_LOAD = "{name} cannot be loaded: {why}. Check its file."
NO_OUTPUT = 'The entry of {name} must say what it gives: options = {{ output = "softmax" }}, or {others}.'
NO_LABELS = "{name} has no labels: its entry names none, and no labels.txt or labels.json in its folder can be read."
NO_SIZE = "{name} does not say how large its images are: input_size in its entry does, in pixels."
NO_FIT = "{name} takes images of {model} pixels, and its entry says {entry}."
NO_NORM = "{name} takes {channels} channels: mean and std in its entry must each have as many values, and std no zero."
WRONG_COUNT = "{name} does not fit its {labels} labels: for one image it gives an array of shape {shape}."
NO_RUN = "{name} does not take an image of {channels} x {height} x {width}: {why}"
NOT_FINITE = "{name} gave no finite numbers for this image."
OUT_OF_RANGE = '{name} gives numbers beyond 0 and 1: options.output of its entry must be "softmax" or "sigmoid".'
COLOUR = "The image is in colour; {name} reads grey images."
NO_MAP = "{name} cannot show where it looked: a file of this kind gives no heat map here."


@dataclass(frozen=True, slots=True)
class Shape:
    """One image as the model takes it, in pixels: (1, C, H, W), or (1, H, W, C) with `channels_last`."""

    channels: int
    height: int
    width: int
    channels_last: bool = False


class PlainClassifier:
    """`classify` takes one image and the options `top_k` (5; 0: all labels) and `saliency`, which gets a note only.

    `run` takes (1, C, H, W) or (1, H, W, C) float32, as `shape` says, and returns (1, labels). Raises Unavailable for
    an entry that does not fit.
    """

    def __init__(
        self, checkpoint: Checkpoint, folder: Path, shape: Shape, run: Callable[[NDArray[np.float32]], NDArray[Any]]
    ) -> None:
        self._name = checkpoint.name
        self._output = str(checkpoint.options.get("output", ""))
        if self._output not in OUTPUTS:
            raise Unavailable(NO_OUTPUT.format(name=self._name, others=" or ".join(OUTPUTS[1:])))
        self._labels = labels_of(checkpoint, folder)
        self._shape = shape
        self._mean, self._std = _normalisation(checkpoint, shape.channels)
        self._run = run

    def classify(self, images: Sequence[Image], options: Mapping[str, Any]) -> Result:
        """Scores, best first: uncalibrated, whatever the model calls them. Raises BadInput or Unavailable."""
        values = self._scores(self._values(self._prepared(images[0])))
        order = np.argsort(-values, kind="stable")[: int(options.get("top_k", 5)) or None]
        scores = tuple(Score(self._labels[at], float(values[at])) for at in order)
        return Result(scores=scores, notes=(NO_MAP.format(name=self._name),) if options.get("saliency") else ())

    def try_out(self, failures: tuple[type[Exception], ...]) -> None:
        """Runs the model on a black image. Raises Unavailable when it fails so or its outputs do not fit the labels."""
        from inference.perform import out_of_memory

        shape = self._shape
        try:
            self._values(self._prepared(Image(np.zeros((shape.height, shape.width), dtype=np.uint8))))
        except failures as error:
            if out_of_memory(error):
                raise
            told = {"channels": shape.channels, "height": shape.height, "width": shape.width}
            raise Unavailable(NO_RUN.format(name=self._name, why=reason(error), **told)) from error

    def _prepared(self, image: Image) -> NDArray[np.float32]:
        shape = self._shape
        rgb = eight_bit_rgb(image.pixels)
        if shape.channels == 1 and np.ptp(rgb, axis=2).any():
            raise BadInput(COLOUR.format(name=self._name))
        resized = Pillow.fromarray(rgb).resize((shape.width, shape.height), Pillow.Resampling.BILINEAR)
        scaled = np.asarray(resized, dtype=np.float32)[..., : shape.channels] / 255.0
        normal = ((scaled - self._mean) / self._std)[None]
        return np.ascontiguousarray(normal if shape.channels_last else normal.transpose(0, 3, 1, 2), dtype=np.float32)

    def _values(self, given: NDArray[np.float32]) -> NDArray[np.float32]:
        """(labels,) as the model gives them. Raises Unavailable for another number of them."""
        found = self._run(given)
        if found.shape != (1, len(self._labels)):
            told = {"labels": len(self._labels), "shape": found.shape}
            raise Unavailable(WRONG_COUNT.format(name=self._name, **told))
        return np.asarray(found[0], dtype=np.float32)

    def _scores(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        if not np.isfinite(values).all():
            raise BadInput(NOT_FINITE.format(name=self._name))
        if self._output == "softmax":
            return softmax(values)
        if self._output == "sigmoid":
            return sigmoid(values)
        if values.min() < -SLACK or values.max() > 1 + SLACK:
            raise Unavailable(OUT_OF_RANGE.format(name=self._name))
        return np.asarray(np.clip(values, 0.0, 1.0), dtype=np.float32)


def weights_of(checkpoint: Checkpoint, folder: Path, patterns: Sequence[str]) -> Path:
    """The one file of a folder that fits, or that options.file names. Raises Unavailable."""
    if named := str(checkpoint.options.get("file", "")):
        patterns = (named,)
    found = sorted(path for pattern in patterns for path in folder.rglob(pattern) if path.is_file())
    if not found:
        raise Unavailable(NO_FILE.format(name=checkpoint.name, wanted=" or ".join(patterns)))
    if len(found) > 1:
        names = ", ".join(path.relative_to(folder).as_posix() for path in found[:4])
        raise Unavailable(SEVERAL.format(name=checkpoint.name, found=names))
    return found[0]


def labels_of(checkpoint: Checkpoint, folder: Path) -> tuple[str, ...]:
    """Of the entry, else of labels.txt or labels.json (["a", "b"] or {"0": "a", "1": "b"}). Raises Unavailable."""
    if checkpoint.labels:
        return checkpoint.labels
    lines, table = folder / "labels.txt", folder / "labels.json"
    try:
        if lines.is_file():
            found = [line.strip() for line in lines.read_text(encoding="utf-8").splitlines() if line.strip()]
        else:
            told = json.loads(table.read_text(encoding="utf-8"))
            found = [told[str(at)] for at in range(len(told))] if isinstance(told, dict) else list(told)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unavailable(NO_LABELS.format(name=checkpoint.name)) from error
    if not found or not all(isinstance(label, str) for label in found):
        raise Unavailable(NO_LABELS.format(name=checkpoint.name))
    return tuple(found)


def shape_of(checkpoint: Checkpoint, height: int = 0, width: int = 0, channels: int = 0, last: bool = False) -> Shape:
    """What the model says of its input (0: nothing), completed by the entry: input_size is the size, and where the
    model leaves the channels open there are as many as `mean` has, three without one. Raises Unavailable."""
    size = checkpoint.input_size
    if size and any(side not in (0, size) for side in (height, width)):
        told = {"model": f"{height or size} x {width or size}", "entry": f"{size} x {size}"}
        raise Unavailable(NO_FIT.format(name=checkpoint.name, **told))
    if not size and not (height and width):
        raise Unavailable(NO_SIZE.format(name=checkpoint.name))
    return Shape(channels or len(checkpoint.mean) or 3, height or size, width or size, last)


def reason(error: Exception, hide: str = "") -> str:
    """The last line of what a library says, short and without the path `hide`: those of TorchScript begin with pages of
    its program."""
    lines = [line.strip() for line in str(error).replace(hide, "").splitlines() if line.strip()]
    return lines[-1][:160] if lines else type(error).__name__


def _normalisation(checkpoint: Checkpoint, channels: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation, (channels,) each. Raises Unavailable."""
    mean, std = checkpoint.mean or (0.0,) * channels, checkpoint.std or (1.0,) * channels
    if channels not in (1, 3) or len(mean) != channels or len(std) != channels or 0 in std:
        raise Unavailable(NO_NORM.format(name=checkpoint.name, channels=channels))
    return np.asarray(mean, dtype=np.float32), np.asarray(std, dtype=np.float32)
