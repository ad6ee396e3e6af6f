"""The order of frames by where they lie in the patient, and the affine of an evenly spaced volume.

Order is by the projection of ImagePositionPatient on the normal of the slices (PS3.3 C.7.6.2.1.1), never by file name,
and by InstanceNumber only where nothing places the images. Axial slices begin with the most caudal (inferior) one;
others go along the normal, which is row direction x column direction. DICOM counts towards left, posterior, head
(L-P-S); an affine counts towards right, anterior, head (R-A-S) as NIfTI does, so the first two axes change sign.

Knows no pydicom: `inference.sorting` uses it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.types import Affine

SAME_MM = 0.01  # positions closer than this are one
EVEN = 0.02  # gaps that differ by less than this share of a gap are even
PARALLEL = 2e-3  # cosines that differ by less are one orientation
MANY = 64  # clusters that are told apart
TIMES = ("TemporalPositionIdentifier", "TriggerTime", "AcquisitionTime", "AcquisitionNumber", "Frame")

UNPLACED = "{count} of {all} images say nothing of where they lie, so the images are shown by their numbers."
ORIENTATIONS = "The images lie in {count} orientations, so they are shown as pictures and not as a volume."
SPACINGS = "The images differ in pixel spacing, so they are shown as pictures and not as a volume."
DUPLICATES = "{count} images lie exactly where another does; the first of each place is kept."
INCOMPLETE = "Places are repeated, but not all equally often or without times: this is not read as a series in time."
MISSING = (
    "{count} slices seem to be missing: after slice {after} the gap is {gap:.2f} mm where others are {usual:.2f} mm."
    " The slices are shown as pictures and not as a volume."
)
UNEVEN = "The slices are unevenly spaced ({low:.2f} to {high:.2f} mm), so they are not read as a volume."
SHIFTED = "The slices are shifted against each other, so they are not read as a volume."
TILTED = "The slices are tilted by {angle:.1f} degrees against the axis on which they are stacked (gantry tilt)."
MIRRORED = "As acquired, the patient's left is on the left of the screen here, against radiological convention."


@dataclass(frozen=True, slots=True)
class Plane:
    """One frame: number `frame` of file `source` (both from 0). Lengths in mm, DICOM's L-P-S.

    `direction` holds the six cosines of ImageOrientationPatient, of length 1; `spacing` is (row, column) as in
    PixelSpacing; `rescale` is slope and intercept, None without, (nan, nan) when they are no usable numbers.
    """

    source: int
    frame: int
    instance: str
    number: float
    position: tuple[float, float, float] | None
    direction: tuple[float, ...] | None
    spacing: tuple[float, float] | None
    thickness: float
    rescale: tuple[float, float] | None
    times: dict[str, float]

    @property
    def normal(self) -> tuple[float, float, float] | None:
        """Row direction x column direction."""
        if self.direction is None:
            return None
        x, y, z = np.cross(self.direction[:3], self.direction[3:])
        return float(x), float(y), float(z)

    def at(self, frame: int, position: tuple[float, float, float] | None) -> Plane:
        """The same, of another frame and place."""
        return replace(self, frame=frame, position=position)


@dataclass(frozen=True, slots=True)
class Arrangement:
    """`order` holds indices of planes, first all slices of the first time point, then of the next."""

    order: tuple[int, ...]
    layout: Literal["image", "frames", "volume"]
    volumes: int = 1
    affine: Affine | None = None
    notes: tuple[str, ...] = ()


def arrange(planes: Sequence[Plane]) -> Arrangement:
    """The order, layout and affine of the frames of a series of one grid; at least one plane."""
    if len(planes) == 1:
        return Arrangement((0,), "image", affine=_affine(planes[0], planes[0], 1))
    placed = [plane for plane in planes if plane.position and plane.direction]
    by_number = tuple(sorted(range(len(planes)), key=lambda index: _rank(planes[index])))
    if len(placed) < len(planes):
        missing = len(planes) - len(placed)
        notes = (UNPLACED.format(count=missing, all=len(planes)),) if placed else ()
        return Arrangement(by_number, "frames", notes=notes)
    orientations = clusters([np.asarray(plane.direction) for plane in planes], PARALLEL)
    if len(orientations) > 1:
        return Arrangement(by_number, "frames", notes=(ORIENTATIONS.format(count=len(orientations)),))
    if len({plane.spacing for plane in planes}) > 1:
        return Arrangement(by_number, "frames", notes=(SPACINGS,))
    return _stacked(planes)


def clusters(points: Sequence[NDArray[np.float64]], tolerance: float) -> list[list[int]]:
    """Indices of points that lie within `tolerance` (in each coordinate) of the first of their cluster; MANY at most,
    the last of which then holds the rest."""
    found: list[list[int]] = []
    for index, point in enumerate(points):
        near = (cluster for cluster in found if np.abs(points[cluster[0]] - point).max() < tolerance)
        cluster = next(near, None) or (found[-1] if len(found) >= MANY else None)
        if cluster is None:
            found.append([index])
        else:
            cluster.append(index)
    return found


def _rank(plane: Plane) -> tuple[float, int, int]:
    return plane.number, plane.source, plane.frame


def _stacked(planes: Sequence[Plane]) -> Arrangement:
    """Planes of one orientation and spacing: places in order, several at a place told apart by time or dropped."""
    places = _places(planes)
    repeats = {len(place) for place in places}
    if repeats == {1}:
        return _in_space([place[0] for place in places], planes, [])
    key = _time_key(places, planes) if len(repeats) == 1 else None
    if key is None:
        kept = [min(place, key=lambda index: _rank(planes[index])) for place in places]
        notes = [DUPLICATES.format(count=len(planes) - len(places))]
        if len(places) > 1 and min(repeats) > 1:
            notes.append(INCOMPLETE)
        return _in_space(kept, planes, notes)
    in_time = [sorted(place, key=lambda index: planes[index].times[key]) for place in places]
    if len(places) == 1:
        return Arrangement(tuple(in_time[0]), "frames")
    first = _in_space([place[0] for place in in_time], planes, [])
    order = tuple(place[time] for time in range(len(in_time[0])) for place in in_time)
    return replace(first, order=order, volumes=len(in_time[0]))


def _places(planes: Sequence[Plane]) -> list[list[int]]:
    """Indices of planes that lie at the same place, places in order."""
    normal = np.asarray(planes[0].normal)
    along = np.array([np.dot(plane.position or (), normal) for plane in planes]) * _sense(normal)
    places: list[list[int]] = []
    for index in sorted(range(len(planes)), key=lambda index: (along[index], _rank(planes[index]))):
        if places and _apart(planes[places[-1][0]], planes[index]) < SAME_MM:
            places[-1].append(index)
        else:
            places.append([index])
    return places


def _sense(normal: NDArray[np.float64]) -> float:
    """1 or -1: axial slices go towards the head, whichever way their normal points."""
    return -1.0 if abs(normal[2]) == np.abs(normal).max() and normal[2] < 0 else 1.0


def _apart(one: Plane, other: Plane) -> float:
    return float(np.linalg.norm(np.subtract(one.position or (), other.position or ())))


def _time_key(places: list[list[int]], planes: Sequence[Plane]) -> str | None:
    """The element that tells apart the images of each place; a temporal position must be the same at all places."""
    for key in TIMES:
        values = [[planes[index].times.get(key) for index in place] for place in places]
        if any(None in here or len(set(here)) < len(here) for here in values):
            continue
        if key == "TemporalPositionIdentifier" and len({frozenset(here) for here in values}) > 1:
            continue
        return key
    return None


def _in_space(order: list[int], planes: Sequence[Plane], notes: list[str]) -> Arrangement:
    """One plane a place: a volume when at least three are evenly spaced on a line."""
    if len(order) < 3:
        return Arrangement(tuple(order), "frames" if len(order) > 1 else "image", notes=tuple(notes))
    positions = np.array([planes[index].position for index in order])
    normal = np.asarray(planes[order[0]].normal) * _sense(np.asarray(planes[order[0]].normal))
    problem = _unevenness(positions, normal)
    if problem or planes[order[0]].spacing is None:
        return Arrangement(tuple(order), "frames", notes=(*notes, *([problem] if problem else [])))
    step = (positions[-1] - positions[0]) / (len(order) - 1)
    angle = float(np.degrees(np.arccos(np.clip(np.dot(step, normal) / np.linalg.norm(step), -1, 1))))
    if angle > 0.5:
        notes.append(TILTED.format(angle=angle))
    first = planes[order[0]]
    if abs(normal[2]) == np.abs(normal).max() and (first.direction or (1,))[0] < 0:
        notes.append(MIRRORED)
    affine = _affine(first, planes[order[-1]], len(order))
    return Arrangement(tuple(order), "volume", affine=affine, notes=tuple(notes))


def _unevenness(positions: NDArray[np.float64], normal: NDArray[np.float64]) -> str:
    """Why slices at these places are no volume, "" when they are one."""
    gaps = np.diff(positions @ normal)
    usual, widest = float(gaps.min()), float(gaps.max())
    multiples = np.rint(gaps / usual) if usual > 0 else np.zeros_like(gaps)
    whole = usual > 0 and bool((np.abs(gaps - multiples * usual) <= EVEN * gaps + SAME_MM).all())
    if whole and multiples.max() > 1:
        after = int(multiples.argmax())
        return MISSING.format(count=int(multiples.sum()) - len(gaps), after=after + 1, gap=widest, usual=usual)
    if not whole:
        return UNEVEN.format(low=usual, high=widest)
    step = (positions[-1] - positions[0]) / len(gaps)
    expected = positions[0] + np.arange(len(positions))[:, None] * step
    if np.linalg.norm(positions - expected, axis=1).max() > max(0.1, 2 * EVEN * widest):
        return SHIFTED
    return ""


def _affine(first: Plane, last: Plane, count: int) -> Affine | None:
    """(column, row, slice, 1) to R-A-S millimetres. A single slice is as deep as it is thick, or 1 mm."""
    if not (first.position and first.direction and first.spacing and last.position):
        return None
    if count > 1:
        step = np.subtract(last.position, first.position) / (count - 1)
    else:
        step = np.asarray(first.normal) * (first.thickness if 0 < first.thickness < 1000 else 1.0)
    matrix = np.eye(4)
    matrix[:3, 0] = np.asarray(first.direction[:3]) * first.spacing[1]
    matrix[:3, 1] = np.asarray(first.direction[3:]) * first.spacing[0]
    matrix[:3, 2], matrix[:3, 3] = step, first.position
    matrix[:2] *= -1
    return tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in matrix)
