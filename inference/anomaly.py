"""How far an image lies from a set of normal ones, by their vectors: a score, and where it stands among the set's own.

The score is the mean distance to the K nearest normal images, a plain detector of outliers (with vectors of a
pretrained network: Bergman, Cohen and Hoshen 2020). Each normal image is scored against the
others in the same way (leave one out), so that "higher than 19 of 20" compares like with like. It is no probability.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.errors import BadInput
from inference.types import Embedding

K = 3
LEAST = 8  # normal images: with fewer, a rank says next to nothing
TOO_FEW = "The set has {found} images that can be compared; at least {least} normal ones are needed."


@dataclass(frozen=True, slots=True)
class Anomaly:
    """`score` is a distance, 0 for a copy of K normal images, at most 2; `above` of `count` normal images score less.
    `normal` are the scores of the normal images, each against the others."""

    score: float
    above: int
    count: int
    normal: tuple[float, ...]


def score(vector: Embedding, normal: Embedding) -> Anomaly:
    """Of a vector (D,) among normal ones (N, D), all L2-normalised: 1 - cosine, averaged over the K nearest.

    Raises BadInput when the set is too small.
    """
    count = len(normal)
    if count < LEAST:
        raise BadInput(TOO_FEW.format(found=count, least=LEAST))
    among = 1.0 - normal.astype(np.float64) @ normal.astype(np.float64).T
    np.fill_diagonal(among, np.inf)
    own = _mean_of_nearest(among)
    found = float(_mean_of_nearest((1.0 - normal.astype(np.float64) @ vector.astype(np.float64))[None])[0])
    return Anomaly(found, int((own < found).sum()), count, tuple(float(one) for one in own))


def _mean_of_nearest(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    nearest = np.partition(distances, K - 1, axis=1)[:, :K]
    means: NDArray[np.float64] = np.clip(nearest.mean(axis=1), 0.0, 2.0)
    return means


def by_prompts(image: Embedding, normal: Embedding, abnormal: Embedding) -> NDArray[np.float64]:
    """(T,): for each pair of prompts, the cosine with the abnormal one less that with the normal one. From -2 to 2.

    `image` is (D,), the prompts (T, D) each, all L2-normalised: zero-shot, as in WinCLIP (Jeong et al. 2023) but of
    the whole image only.
    """
    found: NDArray[np.float64] = abnormal.astype(np.float64) @ image - normal.astype(np.float64) @ image
    return found
