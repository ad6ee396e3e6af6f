"""Classical image analysis: no weights, no training. A baseline, named so wherever its results are shown.

`segment_lungs` finds the two lung fields of a frontal chest radiograph and declines what does not look like one;
`describe` says what the pixel values say. Research use only, not for diagnosis.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from inference.errors import BadInput
from inference.lung_completion import completed
from inference.types import Description, Image, Mask

Bits = NDArray[np.bool_]
Greys = NDArray[np.float64]

SIDE = 256  # the working grid is SIDE x SIDE; every radius below counts its pixels
RADIOGRAPHS = ("CR", "DX", "RG", "unknown")
CHEST_WORDS = ("CHEST", "THORAX", "LUNG")
LATERAL_VIEWS = ("LL", "RL", "LATERAL", "LLD", "RLD")

COLOUR = "The image is in colour; lungs are segmented on grey radiographs only."
MODALITY = "The header says modality {modality}; lungs are segmented on radiographs (CR, DX) only."
BODY_PART = "The header says body part {part}; lungs are segmented on chest radiographs only."
LATERAL = "The header says this is a lateral view; lungs are segmented on frontal views only."
UPSIDE_DOWN = "The header says the image is upside down; turn it first."
SMALL = "The image has only {width} x {height} pixels; lungs need at least 128 x 128."
SHAPE = "The image is {width} x {height} pixels, too long for a frontal chest radiograph."
FLAT = "The image has no contrast."
NOTHING = "No dark region on the image's {side} has the size of a lung."
IMPLAUSIBLE = "The regions found are not plausible as a pair of lungs: {reason}."
BASELINE = "The classical baseline declined: {reason}"


class Lung(NamedTuple):
    """A candidate on the working grid; `field` is (SIDE, SIDE), above 0.5 inside, smooth enough to be enlarged."""

    field: Greys
    inside: Bits


def segment_lungs(image: Image) -> list[Mask]:
    """The two lung fields of a frontal chest radiograph, the one on the image's left first.

    CLAHE, Otsu's threshold inside the central frame, the halves parted at the brightest central column, dark regions
    that touch the border removed by openings of growing radius, closed to bridge ribs and small opacities, and the
    outline moved to the steepest gradient by a watershed. Works on 256 x 256, and returns masks of the image's own
    size, (H, W) uint8 of 0 and 255. On the two JSRT radiographs it was written with: Dice 0.94 and 0.95.

    Labels name the patient's side ("right lung") when the image's orientation is known, else the image's
    ("lung, image left"). `area_cm2` is None without a spacing; with ImagerPixelSpacing it includes magnification.
    Limits: consolidated or effused parts of a lung are left out, the lung behind the heart and below the domes of the
    diaphragm too. Raises BadInput, with the reason, for anything that is not plausibly a frontal chest radiograph.
    """
    _check_header(image)
    return _named(_find_pair(_working_greys(image.pixels)), image)


def segment_lungs_completed(image: Image) -> tuple[list[Mask], str]:
    """As `segment_lungs`; a lung that has lost a large part is completed by `inference.lung_completion`.

    The second value names the mask that was completed, "" where none was. Raises BadInput.
    """
    _check_header(image)
    greys = _working_greys(image.pixels)
    left, right = _find_pair(greys)
    *both, side = completed(left.inside, right.inside, _mediastinum(_even(greys)))
    if not side:
        return _named((left, right), image), ""
    masks = _named((_smooth(both[0]), _smooth(both[1])), image)
    return masks, masks[0 if side == "left" else 1].label


def _named(lungs: tuple[Lung, Lung], image: Image) -> list[Mask]:
    labels = _labels(image.orientation)
    return [_full_size(lung, label, image) for lung, label in zip(lungs, labels, strict=True)]


def _even(greys: Greys) -> Greys:
    """With its local contrast evened out, and smooth."""
    exposure, filters = _skimage("exposure"), _skimage("filters")
    found: Greys = filters.gaussian(exposure.equalize_adapthist(greys, clip_limit=0.01), 1.5)
    return found


def describe(image: Image) -> Description:
    """Statistics of the pixel values, in the image's own units, and judgements by these rules.

    The scale is 0 to 255 for 8-bit images, and the image's own minimum to maximum for others. Exposure, as seen on
    screen (it says nothing about dose): "under" when the 75th percentile lies in the lowest quarter of the scale;
    "over" when the 25th percentile lies in the highest quarter, or a fifth of the pixels have the very maximum.
    Contrast: the 5th to 95th percentile covers less than 25 % of the scale ("low"), more than 90 % ("high").
    `plausible_chest_radiograph`: the header does not speak against it, and `segment_lungs` accepts the image.
    `probably_inverted`: it accepts the image only after mirroring the greys. Percentiles of more than four million
    pixels are taken on a regular grid. Raises nothing.
    """
    pixels = image.pixels
    step = max(1, int((pixels.size / 4_000_000) ** 0.5))
    points = (1, 5, 25, 50, 75, 95, 99)
    values = np.percentile(pixels[::step, ::step], points)
    percentiles = {point: float(value) for point, value in zip(points, values, strict=True)}
    minimum, maximum = float(pixels.min()), float(pixels.max())
    clipped_high = float(np.mean(pixels == pixels.max()))
    low, high = (0.0, 255.0) if pixels.dtype == np.uint8 else (minimum, maximum)
    share = {point: (value - low) / max(high - low, 1e-12) for point, value in percentiles.items()}
    plausible, inverted, reasons = _judge(image)
    return Description(
        minimum=minimum,
        maximum=maximum,
        mean=float(pixels.mean(dtype=np.float64)),
        std=float(pixels.std(dtype=np.float64)),
        percentiles=percentiles,
        clipped_low=float(np.mean(pixels == pixels.min())),
        clipped_high=clipped_high,
        exposure=_exposure(share, clipped_high),
        contrast=_contrast(share[95] - share[5]),
        colour=image.is_colour,
        probably_inverted=inverted,
        plausible_chest_radiograph=plausible,
        reasons=reasons,
    )


def _skimage(part: str) -> Any:
    """A part of scikit-image, imported on first use: it takes half a second, and has no types."""
    return importlib.import_module(f"skimage.{part}")


def _exposure(share: dict[int, float], clipped_high: float) -> Literal["under", "normal", "over"]:
    if share[75] < 0.25:
        return "under"
    return "over" if share[25] > 0.75 or clipped_high > 0.2 else "normal"


def _contrast(covered: float) -> Literal["low", "normal", "high"]:
    if covered < 0.25:
        return "low"
    return "high" if covered > 0.9 else "normal"


def _judge(image: Image) -> tuple[bool, bool, tuple[str, ...]]:
    """Plausible as a frontal chest radiograph, probably inverted, and why."""
    try:
        _check_header(image)
        greys = _working_greys(image.pixels)
    except BadInput as error:
        return False, False, (str(error),)
    try:
        _find_pair(greys)
    except BadInput as error:
        refusal = str(error)
    else:
        return True, False, ("Two dark regions of the size, shape and place of lungs lie beside a brighter middle.",)
    try:
        _find_pair(1.0 - greys)
    except BadInput:
        return False, False, (refusal,)
    return False, True, (refusal, "With its greys mirrored it looks like a frontal chest radiograph.")


def _check_header(image: Image) -> None:
    if image.is_colour:
        raise BadInput(COLOUR)
    if image.modality not in RADIOGRAPHS:
        raise BadInput(MODALITY.format(modality=image.modality))
    if image.body_part and not any(word in image.body_part.upper() for word in CHEST_WORDS):
        raise BadInput(BODY_PART.format(part=image.body_part))
    rows, columns = image.orientation or ("L", "F")
    if (image.view or "").upper() in LATERAL_VIEWS or rows[0] not in "LR":
        raise BadInput(LATERAL)
    if columns[0] != "F":
        raise BadInput(UPSIDE_DOWN)
    if min(image.width, image.height) < 128:
        raise BadInput(SMALL.format(width=image.width, height=image.height))
    if not 0.6 <= image.width / image.height <= 1.7:
        raise BadInput(SHAPE.format(width=image.width, height=image.height))


def _labels(orientation: tuple[str, str] | None) -> tuple[str, str]:
    """Names of the regions on the image's left and right. Rows that grow towards the patient's left ("L") are the
    usual way: the patient faces the reader, and his right lung is on the image's left."""
    if orientation is None:
        return "lung, image left", "lung, image right"
    return ("right lung", "left lung") if orientation[0][0] == "L" else ("left lung", "right lung")


