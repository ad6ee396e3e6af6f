"""Any image classifier in a file of ONNX, by onnxruntime; `inference.plain_classifier` says what its entry must say.

The model has one input, (N, C, H, W) or (N, H, W, C) with one or three channels, as its shape tells, and its first
output is (N, labels). Libraries of further operators are never loaded, so a model that needs one is refused. It runs on
the CPU, or by CUDA where the installed onnxruntime can; what it takes there is not PyTorch's memory, and not counted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.checkpoints import Checkpoint
from inference.errors import Unavailable
from inference.plain_classifier import NO_LOAD, PlainClassifier, Shape, reason, shape_of, weights_of

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
ERRORS_ONLY = 3  # of onnxruntime's levels of logging
NO_IMAGE = (
    "{name} is no classifier of single images: its input is {found}, and one array of floats (N, C, H, W) or "
    "(N, H, W, C) with one or three channels is needed."
)


def load(checkpoint: Checkpoint, folder: Path, device: str) -> PlainClassifier:
    """From the folder's .onnx file, tried out on a black image. Raises Unavailable."""
    path = weights_of(checkpoint, folder, ("*.onnx",))
    try:
        import onnxruntime
    except ImportError as error:
        raise Unavailable(NO_LOAD.format(name=checkpoint.name, why="onnxruntime is not installed")) from error
    failures = _failures()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=_providers(device))
    except failures as error:
        why = reason(error, hide=f"{path.parent}/")
        raise Unavailable(NO_LOAD.format(name=checkpoint.name, why=why)) from error
    shape = _shape(checkpoint, session)
    (given,) = session.get_inputs()

    def run(pixels: NDArray[np.float32]) -> NDArray[Any]:
        return np.asarray(session.run(None, {given.name: pixels.astype(TYPES[given.type])})[0])

    model = PlainClassifier(checkpoint, folder, shape, run)
    model.try_out(failures)
    return model


def _providers(device: str) -> list[str]:
    import onnxruntime

    return [CUDA, CPU] if device == "cuda" and CUDA in onnxruntime.get_available_providers() else [CPU]


def _failures() -> tuple[type[Exception], ...]:
    """What onnxruntime raises: classes of its native part, which have no common one of its own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    found = [one for one in vars(native).values() if isinstance(one, type) and issubclass(one, Exception)]
    return (*found, ValueError, RuntimeError, OSError)


def _shape(checkpoint: Checkpoint, session: Any) -> Shape:
    """From the shape of the only input, in which open sides are names or nothing. Raises Unavailable."""
    inputs = session.get_inputs()
    sides = [side if isinstance(side, int) else 0 for side in inputs[0].shape] if inputs else []
    if len(inputs) == 1 and len(sides) == 4 and sides[0] in (0, 1) and inputs[0].type in TYPES:
        _, first, second, third = sides
        if first in (1, 3) or sides[1:] == [0, 0, 0]:
            return shape_of(checkpoint, second, third, first)
        if third in (1, 3):
            return shape_of(checkpoint, first, second, third, last=True)
    found = ", ".join(f"{one.type} {one.shape}" for one in inputs) or "missing"
    raise Unavailable(NO_IMAGE.format(name=checkpoint.name, found=found))
