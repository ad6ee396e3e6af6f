"""Size and values of what is drawn on an image: a person's mask or measurement, a file's mask, a tool's mask."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from assistant import marks, mask_files
from assistant.models import Annotation, Artifact, Image
from assistant.tools.base import Arguments, Context, Declined, NewArtifact, Statement, Tool, ToolResult, drawn, load
from assistant.tools.segment import place
from inference import measure, types

DIAMETERS = "{name} is {longest:.1f} mm long at its longest{where}, and {across:.1f} mm across that."


class RegionArguments(Arguments):
    region: str = Field(
        description="the name of a mask or measurement of this conversation: img1.2 (drawn on img1), c3.1 (a tool's)",
        pattern=r"^(img\d{1,4}\.\d{1,5}|c\d{1,6}\.\d{1,4})$",
    )


Part = tuple[int, types.Image, NDArray[np.bool_]]


def run(context: Context, arguments: RegionArguments) -> ToolResult:
    name = arguments.region
    if name.startswith("c"):
        artifact = _artifact(context, name)
        assert artifact.image is not None
        image = artifact.image
        drawn = enumerate(marks.artifact_frames(artifact, image.frames))
        parts = [(frame, load(image, frame), mask > 127) for frame, mask in drawn if mask.any()]
        return _measured(
            context,
            name,
            f"The {artifact.label} ({name})",
            artifact.image,
            measure.region(parts, artifact.image.facts.unit),
        )
    mark, where = _mark(context, name)
    if mark.kind == Annotation.MEASUREMENT:
        return _as_measured(name, mark, where)
    if mark.kind != Annotation.MASK or not mark.file:
        raise Declined(f"{name} is no mask, so it has no area.")
    who = f"The {mark.label} ({name}, {marks.author_words(mark)}{_version(mark)})"
    return _measured(context, name, who, mark.image, measure.region(_parts(mark), mark.image.facts.unit))


def _version(mark: Annotation) -> str:
    return f", version {mark.version}" if mark.version > 1 else ""


def _artifact(context: Context, name: str) -> Artifact:
    call, _, number = name[1:].partition(".")
    masks = Artifact.objects.filter(tool_call__run__conversation=context.conversation.pk, kind=Artifact.MASK)
    found = masks.select_related("image").filter(tool_call__number=int(call), number=int(number)).first()
    if found is None or found.image is None or not found.file:
        raise Declined(f"There is no mask {name} in this conversation.")
    return found


def _mark(context: Context, name: str) -> tuple[Annotation, str]:
    image, _, number = name.partition(".")
    row = context.image(image)
    found = Annotation.objects.filter(image=row, number=int(number)).select_related("image").first()
    if found is None:
        raise Declined(f"Nothing named {name} is drawn on {image}.")
    return found, image


def _parts(mark: Annotation) -> Iterator[Part]:
    """The frames that the mask lies on, one at a time."""
    for number, mask in enumerate(mask_files.frames(mark.file)):
        if mask.any():
            yield number, load(mark.image, number), mask > 127


def _measured(context: Context, name: str, who: str, image: Image, found: measure.Region) -> ToolResult:
    facts = image.facts
    said = [Statement(f"{who} covers {_size(found, facts)}{_extent(found, facts)}.", name)]
    lines: list[NewArtifact] = []
    if found.diameters and facts.spacing:
        where = f" on slice {found.widest + 1}" if facts.layout == "volume" else ""
        longest, across = found.diameters
        words = DIAMETERS.format(name=name, where=where, longest=longest.length, across=across.length)
        said.append(Statement(words, f"{context.ref}.1"))
        lines = [drawn(image, line, found.widest) for line in found.diameters]
    if found.values:
        words = ", ".join(f"{v.name} {marks.number_words(v.value)} {v.unit}".strip() for v in found.values)
        said.append(Statement(f"The values inside {name} are: {words}.", context.ref))
    notes = list(found.notes)
    if facts.spacing is None:
        notes.append("No area in cm2: the file states no pixel spacing.")
    elif facts.spacing.source == "ImagerPixelSpacing":
        notes.append(measure.AT_THE_DETECTOR)
    return ToolResult(
        summary=f"{name}: {_size(found, facts)}",
        statements=said,
        notes=notes,
        artifacts=lines,
        model="counting of pixels (docs/measurements.md)",
    )


def _size(found: measure.Region, facts: types.Decoded) -> str:
    """212 cm2 (12,345 pixels); of several slices their volume."""
    pixels = f"{found.pixels:,} {'voxels' if facts.layout == 'volume' else 'pixels'}"
    if found.on > 1 or facts.layout == "volume":
        on = f" on {found.on} {'slice' if facts.layout == 'volume' else 'frame'}{'s' if found.on > 1 else ''}"
        if facts.layout == "volume" and facts.affine is not None:
            cm3 = found.pixels * marks.voxel_mm3(facts.affine) / 1000
            return f"{marks.number_words(cm3)} cm3 ({pixels}{on})"
        return pixels + on
    if facts.spacing is None:
        return pixels
    return f"{marks.number_words(found.pixels * facts.spacing.pixel_area_cm2)} cm2 ({pixels})"


def _extent(found: measure.Region, facts: types.Decoded) -> str:
    if facts.spacing is None:
        return f", {found.columns} pixels wide and {found.rows} high"
    wide, high = found.columns * facts.spacing.column_mm, found.rows * facts.spacing.row_mm
    return f", {marks.number_words(wide)} mm wide and {marks.number_words(high)} mm high"


def _as_measured(name: str, mark: Annotation, where: str) -> ToolResult:
    values = marks.values_words(mark.data.get("values", []))
    on = place(where, mark.image, int(mark.data.get("frame") or 0))
    said = f"The {mark.label} ({name}, {marks.author_words(mark)}) on {on}: {values}."
    return ToolResult(
        summary=f"{name}: {values}",
        statements=[Statement(said, name)],
        notes=list(mark.data.get("notes", [])),
        model="measured when it was drawn (docs/measurements.md)",
    )


TOOL = Tool(
    name="measure_region",
    description="Size, extent and pixel values of a mask or measurement by its name: one that a person drew or "
    "corrected (img1.2) or that a tool made (c3.1).",
    arguments=RegionArguments,
    queue="vision",
    run=run,
)
