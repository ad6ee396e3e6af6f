"""NIfTI-1 and NIfTI-2, plain or gzipped, to a volume that lies as radiologists look at it. Runs only inside the child.

The header is read and checked first: what it claims must be in the file, and within the limits. A gzip stream is never
inflated beyond what the header claims. Voxels are turned to the nearest patient axes (moved, not interpolated): slices
are axial, seen from the feet, patient's right at the left of the screen; a file of one slice, or with slices more than
twice as thick as its pixels, keeps its own plane, upright. A file that does not place its voxels in the patient (no
qform, no sform) has no affine and no letters: its left and right are unknown.

Does not handle: .hdr and .img pairs, CIFTI (values on surfaces), complex and 128-bit values.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from numpy.typing import NDArray

from inference.errors import BadInput, Exhausted
from inference.grids import turned, turned_affine
from inference.readers.greys import TOO_MANY_VOXELS, check_size, stretch
from inference.readers.nifti_clean import CLEAN, write_clean
from inference.readers.nifti_place import Grid, place
from inference.readers.numbers import Values, foreground, foreground_note, survey
from inference.readers.output import write_frames, write_preview
from inference.types import Cleaning, Decoded, Spacing

if TYPE_CHECKING:
    from inference.decode import Limits

PAIR = "This is one half of a NIfTI pair (.hdr and .img). Save the image as one .nii file and send that."
CIFTI = "This is a CIFTI file: values on the surface of a brain, not an image."
DATA_TYPE = "The voxels of this NIfTI file are of the type {name}, which is not read here."
SHORT = "This NIfTI file is incomplete: it has {found} of {expected} bytes of voxels. Export it again and send that."
HEADER = "This NIfTI file ends within its header. Export it again and send that."
STREAM = "This compressed NIfTI file cannot be inflated: it is damaged or incomplete. Export it again and send that."
GROWS = "This NIfTI file claims {claimed:.0f} MB of voxels; at most {limit:.0f} MB are read."
OFFSET = "This NIfTI file is damaged: its voxels do not begin where its header says. Export it again and send that."
BAD_SCALE = "The file's slope and intercept are not usable numbers, so stored values are shown."
ALPHA = "The colours of this file have an alpha channel, which is not used."
MORE_AXES = "This file has {axes} axes; those after the third are shown as {volumes} volumes in a row."
CLEANED = "Only the header of a NIfTI file is cleaned: a face can be told from the voxels of a whole head."

Header: TypeAlias = Any  # a Nifti1Header or Nifti2Header; nibabel has no types that could be checked
PLAIN: dict[int, Any] = {1: Nifti1Header, 2: Nifti2Header}


def read(sources: Sequence[Path], folder: Path, limits: Limits, cleaning: Cleaning | None = None) -> Decoded:
    """Write pixels, preview and, with `cleaning`, clean.nii.gz into `folder`.

    Raises BadInput, Exhausted, and whatever nibabel raises on a header that contradicts itself.
    """
    with sources[0].open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
    with gzip.open(sources[0]) if packed else sources[0].open("rb") as opened:
        file = cast("IO[bytes]", opened)
        header = _header(file)
        size, dtype = _check(header, limits)
        if not packed:
            _check_length(sources[0].stat().st_size, header, size, dtype)
        voxels = _voxels(file, header, size, dtype)
    grid, notes = place(header, size)
    if len(header.get_data_shape()) > 4:
        notes.append(MORE_AXES.format(axes=len(header.get_data_shape()), volumes=size[3]))
    decoded = _write(folder, voxels, header, grid, notes)
    if cleaning is None:
        return decoded
    write_clean(folder / CLEAN, header, voxels)
    return replace(decoded, clean=CLEAN, notes=(*decoded.notes, CLEANED))


def _header(file: IO[bytes]) -> Header:
    """The header alone, without its extensions: those hold free text."""
    head = _exactly(file, 348)
    version = 2 if 540 in (int.from_bytes(head[:4], order) for order in ("little", "big")) else 1
    if version == 2:
        head += _exactly(file, 540 - 348)
    magic = head[4:8] if version == 2 else head[344:348]
    if magic[:2] == b"ni":
        raise BadInput(PAIR)
    return PLAIN[version].from_fileobj(BytesIO(head), check=True)


def _check(header: Header, limits: Limits) -> tuple[tuple[int, int, int, int], np.dtype[Any]]:
    """Size (i, j, k, volumes) and type of the voxels, refused before any is read."""
    if 3000 <= int(header["intent_code"]) < 3100:
        raise BadInput(CIFTI)
    shape = [int(count) for count in header.get_data_shape()]
    shape += [1] * (3 - len(shape))
    volumes = prod(shape[3:])
    for one, other in ((0, 1), (0, 2), (1, 2)):  # any two may become rows and columns
        check_size(shape[one], shape[other], limits)
    for count in shape[2:]:
        check_size(1, 1, limits, count)
    if prod(shape) > limits.voxels:
        raise Exhausted(TOO_MANY_VOXELS.format(claimed=prod(shape) / 1e6, limit=limits.voxels / 1e6))
    dtype = header.get_data_dtype()
    colour = dtype.names in (("R", "G", "B"), ("R", "G", "B", "A"))
    if not colour and (dtype.kind not in "iuf" or dtype.itemsize > 8):
        raise BadInput(DATA_TYPE.format(name=header.get_value_label("datatype")))
    claimed = prod(shape) * dtype.itemsize
    offset = float(header["vox_offset"])
    if claimed > limits.file_bytes:
        raise Exhausted(GROWS.format(claimed=claimed / 1e6, limit=limits.file_bytes / 1e6))
    if not int(header["sizeof_hdr"]) <= offset <= limits.file_bytes:
        raise BadInput(OFFSET)
    return (shape[0], shape[1], shape[2], volumes), dtype


def _check_length(length: int, header: Header, size: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    expected = prod(size) * dtype.itemsize
    found = length - int(header["vox_offset"])
    if found < expected:
        raise BadInput(SHORT.format(found=max(0, found), expected=expected))


def _voxels(file: IO[bytes], header: Header, size: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """(i, j, k, volumes), the first index fastest, as in the file; of a gzip stream, no more than that is inflated."""
    voxels = np.empty(prod(size), dtype=dtype)
    room, filled = voxels.view(np.uint8).data, 0
    try:
        file.seek(int(header["vox_offset"]))
        while filled < len(room):
            count = file.readinto(room[filled : filled + 2**22])  # type: ignore[attr-defined]
            if not count:
                raise BadInput(SHORT.format(found=filled, expected=len(room)))
            filled += count
        file.read(1)  # the end of a gzip stream is where its checksum is compared
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(STREAM) from error
    return voxels.reshape(size, order="F")


def _exactly(file: IO[bytes], count: int) -> bytes:
    try:
        found = file.read(count)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(STREAM) from error
    if len(found) < count:
        raise BadInput(HEADER)
    return found


def _write(folder: Path, voxels: NDArray[Any], header: Header, grid: Grid, notes: list[str]) -> Decoded:
    """pixels.npy and preview.png, slice by slice, and the facts."""
    stored = turned(voxels, grid.reoriented)
    columns, rows, slices, volumes = stored.shape
    colour = voxels.dtype.names is not None
    values = None if colour else survey(voxels, *_scale(header, notes))
    window = foreground(voxels, values) if values else None
    shape: tuple[int, ...] = (rows, columns) if slices == volumes == 1 else (slices, rows, columns)
    shape = (*((volumes,) if volumes > 1 else ()), *shape, *((3,) if colour else ()))
    write_frames(folder, shape, values.dtype if values else np.uint8, _slices(stored, values))
    middle = next(_slices(stored[:, :, slices // 2 : slices // 2 + 1], values))
    write_preview(folder, stretch(middle, window) if window else middle)
    if colour and len(voxels.dtype.names or ()) == 4:
        notes.append(ALPHA)
    if window:
        notes.append(foreground_note(window))
    column_mm, row_mm, slice_mm = grid.voxel_mm
    placed = grid.affine is not None
    size = (columns, rows, slices)
    return Decoded(
        kind="nifti",
        modality="unknown",
        width=columns,
        height=rows,
        layout="image" if slices == volumes == 1 else "volume",
        frames=slices,
        volumes=volumes,
        affine=_tuples(turned_affine(grid.affine, grid.reoriented, size)) if grid.affine is not None else None,
        reoriented=grid.reoriented,
        spacing=Spacing(row_mm, column_mm, "NIfTI header") if row_mm and column_mm else None,
        orientation=grid.letters if placed else None,
        photometric="RGB" if colour else "MONOCHROME2",
        bits_stored=8 * voxels.dtype.itemsize,
        window=window,
        window_source="percentiles" if window else "full range",
        windows=_display_range(header),
        header=_facts(header, grid, slice_mm),
        notes=(*notes, *(values.notes() if values else ())),
    )


def _slices(stored: NDArray[Any], values: Values | None) -> Iterator[NDArray[Any]]:
    """Each (rows, columns), or with 3 channels, slice after slice of volume after volume."""
    for volume in range(stored.shape[3]):
        for number in range(stored.shape[2]):
            piece = stored[:, :, number, volume].T
            yield values.of(piece) if values else np.stack([piece[name] for name in ("R", "G", "B")], axis=-1)


def _scale(header: Header, notes: list[str]) -> tuple[float, float]:
    """Slope and intercept; a slope of 0 means none (the NIfTI-1 standard)."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or (np.isnan(slope) and np.isnan(intercept)):
        return 1.0, 0.0
    if not np.isfinite(slope) or not np.isfinite(intercept):
        notes.append(BAD_SCALE)
        return 1.0, 0.0
    return slope, intercept


