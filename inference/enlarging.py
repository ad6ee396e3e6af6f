"""Enlarging 8-bit pictures: Lanczos as a baseline, and how well any method does on an image, measured on itself.

There is no larger original to compare with, so an image is made smaller (bicubic) and enlarged again: PSNR (dB) and
SSIM (Wang et al. 2004) against the image as it was. They say how much of this kind of image a method brings back, not
whether the detail in the enlarged image is true.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference import pictures
from inference.errors import BadInput
from inference.types import Image, Picture, Result

SCALES = (2, 4)
LONGEST_RESULT = 8192  # pixels
LEAST = 16  # pixels along the shorter side of what is made smaller
SIMILARITY_WINDOW = 7  # pixels, of SSIM
NO_SCALE = "An image is enlarged by 2 or by 4, not by {given}."
TOO_LARGE = "This image is too large to be enlarged by {scale}: at most {most:,} pixels along its longer side."
TOO_SMALL = "This image is too small to measure how well it is enlarged by {scale}."

Pixels = NDArray[np.uint8]
Enlarge = Callable[[Pixels], Pixels]


def eight_bit(image: Image) -> Pixels:
    """(H, W) or (H, W, 3) uint8: as it is, or by percentiles."""
    if image.pixels.dtype == np.uint8:
        return image.pixels
    return pictures.greys(pictures.luminance(image.pixels))


def lanczos(pixels: Pixels, scale: int) -> Pixels:
    """(scale * H, scale * W): Lanczos resampling (Pillow), which invents nothing."""
    return _by(pixels, pixels.shape[1] * scale, pixels.shape[0] * scale, "LANCZOS")


def _by(pixels: Pixels, width: int, height: int, how: str) -> Pixels:
    from PIL import Image as Pillow

    return np.asarray(Pillow.fromarray(pixels).resize((width, height), Pillow.Resampling[how]))


def check(pixels: Pixels, scale: Any, longest: int) -> int:
    """The scale. Raises BadInput when it is none, or when the image is too large for it."""
    if scale not in SCALES:
        raise BadInput(NO_SCALE.format(given=scale))
    if max(pixels.shape[:2]) > longest:
        raise BadInput(TOO_LARGE.format(scale=scale, most=longest))
    return int(scale)


def enlarged(pixels: Pixels, scale: int, enlarge: Enlarge, label: str, notes: tuple[str, ...]) -> Result:
    """The picture, with psnr_db and ssim in `values` where the image is large enough to measure them."""
    picture = Picture(label, enlarge(pixels))
    try:
        return Result(pictures=(picture,), values=measured(pixels, scale, enlarge), notes=notes)
    except BadInput as error:
        return Result(pictures=(picture,), notes=(*notes, str(error)))


def measured(pixels: Pixels, scale: int, enlarge: Enlarge) -> dict[str, float]:
    """{"psnr_db", "ssim"}: the image made smaller and enlarged again, against itself. Raises BadInput: too small.

    PSNR of identical images has no number: it is then 100 dB.
    """
    from skimage import metrics

    of_noise: Any = metrics.peak_signal_noise_ratio
    of_structure: Any = metrics.structural_similarity
    height, width = (size // scale * scale for size in pixels.shape[:2])
    if min(height, width) < max(LEAST, SIMILARITY_WINDOW) * scale // 2:
        raise BadInput(TOO_SMALL.format(scale=scale))
    original = pixels[:height, :width]
    again = enlarge(_by(original, width // scale, height // scale, "BICUBIC"))
    channel = {"channel_axis": 2} if original.ndim == 3 else {}
    same = np.array_equal(original, again)
    psnr = 100.0 if same else float(of_noise(original, again, data_range=255))
    ssim = of_structure(original, again, data_range=255, win_size=SIMILARITY_WINDOW, **channel)
    return {"psnr_db": psnr, "ssim": float(ssim)}
