"""A frontal chest radiograph without any weights: how it was taken, and the cardiothoracic ratio. A baseline.

The cardiothoracic ratio is the greatest transverse diameter of the heart, between its rightmost and its leftmost
border, over the greatest inner diameter of the thorax above the costophrenic angles, on a posteroanterior radiograph
(Danzer 1919; reviewed by Truszkiewicz et al., J Clin Med 2021, 10, 2016, doi:10.3390/jcm10092016). On anteroposterior
ones the heart is magnified (Chon et al., J Korean Med Sci 2011, 26, 1446). Research use only, not for diagnosis.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from inference.classical import SIDE, Greys, _skimage, _working_greys, describe, mirrored, segment_lungs
from inference.errors import BadInput
from inference.types import Description, Image, Line, Mask, Result, Score

WIDE = "wide cardiac silhouette"
RATIO = "cardiothoracic_ratio"
FRONTAL = ("PA", "AP")
# How much of the grey between lung and mediastinum is kept before borders are traced: less hides the heart behind
# pale lungs, more lets the edge of the spine pass for it; and the Gaussian (rows, columns) before the gradient. The
# median is taken; where the tries differ by more than APART, none is believed.
TRIES = ((0.7, (4, 3)), (0.7, (3, 2)), (0.85, (4, 3)), (0.85, (3, 2)), (1.0, (3, 2)))
APART = 0.1
PLAUSIBLE = (0.3, 0.85)
CLIPPED = 0.02  # share of pixels at one end of the scale that counts as clipped
ROTATED, SKEWED = 0.08, 0.5  # of half widths about the spine; of areas, beyond which nothing is said
WITHIN = 0.05  # nearer to a half than this is said to be about a half
LINE = 2  # columns that a border may move from one row to the next, on the working grid

NOT_FRONTAL = "The view is {view}; the heart is measured on frontal chest radiographs (PA or AP) only."
UNCLEAR = "The heart's borders cannot be told from what lies beside them, so no cardiothoracic ratio is given."
BASELINE = (
    "A baseline of image processing, not a trained model, whose error has not been measured on images that it was not "
    "written with: look at where its lines end."
)
ANTEROPOSTERIOR = "The view is AP: the heart is magnified, and half of the thorax is no limit here."
UNKNOWN_VIEW = "The view is not known: the ratio means what it says on PA radiographs only; on AP ones it is too large."
MAGNIFIED = "Lengths are measured at the detector and are larger than in the patient."
NO_CLAVICLES = "Rotation was judged by the lungs about the spine, not by the ends of the clavicles."


class Borders(NamedTuple):
    """Columns and rows on the working grid: (left, right, row) of the heart and of the thorax."""

    heart: tuple[int, int, int]
    thorax: tuple[int, int, int]

    @property
    def ratio(self) -> float:
        return (self.heart[1] - self.heart[0]) / (self.thorax[1] - self.thorax[0])


class Edges(NamedTuple):
    """Of two lungs on the working grid, by row: outer and inner columns; the rows from their tops to the domes."""

    outer_left: NDArray[np.intp]
    inner_left: NDArray[np.intp]
    inner_right: NDArray[np.intp]
    outer_right: NDArray[np.intp]
    top: int
    dome: int


def read(image: Image) -> Result:
    """Quality and cardiothoracic ratio of a frontal chest radiograph.

    `text` holds a sentence a line: the ratio in words where there is one, then exposure, contrast, clipping, inversion
    and rotation. `values` has "cardiothoracic_ratio" with the least and the greatest that the tries gave ("..._low",
    "..._high"), and "rotation_asymmetry" where it could be judged. Two `lines` in pixels of the image, with `length_mm`
    where there is a spacing. One score, WIDE, which is the ratio itself. Without a believable border, only the quality
    is told. An inverted radiograph is measured on its mirrored greys.
    Raises BadInput for what is no frontal chest radiograph.
    """
    if image.view and image.view.upper() not in FRONTAL:
        raise BadInput(NOT_FRONTAL.format(view=image.view))
    told = describe(image)
    shown = mirrored(image) if told.probably_inverted else image
    lungs = segment_lungs(shown)
    inside = tuple(_small(mask) for mask in lungs)
    asymmetry = _asymmetry(shown, *inside)
    sentences = [*_quality(told, shown, lungs), _rotation(asymmetry)]
    values = {} if asymmetry is None else {"rotation_asymmetry": round(asymmetry, 3)}
    notes = (BASELINE, *view_notes(image))
    edges = _edges(*inside)
    even = _skimage("exposure").equalize_adapthist(_working_greys(shown.pixels), clip_limit=0.01)
    lung = float(np.median(even[inside[0] | inside[1]]))
    tried = [_borders(even, edges, lung, cap, smooth) for cap, smooth in TRIES]
    ratios = sorted(one.ratio for one in tried)
    median = ratios[len(ratios) // 2]
    if ratios[-1] - ratios[0] > APART or not PLAUSIBLE[0] <= median <= PLAUSIBLE[1]:
        return Result(values=values, text="\n".join([*sentences, UNCLEAR]), notes=(BASELINE,))
    chosen = min(tried, key=lambda one: abs(one.ratio - median))
    values |= {
        RATIO: round(chosen.ratio, 3),
        f"{RATIO}_low": round(ratios[0], 3),
        f"{RATIO}_high": round(ratios[-1], 3),
    }
    lines = (_line("cardiac diameter", chosen.heart, image), _line("thoracic diameter", chosen.thorax, image))
    score = Score(WIDE, round(chosen.ratio, 4))
    words = ratio_words(chosen.ratio, ratios[0], ratios[-1])
    text = "\n".join([f"{words[0].upper()}{words[1:]}.", *sentences])
    return Result(scores=(score,), lines=lines, values=values, text=text, notes=notes)


def ratio_words(ratio: float, low: float, high: float) -> str:
    """A ratio in words: wider or narrower than half the thorax, unless the tries or WITHIN straddle the half."""
    if min(low, ratio - WITHIN) < 0.5 < max(high, ratio + WITHIN):
        return f"cardiac silhouette about half as wide as the thorax (CTR {ratio:.2f})"
    side = "wider" if ratio > 0.5 else "narrower"
    return f"cardiac silhouette {side} than half the thorax (CTR {ratio:.2f})"


def _quality(told: Description, shown: Image, lungs: list[Mask]) -> list[str]:
    exposure = {"under": "Under-exposed as shown.", "over": "Over-exposed as shown.", "normal": "Exposure normal."}
    sentences = [exposure[told.exposure], f"Contrast {told.contrast}."]
    inside = np.any([mask.pixels > 0 for mask in lungs], axis=0)
    black = float(np.mean(shown.pixels[inside] == shown.pixels.min()))
    white = float(np.mean(shown.pixels == shown.pixels.max()))
    clipped = [f"{black:.0%} of the lungs are black"] if black > CLIPPED else []
    clipped += [f"{white:.0%} of the image is white"] if white > CLIPPED else []
    sentences.append(f"Clipped: {' and '.join(clipped)}." if clipped else "Not clipped.")
    return [*sentences, "Greys probably inverted." if told.probably_inverted else "Greys not inverted."]


def _rotation(asymmetry: float | None) -> str:
    if asymmetry is None:
        return "Rotation cannot be judged: the lungs are too unlike, or no spine is seen between them."
    if asymmetry > ROTATED:
        return f"Perhaps rotated: the halves of the thorax about the spine differ by {asymmetry:.0%}. {NO_CLAVICLES}"
    return f"No rotation seen. {NO_CLAVICLES}"


def view_notes(image: Image) -> list[str]:
    """What the view and the place of the spacing mean for a heart's width."""
    view = (image.view or "").upper()
    notes = {"PA": [], "AP": [ANTEROPOSTERIOR]}.get(view, [UNKNOWN_VIEW])
    magnified = image.spacing is not None and image.spacing.source == "ImagerPixelSpacing"
    return [*notes, MAGNIFIED] if magnified else notes


