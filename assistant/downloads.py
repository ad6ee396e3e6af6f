"""What leaves Lightbox of an image: clean copies, masks in three formats, measurements. All of it the owner's own."""

import csv
import io
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from assistant import mask_files, nifti
from assistant.files import copied
from assistant.models import Annotation, Artifact, Image
from inference import export
from inference.errors import BadInput

Marked = Artifact | Annotation
TYPES = {"png": "image/png", "nii.gz": "application/gzip", "dcm": "application/dicom"}
COLUMNS = ("name", "type", "label", "frame", "quantity", "value", "unit", "points", "spacing", "author", "made")
NO_FRAME = "There is no such frame in this image."
NO_GRID = "This image has no place in the patient that NIfTI could keep. Take the PNG."
NO_MASK = "This is no mask."


def file_name(image: Image, label: str, suffix: str) -> str:
    """Made of our own id and the label: the name of the uploaded file may name a person."""
    slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:40]
    return "-".join(filter(None, ("image", image.pk.hex[:8], slug))) + f".{suffix}"


def clean_copy(image: Image) -> tuple[bytes, str]:
    """(content, suffix) of a copy without identities: the cleaned file, or the pixels anew without any metadata."""
    if image.cleaned:
        with image.cleaned.open("rb") as file:
            return bytes(file.read()), Path(str(image.cleaned.name)).name.partition(".")[2]
    with image.preview.open("rb") as file, Picture.open(file, formats=["PNG"]) as picture:
        picture.load()
        return _png(np.asarray(picture)), "png"


def mask_of(marked: Marked) -> NDArray[np.uint8]:
    """(H, W) of an image, (F, H, W) of frames and volumes, 0 or 255. Raises BadInput for what is no mask."""
    if marked.kind != "mask" or not marked.file or marked.image is None:
        raise BadInput(NO_MASK)
    if isinstance(marked, Annotation):
        return marked.mask()
    if marked.of_volume:
        return np.stack(list(mask_files.frames(marked.file)))
    with marked.file.open("rb") as file, Picture.open(file, formats=["PNG"]) as picture:
        frame = np.where(np.asarray(picture.convert("L")) > 127, 255, 0).astype(np.uint8)
    if marked.image.layout not in ("frames", "volume"):
        return frame
    whole = np.zeros((marked.image.frames, *frame.shape), dtype=np.uint8)
    whole[int(marked.data.get("frame") or 0)] = frame
    return whole


def mask_file(marked: Marked, form: str, frame: int | None, grid: str) -> bytes:
    """The mask as png (one frame), nii.gz or dcm. Raises InferenceError with the reason when it cannot be."""
    mask = mask_of(marked)
    assert marked.image is not None
    if form == "png":
        return _png(_frame(mask, frame))
    decoded = marked.image.facts
    if form == "nii.gz":
        if decoded.affine is None:
            raise BadInput(NO_GRID)
        return nifti.mask_file(mask, marked.image, source_grid=grid != "view")
    with tempfile.TemporaryDirectory(prefix="lightbox-seg-") as folder:
        return export.seg(mask, decoded, _source(marked.image, Path(folder)), _region(marked))


def measurements(image: Image) -> list[dict[str, Any]]:
    """A row for each number that was measured on the image, in the order of drawing; lengths in the unit it says."""
    spacing = image.decoded.get("spacing") or {}
    rows = []
    for annotation in image.annotations.filter(kind=Annotation.MEASUREMENT):
        data = annotation.data
        common = {
            "name": annotation.number,
            "type": data.get("type", ""),
            "label": annotation.label,
            "frame": data.get("frame", 0),
            "points": data.get("points", []),
            "spacing": spacing.get("source", ""),
            "author": annotation.author,
            "made": annotation.created_at.isoformat(timespec="seconds"),
        }
        for measured in data.get("values") or []:
            rows.append(common | {"quantity": measured["name"], "value": measured["value"], "unit": measured["unit"]})
    return rows


def as_csv(rows: list[dict[str, Any]]) -> str:
    """The rows with a heading; points as x y pairs, separated by semicolons."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    for row in rows:
        points = "; ".join(f"{x:g} {y:g}" for x, y in row["points"])
        writer.writerow({**{name: _inert(value) for name, value in row.items()}, "points": points})
    return out.getvalue()


def _inert(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula, made text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value


def _frame(mask: NDArray[np.uint8], frame: int | None) -> NDArray[np.uint8]:
    if mask.ndim == 2:
        return mask
    marked = np.flatnonzero(mask.any(axis=(1, 2)))
    at = frame if frame is not None else int(marked[len(marked) // 2]) if marked.size else 0
    if not 0 <= at < len(mask):
        raise BadInput(NO_FRAME)
    chosen: NDArray[np.uint8] = mask[at]
    return chosen


def _png(pixels: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Picture.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def _region(marked: Marked) -> export.Region:
    if isinstance(marked, Artifact):
        return export.Region(marked.label, "AUTOMATIC", marked.tool_call.model[:64])
    if marked.author == Annotation.FILE:
        return export.Region(marked.label, "SEMIAUTOMATIC", marked.source[:64])
    corrected = marked.corrects_artifact
    if corrected is not None:
        return export.Region(marked.label, "SEMIAUTOMATIC", corrected.tool_call.model[:64])
    return export.Region(marked.label, "MANUAL")


def _source(image: Image, folder: Path) -> Path:
    """The image's DICOM source where a reader can open it by its path."""
    if not image.source:
        raise BadInput(export.NO_SOURCE)
    path = copied(image.source, folder)
    if path.suffix != ".zip" and zipfile.is_zipfile(path):
        path = path.rename(path.with_suffix(".zip"))
    return path