def _working_greys(pixels: NDArray[Any]) -> Greys:
    """(SIDE, SIDE) in 0..1: box-averaged, and stretched from the 0.5th to the 99.5th percentile."""
    small = np.asarray(
        Pillow.fromarray(pixels.astype(np.float32)).resize((SIDE, SIDE), Pillow.Resampling.BOX), dtype=np.float64
    )
    low, high = np.percentile(small, (0.5, 99.5))
    if high <= low:
        raise BadInput(FLAT)
    return np.asarray(np.clip((small - low) / (high - low), 0.0, 1.0))


def _find_pair(greys: Greys) -> tuple[Lung, Lung]:
    """The lungs on the image's left and right; raises BadInput when they are not a plausible pair."""
    filters, even = _skimage("filters"), _even(greys)
    frame = even[int(0.08 * SIDE) : int(0.85 * SIDE), int(0.08 * SIDE) : int(0.92 * SIDE)]
    dark = even < filters.threshold_otsu(frame)
    middle = _mediastinum(even)
    found = []
    for side, columns in (("left", slice(0, middle - 2)), ("right", slice(middle + 3, SIDE))):
        half = np.zeros_like(dark)
        half[:, columns] = dark[:, columns]
        region = _region(half)
        if region is None:
            raise BadInput(BASELINE.format(reason=NOTHING.format(side=side)))
        found.append(_outline(region, even))
    reason = _implausible(found[0].inside, found[1].inside) or _no_mediastinum(even, middle, found)
    if reason:
        raise BadInput(BASELINE.format(reason=IMPLAUSIBLE.format(reason=reason)))
    return found[0], found[1]


