"""What people draw on an image: masks and measurements as annotations, what the agent is told of them, and the layers
that the page shows. The forms that arrive here were sent by a browser, and nothing in them is believed."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from django.db.models import Q
from django.urls import reverse
from numpy.typing import NDArray
from PIL import Image as Picture

from assistant import mask_files, viewing
from assistant.models import Annotation, Artifact, Conversation, ConversationImage, Image, ToolCall
from assistant.tools.base import NO_GRID, clean_label, load
from inference import measure
from inference.decode import NO_FRAME
from inference.errors import BadInput

Mask = NDArray[np.uint8]

MOST = 1000  # annotations of one image
TOLD = 40  # marks that the chat model is told of, the newest
PNG_HEAD = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
REGION = "drawn region"

NO_PNG = "The mask is not a PNG that can be read. Draw it again."
NOT_GREY = "The mask must be a PNG of 8-bit greys: above 127 is inside."
NOT_THIS_SIZE = "The mask has {width} x {height} pixels, but the frame has {expected_width} x {expected_height}."
TOO_LARGE = "The mask's file is larger than a PNG of this frame can be."
NOTHING_DRAWN = "The mask is empty: nothing was drawn."
TOO_MANY = f"This image has {MOST} annotations; delete some first."
ONE_OF_THEM = "A mask corrects an annotation or a tool's result, not both."


def largest_png(image: Image) -> int:
    """Bytes that an 8-bit grey PNG of a frame needs at most: stored without compression, with room for its chunks."""
    return image.height * (image.width + 1) * 1001 // 1000 + 65_536


def read_png(data: bytes, image: Image) -> Mask:
    """(H, W) uint8, 0 or 255. The claimed size is compared before a pixel is inflated. Raises BadInput."""
    if len(data) > largest_png(image):
        raise BadInput(TOO_LARGE)
    if not data.startswith(PNG_HEAD) or len(data) < 33:
        raise BadInput(NO_PNG)
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    if (width, height) != (image.width, image.height):
        raise BadInput(
            NOT_THIS_SIZE.format(width=width, height=height, expected_width=image.width, expected_height=image.height)
        )
    if (depth, colour) != (8, 0):
        raise BadInput(NOT_GREY)
    try:
        with Picture.open(io.BytesIO(data), formats=["PNG"]) as picture:
            picture.load()
            if picture.mode != "L":
                raise BadInput(NOT_GREY)
            inside = np.asarray(picture) > 127
    # Whatever Pillow's parser raises on damage; its limits on compressed text and sizes are errors of these kinds too.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error, zlib.error) as error:
        raise BadInput(NO_PNG) from error
    except Picture.DecompressionBombError as error:
        raise BadInput(TOO_LARGE) from error
    return np.where(inside, 255, 0).astype(np.uint8)


def add_mask(
    image: Image,
    png: bytes,
    frame: int,
    label: str = "",
    corrects: Annotation | None = None,
    artifact: Artifact | None = None,
) -> Annotation:
    """A drawn mask of one frame; the others are those of the mask that it corrects, else empty. Raises BadInput."""
    _check(image, frame)
    if corrects and artifact:
        raise BadInput(ONE_OF_THEM)
    drawn = read_png(png, image)
    flat = image.layout not in ("frames", "volume")
    shape = (image.height, image.width) if flat else (image.frames, image.height, image.width)
    counts: dict[int, int] = {}
    with mask_files.write(shape, _counted(_frames(image, drawn, frame, corrects, artifact), counts)) as packed:
        if not counts:
            raise BadInput(NOTHING_DRAWN)
        before = corrects or artifact
        return Annotation.add(
            image,
            packed,
            kind=Annotation.MASK,
            author=Annotation.PERSON,
            label=clean_label(label) or (before.label if before else REGION),
            source="corrected" if before else "drawn",
            corrects=corrects,
            corrects_artifact=artifact,
            version=(corrects.version if corrects else 1) + bool(before),
            data=sizes(image, counts),
        )


def _frames(
    image: Image, drawn: Mask, frame: int, corrects: Annotation | None, artifact: Artifact | None
) -> Iterator[Mask]:
    empty = np.zeros_like(drawn)
    before = mask_files.frames(corrects.file) if corrects else None
    if artifact:
        before = artifact_frames(artifact, image.frames)
    for number in range(image.frames):
        kept = next(before, empty) if before else empty
        yield drawn if number == frame else kept


def _counted(frames: Iterable[Mask], counts: dict[int, int]) -> Iterator[Mask]:
    """The frames, whose pixels inside are counted by number on the way; empty ones are left out."""
    for number, mask in enumerate(frames):
        if inside := int(np.count_nonzero(mask)):
            counts[number] = inside
        yield mask


def artifact_frames(artifact: Artifact, frames: int) -> Iterator[Mask]:
    """(H, W) uint8, 0 or 255, of each of an image's frames: a tool's mask of a volume, or of one frame and empty else.

    Raises BadInput when it is gone.
    """
    if artifact.of_volume:
        yield from mask_files.frames(artifact.file)
        return
    mask, marked = artifact_mask(artifact), int(artifact.data.get("frame") or 0)
    empty = np.zeros_like(mask)
    yield from (mask if number == marked else empty for number in range(frames))


def artifact_mask(artifact: Artifact) -> Mask:
    """(H, W) uint8, 0 or 255, of a tool's mask of one frame: a PNG that we wrote. Raises BadInput when it is gone."""
    try:
        with artifact.file.open("rb") as file, Picture.open(file, formats=["PNG"]) as picture:
            return np.where(np.asarray(picture.convert("L")) > 127, 255, 0).astype(np.uint8)
    except (OSError, ValueError) as error:
        raise BadInput(mask_files.GONE) from error


