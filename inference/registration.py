"""Two images or two volumes laid on one another, by SimpleITK: rigid, affine, or B-spline after affine.

A registration looks for the transform that makes two images most alike, from coarse to fine, by mutual information
(Mattes et al. 2003), which suits images of different modalities, or by correlation, which suits those of one. It is
deterministic: the sample of pixels is seeded, and one thread sums them. It knows no anatomy: an optimum may be wrong,
so what is said of a result is how alike the two are before and after, by a measure of its own over all pixels where
both lie: normalised mutual information (Studholme, Hill and Hawkes 1999; 1 to 2) or Pearson's correlation.

Axes are (x, y) or (x, y, z): columns to the right and rows down of an image, whose middle is the origin; the patient's
right, front and head of volumes that their files place (R-A-S+); columns, rows and slices of other volumes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from inference import pictures
from inference.errors import BadInput
from inference.types import Image, Picture, Result, Volume

Kind = Literal["rigid", "affine", "bspline"]
Metric = Literal["mutual-information", "correlation"]
Numbers = NDArray[np.float64]
Given = Image | Volume
KINDS: tuple[Kind, ...] = ("rigid", "affine", "bspline")
METRICS: tuple[Metric, ...] = ("mutual-information", "correlation")

SEED = 20260
FINEST = {2: 512, 3: 160}  # pixels along the longest side that the finest level looks at
LEAST = 16  # pixels along the longest side
SHRINK, SMOOTH = (4, 2, 1), (2, 1, 0)
SAMPLES = 60_000  # pixels that each step looks at
STEPS, SPLINE_STEPS = 300, {2: 60, 3: 15}
SPLINE_SAMPLES = {2: 60_000, 3: 20_000}
TURNS = (0.0, 12.0, -12.0, 24.0, -24.0)  # degrees from which an image may start
MESH = {2: 4, 3: 3}  # patches of the coarser B-spline along each side; the finer has twice as many
BINS = 32
LEAST_OVERLAP = 0.5

NO_CONTRAST = "The {which} image has no contrast, so there is nothing to align."
TOO_SMALL = "The {which} image is too small to be aligned: its longest side has fewer than {least} pixels."
MIXED = "An image and a volume cannot be aligned: choose two images, or two volumes."
IN_COLOUR = "A volume in colour cannot be aligned."
FAILED = "No alignment was found: {why}. The two may not show the same thing, or not overlap."
NOT_BETTER = "The alignment did not make the two more alike: do not use it."
NO_WARP = "A B-spline did not make the two more alike than the affine transform, so the affine one was kept."
LITTLE_OVERLAP = "After the alignment only {share:.0%} of the fixed image is covered by the moving one."
NO_MM = "In pixels, not millimetres: the spacing of {which} is not known."
LOCAL = (
    "A registration finds a likely alignment, not a proven one: look at the checkerboard, above all at what matters."
)


@dataclass(frozen=True, slots=True)
class Axes:
    """The unit of lengths, and what the positive direction of each axis is called, and the negative one."""

    unit: str
    names: tuple[tuple[str, str], ...]


SCREEN = (("to the right", "to the left"), ("down", "up"))
PATIENT = (
    ("to the patient's right", "to the patient's left"),
    ("forwards", "backwards"),
    ("towards the head", "towards the feet"),
)
GRID = (
    ("along the columns", "against the columns"),
    ("along the rows", "against the rows"),
    ("up the slices", "down the slices"),
)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Both as SimpleITK has them, float32, with the same axes."""

    fixed: Any
    moving: Any
    axes: Axes

    @property
    def dimension(self) -> int:
        return int(self.fixed.GetDimension())


def sitk() -> Any:
    """The library, on first use."""
    import SimpleITK

    return SimpleITK


