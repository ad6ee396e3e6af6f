"""Pictures made of images: greys that compare, a board of two images, their difference, three planes side by side.

Only numpy and Pillow. What goes in is modality values, what comes out is uint8 for the screen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLACK, WHITE = 0.5, 99.5  # percentiles shown black and white
SQUARES = 8  # of a board, along the longer side
LONGEST = 2048  # pixels of a picture's longer side
GAP = 8  # black pixels between planes
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


def luminance(pixels: NDArray[np.generic]) -> NDArray[np.float32]:
    """(H, W) float32 of (H, W) or (H, W, 3), or of (S, H, W); what is no number becomes the least of the others."""
    values = pixels.astype(np.float32)
    if values.ndim == 3 and values.shape[2] == 3:
        values = values @ np.asarray(LUMINANCE, np.float32)
    finite = np.isfinite(values)
    if finite.all():
        return values
    lowest = float(values[finite].min()) if finite.any() else 0.0
    return np.where(finite, values, np.float32(lowest))


def greys(values: NDArray[np.float32], like: NDArray[np.float32] | None = None) -> NDArray[np.uint8]:
    """8-bit greys from the 0.5th to the 99.5th percentile, of the values themselves or of `like`; any shape."""
    low, high = np.percentile(values if like is None else like, (BLACK, WHITE))
    scaled = (values - low) / max(float(high - low), 1e-6) * 255.0
    painted: NDArray[np.uint8] = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    return painted


def checkerboard(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W): squares of the one and the other in turn; edges run on where the two are aligned."""
    size = max(1, -(-max(first.shape) // SQUARES))
    rows, columns = np.indices(first.shape) // size
    return np.where((rows + columns) % 2 == 0, first, second)


def difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W): middle grey where both are alike, brighter where the first is brighter."""
    return ((first.astype(np.int16) - second.astype(np.int16)) // 2 + 128).clip(0, 255).astype(np.uint8)


def resized(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """(height, width) or (height, width, 3), by area when smaller and linearly when larger."""
    from PIL import Image as Pillow

    if pixels.shape[:2] == (height, width):
        return pixels
    smaller = width * height < pixels.shape[0] * pixels.shape[1]
    how = Pillow.Resampling.BOX if smaller else Pillow.Resampling.BILINEAR
    return np.asarray(Pillow.fromarray(pixels).resize((max(width, 1), max(height, 1)), how))


def bounded(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture, made smaller when its longer side is over LONGEST pixels."""
    height, width = pixels.shape[:2]
    factor = min(1.0, LONGEST / max(height, width))
    return resized(pixels, round(width * factor), round(height * factor))


def planes(volume: NDArray[np.uint8], voxel_mm: tuple[float, float, float]) -> NDArray[np.uint8]:
    """The middle slices of three planes of (S, H, W) side by side, in true proportions.

    From left to right: along the slices, along the rows, along the columns; the last slice is at the top of the latter
    two. `voxel_mm` is along (slice, row, column); any unit will do.
    """
    slices, rows, columns = volume.shape
    along_slice, along_row, along_column = (size / min(voxel_mm) for size in voxel_mm)
    high, wide, deep = round(rows * along_row), round(columns * along_column), round(slices * along_slice)
    cuts = (
        (volume[slices // 2], wide, high),
        (volume[::-1, rows // 2], wide, deep),
        (volume[::-1, :, columns // 2], high, deep),
    )
    parts = [resized(np.ascontiguousarray(cut), width, height) for cut, width, height in cuts]
    tall = max(part.shape[0] for part in parts)
    padded = [np.pad(part, ((0, tall - part.shape[0]), (0, GAP))) for part in parts]
    return np.concatenate(padded, axis=1)[:, :-GAP]


WATERMARK = "SYNTHETIC"
FAINT = 0.35  # how far the text over the picture covers it


def watermarked(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture, (H, W) or (H, W, 3), with SYNTHETIC in a solid band below and faintly all over, so that no crop of a
    good part of it is without. The band covers the lowest part of the picture; the size stays."""
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    height, width = pixels.shape[:2]
    letters = max(8, width // 12)
    font = ImageFont.load_default(letters)
    over = Pillow.new("L", (width, height), 0)
    draw = ImageDraw.Draw(over)
    for line, top in enumerate(range(0, height, 2 * letters)):
        draw.text((-(line % 2) * 3 * letters, top), f"{WATERMARK}  " * 4, fill=round(255 * FAINT), font=font)
    share = np.asarray(over, np.float32) / 255
    grey = np.where(pixels.mean() > 127, 0.0, 255.0)
    if pixels.ndim == 3:
        share = share[:, :, None]
    marked = np.rint(pixels * (1 - share) + grey * share).astype(np.uint8)
    band = Pillow.new("L", (width, min(height, round(1.4 * letters))), 0)
    ImageDraw.Draw(band).text((letters // 4, 0), WATERMARK, fill=255, font=font)
    below = np.asarray(band)
    marked[height - len(below) :] = below if pixels.ndim == 2 else below[:, :, None]
    return marked