def _mediastinum(even: Greys) -> int:
    """The brightest column of the middle third, where spine, heart and great vessels overlap."""
    profile = _skimage("filters").gaussian(even[int(0.2 * SIDE) : int(0.8 * SIDE)].mean(axis=0), 4)
    first = int(0.35 * SIDE)
    return first + int(profile[first : int(0.65 * SIDE)].argmax())


def _region(half: Bits) -> Bits | None:
    """The largest dark region that does not touch the border, and its parts beyond ribs and clavicle.

    Where a lung leaks into the air beside the body, a larger opening cuts the leak; what the opening rounded off is
    then given back near the region only.
    """
    measure, morphology, segmentation = _skimage("measure"), _skimage("morphology"), _skimage("segmentation")
    for radius in (3, 5, 7, 9, 12):
        labels = measure.label(segmentation.clear_border(morphology.opening(half, morphology.disk(radius))))
        parts = sorted(measure.regionprops(labels), key=lambda part: -part.area)
        if parts and parts[0].area > 0.03 * SIDE * SIDE:
            break
    else:
        return None
    region: Bits = np.isin(labels, [parts[0].label, *(part.label for part in _belonging(parts))])
    if radius > 3:
        near = morphology.dilation(region, morphology.disk(4))
        given_back = near & morphology.opening(half, morphology.disk(2))
        region = morphology.opening(given_back, morphology.disk(2))
    return region


def _belonging(parts: list[Any]) -> Iterator[Any]:
    """Further parts of the same lung: large enough, within its columns (not in the armpit), and not below it (gas in
    the stomach or the colon)."""
    main = parts[0]
    left, right = np.percentile(main.coords[:, 1], (10, 90))
    for part in parts[1:]:
        above_base = part.centroid[0] < main.bbox[2] - 0.1 * SIDE
        if part.area > 0.04 * main.area and left <= part.centroid[1] <= right and above_base:
            yield part


