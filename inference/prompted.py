"""One region from a box, points or a lasso, by classical image processing: a baseline without weights, and named so.

The frame is cut to where the region may lie and brought to at most SIDE pixels a side by averaging. There, what the
prompts say for certain are seeds, and a random walker (Grady 2006, scikit-image) gives every other pixel to the seeds
that a walk reaches more easily, which steps of grey hold up. Enlarged again, the outline lies where both are equally
likely.

box         inside are seeds of the region, outside is background. Without points in the box, the middle is the seed:
            an ellipse of half its width and height
points      in a box or lasso, seeds of the region (add) and of the background (remove). Alone: the region grows from
            each point over greys like those around it, and what is removed is taken from it again
lasso       the inner half of the polygon is the region, what is well outside is background, the walker decides
            between; without `refine` the polygon itself, by its pixels' centres

Deterministic. Limits: one frame, greys only (colour by its luminance); a region like its surroundings, or of several
textures, is not found; a box's seed is wrong for a region that is not in its middle. Research use only.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from inference.errors import BadInput
from inference.measure import check_points
from inference.types import Image, Mask, Prompts

Bits = NDArray[np.bool_]
Greys = NDArray[np.float64]

SIDE = 256  # of the working grid; smaller regions are worked on as they are
BETA = 130.0  # how much a step of grey holds a walk up: scikit-image's own default, on greys from -1 to 1
INSIDE, OUTSIDE, NOT_HERE = 1, 2, -1  # labels of the random walker; 0 is to be decided

NOTHING = "Mark the region first: draw a box or a lasso, or set a point in it."
NO_POINT_IN = "Set at least one point in the region: points that only remove say where it is not."
ALL_REMOVED = "Nothing is left of the region: the points that remove lie where it would be."
SMALL_BOX = "This box is smaller than 3 x 3 pixels; draw it larger."
SMALL_LASSO = "This lasso goes round no pixel; draw it larger."
TWO_CORNERS = "A lasso needs at least 3 points."
NO_REGION = "No region was found from these marks. Set a point in it, or draw it with the brush."


class Window(NamedTuple):
    """A part of the frame, in its pixels: columns x0 <= x < x1, rows y0 <= y < y1."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def part(self) -> tuple[slice, slice]:
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def size(self) -> tuple[int, int]:
        return self.x1 - self.x0, self.y1 - self.y0


class ClassicalSegmenter:
    """The baseline as a `PromptedSegmenter`."""

    name = "classical baseline (random walker, scikit-image), not a trained model"

    def __call__(self, image: Image, prompts: Prompts, label: str) -> Mask:
        """A mask of the image's own size, 0 and 255; `area_cm2` with a spacing. Raises BadInput with the reason."""
        check(prompts, image.width, image.height)
        inside = _region(image, prompts)
        inside &= ~_pixels(prompts.remove, image.width, image.height)
        if not inside.any():
            raise BadInput(ALL_REMOVED if prompts.remove else NO_REGION)
        area = float(inside.sum()) * image.spacing.pixel_area_cm2 if image.spacing else None
        return Mask(label, np.where(inside, 255, 0).astype(np.uint8), area)


def check(prompts: Prompts, width: int, height: int) -> None:
    """Refuse prompts that say nothing, or lie outside a frame of this size. Raises BadInput."""
    if not (prompts.box or prompts.lasso or prompts.add or prompts.remove):
        raise BadInput(NOTHING)
    if prompts.remove and not (prompts.box or prompts.lasso or prompts.add):
        raise BadInput(NO_POINT_IN)
    if prompts.lasso and len(prompts.lasso) < 3:
        raise BadInput(TWO_CORNERS)
    box = prompts.box
    corners = ((box[0], box[1]), (box[2], box[3])) if box else ()
    check_points((*corners, *prompts.add, *prompts.remove, *prompts.lasso), width, height)
    if box and (box[2] - box[0] < 3 or box[3] - box[1] < 3):
        raise BadInput(SMALL_BOX)