def sizes(image: Image, counts: dict[int, int]) -> dict[str, Any]:
    """What is known of a mask from its pixels' number on each frame: of one frame an area, of a volume a volume."""
    total = sum(counts.values())
    found: dict[str, Any] = {"pixels": total, "frames": sorted(counts)}
    spacing, facts = image.facts.spacing, image.facts
    if len(counts) == 1 and image.frames > 1:
        found["frame"] = next(iter(counts))
    if spacing and len(counts) == 1:
        found["area_cm2"] = total * spacing.pixel_area_cm2
    if facts.layout == "volume" and facts.affine is not None:
        found["volume_cm3"] = total * voxel_mm3(facts.affine) / 1000
    return found


def voxel_mm3(affine: tuple[tuple[float, ...], ...]) -> float:
    """The volume of a voxel in cubic millimetres: the determinant of the affine's axes."""
    return float(abs(np.linalg.det(np.asarray(affine)[:3, :3])))


def add_measurement(
    image: Image, kind: str, points: list[tuple[float, float]], frame: int, label: str = ""
) -> Annotation:
    """A length, angle or ellipse, measured here by the frame's own pixels. Raises BadInput."""
    _check(image, frame, needs_pixels=kind == "ellipse")
    measure.check(kind, points, image.width, image.height)
    facts = image.facts
    if image.pixels and kind == "ellipse":
        found = measure.measure(kind, points, load(image, frame), facts.unit)
    elif kind == "length":
        found = measure.length(points[0], points[1], facts.spacing)
    else:
        found = measure.angle(points[0], points[1], points[2], facts.spacing)
    return Annotation.add(
        image,
        kind=Annotation.MEASUREMENT,
        author=Annotation.PERSON,
        label=clean_label(label) or kind,
        source="drawn",
        data={**found.as_dict(), "points": [list(point) for point in points], "frame": frame},
    )


def _check(image: Image, frame: int, needs_pixels: bool = True) -> None:
    if needs_pixels and not image.pixels:
        raise BadInput(NO_GRID)
    if not 0 <= frame < image.frames:
        raise BadInput(NO_FRAME.format(frame=frame + 1, frames=image.frames))
    if image.annotations.count() >= MOST:
        raise BadInput(TOO_MANY)


# Words: what people and chat models read


