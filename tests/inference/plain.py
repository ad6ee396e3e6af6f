"""What the tests of ONNX and of TorchScript share: an entry, pictures, what the model must be given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture

from inference.checkpoints import Checkpoint

LABELS = ("Effusion", "Nodule", "Hernia")
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
SIDE = 8
rng = np.random.default_rng(5)
COLOUR = rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)
GREY = rng.integers(0, 255, (30, 40), dtype=np.uint8)


def entry(folder: Path, backend: str, **changed: Any) -> Checkpoint:
    said = {"labels": LABELS, "input_size": SIDE, "mean": MEAN, "std": STD, "options": {"output": "softmax"}} | changed
    return Checkpoint("tiny", "Tiny", ("classify",), backend, "MIT", f"folder:{folder}", **said)


def given(pixels: np.ndarray, mean: Any = MEAN, std: Any = STD) -> np.ndarray:
    """(1, H, W, C) float32, by torchvision's words: resize, scale to 0..1, normalise."""
    resized = Picture.fromarray(pixels).resize((SIDE, SIDE), Picture.Resampling.BILINEAR)
    values = np.asarray(resized, np.float32).reshape(SIDE, SIDE, -1) / 255
    if values.shape[2] == 1 and len(mean) == 3:
        values = np.repeat(values, 3, axis=2)
    return ((values - np.asarray(mean, np.float32)) / np.asarray(std, np.float32))[None]


def scores(logits: np.ndarray, output: str) -> dict[str, float]:
    """What each output must become, by the formulas."""
    made = {
        "softmax": lambda: np.exp(logits) / np.exp(logits).sum(),
        "sigmoid": lambda: 1 / (1 + np.exp(-logits)),
        "probabilities": lambda: logits,
    }[output]()
    return dict(zip(LABELS, made.tolist(), strict=True))
