"""A worker of models with one more backend, whose model does at once what others do once a year: see `Greedy`."""

import os
import signal
import sys
import threading
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference.types import Image, Result, Score
from inference.worker import app

__all__ = ["app"]
CATALOGUE = """
[[checkpoint]]
key = "greedy"
name = "Greedy"
roles = ["classify"]
backend = "greedy"
licence = "MIT"
source = "folder:{folder}"
revision = "r1"
"""


class Greedy:
    def classify(self, images: Sequence[Image], options: Mapping[str, Any]) -> Result:
        if options.get("log"):
            with Path(options["log"]).open("a") as file:
                file.write(f"{options['who']}\n")
        match options.get("do"):
            case "hoard":
                np.ones(options["bytes"], np.uint8)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "wait":
                threading.Event().wait(60)
            case "raise":
                raise RuntimeError("a fault inside")
        ours = sorted({"django.db", "django.core", "assistant", "corpus"} & sys.modules.keys())
        return Result(scores=(Score("mean", float(images[0].pixels.mean())),), text=f"knows {ours}")


backend: Any = types.ModuleType("inference.backends.greedy")
backend.load = lambda checkpoint, folder, device: Greedy()
sys.modules["inference.backends.greedy"] = backend
