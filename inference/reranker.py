"""Reranking by a cross-encoder (Nogueira and Cho, 2019): question and text are read together, so the order is better
and each text costs a pass through the model. Optional: no such weights come with Lightbox.

Any sequence classification checkpoint with one output that sentence-transformers' CrossEncoder loads will do, such as
the folder of a cross-encoder/ms-marco-MiniLM-L6-v2. torch is imported on the first call of `score`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import Unavailable

BATCH = 16


class CrossEncoderReranker:
    """A cross-encoder's folder, loaded on first use and safe to share between threads. `name` is the folder's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser()
        self.name = self.folder.name
        self._model: Any = None
        self._lock = threading.Lock()

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N,) float32: how well each text answers the question; higher is better, the scale is the model's own.

        Raises Unavailable when the folder holds no such model.
        """
        if not texts:
            return np.zeros(0, np.float32)
        with self._lock:
            if self._model is None:
                self._model = _load(self.folder)
            scores = self._model.predict(
                [(query, text) for text in texts], batch_size=BATCH, show_progress_bar=False, convert_to_numpy=True
            )
        if scores.ndim != 1:
            raise Unavailable(
                f"LIGHTBOX_RERANK names {self.folder}, a classifier with {scores.shape[1]} outputs; a reranker has one."
            )
        return np.asarray(scores, np.float32)


def _load(folder: Path) -> Any:
    """The CrossEncoder of a local folder. Never looks on the network."""
    if not (folder / "config.json").is_file():
        raise Unavailable(f"LIGHTBOX_RERANK names {folder}, which holds no cross-encoder (no config.json in it).")
    try:
        import torch
        from sentence_transformers import CrossEncoder
        from transformers.utils import logging as transformers_logging
    except ImportError as error:
        raise Unavailable(f"sentence-transformers cannot be imported ({error}); reinstall Lightbox.") from error
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return CrossEncoder(str(folder), device=device, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise Unavailable(f"The reranker in {folder} cannot be loaded: {error}") from error