def _display_range(header: Header) -> tuple[tuple[str, float, float], ...]:
    """cal_min and cal_max, which the standard calls the range for display; 0 and 0 when there is none."""
    low, high = float(header["cal_min"]), float(header["cal_max"])
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        return ()
    return (("cal_min to cal_max", (low + high) / 2, high - low),)


def _facts(header: Header, grid: Grid, slice_mm: float) -> dict[str, str]:
    """Numbers and names of codes: nothing that somebody typed."""
    shape = " x ".join(str(int(count)) for count in header.get_data_shape())
    facts = {
        "NIfTI": "2" if isinstance(header, Nifti2Header) else "1",
        "Dimensions": shape,
        "DataType": str(header.get_value_label("datatype")),
        "PlacedBy": grid.placed_by,
        "Plane": grid.plane,
        "SpacingBetweenSlices": f"{slice_mm:g}" if slice_mm else "",
        "TemporalResolution": f"{grid.volume_ms:g}" if grid.volume_ms else "",
        "Oblique": f"{grid.degrees:.1f} degrees" if grid.degrees >= 0.05 else "",
    }
    return {name: text for name, text in facts.items() if text}


def _tuples(affine: NDArray[np.float64]) -> tuple[tuple[float, float, float, float], ...]:
    return tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in affine)