def register(fixed: Given, moving: Given, kind: Kind, metric: Metric) -> Result:
    """Lay `moving` on `fixed`.

    `arrays["warped"]` is float32 on the fixed grid, 0 or the moving image's least value where it does not reach.
    `text` is the transform in words, as what is done to the moving image. `values`: similarity_before and
    similarity_after (absent before, where the two do not overlap), overlap (0..1), rotation_deg, shift_x_mm (_px) ...,
    of affine scale_least and scale_most, of B-spline warp_mean_mm and warp_most_mm (or _px). `pictures`: the moving
    image warped, a checkerboard, a difference; of volumes each shows the middle slices of three planes.
    Raises BadInput when there is nothing to align or no alignment is found.
    """
    if isinstance(fixed, Image) != isinstance(moving, Image):
        raise BadInput(MIXED)
    pair = _pair(fixed, moving)
    found, linear, spline = _optimised(pair, kind, metric)
    before = _similarity(pair, sitk().Transform(pair.dimension, sitk().sitkIdentity), metric)
    after = _similarity(pair, found, metric)
    notes: list[str] = []
    if spline is not None and _less(after, _similarity(pair, linear, metric)):
        found, spline, notes = linear, None, [NO_WARP]
        after = _similarity(pair, found, metric)
    if after is None:
        raise BadInput(FAILED.format(why="the two do not overlap"))
    warped, inside = _resampled(pair, found)
    overlap = float(inside.mean())
    values = {"similarity_after": after} | ({} if before is None else {"similarity_before": before})
    text, parameters = _linear_words(pair, linear)
    if spline is not None:
        more, warp = _spline_words(pair, spline)
        text, parameters = f"{text}, then {more}", parameters | warp
    return Result(
        pictures=_pictures(pair, warped, fixed),
        arrays={"warped": warped},
        values=values | parameters | {"overlap": overlap},
        text=text,
        notes=(*notes, *_notes(pair, values, overlap, fixed, moving)),
    )


def _notes(pair: _Pair, values: dict[str, float], overlap: float, *both: Image | Volume) -> tuple[str, ...]:
    notes = [LOCAL]
    before = values.get("similarity_before")
    if before is not None and values["similarity_after"] <= before:
        notes.insert(0, NOT_BETTER)
    if overlap < LEAST_OVERLAP:
        notes.append(LITTLE_OVERLAP.format(share=overlap))
    if pair.axes.unit == "px":
        unknown = [name for name, one in zip(("the fixed", "the moving"), both, strict=True) if not _placed(one)]
        notes.append(NO_MM.format(which=" and ".join(unknown) + (" image" if len(unknown) == 1 else " images")))
    return tuple(notes)


def _placed(given: Image | Volume) -> bool:
    return (given.spacing if isinstance(given, Image) else given.affine) is not None


def _pair(fixed: Image | Volume, moving: Image | Volume) -> _Pair:
    in_mm = _placed(fixed) and _placed(moving)
    both = [_of(one, which, in_mm) for one, which in ((fixed, "fixed"), (moving, "moving"))]
    unit = "mm" if in_mm else "px"
    names = SCREEN if isinstance(fixed, Image) else PATIENT if in_mm else GRID
    return _Pair(both[0], both[1], Axes(unit, names))


def _of(given: Image | Volume, which: str, in_mm: bool) -> Any:
    if isinstance(given, Volume) and given.pixels.ndim != 3:
        raise BadInput(IN_COLOUR)
    values = pictures.luminance(given.pixels)
    if max(values.shape) < LEAST:
        raise BadInput(TOO_SMALL.format(which=which, least=LEAST))
    if float(values.max()) - float(values.min()) <= 0:
        raise BadInput(NO_CONTRAST.format(which=which))
    made = sitk().GetImageFromArray(values)
    if isinstance(given, Volume) and in_mm:
        affine = np.asarray(given.affine)
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        made.SetSpacing(spacing.tolist())
        made.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
        made.SetOrigin(affine[:3, 3].tolist())
        return made
    if isinstance(given, Image) and in_mm and given.spacing:
        made.SetSpacing([given.spacing.column_mm, given.spacing.row_mm])
    halves = [-step * (size - 1) / 2 for step, size in zip(made.GetSpacing(), made.GetSize(), strict=True)]
    made.SetOrigin(halves)
    return made


