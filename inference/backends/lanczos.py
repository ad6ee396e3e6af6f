"""Enlarging by Lanczos resampling: a baseline that invents no detail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference import enlarging
from inference.checkpoints import Checkpoint
from inference.types import Image, Result

LIMIT = "Lanczos resampling, a baseline: smooth, without any detail that is not in the image."


class Lanczos:
    """`enlarge` takes one image and the option `scale`, 2 or 4."""

    def enlarge(self, images: Sequence[Image], options: Mapping[str, Any]) -> Result:
        """One picture; `values` psnr_db and ssim. Raises BadInput."""
        pixels = enlarging.eight_bit(images[0])
        wanted = options.get("scale", 2)
        most = enlarging.LONGEST_RESULT // wanted if wanted in enlarging.SCALES else 0
        scale = enlarging.check(pixels, wanted, most)
        return enlarging.enlarged(
            pixels, scale, lambda given: enlarging.lanczos(given, scale), f"enlarged by {scale}, Lanczos", (LIMIT,)
        )


def load(_checkpoint: Checkpoint, _folder: Path, _device: str) -> Lanczos:
    """Nothing to load."""
    return Lanczos()
