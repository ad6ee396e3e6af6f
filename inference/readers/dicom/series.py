"""Reads a DICOM file, or the files of one series in any order, into pixels.npy and preview.png.

Each file is parsed and decompressed once, its frames kept on disk; when all are known, they are put in the order of the
patient (`geometry`), brought to modality values of one type, and written. So memory holds one file and a few frames.

Does not handle: overlays in group 60xx, presentation states, real world value maps, ICC profiles, pixel padding (padded
corners count in percentiles), concatenations, and the frames of nuclear medicine files, which are shown unplaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from inference.decoder import recognise
from inference.disposable import translate
from inference.errors import BadInput, Exhausted
from inference.readers.dicom import cleaned, facts
from inference.readers.dicom.elements import code, header
from inference.readers.dicom.geometry import Arrangement, Plane, arrange
from inference.readers.dicom.opening import GREY, check, frame_count, open_dicom
from inference.readers.dicom.planes import planes as planes_of
from inference.readers.dicom.planes import voi_of
from inference.readers.dicom.stored import Store, frames
from inference.readers.dicom.values import Scale
from inference.readers.dicom.windows import Greys, greys, named_windows
from inference.readers.output import write_frames, write_preview
from inference.types import Cleaning, Decoded

if TYPE_CHECKING:
    from inference.decode import Limits

BAD_RESCALE = "The file's rescale slope and intercept are not usable numbers, so stored values are shown."
NOT_DICOM = "it is no DICOM file"
OTHER_GRID = "its pictures are of another size or kind than those of the first file"
LEFT_OUT = "{count} of {all} files could not be read and are left out; the first reason: {reason}"
DAMAGED = "This DICOM file cannot be read: it is damaged or incomplete."


@dataclass
class _Series:
    """What has been read so far. `first` is the header of the first file that could be read, without pixels."""

    store: Store
    first: Dataset | None = None
    planes: list[Plane] = field(default_factory=list)
    headers: dict[int, Dataset] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    copies: dict[int, Path] = field(default_factory=dict)


def read(sources: Sequence[Path], folder: Path, limits: Limits, cleaning: Cleaning | None = None) -> Decoded:
    """Write pixels, preview and, with `cleaning`, the clean copy into `folder`.

    A file of several that cannot be read is left out, with a note; one alone is refused. Raises BadInput, Exhausted,
    and whatever pydicom and its codecs raise on damage; `inference.decoder` translates.
    """
    series = _Series(Store(folder))
    for number, source in enumerate(sources):
        length = len(series.store)
        try:
            _add(series, number, source, folder, limits, cleaning)
        except Exhausted:
            raise
        # One damaged slice must not cost the series; a codec's panic is no Exception.
        except BaseException as error:
            if len(sources) == 1:
                raise
            series.store.drop(length)
            series.refused.append(str(translate(error, DAMAGED)))
    if series.first is None:
        raise BadInput(series.refused[0])
    arranged = arrange(series.planes)
    decoded = _write(series, arranged, folder)
    series.store.close()
    if series.refused:
        note = LEFT_OUT.format(count=len(series.refused), all=len(sources), reason=series.refused[0])
        decoded = replace(decoded, notes=(note, *decoded.notes))
    if cleaning is None:
        return decoded
    in_order = dict.fromkeys(series.planes[index].source for index in arranged.order)
    clean = cleaned.pack([series.copies[source] for source in in_order], folder)
    return replace(decoded, clean=clean, uids=cleaned.mapped(decoded.uids, cleaning))


def _add(series: _Series, number: int, source: Path, folder: Path, limits: Limits, cleaning: Cleaning | None) -> None:
    """Read one file of the series: its planes, its frames into the store, its clean copy."""
    if recognise(source, limits) not in ("dicom", "overlay"):
        raise BadInput(NOT_DICOM)
    dataset = open_dicom(source, limits)
    check(dataset, limits, before=len(series.store))
    if series.first is not None and _grid(dataset) != _grid(series.first):
        raise BadInput(OTHER_GRID)
    found = planes_of(dataset, number)
    alone = number == 0 and frame_count(dataset) == 1
    for frame in frames(dataset):
        series.store.append(frame, keep=alone)
    slim = _without_pixels(dataset)
    # Cleaning changes elements in place, and the first header is still needed as it was.
    kept = voi_of(slim, 0) if series.first is not None else slim if cleaning is None else deepcopy(slim)
    if cleaning is not None:
        series.copies[number] = cleaned.clean_copy(dataset, folder / f"clean-{number}", cleaning)
    series.first = series.first if series.first is not None else kept
    series.headers[number] = kept
    series.planes += found


def _grid(dataset: Dataset) -> tuple[Any, ...]:
    """What the frames of one array must share."""
    return int(dataset.Rows), int(dataset.Columns), str(dataset.PhotometricInterpretation)


def _without_pixels(dataset: Dataset) -> Dataset:
    """A shallow copy that does not hold the pixels in memory."""
    slim = Dataset({tag: element for tag, element in dataset._dict.items() if tag.group != 0x7FE0})
    slim.file_meta = dataset.file_meta
    return slim


def _write(series: _Series, arranged: Arrangement, folder: Path) -> Decoded:
    """All frames in order to pixels.npy, one of them to the preview."""
    first, store = series.first, series.store
    assert first is not None
    notes = list(arranged.notes)
    inverted, grey = first.PhotometricInterpretation == "MONOCHROME1", _is_grey(first)
    rescales = [_rescale(plane, notes) if grey else (1.0, 0.0) for plane in series.planes]
    scale = Scale.of(store.ends, rescales, store.has_fractions)
    shown: list[Greys] = []

    def ordered() -> Iterator[NDArray[Any]]:
        for place, index in enumerate(arranged.order):
            values = scale.values(store[index], rescales[index])
            if place == _shown(arranged):
                shown.append(_preview(values, series, series.planes[index]))
            if inverted:
                scale.mirror(values)
            yield values

    write_frames(folder, _shape(arranged, store[0].shape), scale.dtype, ordered())
    write_preview(folder, 255 - shown[0].preview if inverted else shown[0].preview)
    return _decoded(series, arranged, shown[0], notes)


def _is_grey(dataset: Dataset) -> bool:
    return str(dataset.PhotometricInterpretation) in GREY


def _shown(arranged: Arrangement) -> int:
    """The place, in order, of the frame that the preview shows: the middle of a volume, the first of others."""
    slices = len(arranged.order) // arranged.volumes
    return slices // 2 if arranged.layout == "volume" else 0


def _shape(arranged: Arrangement, frame: tuple[int, ...]) -> tuple[int, ...]:
    if arranged.layout == "image":
        return frame
    slices = len(arranged.order) // arranged.volumes
    return (slices, *frame) if arranged.volumes == 1 else (arranged.volumes, slices, *frame)


def _rescale(plane: Plane, notes: list[str]) -> tuple[float, float]:
    if plane.rescale is None:
        return 1.0, 0.0
    if plane.rescale[0] != plane.rescale[0]:  # not a number
        if BAD_RESCALE not in notes:
            notes.append(BAD_RESCALE)
        return 1.0, 0.0
    return plane.rescale


def _preview(values: NDArray[Any], series: _Series, plane: Plane) -> Greys:
    """Colour is shown as it is, only its depth is cut to 8 bits; so is grey that was stored as colour."""
    first = series.first
    assert first is not None
    if _is_grey(first):
        return greys(values, _voi(series, plane), first)
    palette = first.PhotometricInterpretation == "PALETTE COLOR"
    shift = 0 if palette else max(0, int(first.BitsStored) - 8)
    return Greys((values >> shift).astype(np.uint8), None, "full range", ())


def _voi(series: _Series, plane: Plane) -> Dataset:
    """The VOI elements of a frame: of a file of its own, or of a functional group of the first file."""
    found = series.headers[plane.source]
    return voi_of(found, plane.frame)


def _decoded(series: _Series, arranged: Arrangement, shown: Greys, notes: list[str]) -> Decoded:
    first = series.first
    assert first is not None
    ordered = [series.planes[index] for index in arranged.order]
    spacing = facts.spacing(first, ordered[0])
    rows, columns = series.store.shape[:2]
    grey = _is_grey(first)
    windows = named_windows(_voi(series, ordered[_shown(arranged)])) if grey else ()
    frame_ms = facts.frame_ms(first, notes) if arranged.layout == "frames" else None
    return Decoded(
        kind="dicom",
        modality=facts.modality(first),
        width=columns,
        height=rows,
        layout=arranged.layout,
        frames=len(ordered) // arranged.volumes,
        volumes=arranged.volumes,
        affine=arranged.affine,
        spacing=spacing,
        body_part=code(first, "BodyPartExamined"),
        view=code(first, "ViewPosition"),
        orientation=facts.orientation(first),
        photometric=str(first.PhotometricInterpretation),
        bits_stored=int(first.get("BitsStored") or first.BitsAllocated),
        inverted=first.PhotometricInterpretation == "MONOCHROME1",
        window=shown.window,
        window_count=len(windows),
        window_source=shown.source,
        windows=windows,
        unit=facts.unit(first) if grey else "",
        frame_ms=frame_ms,
        uids=facts.uids(first, ordered),
        header=header(first),
        notes=(*notes, *shown.notes, *facts.sentences(first, spacing)),
    )