def number_words(value: float) -> str:
    """As many digits as a measurement by hand is good for."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def values_words(values: Iterable[dict[str, Any]]) -> str:
    """area 12.5 mm2, mean 40.2 HU, n 80."""
    return ", ".join(f"{v['name']} {number_words(v['value'])} {v['unit']}".strip() for v in values)


def author_words(mark: Annotation) -> str:
    return "drawn by the user" if mark.author == Annotation.PERSON else "from a file"


def size_words(data: dict[str, Any]) -> str:
    """area 212 cm2; volume 1,200 cm3; nothing where the file states no spacing."""
    named = (("area_cm2", "area", "cm2"), ("volume_cm3", "volume", "cm3"))
    said = [f"{word} {number_words(data[key])} {unit}" for key, word, unit in named if data.get(key) is not None]
    return ", ".join(said[-1:])


def told(conversation: Conversation, numbered: Iterable[ConversationImage]) -> list[dict[str, Any]]:
    """The masks and measurements on the images of a conversation, the newest last, each with the line that says it.

    {"name", "image", "kind", "label", "corrects", "line"}; what was corrected is left out, its correction is there.
    """
    names = {row.image_id: str(row) for row in numbered}
    marks = Annotation.objects.filter(image__in=names, kind__in=(Annotation.MASK, Annotation.MEASUREMENT))
    newest = marks.filter(corrections=None).select_related("corrects", "corrects_artifact__tool_call__run")
    return [_told(mark, names, conversation) for mark in newest.order_by("-created_at")[:TOLD]][::-1]


def _told(mark: Annotation, names: dict[Any, str], conversation: Conversation) -> dict[str, Any]:
    image = names[mark.image_id]
    corrects = corrected_ref(mark, image, conversation)
    said = [f"{mark.kind} '{mark.label}'", author_words(mark)]
    if mark.version > 1:
        said += [f"version {mark.version}"]
    if corrects:
        said += [f"corrects {corrects}"]
    said += filter(None, [size_words(mark.data), values_words(mark.data.get("values", []))])
    said += ["at the detector"] if measure.AT_THE_DETECTOR in mark.data.get("notes", []) else []
    name = f"{image}.{mark.number}"
    found = {"name": name, "image": image, "kind": mark.kind, "label": mark.label}
    return found | {"corrects": corrects, "line": f"{name}: {', '.join(said)}"}


def corrected_ref(mark: Annotation, image: str, conversation: Conversation | None) -> str:
    """img1.1 or c1.1; a tool's result of another conversation has no name in this one."""
    if mark.corrects:
        return f"{image}.{mark.corrects.number}" if image else ""
    artifact = mark.corrects_artifact
    if artifact is None or conversation is None or artifact.tool_call.run.conversation_id != conversation.pk:
        return ""
    return artifact.ref


def corrections(call: ToolCall, names: dict[Any, str]) -> list[dict[str, str]]:
    """The statements that follow a tool's result once a person has corrected its masks. `names`: image key -> img1."""
    made = Annotation.objects.filter(corrects_artifact__tool_call=call, image__in=names)
    said = []
    for mark in made.select_related("corrects_artifact").order_by("corrects_artifact__number", "number"):
        newest = mark
        while (after := newest.corrections.order_by("-number").first()) is not None:
            newest = after
        name = f"{names[newest.image_id]}.{newest.number}"
        size = size_words(newest.data)
        text = f"A person corrected the {newest.label} of c{call.number}.{mark.corrects_artifact.number}"  # type: ignore[union-attr]
        said.append({"text": f"{text}{': ' + size if size else ''} (version {newest.version}).", "ref": name})
    return said


# Layers: what the page draws


def name_in(conversation: Conversation | None, image: Image) -> str:
    """img1, or nothing where the chat does not have the image."""
    row = conversation.numbered_images.filter(image=image).first() if conversation else None
    return str(row) if row else ""


def layer(mark: Annotation, conversation: Conversation | None = None) -> dict[str, Any]:
    """An annotation as docs/viewer.md describes layers, with what its maker needs: words, end, files."""
    made = viewing.of_annotation(mark, name_in(conversation, mark.image)).as_dict()
    return made | {
        "frames": mark.data.get("frames"),
        "text": values_words(mark.data.get("values") or []),
        "delete": reverse("annotation-delete", args=[mark.pk]),
        "downloads": downloads(mark) if mark.kind == Annotation.MASK else None,
    }


def downloads(mark: Annotation) -> dict[str, str | None]:
    """Addresses by format; None where the image's file can have no such mask."""
    facts = mark.image.facts
    can = {"png": True, "nifti": facts.affine is not None, "dicom": facts.kind == "dicom"}
    forms = {"png": "png", "nifti": "nii.gz", "dicom": "dcm"}
    return {name: reverse("annotation-saved", args=[mark.pk, forms[name]]) if can[name] else None for name in forms}


def of_this_image(image: Image) -> Q:
    return Q(image=image, kind="mask") & ~Q(file="")
