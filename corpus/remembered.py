"""Vectors that come with the corpus, so that the first start need not embed what has been embedded before.

`data/vectors.npz` holds, for the texts of the bundled corpus and the bundled embedder: `embedder` (its name, with the
hash of the weights), `digests` (N, 16) uint8, the first half of each text's SHA-256, and `vectors` (N, D) float16.
`manage.py load_corpus --save-vectors` makes it, and a test compares it with the embedder. A text that is not in it is
embedded as ever, and so is every text when another embedder is set.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inference.types import Embedder, Embedding

SHIPPED = Path(__file__).parent / "data" / "vectors.npz"
_DIGEST_BYTES = 16


class Remembering:
    """An embedder that looks a text up before it embeds it."""

    def __init__(self, embedder: Embedder, file: Path | None = SHIPPED) -> None:
        self.embedder = embedder
        self.known = {} if file is None else _read(file, embedder.name)

    @property
    def name(self) -> str:
        """The name of the embedder behind it: where a vector comes from makes no difference."""
        return self.embedder.name

    @property
    def dimension(self) -> int:
        """D, the length of a vector."""
        return next((len(vector) for vector in self.known.values()), 0) or self.embedder.dimension

    def embed(self, texts: Sequence[str]) -> Embedding:
        """(N, D) float32, rows L2-normalised, in the order of `texts`. Raises inference.errors.Unavailable."""
        digests = [_digest(text) for text in texts]
        new = [i for i, digest in enumerate(digests) if digest not in self.known]
        if new:
            vectors = self.embedder.embed([texts[i] for i in new])
            self.known |= {digests[i]: vector for i, vector in zip(new, vectors, strict=True)}
        rows = [self.known[digest] for digest in digests]
        return np.stack(rows) if rows else np.zeros((0, self.dimension), np.float32)

    def save(self, file: Path) -> None:
        """Writes all vectors seen so far."""
        digests = np.frombuffer(b"".join(self.known), np.uint8).reshape(-1, _DIGEST_BYTES)
        vectors = np.array(list(self.known.values()), np.float16)
        np.savez_compressed(file, embedder=np.array(self.name), digests=digests, vectors=vectors)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:_DIGEST_BYTES]


def _read(file: Path, embedder: str) -> dict[bytes, Embedding]:
    """The remembered vectors, at full length again; none when the file is of another embedder, absent or damaged."""
    try:
        with np.load(file, allow_pickle=False) as data:
            if str(data["embedder"]) != embedder:
                return {}
            vectors = data["vectors"].astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            return {digest.tobytes(): vector for digest, vector in zip(data["digests"], vectors, strict=True)}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return {}
