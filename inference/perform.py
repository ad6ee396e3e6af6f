"""Carrying out one task of a checkpoint in this process: load or find the model, run it, and record what was used."""

from __future__ import annotations

import importlib.metadata
import os
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from inference import backends
from inference.checkpoints import Checkpoint
from inference.errors import BadInput, Exhausted, InferenceError, Unavailable
from inference.jobs import Record
from inference.residents import MB, Residents, memory_in_use
from inference.types import Image, Result, Volume

OUT_OF_MEMORY = (
    "{name} ran out of memory on this image ({device}). Use a smaller image or model, or give its worker more memory."
)
FAILED = "{name} failed on this image: {why}"
VERSIONS = (
    *("torch", "transformers", "torchxrayvision", "open_clip_torch", "timm", "monai", "SimpleITK", "onnxruntime"),
    *("scikit-image", "numpy"),
)
SHARE_OF_RAM = 0.5  # of what is free when the worker starts, unless LIGHTBOX_MODEL_MEMORY_MB says otherwise
SHARE_OF_GPU = 0.9

_one_at_a_time = threading.Lock()


def device_here() -> str:
    """cuda where PyTorch sees a GPU, else cpu. LIGHTBOX_DEVICE decides where it is set."""
    if chosen := os.environ.get("LIGHTBOX_DEVICE", ""):
        return chosen
    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


def budget(device: str) -> int:
    """Bytes for loaded models: measured on this machine, unless LIGHTBOX_MODEL_MEMORY_MB is set."""
    if given := os.environ.get("LIGHTBOX_MODEL_MEMORY_MB", ""):
        return int(float(given) * MB)
    if device == "cuda":
        import torch

        free, _total = torch.cuda.mem_get_info()
        return int(free * SHARE_OF_GPU)
    return int(psutil.virtual_memory().available * SHARE_OF_RAM)


@cache
def residents() -> Residents:
    """Those of this process."""
    device = device_here()
    return Residents(budget(device), device)


def perform(
    checkpoint: Checkpoint,
    folder: Path,
    task: str,
    images: Sequence[Image | Volume],
    options: Mapping[str, Any],
    kept: Residents | None = None,
) -> tuple[Result, Record]:
    """The result of a task and its record. One at a time in a process: memory is measured, and models are not shared.

    Raises Unavailable (no weights, no environment), BadInput, or Exhausted when memory runs out: then every model of
    this process is let go, and the next call loads its own anew.
    """
    started = time.time()
    with _one_at_a_time:
        kept = kept or residents()
        device = "cpu" if checkpoint.built_in else kept.device
        try:
            model, load_seconds = _model(checkpoint, folder, device, kept)
            result = backends.method(model, task, checkpoint)(images, options)
        except InferenceError:
            raise
        except Exception as error:  # whatever a model raises, its caller gets one line
            if out_of_memory(error):
                kept.drop_all()
                raise Exhausted(OUT_OF_MEMORY.format(name=checkpoint.name, device=device)) from error
            why = f"{type(error).__name__}: {error}"[:200]
            raise BadInput(FAILED.format(name=checkpoint.name, why=why)) from error
        memory = memory_in_use(device) / MB
    ended = time.time()
    return result, Record(
        checkpoint=checkpoint.key,
        name=checkpoint.name,
        revision=revision_of(checkpoint, folder),
        licence=checkpoint.licence_words,
        device=device,
        started=started,
        ended=ended,
        load_seconds=load_seconds,
        memory_mb=round(memory, 1),
        versions=versions(),
    )


def _model(checkpoint: Checkpoint, folder: Path, device: str, kept: Residents) -> tuple[Any, float]:
    begun = time.monotonic()
    if checkpoint.built_in:
        return backends.load(checkpoint, folder, device), 0.0
    if checkpoint.served:
        raise Unavailable(f"{checkpoint.name} is served by a server of its own (manage.py models serve).")
    known = checkpoint.key in kept.keys
    model = kept.get(checkpoint.key, lambda: backends.load(checkpoint, folder, device), int(checkpoint.size_mb * MB))
    return model, 0.0 if known else round(time.monotonic() - begun, 3)


def out_of_memory(error: BaseException) -> bool:
    """Whether it says that memory ran out: Python's, PyTorch's on CPU or CUDA, ONNX Runtime's."""
    words = str(error).lower()
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or "out of memory" in words or "can't allocate memory" in words or "failed to allocate memory" in words


REVISION_FILE = "REVISION"  # `models pull` writes the commit that it got here


def revision_of(checkpoint: Checkpoint, folder: Path) -> str:
    """The revision of the weights that are there, as far as it is known."""
    try:
        return (folder / REVISION_FILE).read_text(encoding="utf-8").strip()[:120] or checkpoint.revision
    except OSError:
        return checkpoint.revision


@cache
def versions() -> dict[str, str]:
    """Of the libraries that decide what a model says, as far as they are installed here."""
    found = {}
    for name in VERSIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
