"""Between the grid that is stored and shown, and the file's own: masks drawn on the one are saved on the other.

A NIfTI file may store its voxels along any axes, in any direction. What is stored and shown is turned, so that every
file looks alike; voxels are only moved, never interpolated. `Decoded.reoriented` has a row for each axis of the stored
grid, columns, rows and slices in this order: which axis of the file's grid it is, and -1 when it runs against it. That
is nibabel's orientation array: `nibabel.apply_orientation(stored_ijk, reoriented)` is the file's grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import BadInput
from inference.types import Decoded

Orientation = Sequence[Sequence[int]]

NOT_THIS_GRID = "This has {found} voxels (columns x rows x slices), but the image has {expected}."


def to_source_grid(array: NDArray[Any], decoded: Decoded) -> NDArray[Any]:
    """(slices, rows, columns) as stored to (i, j, k) as the file counts; a time axis goes from the first to the last.

    (rows, columns) of an image with one slice becomes (i, j, k) too. A view where numpy can. Raises BadInput when the
    array is not of the image's size.
    """
    stored = array[np.newaxis] if array.ndim == 2 else array
    grid = np.moveaxis(stored, 0, -1).transpose(2, 1, 0, 3) if stored.ndim == 4 else stored.transpose(2, 1, 0)
    _check(grid.shape, decoded)
    rows = decoded.reoriented or ((0, 1), (1, 1), (2, 1))
    flipped = grid[_flips(rows)]
    spatial = tuple(int(axis) for axis in np.argsort([axis for axis, _ in rows]))
    return flipped.transpose(*spatial, *range(3, grid.ndim))


def from_source_grid(array: NDArray[Any], decoded: Decoded) -> NDArray[Any]:
    """The inverse: (i, j, k) or (i, j, k, time) to (slices, rows, columns) or (time, slices, rows, columns).

    An image with one slice, not in time, comes back as (1, rows, columns). Raises BadInput when the array is not of
    the image's size.
    """
    rows = decoded.reoriented or ((0, 1), (1, 1), (2, 1))
    grid = turned(array[:, :, np.newaxis] if array.ndim == 2 else array, rows)
    _check(grid.shape, decoded)
    return grid.transpose(3, 2, 1, 0) if grid.ndim == 4 else grid.transpose(2, 1, 0)


def source_affine(decoded: Decoded) -> NDArray[np.float64] | None:
    """(4, 4): from (i, j, k, 1) of the file's grid to RAS+ millimetres; None when the file does not place the image."""
    if decoded.affine is None:
        return None
    rows = decoded.reoriented or ((0, 1), (1, 1), (2, 1))
    size = (decoded.width, decoded.height, decoded.frames)
    affine: NDArray[np.float64] = np.asarray(decoded.affine) @ np.linalg.inv(_to_file(rows, size))
    return affine


def turned(grid: NDArray[Any], rows: Orientation) -> NDArray[Any]:
    """A view of the file's (i, j, k, ...) as (columns, rows, slices, ...)."""
    spatial = [axis for axis, _ in rows]
    return grid.transpose(*spatial, *range(3, grid.ndim))[_flips(rows)]


def turned_affine(affine: NDArray[np.float64], rows: Orientation, size: Sequence[int]) -> NDArray[np.float64]:
    """The affine of the turned grid, whose size is (columns, rows, slices)."""
    return affine @ _to_file(rows, size)


def _to_file(rows: Orientation, size: Sequence[int]) -> NDArray[np.float64]:
    """(4, 4) from (column, row, slice, 1) to (i, j, k, 1)."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for stored, (axis, way) in enumerate(rows):
        matrix[axis, stored] = way
        matrix[axis, 3] = 0 if way > 0 else size[stored] - 1
    return matrix


def _flips(rows: Orientation) -> tuple[slice, ...]:
    return tuple(slice(None, None, way) for _, way in rows)


def _check(shape: tuple[int, ...], decoded: Decoded) -> None:
    expected = (decoded.width, decoded.height, decoded.frames)
    if shape[:3] != expected:
        raise BadInput(NOT_THIS_GRID.format(found=_times(shape[:3]), expected=_times(expected)))


def _times(shape: Sequence[int]) -> str:
    return " x ".join(str(count) for count in shape)
