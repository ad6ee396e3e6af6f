"""The images of one user that are nearest to a vector: FAISS, exact. Vectors in, identifiers and cosines out.

An index lives for one search: a user has thousands of images, not millions, and a flat index of 10,000 vectors of 512
dimensions is filled in some milliseconds. Whose vectors these are is the caller's query (`visible_to`), so nobody
else's can be found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from corpus.index.dense import faiss
from inference.types import Embedding

Key = TypeVar("Key")


def nearest(vector: Embedding, keys: Sequence[Key], vectors: Embedding, limit: int) -> list[tuple[Key, float]]:
    """The `limit` keys whose vectors (N, D), L2-normalised, have the highest inner product with `vector` (D,): cosines.

    Raises Unavailable when FAISS is not installed, ValueError when the dimensions differ.
    """
    if not len(keys):
        return []
    if vectors.shape != (len(keys), len(vector)):
        raise ValueError(f"{vectors.shape} vectors for {len(keys)} keys and a vector of {len(vector)}")
    index = faiss().IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, np.float32))
    scores, places = index.search(np.ascontiguousarray(vector[None], np.float32), min(limit, len(keys)))
    return [(keys[place], float(score)) for score, place in zip(scores[0], places[0], strict=True) if place >= 0]