def _outline(region: Bits, even: Greys) -> Lung:
    """Bridge ribs, fill holes, move the outline to the steepest gradient nearby, and smooth it."""
    from scipy import ndimage

    filters, morphology, segmentation = _skimage("filters"), _skimage("morphology"), _skimage("segmentation")
    margin = 16  # so that closing near the border does not erode from it
    closed = morphology.closing(np.pad(region, margin), morphology.disk(14))
    filled = ndimage.binary_fill_holes(closed)[margin:-margin, margin:-margin]
    seeds = np.zeros(region.shape, dtype=np.int32)
    seeds[morphology.erosion(filled, morphology.disk(3))] = 1
    seeds[~morphology.dilation(filled, morphology.disk(8))] = 2
    snapped = segmentation.watershed(filters.sobel(filters.gaussian(even, 1)), seeds) == 1
    smooth = ndimage.gaussian_filter(snapped.astype(np.float64), 3) > 0.5
    return _smooth(morphology.dilation(smooth, morphology.disk(1)))


def _smooth(inside: Bits) -> Lung:
    from scipy import ndimage

    field: Greys = ndimage.gaussian_filter(inside.astype(np.float64), 1)
    return Lung(field, field > 0.5)


def _implausible(left: Bits, right: Bits) -> str | None:
    """Why these two regions are no pair of lungs, or None. Wide bounds: they keep out other pictures, not disease."""
    areas = [float(region.mean()) for region in (left, right)]
    if min(areas) < 0.04 or max(areas) > 0.35:
        return f"they cover {areas[0]:.0%} and {areas[1]:.0%} of the image"
    if min(areas) < 0.4 * max(areas):
        return f"one is {max(areas) / min(areas):.1f} times as large as the other"
    for side, region in (("left", left), ("right", right)):
        reason = _implausible_shape(region)
        if reason:
            return f"the one on the image's {side} {reason}"
    rows = [np.flatnonzero(region.any(axis=1)) for region in (left, right)]
    shared = min(rows[0][-1], rows[1][-1]) - max(rows[0][0], rows[1][0])
    if shared < 0.6 * min(len(rows[0]), len(rows[1])):
        return "they do not lie side by side"
    return None


def _no_mediastinum(even: Greys, middle: int, lungs: list[Lung]) -> str | None:
    """The strip between the lungs must be brighter: by 0.44 to 0.53 of the grey range on the radiographs seen, by at
    most 0.25 on other pictures that had passed every other test."""
    rows = np.flatnonzero(lungs[0].inside.any(axis=1) & lungs[1].inside.any(axis=1))[20:-20]
    dark = float(np.mean([even[lung.inside].mean() for lung in lungs]))
    if rows.size == 0 or float(even[rows, middle - 4 : middle + 5].mean()) - dark < 0.33:
        return "nothing as bright as a mediastinum lies between them"
    return None


def _implausible_shape(region: Bits) -> str | None:
    measure = _skimage("measure")
    part = max(measure.regionprops(measure.label(region)), key=lambda found: found.area)
    height, width = part.bbox[2] - part.bbox[0], part.bbox[3] - part.bbox[1]
    if height < 0.3 * SIDE:
        return "is too short"
    if height < width:
        return "is wider than tall"
    if not 0.25 * SIDE < part.centroid[0] < 0.7 * SIDE:
        return "lies too high or too low"
    if part.solidity < 0.75:
        return "has too ragged an outline"
    return None


def _full_size(lung: Lung, label: str, image: Image) -> Mask:
    enlarged = Pillow.fromarray(lung.field.astype(np.float32)).resize(
        (image.width, image.height), Pillow.Resampling.BILINEAR
    )
    inside = np.asarray(enlarged) > 0.5
    area = float(inside.sum()) * image.spacing.pixel_area_cm2 if image.spacing else None
    return Mask(label, np.where(inside, 255, 0).astype(np.uint8), area)


def mirrored(image: Image) -> Image:
    """The same image with its greys mirrored within their range: what to try when `describe` calls it inverted."""
    low, high = image.pixels.min(), image.pixels.max()
    return replace(image, pixels=low + (high - image.pixels), inverted=not image.inverted)
