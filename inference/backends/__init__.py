"""One file per kind of checkpoint, found by name: `backend = "sam"` in the catalogue is `inference/backends/sam.py`.

A backend has one function, `load`. What it returns has one method for each task that its checkpoints can do, named
after the task, and takes the images and the options of the call:

    def load(checkpoint: Checkpoint, folder: Path, device: str) -> Loaded
    def classify(self, images: Sequence[Image | Volume], options: Mapping[str, Any]) -> Result

Tasks: classify, zero_shot, segment, embed_images, embed_texts, register, anomaly, detect, enlarge, synthesise. Options
are JSON. Heavy libraries are imported in `load` and in methods, never when the file is imported; nothing is downloaded;
weights are safetensors, ONNX, TorchScript, or read with `weights_only=True`; code that comes with a checkpoint is never
run. `load` raises Unavailable, the methods BadInput, Exhausted or Unavailable.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

from inference.checkpoints import Checkpoint
from inference.errors import BadInput, Unavailable

NO_BACKEND = "The backend {name} of {key} is not part of this environment ({why})."
NO_TASK = "{name} cannot do this: {task}."


def load(checkpoint: Checkpoint, folder: Path, device: str) -> Any:
    """The loaded model. `device` is "cpu" or "cuda". Raises Unavailable."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*", checkpoint.backend):
        raise Unavailable(NO_BACKEND.format(name=checkpoint.backend, key=checkpoint.key, why="no such name"))
    name = f"inference.backends.{checkpoint.backend.replace('-', '_')}"
    try:
        backend = importlib.import_module(name)
    except ImportError as error:
        why = f"{type(error).__name__}: {error}"
        raise Unavailable(NO_BACKEND.format(name=checkpoint.backend, key=checkpoint.key, why=why)) from error
    return backend.load(checkpoint, folder, device)


def method(model: Any, task: str, checkpoint: Checkpoint) -> Any:
    """What carries out a task. Raises BadInput when the model has no such task."""
    found = None if task.startswith("_") else getattr(model, task, None)
    if not callable(found):
        raise BadInput(NO_TASK.format(name=checkpoint.name, task=task))
    return found
