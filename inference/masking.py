"""Painting over what a person has marked as text, in arrays and in files. The boxes are painted in every frame.

`mask_text` is for arrays; `mask_file` rewrites one file in a disposable child: the de-identified DICOM (clean.dcm, or
all of clean.zip), pixels.npy or preview.png. Pixels outside the boxes keep their values.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference import disposable
from inference.errors import BadInput, Exhausted
from inference.types import Box

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from inference.burned_in import TextBox

    Rectangle = Box | TextBox

KINDS = (".dcm", ".zip", ".npy", ".png")
OTHER = "Text can be painted over in DICOM files and in the decoded pixels only, not in {name}."
DAMAGED = "The text in this image could not be painted over: the file is damaged or of a kind not written here."
DEPTH = "The text in this file could not be painted over: its pixels have {bits} bits, and 8, 16 and 32 are written."
BIG_ENDIAN = "The text in this file could not be painted over: its palette is big-endian, which is not written here."
OUTSIDE = "A box to be painted over lies outside the image of {width} x {height} pixels. Draw it again."
TOO_BIG = "These files are larger unpacked than allowed here, so the text was not painted over."


def mask_text(
    pixels: NDArray[Any], boxes: Sequence[Rectangle], *, colour: bool | None = None, value: Any = None
) -> NDArray[Any]:
    """A copy of the pixels with the boxes painted, in the image's minimum (each channel's own), or in `value`.

    (H, W), (H, W, 3), or those behind frames and time points: (F, H, W), (F, H, W, 3), (T, F, H, W). `colour`: the last
    axis is channels; when not told, three or four of them after at least two axes are.
    """
    masked = np.array(pixels)
    if colour is None:
        colour = pixels.ndim >= 3 and pixels.shape[-1] in (3, 4)
    axes = tuple(range(pixels.ndim - 1)) if colour else None
    paint = np.asarray(pixels.min(axis=axes) if value is None else value, dtype=pixels.dtype)
    height, width = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    for rows, columns in (_slices(box, height, width) for box in boxes):
        masked[(..., rows, columns, slice(None)) if colour else (..., rows, columns)] = paint
    return masked


def mask_file(source: Path, boxes: Sequence[Rectangle], folder: Path, limits: disposable.Limits | None = None) -> Path:
    """Write `source` with the boxes painted into `folder`, under the same name; return its path.

    A DICOM file is written uncompressed, with BurnedInAnnotation NO and the Clean Pixel Data Option declared; its UIDs
    stay. Raises BadInput or Exhausted, and leaves nothing behind then.
    """
    if source.suffix not in KINDS:
        raise BadInput(OTHER.format(name=f"files ending in {source.suffix}"))
    folder.mkdir(parents=True, exist_ok=True)
    corners = [
        [int(np.floor(box.x0)), int(np.floor(box.y0)), int(np.ceil(box.x1)), int(np.ceil(box.y1))] for box in boxes
    ]
    with TemporaryDirectory(prefix=".mask-", dir=folder) as workplace:
        request = {"source": str(source.resolve()), "boxes": corners, "folder": workplace}
        disposable.ask("inference.masking", request, Path(workplace), limits or disposable.Limits(wall_s=60, cpu_s=60))
        return (Path(workplace) / source.name).replace(folder / source.name)


def _slices(box: Rectangle, height: int, width: int) -> tuple[slice, slice]:
    """The whole pixels that the box touches. Raises BadInput for a box that touches none."""
    x0, y0 = max(0, int(np.floor(box.x0))), max(0, int(np.floor(box.y0)))
    x1, y1 = min(width, int(np.ceil(box.x1))), min(height, int(np.ceil(box.y1)))
    if x0 >= x1 or y0 >= y1:
        raise BadInput(OUTSIDE.format(width=width, height=height))
    return slice(y0, y1), slice(x0, x1)


def main() -> None:
    """The disposable child."""

    def work(request: dict[str, Any]) -> dict[str, Any]:
        source, folder = Path(request["source"]), Path(request["folder"])
        boxes = [Box("", *corners) for corners in request["boxes"]]
        WRITERS[source.suffix](source, boxes, folder / source.name, request["limits"])
        return {}

    disposable.answer(work, lambda: DAMAGED)


def _mask_array(source: Path, boxes: Sequence[Box], target: Path, limits: dict[str, Any]) -> None:
    np.save(target, mask_text(np.load(source, mmap_mode="r", allow_pickle=False), boxes), allow_pickle=False)


def _mask_png(source: Path, boxes: Sequence[Box], target: Path, limits: dict[str, Any]) -> None:
    from PIL import Image as Pillow

    with Pillow.open(source, formats=["PNG"]) as opened:
        pixels = np.asarray(opened)
    Pillow.fromarray(mask_text(pixels, boxes)).save(target)


def _mask_dicom(source: Path, boxes: Sequence[Box], target: Path, limits: dict[str, Any]) -> None:
    from pydicom import dcmread

    dataset = dcmread(source)
    paint_over(dataset, boxes)
    dataset.save_as(target, enforce_file_format=True)


def _mask_archive(source: Path, boxes: Sequence[Box], target: Path, limits: dict[str, Any]) -> None:
    """Every file of a series: the same machine writes in the same place."""
    from io import BytesIO

    from pydicom import dcmread

    with zipfile.ZipFile(source) as packed, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as out:
        if sum(entry.file_size for entry in packed.infolist()) > limits["file_bytes"]:
            raise Exhausted(TOO_BIG)
        for entry in packed.infolist():
            dataset = dcmread(BytesIO(packed.read(entry)))
            paint_over(dataset, boxes)
            written = BytesIO()
            dataset.save_as(written, enforce_file_format=True)
            out.writestr(zipfile.ZipInfo(entry.filename), written.getvalue())


WRITERS = {".dcm": _mask_dicom, ".zip": _mask_archive, ".npy": _mask_array, ".png": _mask_png}


def paint_over(dataset: Dataset, boxes: Sequence[Box]) -> None:
    """The data set's pixels uncompressed, with the boxes painted dark in every frame, and declared so. In place."""
    from pydicom.pixels.utils import pixel_array
    from pydicom.uid import ExplicitVRLittleEndian

    from inference.deidentify.walk import CLEAN_PIXELS, add_method

    bits, photometric = int(dataset.BitsAllocated), str(dataset.PhotometricInterpretation)
    if bits not in (8, 16, 32):
        raise BadInput(DEPTH.format(bits=bits))
    if photometric == "PALETTE COLOR" and dataset.original_encoding[1] is False:
        raise BadInput(BIG_ENDIAN)  # pydicom does not turn the words of a palette round
    stored = pixel_array(dataset, raw=not photometric.startswith("YBR"))  # YBR comes as RGB
    colour = int(dataset.get("SamplesPerPixel") or 1) > 1
    painted = mask_text(stored, boxes, colour=colour, value=_darkest(stored, dataset, photometric))
    if colour:
        dataset.PlanarConfiguration, dataset.PhotometricInterpretation = 0, "RGB"
    content = painted.astype(painted.dtype.newbyteorder("<"), copy=False).tobytes()
    for _ in dataset.iterall():
        pass  # each element is read as its file was written, before the file is said to be written otherwise
    dataset.set_original_encoding(False, True, dataset.original_character_set)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    del dataset.PixelData
    dataset.add_new("PixelData", "OB" if bits == 8 else "OW", content + bytes(len(content) % 2))
    dataset.BurnedInAnnotation = "NO"
    add_method(dataset, CLEAN_PIXELS)


def _darkest(stored: NDArray[Any], dataset: Dataset, photometric: str) -> Any:
    """The stored value that is shown darkest, of those in the image; None for their minimum."""
    from pydicom.pixels.processing import apply_color_lut

    if photometric == "MONOCHROME1":
        return stored.max()
    if photometric == "PALETTE COLOR":
        used = np.unique(stored)
        return used[apply_color_lut(used[None, :], dataset)[0].astype(np.int64).sum(axis=-1).argmin()]
    return None


if __name__ == "__main__":
    main()