def _optimised(pair: _Pair, kind: Kind, metric: Metric) -> tuple[Any, Any, Any]:
    """The whole transform from the fixed to the moving image, its linear part, and its B-spline, if it has one."""
    fixed, moving = _reduced(pair.fixed), _reduced(pair.moving)
    try:
        linear = _climb(fixed, moving, _start(fixed, moving, metric), metric)
        if kind == "rigid":
            return linear, linear, None
        affine = sitk().AffineTransform(pair.dimension)
        affine.SetMatrix(linear.GetMatrix())
        affine.SetCenter(linear.GetCenter())
        affine.SetTranslation(linear.GetTranslation())
        affine = _climb(fixed, moving, affine, metric)
        if kind == "affine":
            return affine, affine, None
        spline = _spline(fixed, moving, affine, metric)
        return sitk().CompositeTransform([affine, spline]), affine, spline
    except RuntimeError as error:
        raise BadInput(FAILED.format(why=_reason(error))) from error


def _reason(error: RuntimeError) -> str:
    """The last line that SimpleITK says, without its addresses."""
    return str(error).strip().splitlines()[-1].rpartition("): ")[2][:150].rstrip(".")


def _reduced(image: Any) -> Any:
    """The image as the finest level sees it: at most FINEST pixels along its longest side."""
    most = FINEST[image.GetDimension()]
    factors = [max(1, round(size / most)) for size in image.GetSize()]
    return sitk().BinShrink(image, factors) if max(factors) > 1 else image


def _centre(image: Any) -> Numbers:
    return np.asarray(image.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2 for size in image.GetSize()]))


def _mass(image: Any) -> Numbers:
    """The centre of brightness."""
    values = sitk().GetArrayViewFromImage(image).astype(np.float64)
    values = values - values.min()
    at = [
        float((values.sum(axis=tuple(a for a in range(values.ndim) if a != axis)) @ np.arange(size)) / values.sum())
        for axis, size in enumerate(values.shape)
    ]
    return np.asarray(image.TransformContinuousIndexToPhysicalPoint(at[::-1]))


def _start(fixed: Any, moving: Any, metric: Metric) -> Any:
    """The best of some rigid placements: as placed, centre on centre, brightness on brightness; images turned too."""
    lib, flat = sitk(), fixed.GetDimension() == 2
    levels = (lib.SmoothingRecursiveGaussian(one, 2 * min(one.GetSpacing())) for one in (fixed, moving))
    seen = next(levels), next(levels)
    centre = _centre(fixed)
    shifts = [np.zeros_like(centre), _centre(moving) - centre, _mass(moving) - _mass(fixed)]
    best: tuple[float, Any] | None = None
    for shift in shifts:
        for turn in TURNS if flat else (0.0,):
            placed = lib.Euler2DTransform() if flat else lib.Euler3DTransform()
            placed.SetCenter(centre.tolist())
            placed.SetTranslation(shift.tolist())
            if flat:
                placed.SetAngle(float(np.radians(turn)))
            cost = _cost(*seen, placed, metric)
            if cost is not None and (best is None or cost < best[0]):
                best = cost, placed
    if best is None:
        raise BadInput(FAILED.format(why="the two do not overlap"))
    return best[1]


def _cost(fixed: Any, moving: Any, placed: Any, metric: Metric) -> float | None:
    method = _method(fixed, metric)
    method.SetInitialTransform(placed)
    try:
        return float(method.MetricEvaluate(fixed, moving))
    except RuntimeError:  # too few pixels lie on the other image
        return None


