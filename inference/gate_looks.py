"""What the gate measures on a preview: a few numbers about colour, ground, outline and structure, by numpy alone.

Everything is measured on a copy of at most SIDE pixels a side, so that a large radiograph costs no more than a small
one; only the share of the commonest value needs pixels that were not averaged, and takes every n-th.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFilter

Greys = NDArray[np.float64]
Bits = NDArray[np.bool_]

SIDE = 256
BLACK = 12  # greys below it are ground: JPEG does not leave black at 0
COLOURED = 30  # difference of the largest and the smallest channel from which a pixel has a colour
GRID = 32  # of the comparison with a drawn chest


@dataclass(frozen=True, slots=True)
class Looks:
    """Shares are 0..1 of all pixels unless said otherwise; `grey` is (h, w) 0..255, `rgb` (h, w, 3).

    `ground`: the commonest grey value, and `flat` its share. `few`: the share of the eight commonest. `black_edge`:
    the share of the outermost pixels that is black. `edges`: mean gradient outside the black. `coloured`: pixels with
    a colour; `warm`, `cool` and `violet` their shares by hue (330 to 60, 60 to 250 and 250 to 330 degrees).
    """

    grey: Greys
    rgb: Greys | None
    ground: int
    flat: float
    few: float
    black: float
    black_edge: float
    white: float
    edges: float
    coloured: float
    warm: float
    cool: float
    violet: float

    @property
    def ratios(self) -> tuple[float, float]:
        """Mean green and blue outside the black, relative to red: (1, 1) for grey."""
        if self.rgb is None:
            return 1.0, 1.0
        red, green, blue = self.rgb[self.grey >= BLACK].mean(axis=0) if self.black < 1 else (1.0, 1.0, 1.0)
        return float(green / max(red, 1e-6)), float(blue / max(red, 1e-6))


def look(preview: NDArray[np.uint8]) -> Looks:
    """Measure (H, W) or (H, W, 3) uint8."""
    grey, rgb = _small(preview)
    chroma = np.zeros_like(grey) if rgb is None else rgb.max(axis=2) - rgb.min(axis=2)
    rows, columns = np.gradient(grey)
    inside = grey >= BLACK
    hues = _hues(rgb, chroma) if rgb is not None else np.zeros(0)
    counts = _counts(preview)
    return Looks(
        grey=grey,
        rgb=rgb,
        ground=int(counts.argmax()),
        flat=float(counts.max() / counts.sum()),
        few=float(np.sort(counts)[-8:].sum() / counts.sum()),
        black=float(1 - inside.mean()),
        black_edge=float((_rim(grey) < BLACK).mean()),
        white=float(((grey > 235) & (chroma < 25)).mean()),
        edges=float(np.hypot(rows, columns)[inside].mean()) if inside.any() else 0.0,
        coloured=float((chroma > COLOURED).mean()),
        warm=_share((hues < 60) | (hues >= 330)),
        cool=_share((hues >= 60) & (hues < 250)),
        violet=_share((hues >= 250) & (hues < 330)),
    )


def outline(looks: Looks, faint: bool = False) -> Bits:
    """(h, w): the largest connected part that is neither black ground nor letters, each row filled from its first to
    its last pixel. `faint` bridges the gaps of a dark, speckled field."""
    source = looks.grey if looks.rgb is None else looks.rgb.max(axis=2)
    soft = Pillow.fromarray(source.astype(np.uint8)).filter(ImageFilter.BoxBlur(2))
    darkest = 8 if faint else 22
    solid: Bits = np.asarray(np.asarray(soft) >= darkest)
    if faint:
        solid = _shrink(_grow(solid, 9), 9)
    opening = 9 if faint else 7  # takes letters away
    inside = _largest(_grow(_shrink(solid, opening), opening))
    first, last = _ends(inside)
    columns = np.arange(inside.shape[1])
    filled = np.logical_and(columns >= first[:, None], columns <= last[:, None])
    return np.asarray(np.logical_and(filled, inside.any(axis=1, keepdims=True)), dtype=np.bool_)


def roundness(inside: Bits) -> float:
    """Overlap (intersection over union) of an outline and the circle as wide as it, cut by the frame as it may be."""
    rows, columns = np.nonzero(inside)
    if rows.size == 0:
        return 0.0
    width, height = int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
    radius = max(width, height) / 2
    row, column = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    grid = np.mgrid[0 : inside.shape[0], 0 : inside.shape[1]]
    circle = (grid[0] - row) ** 2 + (grid[1] - column) ** 2 <= radius**2
    return float((circle & inside).sum() / (circle | inside).sum())


def chest_likeness(grey: Greys) -> tuple[float, float, float, float]:
    """(correlation, symmetry, gap, floor): with two dark lungs drawn in a bright frame, at the best place and size; of
    the left with the mirrored right half; by how much the strip between the lungs is brighter than both; and by how
    much the picture is brighter below them, in shares of the grey range.
    """
    coarse = np.asarray(
        Pillow.fromarray(grey.astype(np.float32)).resize((GRID, GRID), Pillow.Resampling.BOX), dtype=np.float64
    )
    low, high = np.percentile(coarse, (2, 98))
    if high - low < 16:
        return 0.0, 0.0, 0.0, 0.0
    greys = np.clip((coarse - low) / (high - low), 0, 1)
    deviations = (greys - greys.mean()) / greys.std()
    correlation = float((_chests() @ deviations.ravel()).max())
    symmetry = float((deviations * deviations[:, ::-1]).mean())
    profile = greys[int(0.25 * GRID) : int(0.55 * GRID)].mean(axis=0)
    first, last = int(0.38 * GRID), int(0.62 * GRID)
    middle = first + int(profile[first:last].argmax())
    lungs = [3 + int(profile[3 : middle - 2].argmin()), middle + 3 + int(profile[middle + 3 : -3].argmin())]
    below = greys[-4:, [lungs[0] - 1, lungs[0], lungs[0] + 1, lungs[1] - 1, lungs[1], lungs[1] + 1]].mean()
    valleys = profile[lungs]
    return correlation, symmetry, float(profile[middle] - valleys.max()), float(below - valleys.mean())


@cache
def _chests() -> Greys:
    """(N, GRID * GRID): drawn chests of several sizes and places, each of mean 0 and length 1 over GRID squared."""
    row, column = np.mgrid[0:GRID, 0:GRID] / (GRID - 1.0)
    drawn = []
    for height in (0.8, 0.9, 1.0):
        for width in (0.85 * height, height, 1.15 * height):
            for down in (-0.08, -0.02, 0.04, 0.1):
                for aside in (-0.06, -0.03, 0.0, 0.03, 0.06):
                    x, y = (column - 0.5 - aside) / width + 0.5, (row - 0.45 - down) / height + 0.45
                    chest = np.ones_like(x)
                    for centre in (0.29, 0.71):
                        distance = ((x - centre) / 0.15) ** 2 + ((y - 0.45) / 0.3) ** 2
                        chest -= 1 / (1 + np.exp(np.minimum((distance - 1) * 4, 50)))
                    drawn.append(((chest - chest.mean()) / chest.std()).ravel())
    return np.array(drawn) / GRID**2


def strokes(grey: Greys) -> float:
    """The share of thin dark marks on a lighter ground, as letters are: what a closing fills by 40 greys or more."""
    return float((_shrink(_grow(grey, 5), 5) - grey > 40).mean())


def speckle(grey: Greys) -> float:
    """The median deviation of a pixel from its neighbourhood, relative to that: of mid greys only."""
    soft = np.asarray(Pillow.fromarray(grey.astype(np.uint8)).filter(ImageFilter.BoxBlur(2)), dtype=np.float64)
    middle = (soft > 25) & (soft < 200)
    return float(np.median(np.abs(grey - soft)[middle] / soft[middle])) if middle.any() else 0.0


def letters(looks: Looks) -> float:
    """The share of thin bright marks on the ground, outside the largest part: letters, scales, a trace."""
    thin = looks.grey - _grow(_shrink(looks.grey, 5), 5) > 50
    return float((thin & ~outline(looks, faint=True)).mean())


def vivid(looks: Looks) -> tuple[float, float]:
    """The shares of vividly coloured and of grey pixels among those that are not ground."""
    away = np.abs(looks.grey - looks.ground) > BLACK
    if looks.rgb is None or not away.any():
        return 0.0, 1.0
    chroma = (looks.rgb.max(axis=2) - looks.rgb.min(axis=2))[away]
    return float((chroma > 2 * COLOURED).mean()), float((chroma < BLACK).mean())


def rings(looks: Looks) -> list[float]:
    """The median grey of each pixel-wide ring of the outline, from its border inwards, to 30 pixels deep."""
    rest = outline(looks)
    medians = []
    for _ in range(30):
        smaller = _shrink(rest, 3)
        ring = rest & ~smaller
        if not ring.any():
            break
        medians.append(float(np.median(looks.grey[ring])))
        rest = smaller
    return medians


def _shrink(array: NDArray[Any], size: int) -> NDArray[Any]:
    """The least value in a square of `size` pixels a side around each pixel: an erosion. The border repeats."""
    for axis in (0, 1):
        padded = np.pad(array, [(size // 2, size // 2) if axis == one else (0, 0) for one in (0, 1)], mode="edge")
        views = np.lib.stride_tricks.sliding_window_view(padded, size, axis=axis)
        array = np.minimum.reduce([views[..., step] for step in range(size)])
    return array


def _grow(array: NDArray[Any], size: int) -> NDArray[Any]:
    """The greatest value in such a square: a dilation."""
    return ~_shrink(~array, size) if array.dtype == np.bool_ else -_shrink(-array, size)


def _largest(mask: Bits) -> Bits:
    """The largest connected part of a mask: runs of each row, joined to those that they touch in the row before."""
    runs: list[tuple[int, int, int]] = []
    parent: list[int] = []
    before: list[int] = []

    def root(run: int) -> int:
        while parent[run] != run:
            run = parent[run]
        return run

    for row, line in enumerate(mask):
        turns = np.flatnonzero(np.diff(np.concatenate(([0], line.astype(np.int8), [0]))))
        here = []
        for start, stop in zip(turns[::2].tolist(), turns[1::2].tolist(), strict=True):
            runs.append((row, start, stop))
            parent.append(len(parent))
            here.append(len(parent) - 1)
            for other in before:
                if runs[other][1] < stop and start < runs[other][2]:
                    parent[root(other)] = root(here[-1])
        before = here
    sizes: dict[int, int] = {}
    for run, (_, start, stop) in enumerate(runs):
        sizes[root(run)] = sizes.get(root(run), 0) + stop - start
    found = np.zeros_like(mask)
    best = max(sizes, key=lambda run: sizes[run], default=None)
    for run, (row, start, stop) in enumerate(runs):
        found[row, start:stop] |= root(run) == best
    return found


def _ends(inside: Bits) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first and the last column of each row; of an empty row, the whole width."""
    return inside.argmax(axis=1), inside.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)