def _small(mask: Mask) -> NDArray[np.bool_]:
    return np.asarray(Pillow.fromarray(mask.pixels).resize((SIDE, SIDE), Pillow.Resampling.BOX)) > 127


def _asymmetry(shown: Image, left: NDArray[np.bool_], right: NDArray[np.bool_]) -> float | None:
    """|l - r| / (l + r) of the median half widths about the spine, in the upper half of the lungs, where the heart does
    not hide it. None where the lungs' areas are too unlike or nothing brighter lies between them."""
    areas = sorted((int(left.sum()), int(right.sum())))
    if areas[0] < SKEWED * areas[1]:
        return None
    edges = _edges(left, right)
    greys = _skimage("filters").gaussian(_working_greys(shown.pixels), 3)
    rows = range(edges.top + (edges.dome - edges.top) // 5, (edges.top + edges.dome) // 2)
    spine = []
    for row in rows:
        between = greys[row, edges.inner_left[row] : edges.inner_right[row] + 1]
        if between.size < 3 or between.max() - min(between[0], between[-1]) < 0.02:
            continue
        spine.append(int(edges.inner_left[row] + between.argmax()))
    if len(spine) < len(rows) // 2:
        return None
    middle = float(np.median(spine))
    halves = [
        float(np.median([abs(column[row] - middle) for row in rows]))
        for column in (edges.outer_left, edges.outer_right)
    ]
    return abs(halves[0] - halves[1]) / sum(halves)


def _edges(left: NDArray[np.bool_], right: NDArray[np.bool_]) -> Edges:
    """Raises BadInput when the lungs share too few rows."""

    def first(inside: NDArray[np.bool_]) -> NDArray[np.intp]:
        return np.asarray(inside.argmax(axis=1))

    def last(inside: NDArray[np.bool_]) -> NDArray[np.intp]:
        return np.asarray(SIDE - 1 - inside[:, ::-1].argmax(axis=1))

    both = np.flatnonzero(left.any(axis=1) & right.any(axis=1))
    columns = np.flatnonzero(left.any(axis=0))
    quarter = len(columns) // 4
    bottoms = SIDE - 1 - left[::-1, columns[quarter : len(columns) - quarter]].argmax(axis=0)
    dome = min(int(np.percentile(bottoms, 10)), int(both[-1]))  # the lung without the heart shows its dome
    if dome - both[0] < SIDE // 8:
        raise BadInput(UNCLEAR)
    return Edges(first(left), last(left), first(right), last(right), int(both[0]), dome)


def _borders(even: Greys, edges: Edges, lung: float, cap: float, smooth: tuple[int, int]) -> Borders:
    """The borders of heart and thorax, each the path down the lower half of the lungs along which it gets darker
    (heart) or brighter (ribs) most steeply outwards."""
    from scipy import ndimage

    height = edges.dome - edges.top
    upper = slice(edges.top + height // 6, edges.top + height // 2)
    middle = int(np.median((edges.inner_left[upper] + edges.inner_right[upper]) / 2))
    start = edges.top + height // 2
    bright = float(np.median(even[start : edges.dome, middle - 8 : middle + 8]))
    capped = np.minimum(even, lung + cap * (bright - lung))
    heart = ndimage.sobel(ndimage.gaussian_filter(capped, smooth), 1)
    ribs = ndimage.sobel(ndimage.gaussian_filter(even, (3, 1.5)), 1)
    margin = (0.06 * (edges.outer_right - edges.outer_left)).astype(int)
    end = edges.dome + SIDE // 33
    hearts = (
        _path(heart, start, end, np.minimum(edges.outer_left + margin, middle - 6), np.full(SIDE, middle - 4)),
        _path(-heart, start, end, np.full(SIDE, middle + 4), np.maximum(edges.outer_right - margin, middle + 6)),
    )
    walls = (
        _path(-ribs, start, edges.dome + 1, edges.outer_left - 12, edges.outer_left + 3),
        _path(ribs, start, edges.dome + 1, edges.outer_right - 3, edges.outer_right + 12),
    )
    widest = int((walls[1] - walls[0]).argmax())
    apex = int(hearts[1].argmax())
    return Borders(
        (int(hearts[0].min()), int(hearts[1].max()), start + apex),
        (int(walls[0][widest]), int(walls[1][widest]), start + widest),
    )


def _path(
    steepness: NDArray[Any], start: int, end: int, low: NDArray[np.intp], high: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Columns of rows start..end-1 with the greatest sum of steepness, each within low..high of its row and at most
    LINE columns from the last: dynamic programming. (end - start,) of column numbers."""
    columns = np.arange(SIDE)
    total, came = np.zeros(SIDE), np.zeros((end - start, SIDE), dtype=np.intp)
    for number, row in enumerate(range(start, min(end, SIDE))):
        if number:
            moved = np.stack([np.roll(total, shift) - 0.016 * abs(shift) for shift in range(-LINE, LINE + 1)])
            best = moved.argmax(axis=0)
            came[number] = (columns - (best - LINE)) % SIDE
            total = moved[best, columns]
        outside = (columns < max(low[row], 0)) | (columns > min(high[row], SIDE - 1))
        total = np.where(outside, -1e9, total + np.clip(steepness[row], 0, None))
    path = np.zeros(end - start, dtype=np.intp)
    path[-1] = total.argmax()
    for number in range(end - start - 1, 0, -1):
        path[number - 1] = came[number][path[number]]
    return path


def _line(label: str, found: tuple[int, int, int], image: Image) -> Line:
    left, right, row = found
    across, down = image.width / SIDE, image.height / SIDE
    x0, x1, y = (left + 0.5) * across, (right + 0.5) * across, (row + 0.5) * down
    return Line(label, x0, y, x1, y, (x1 - x0) * image.spacing.column_mm if image.spacing else None)