def _method(fixed: Any, metric: Metric) -> Any:
    method = sitk().ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    if metric == "correlation":
        method.SetMetricAsCorrelation()
    else:
        method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(min(1.0, SAMPLES / fixed.GetNumberOfPixels()), SEED)
    method.SetInterpolator(sitk().sitkLinear)
    return method


def _climb(fixed: Any, moving: Any, placed: Any, metric: Metric) -> Any:
    """The linear transform, optimised from coarse to fine."""
    method, step = _method(fixed, metric), float(min(fixed.GetSpacing()))
    method.SetShrinkFactorsPerLevel(list(SHRINK))
    method.SetSmoothingSigmasPerLevel([sigma * step for sigma in SMOOTH])
    method.SetMetricSamplingPercentagePerLevel(_shares(fixed), SEED)
    method.SetOptimizerAsRegularStepGradientDescent(2.0 * step, step * 1e-3, STEPS, 0.6, 1e-9)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(placed, inPlace=True)
    method.Execute(fixed, moving)
    return placed


def _shares(fixed: Any, samples: int = SAMPLES) -> list[float]:
    """Of the pixels of each level: all of the coarse ones."""
    pixels, n = float(fixed.GetNumberOfPixels()), fixed.GetDimension()
    return [min(1.0, samples / max(1.0, pixels / factor**n)) for factor in SHRINK]


def _spline(fixed: Any, moving: Any, affine: Any, metric: Metric) -> Any:
    method, step = _method(fixed, metric), float(min(fixed.GetSpacing()))
    spline = sitk().BSplineTransformInitializer(fixed, [MESH[fixed.GetDimension()]] * fixed.GetDimension(), order=3)
    method.SetShrinkFactorsPerLevel([4, 2])
    method.SetSmoothingSigmasPerLevel([2 * step, step])
    method.SetMetricSamplingPercentagePerLevel(_shares(fixed, SPLINE_SAMPLES[fixed.GetDimension()])[:2], SEED)
    method.SetOptimizerAsLBFGS2(1e-6, SPLINE_STEPS[fixed.GetDimension()])
    method.SetMovingInitialTransform(affine)
    method.SetInitialTransformAsBSpline(spline, inPlace=True, scaleFactors=[1, 2])
    method.Execute(fixed, moving)
    return spline


def _resampled(pair: _Pair, found: Any) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The moving image on the fixed grid, and where it lies."""
    lib = sitk()
    least = float(sitk().GetArrayViewFromImage(pair.moving).min())
    warped = lib.Resample(pair.moving, pair.fixed, found, lib.sitkLinear, least, lib.sitkFloat32)
    ones = lib.Cast(pair.moving, lib.sitkUInt8) * 0 + 1
    ones.CopyInformation(pair.moving)
    inside = lib.Resample(ones, pair.fixed, found, lib.sitkNearestNeighbor, 0)
    return lib.GetArrayFromImage(warped), lib.GetArrayFromImage(inside) > 0


def _similarity(pair: _Pair, found: Any, metric: Metric) -> float | None:
    """How alike the two are where both lie; None when that is nowhere."""
    there, within = _resampled(pair, found)
    if int(within.sum()) < LEAST:
        return None
    measure = correlation if metric == "correlation" else mutual_information
    return measure(sitk().GetArrayViewFromImage(pair.fixed)[within], there[within])


def _less(one: float | None, other: float | None) -> bool:
    return other is not None and (one is None or one < other)


def correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Pearson's r, -1 to 1; 0 where one of them is constant."""
    a, b = (values.astype(np.float64) - values.mean(dtype=np.float64) for values in (first, second))
    length = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / length if length > 0 else 0.0


