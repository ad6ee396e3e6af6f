"""Models that stay loaded: once per worker, the least recently used one leaves when memory runs short.

What a model takes is measured when it is loaded: the growth of this process (CPU) or of the allocator (CUDA). Before
that, its size in the catalogue is the only guess, and only for whether to make room first.
"""

from __future__ import annotations

import gc
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MB = 1024 * 1024


def memory_in_use(device: str) -> int:
    """Bytes: of the CUDA allocator, or of this process (resident, Linux; 0 elsewhere)."""
    if device == "cuda":
        import torch

        return int(torch.cuda.memory_allocated())
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    except OSError:
        return 0


def release(device: str) -> None:
    """Give back what dropped models held."""
    gc.collect()
    if device == "cuda":
        import torch

        torch.cuda.empty_cache()
    elif sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)


@dataclass(slots=True)
class Resident:
    """A loaded model and the bytes that it was measured to take."""

    model: Any
    bytes: int


class Residents:
    """At most `budget` bytes of loaded models on one device, but always the one that is asked for."""

    def __init__(self, budget: int, device: str, measure: Callable[[str], int] = memory_in_use) -> None:
        self.budget = budget
        self.device = device
        self._measure = measure
        self._loaded: OrderedDict[str, Resident] = OrderedDict()
        self._known: dict[str, int] = {}

    @property
    def keys(self) -> list[str]:
        """Least recently used first."""
        return list(self._loaded)

    @property
    def total(self) -> int:
        """Bytes that the loaded models were measured to take."""
        return sum(one.bytes for one in self._loaded.values())

    def get(self, key: str, load: Callable[[], Any], guess: int = 0) -> Any:
        """The model, loaded unless it is here. Room is made before, by its last measurement, and after, by this one."""
        if key in self._loaded:
            self._loaded.move_to_end(key)
            return self._loaded[key].model
        self.make_room(self._known.get(key, guess))
        before = self._measure(self.device)
        model = load()
        taken = max(0, self._measure(self.device) - before)
        self._known[key] = taken
        self.make_room(taken)
        self._loaded[key] = Resident(model, taken)
        return model

    def make_room(self, needed: int) -> None:
        """Let the least recently used go until `needed` bytes fit beside the others."""
        gone = False
        while self._loaded and self.total + needed > self.budget:
            self._loaded.popitem(last=False)
            gone = True
        if gone:
            release(self.device)

    def drop_all(self) -> None:
        """Let everything go: memory ran out."""
        self._loaded.clear()
        release(self.device)