def polygon(points: tuple[tuple[float, float], ...], width: int, height: int) -> Bits:
    """(H, W): the pixels whose centres lie inside the closed polygon, by the even-odd rule."""
    inside = np.zeros((height, width), dtype=np.bool_)
    corners = np.asarray(points, dtype=np.float64)
    first, last = (int(np.clip(edge, 0, height)) for edge in (corners[:, 1].min(), np.ceil(corners[:, 1].max())))
    x0, y0 = corners.T
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    centres = np.arange(width) + 0.5
    for row in range(first, last):
        y = row + 0.5
        crossing = (y0 <= y) != (y1 <= y)
        at = x0[crossing] + (y - y0[crossing]) * (x1[crossing] - x0[crossing]) / (y1[crossing] - y0[crossing])
        inside[row] = np.searchsorted(np.sort(at), centres, side="right") % 2 == 1
    return inside


def _region(image: Image, prompts: Prompts) -> Bits:
    if prompts.lasso:
        lasso = polygon(prompts.lasso, image.width, image.height)
        if not lasso.any():
            raise BadInput(SMALL_LASSO)
        return _in_lasso(image, prompts, lasso) if prompts.refine else lasso
    if prompts.box:
        return _in_box(image, prompts)
    return _from_points(image, prompts)


def _in_box(image: Image, prompts: Prompts) -> Bits:
    assert prompts.box
    box = _rounded(prompts.box, image)
    window = _grown(box, max(2, round(0.1 * max(box.size))), image)
    outside = np.ones((image.height, image.width), dtype=np.bool_)
    outside[box.part] = False
    seeds = _pixels(prompts.add, image.width, image.height) & ~outside
    if not seeds.any():
        seeds = _middle(box, image)
    return _walk(image, window, seeds, outside, prompts)


def _in_lasso(image: Image, prompts: Prompts, lasso: Bits) -> Bits:
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(lasso)
    reach = max(2.0, depth.max() / 3)
    rows, columns = (np.flatnonzero(lasso.any(axis=axis)) for axis in (1, 0))
    window = _grown(Window(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), int(reach) + 2, image)
    outside = np.ones(lasso.shape, dtype=np.bool_)
    outside[window.part] = ndimage.distance_transform_edt(~lasso[window.part]) > reach
    seeds = (depth >= depth.max() / 2) | (_pixels(prompts.add, image.width, image.height) & ~outside)
    return _walk(image, window, seeds, outside, prompts)


def _from_points(image: Image, prompts: Prompts) -> Bits:
    """Region growing: connected pixels whose greys differ from the point's by at most what varies around it."""
    from scipy import ndimage

    segmentation = _skimage("segmentation")
    smooth = ndimage.gaussian_filter(_greys(image.pixels), 1.0)
    grown = np.zeros(smooth.shape, dtype=np.bool_)
    for x, y in prompts.add:
        row, column = min(int(y), image.height - 1), min(int(x), image.width - 1)
        grown |= segmentation.flood(smooth, (row, column), tolerance=_tolerance(smooth, row, column))
    remove = _pixels(prompts.remove, image.width, image.height)
    if (remove & grown).any():
        rows, columns = (np.flatnonzero(grown.any(axis=axis)) for axis in (1, 0))
        window = _grown(Window(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), 2, image)
        seeds = _pixels(prompts.add, image.width, image.height)
        return grown & _walk(image, window, seeds, np.zeros_like(grown), prompts, within=grown)
    filled: Bits = ndimage.binary_fill_holes(grown) & ~remove
    return filled


def _tolerance(greys: Greys, row: int, column: int) -> float:
    """Four robust standard deviations of the greys around, and at least 10 % of the frame's own range."""
    near = greys[max(0, row - 5) : row + 6, max(0, column - 5) : column + 6]
    spread = 1.4826 * float(np.median(np.abs(near - np.median(near))))
    low, high = np.percentile(greys, (1, 99))
    return max(4 * spread, 0.1 * float(high - low), 1e-9)


def _walk(
    image: Image, window: Window, seeds: Bits, outside: Bits, prompts: Prompts, within: Bits | None = None
) -> Bits:
    """The random walker in the window, from seeds of the region to what is outside. Holes are filled."""
    from scipy import ndimage

    shrink = min(1.0, SIDE / max(window.size))
    size = tuple(max(3, round(length * shrink)) for length in window.size)
    greys = _resized(_greys(image.pixels[window.part]), size)
    labels = np.zeros(greys.shape, dtype=np.int32)
    if within is not None:
        labels[~_covered(within[window.part], size)] = NOT_HERE
    labels[_wholly(outside[window.part], size)] = OUTSIDE
    labels[_covered(seeds[window.part] & ~outside[window.part], size)] = INSIDE
    labels[_covered(_pixels(prompts.remove, image.width, image.height)[window.part], size)] = OUTSIDE
    if not (labels == INSIDE).any():
        raise BadInput(ALL_REMOVED)
    likely = _likelihood(greys, labels)
    enlarged = _resized(likely, window.size)
    found = np.zeros((image.height, image.width), dtype=np.bool_)
    found[window.part] = (enlarged > 0.5) & ~outside[window.part]
    parts, _ = ndimage.label(found)
    kept = np.unique(parts[seeds & found])
    filled: Bits = ndimage.binary_fill_holes(np.isin(parts, kept[kept > 0]))
    return filled