def mutual_information(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Normalised mutual information (H(A) + H(B)) / H(A, B) of Studholme et al. 1999, from 1 (nothing) to 2 (all)."""
    counts, _, _ = np.histogram2d(first, second, BINS)
    joint = counts / counts.sum()
    whole = _entropy(joint)
    return (_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / whole if whole > 0 else 2.0


def _entropy(shares: Numbers) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log(some)).sum())


def _linear_words(pair: _Pair, linear: Any) -> tuple[str, dict[str, float]]:
    """What the transform does to the moving image: the inverse of what SimpleITK keeps, about the fixed centre."""
    n, unit = pair.dimension, pair.axes.unit
    matrix = np.linalg.inv(np.asarray(linear.GetMatrix()).reshape(n, n))
    centre = _centre(pair.fixed)
    lies = np.asarray(linear.TransformPoint(centre.tolist()))  # where the fixed centre lies on the moving image
    shift = matrix @ (centre - lies)
    left, scales, right = np.linalg.svd(matrix)
    turn = left @ right
    values = {f"shift_{axis}_{unit}": float(by) for axis, by in zip("xyz", shift, strict=False)}
    words = [_turned(turn, values)]
    if scales.max() - 1 > 5e-3 or 1 - scales.min() > 5e-3:
        values |= {"scale_least": float(scales.min()), "scale_most": float(scales.max())}
        words.append(f"scaled by {scales.min():.2f} to {scales.max():.2f}")
    words.append(_shifted(shift, pair.axes))
    return ", ".join(words[:-1]) + f" and {words[-1]}", values


def _turned(turn: Numbers, values: dict[str, float]) -> str:
    if len(turn) == 2:
        degrees = float(np.degrees(np.arctan2(turn[1, 0], turn[0, 0])))  # rows grow down: positive is clockwise
        values["rotation_deg"] = degrees
        way = " clockwise" if degrees > 0 else " counter-clockwise"
        return f"turned by {abs(degrees):.1f} degrees{way if abs(degrees) >= 0.05 else ''}"
    degrees = float(np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
    values["rotation_deg"] = degrees
    return f"turned by {degrees:.1f} degrees"


def _shifted(shift: Numbers, axes: Axes) -> str:
    said = [f"{abs(by):.1f} {axes.unit} {names[int(by < 0)]}" for by, names in zip(shift, axes.names, strict=True)]
    return f"shifted by {', '.join(said[:-1])} and {said[-1]}"


def _spline_words(pair: _Pair, spline: Any) -> tuple[str, dict[str, float]]:
    grid = _reduced(pair.fixed)
    field = sitk().TransformToDisplacementField(
        spline, sitk().sitkVectorFloat64, grid.GetSize(), grid.GetOrigin(), grid.GetSpacing(), grid.GetDirection()
    )
    lengths = np.linalg.norm(sitk().GetArrayViewFromImage(field), axis=-1)
    unit, mean, most = pair.axes.unit, float(lengths.mean()), float(lengths.max())
    words = f"warped by {mean:.1f} {unit} on average and {most:.1f} {unit} at most"
    return words, {f"warp_mean_{unit}": mean, f"warp_most_{unit}": most}


def _pictures(pair: _Pair, warped: NDArray[np.float32], fixed: Image | Volume) -> tuple[Picture, ...]:
    below = sitk().GetArrayFromImage(pair.fixed)
    moving = sitk().GetArrayViewFromImage(pair.moving)
    views: Sequence[tuple[str, Callable[..., NDArray[np.uint8]]]] = (
        ("moving image, aligned", lambda first, second: second),
        ("checkerboard of both", pictures.checkerboard),
        ("difference of both", pictures.difference),
    )
    first, second = pictures.greys(below), pictures.greys(warped, like=moving)
    if isinstance(fixed, Volume):
        voxel = fixed.voxel_mm if pair.axes.unit == "mm" and fixed.voxel_mm else (1.0, 1.0, 1.0)
        first, second = pictures.planes(first, voxel), pictures.planes(second, voxel)
    return tuple(Picture(label, pictures.bounded(view(first, second))) for label, view in views)
