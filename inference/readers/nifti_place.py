"""Where a NIfTI header places its voxels, and how they are turned to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.orientations import io_orientation
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

NO_PLACE = (
    "This file does not say how it lies in the patient (no qform, no sform): its left and right are unknown, and no "
    "directions are marked."
)
DISAGREE = "This file places its voxels twice (sform, qform), and the two disagree on left and right: sform is used."
NO_UNIT = "This file names no unit of length; millimetres are assumed."
OBLIQUE = "The axes of this file lie up to {degrees:.0f} degrees from those of the patient; letters name the nearest."

MILLIMETRES = {"meter": 1000.0, "mm": 1.0, "micron": 0.001}
MILLISECONDS = {"sec": 1000.0, "msec": 1.0, "usec": 0.001}
# Directions that columns, rows and slices grow in, as RAS+ axis and sign. Each is right-handed in the patient, so that
# all are seen as DICOM shows them: from the feet, from the front, and from the patient's left.
PLANES: dict[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    "axial": ((0, -1), (1, -1), (2, 1)),
    "coronal": ((0, -1), (2, -1), (1, -1)),
    "sagittal": ((1, -1), (2, -1), (0, 1)),
}
BY_AXIS = {2: "axial", 1: "coronal", 0: "sagittal"}
LETTERS = {(0, -1): "L", (0, 1): "R", (1, -1): "P", (1, 1): "A", (2, 1): "H", (2, -1): "F"}
# Without a place: columns along i, slices along k, rows against j, since j usually grows towards the front.
AS_ANALYZE = ((0, 1), (1, -1), (2, 1))
THICK = 2.0  # slices so many times as thick as pixels are wide keep their plane


@dataclass(frozen=True, slots=True)
class Grid:
    """`affine` is that of the file's own grid, in RAS+ mm; `reoriented` is described in `inference.grids`.

    `voxel_mm` is (column, row, slice) of the turned grid, 0 where not known; `letters` are those that its columns and
    rows grow towards; `degrees` is the largest angle between an axis and the patient's nearest.
    """

    affine: NDArray[np.float64] | None
    reoriented: tuple[tuple[int, int], ...]
    voxel_mm: tuple[float, float, float]
    letters: tuple[str, str] | None
    plane: str
    placed_by: str
    degrees: float
    volume_ms: float


def place(header: Nifti1Header, size: Sequence[int]) -> tuple[Grid, list[str]]:
    """The grid, and what the user should know of it. `size` is (i, j, k, ...)."""
    notes: list[str] = []
    mm, ms = _units(header, notes)
    affine, placed_by = _affine(header, notes)
    if affine is None:
        notes.insert(0, NO_PLACE)
        voxel = [float(width) * mm for width in header["pixdim"][1:4]]
        known = [width if np.isfinite(width) and width > 0 else 0.0 for width in voxel]
        return Grid(None, AS_ANALYZE, (known[0], known[1], known[2]), None, "", "", 0.0, ms), notes
    affine[:3] *= mm
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    nearest = io_orientation(affine).astype(int)
    plane = _plane(nearest, lengths, size)
    by_patient = {int(patient): (axis, int(way)) for axis, (patient, way) in enumerate(nearest)}
    rows = tuple((by_patient[patient][0], by_patient[patient][1] * way) for patient, way in PLANES[plane])
    along = np.array([abs(affine[patient, axis]) / lengths[axis] for axis, (patient, _) in enumerate(nearest)])
    degrees = float(np.degrees(np.arccos(np.clip(along.min(), 0, 1))))
    if degrees >= 5:
        notes.append(OBLIQUE.format(degrees=degrees))
    column, row, depth = (float(lengths[axis]) for axis, _ in rows)
    letters = (LETTERS[PLANES[plane][0]], LETTERS[PLANES[plane][1]])
    return Grid(affine, rows, (column, row, depth), letters, plane, placed_by, degrees, ms), notes


def _plane(nearest: NDArray[np.int_], lengths: NDArray[np.float64], size: Sequence[int]) -> str:
    """The plane to look at: the only one there is, that of thick slices, else axial."""
    single = [axis for axis in range(3) if size[axis] == 1]
    if len(single) == 1:
        return BY_AXIS[int(nearest[single[0], 0])]
    thickest = int(lengths.argmax())
    others = np.delete(lengths, thickest)
    if lengths[thickest] > THICK * others.max():
        return BY_AXIS[int(nearest[thickest, 0])]
    return "axial"


def _affine(header: Nifti1Header, notes: list[str]) -> tuple[NDArray[np.float64] | None, str]:
    """The sform, else the qform, where they are valid and can be inverted; and which of the two."""
    sform = _usable(header.get_sform()) if int(header["sform_code"]) > 0 else None
    qform = _qform(header) if int(header["qform_code"]) > 0 else None
    if sform is not None:
        if qform is not None and _handed(sform) != _handed(qform):
            notes.append(DISAGREE)
        return sform, f"sform ({header.get_value_label('sform_code')})"
    if qform is not None:
        return qform, f"qform ({header.get_value_label('qform_code')})"
    return None, ""


def _qform(header: Nifti1Header) -> NDArray[np.float64] | None:
    try:
        return _usable(header.get_qform())
    except (HeaderDataError, ValueError):
        return None


def _usable(affine: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """A copy, when it is finite, no axis is flat or absurdly long, and no two are the same."""
    affine = np.array(affine, dtype=np.float64)
    if not np.isfinite(affine).all():
        return None
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not ((lengths > 1e-6) & (lengths < 1e6)).all() or np.abs(affine).max() > 1e9:
        return None
    return affine if abs(np.linalg.det(affine[:3, :3] / lengths)) > 1e-3 else None


def _handed(affine: NDArray[np.float64]) -> bool:
    return bool(np.linalg.det(affine[:3, :3]) > 0)


def _units(header: Nifti1Header, notes: list[str]) -> tuple[float, float]:
    """Millimetres to a unit of length, and milliseconds from volume to volume (0 when not known)."""
    try:
        length, time = header.get_xyzt_units()
    except KeyError:
        length, time = "unknown", "unknown"
    if length not in MILLIMETRES:
        notes.append(NO_UNIT)
    step = float(header["pixdim"][4]) if int(header["dim"][0]) > 3 else 0.0
    ms = step * MILLISECONDS.get(time, 0.0)
    return MILLIMETRES.get(length, 1.0), ms if np.isfinite(ms) and ms > 0 else 0.0