def _likelihood(greys: Greys, labels: NDArray[np.int32]) -> Greys:
    """(h, w) in 0..1: that a walk from here comes to the region first."""
    from scipy import ndimage

    sure: Greys = (labels == INSIDE).astype(np.float64)
    if not (labels == OUTSIDE).any() or not (labels == 0).any():
        return sure
    smooth = ndimage.gaussian_filter(greys, 1.0)
    low, high = np.percentile(smooth, (1, 99))
    scaled = np.clip((smooth - low) / max(float(high - low), 1e-9), 0, 1) * 2 - 1
    if np.ptp(scaled) == 0:  # the walker divides by the standard deviation
        return sure
    walk = _skimage("segmentation").random_walker
    found = walk(scaled, labels, beta=BETA, mode="cg_j", tol=1e-5, prob_tol=1e-2, return_full_prob=True)
    likely: Greys = np.where(labels == NOT_HERE, 0.0, np.asarray(found[0], dtype=np.float64))
    return likely


def _skimage(part: str) -> Any:
    """A part of scikit-image, imported on first use: it takes half a second, and has no types."""
    return importlib.import_module(f"skimage.{part}")


def _greys(pixels: NDArray[Any]) -> Greys:
    """Luminance (Rec. 709) of colour, the values themselves of greys."""
    if pixels.ndim == 3:
        weighted: Greys = pixels[..., :3].astype(np.float64) @ np.array([0.2126, 0.7152, 0.0722])
        return weighted
    return pixels.astype(np.float64)


def _pixels(points: tuple[tuple[float, float], ...], width: int, height: int) -> Bits:
    """(H, W): the pixels that hold these points; a point on the far edge belongs to the last pixel."""
    bits = np.zeros((height, width), dtype=np.bool_)
    for x, y in points:
        bits[min(int(y), height - 1), min(int(x), width - 1)] = True
    return bits


def _rounded(box: tuple[float, float, float, float], image: Image) -> Window:
    """The pixels whose centres lie in the box."""
    x0, y0, x1, y1 = (int(np.ceil(edge - 0.5)) for edge in box)
    return Window(x0, y0, min(x1, image.width), min(y1, image.height))


def _grown(window: Window, margin: int, image: Image) -> Window:
    x0, y0 = max(0, int(window.x0) - margin), max(0, int(window.y0) - margin)
    return Window(x0, y0, min(image.width, int(window.x1) + margin), min(image.height, int(window.y1) + margin))


def _middle(box: Window, image: Image) -> Bits:
    """An ellipse of half the box's width and height, in its middle."""
    picture = Pillow.new("1", (image.width, image.height))
    (wide, high), (x0, y0) = box.size, box[:2]
    around = (x0 + wide // 4, y0 + high // 4, x0 + wide - wide // 4 - 1, y0 + high - high // 4 - 1)
    ImageDraw.Draw(picture).ellipse(around, fill=1)
    middle: Bits = np.array(picture, dtype=np.bool_)
    return middle


def _resized(values: Greys, size: tuple[int, ...]) -> Greys:
    """Averaged when it becomes smaller, interpolated when larger; (width, height)."""
    if (values.shape[1], values.shape[0]) == size:
        return values
    smaller = size[0] < values.shape[1]
    how = Pillow.Resampling.BOX if smaller else Pillow.Resampling.BILINEAR
    picture = Pillow.fromarray(values.astype(np.float32)).resize((size[0], size[1]), how)
    return np.asarray(picture, dtype=np.float64)


def _covered(bits: Bits, size: tuple[int, ...]) -> Bits:
    """What holds any of the bits once it is smaller."""
    covered: Bits = _resized(bits.astype(np.float64), size) > 0
    return covered


def _wholly(bits: Bits, size: tuple[int, ...]) -> Bits:
    wholly: Bits = _resized(bits.astype(np.float64), size) > 1 - 1e-6
    return wholly