def _small(preview: NDArray[np.uint8]) -> tuple[Greys, Greys | None]:
    factor = max(1, -(-max(preview.shape[:2]) // SIDE))
    picture = Pillow.fromarray(preview)
    small = np.asarray(picture.reduce(factor) if factor > 1 else picture, dtype=np.float64)
    return (small, None) if small.ndim == 2 else (small.mean(axis=2), small)


def _counts(preview: NDArray[np.uint8]) -> NDArray[np.int64]:
    step = max(1, max(preview.shape[:2]) // 512)
    sampled = preview[::step, ::step]
    greys = sampled if sampled.ndim == 2 else sampled.mean(axis=2).astype(np.uint8)
    return np.bincount(greys.ravel(), minlength=256)


def _rim(grey: Greys) -> Greys:
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def _hues(rgb: Greys, chroma: Greys) -> Greys:
    """Degrees, of the coloured pixels only."""
    coloured = chroma > COLOURED
    (red, green, blue), spread = rgb[coloured].T, chroma[coloured]
    largest = rgb[coloured].max(axis=1) if coloured.any() else spread
    sixths = np.where(
        largest == red,
        (green - blue) / spread % 6,
        np.where(largest == green, (blue - red) / spread + 2, (red - green) / spread + 4),
    )
    return np.asarray(sixths * 60)


def _share(chosen: Bits) -> float:
    return float(chosen.mean()) if chosen.size else 0.0
