"""What an image looks like at a glance, as a vector: grey levels, edges by direction and texture. A baseline.

Three parts of equal weight of a thumbnail of SIDE x SIDE greys: a histogram of grey levels in each quarter, histograms
of oriented gradients (Dalal and Triggs 2005) and of uniform local binary patterns (Ojala et al. 2002). It finds what
was taken in a similar way; of disease it knows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference import pictures
from inference.checkpoints import Checkpoint
from inference.types import Embedding, Image, Result

SIDE, CELL = 128, 32
LEVELS = 16
NEIGHBOURS = 8
LIMIT = "Similar by grey levels, edges and texture (a baseline, not a trained model): it knows nothing of disease."


def descriptor(pixels: NDArray[Any]) -> Embedding:
    """(D,) float32, L2-normalised, of (H, W) or (H, W, 3) modality values."""
    from skimage import feature

    hog: Any = feature.hog
    local_binary_pattern: Any = feature.local_binary_pattern
    small = pictures.resized(pictures.greys(pictures.luminance(pixels)), SIDE, SIDE)
    half = SIDE // 2
    quarters = [small[r : r + half, c : c + half] for r in (0, half) for c in (0, half)]
    levels = np.concatenate([np.histogram(quarter, LEVELS, (0, 256))[0] for quarter in quarters])
    edges = hog(small, orientations=9, pixels_per_cell=(CELL, CELL), cells_per_block=(2, 2), feature_vector=True)
    patterns = local_binary_pattern(small, NEIGHBOURS, 1, method="uniform")
    texture = np.histogram(patterns, NEIGHBOURS + 2, (0, NEIGHBOURS + 2))[0]
    joined = np.concatenate([_unit(np.sqrt(levels)), _unit(edges), _unit(np.sqrt(texture))])
    return _unit(joined).astype(np.float32)


def _unit(values: NDArray[Any]) -> NDArray[np.float64]:
    length = float(np.linalg.norm(values))
    return values / length if length > 0 else values.astype(np.float64)


class Appearance:
    """`embed_images` takes any number of images and no options."""

    def embed_images(self, images: Sequence[Image], _options: Mapping[str, Any]) -> Result:
        """`vectors` (N, D), in the order of the images."""
        return Result(vectors=np.stack([descriptor(image.pixels) for image in images]), notes=(LIMIT,))


def load(_checkpoint: Checkpoint, _folder: Path, _device: str) -> Appearance:
    """Nothing to load."""
    return Appearance()
