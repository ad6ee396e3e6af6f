"""Any image classifier in a file of TorchScript; `inference.plain_classifier` says what its entry must say.

A TorchScript file is a program. It is loaded only from the folder of an entry that the operator put into the catalogue,
and only while it is the very file whose SHA-256 the entry gives; its interpreter knows PyTorch's operators alone, which
is less than Python, but nobody promises that it holds a hostile program. The module takes (N, C, H, W) floats, with as
many channels as the entry's `mean` has values (three without it), and gives (N, labels), or a tuple that begins so.

There is no heat map: the inner modules of a script cannot be watched, as `inference.saliency` would have to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.checkpoints import Checkpoint
from inference.errors import Unavailable
from inference.plain_classifier import NO_LOAD, PlainClassifier, reason, shape_of, weights_of
from inference.pull import NO_HASH, described

OTHER_FILE = "{file} of {name} is not the program that its entry in the catalogue means: its SHA-256 is {found}."
NO_TENSOR = "{name} gives no array of numbers for an image, but {found}."


def load(checkpoint: Checkpoint, folder: Path, device: str) -> PlainClassifier:
    """From the folder's .pt or .pth file, tried out on a black image. Raises Unavailable."""
    path = weights_of(checkpoint, folder, ("*.pt", "*.pth"))
    _check_trusted(checkpoint, folder, path)
    shape = shape_of(checkpoint)
    try:
        import torch
    except ImportError as error:
        raise Unavailable(NO_LOAD.format(name=checkpoint.name, why="PyTorch is not installed")) from error
    scripts: Any = torch.jit
    try:
        module = scripts.load(str(path), map_location=device)
    except (RuntimeError, ValueError, OSError) as error:
        why = f"it is no whole file of TorchScript ({reason(error)})"
        raise Unavailable(NO_LOAD.format(name=checkpoint.name, why=why)) from error
    if hasattr(module, "training"):  # a frozen one has no modes
        module.eval()
    dtype = next((one.dtype for one in module.parameters()), torch.float32)

    def run(pixels: NDArray[np.float32]) -> NDArray[Any]:
        with torch.inference_mode():
            made = module(torch.from_numpy(pixels).to(device, dtype))
        first = made[0] if isinstance(made, tuple | list) and made else made
        if not isinstance(first, torch.Tensor):
            raise Unavailable(NO_TENSOR.format(name=checkpoint.name, found=type(first).__name__))
        return np.asarray(first.float().cpu().numpy())

    model = PlainClassifier(checkpoint, folder, shape, run)
    model.try_out((RuntimeError, ValueError, TypeError))
    return model


def _check_trusted(checkpoint: Checkpoint, folder: Path, path: Path) -> None:
    """Raises Unavailable unless the entry gives the hash of this file."""
    file, found = path.relative_to(folder).as_posix(), described(path)["sha256"]
    wanted = checkpoint.sha256.get(file, "")
    if not wanted:
        raise Unavailable(NO_HASH.format(name=checkpoint.name, file=file, hash=found))
    if wanted != found:
        raise Unavailable(OTHER_FILE.format(name=checkpoint.name, file=file, found=found))
