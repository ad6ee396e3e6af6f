"""A region as a mask: the lungs by name, or what a box, points or a lasso mark. No trained model, and it says so."""

import io
from functools import cache
from typing import Annotated

from pydantic import Field

from assistant.models import Artifact, Image
from assistant.tools.base import (
    EVERYTHING,
    NO_GRID,
    Accepts,
    Arguments,
    Context,
    Declined,
    ImageArguments,
    NewArtifact,
    Statement,
    Tool,
    ToolResult,
    clean_label,
    load,
)
from inference import prompted
from inference.decode import NO_FRAME
from inference.errors import BadInput
from inference.types import Mask, PromptedSegmenter, Prompts

Coordinate = Annotated[float, Field(allow_inf_nan=False)]
MOST_POINTS, MOST_CORNERS = 100, 5000


class BoxArgument(Arguments):
    """Pixels of the frame."""

    x0: Coordinate
    y0: Coordinate
    x1: Coordinate
    y1: Coordinate


class CornerArgument(Arguments):
    x: Coordinate
    y: Coordinate


class PointArgument(CornerArgument):
    add: bool = Field(default=True, description="true: in the region; false: not in it")


class SegmentArguments(ImageArguments):
    structure: str = Field(default="lungs", max_length=60, description="what to outline by name; only lungs so far")
    frame: int = Field(default=0, ge=0, le=1_000_000, description="the frame or slice, counted from 0")
    box: BoxArgument | None = Field(default=None, description="a box around the region, in pixels")
    points: list[PointArgument] = Field(default_factory=list, max_length=MOST_POINTS, description="points, in pixels")
    lasso: list[CornerArgument] = Field(
        default_factory=list, max_length=MOST_CORNERS, description="corners of a polygon around the region, in pixels"
    )
    refine: bool = Field(default=True, description="whether a lasso's outline moves to the edges of the image")
    label: str = Field(default="", max_length=120, description="what the marked region is called")

    @property
    def prompted(self) -> bool:
        return bool(self.box or self.points or self.lasso)

    @property
    def prompts(self) -> Prompts:
        box = self.box
        return Prompts(
            box=(box.x0, box.y0, box.x1, box.y1) if box else None,
            add=tuple((p.x, p.y) for p in self.points if p.add),
            remove=tuple((p.x, p.y) for p in self.points if not p.add),
            lasso=tuple((p.x, p.y) for p in self.lasso),
            refine=self.refine,
        )


NAME = "classical baseline (scikit-image)"
LIMIT = "A classical baseline outlines the air-filled lung; consolidated or hidden parts are left out."
PROMPTED_LIMIT = "Outlined by a classical baseline, not a trained model: check the outline, and correct it if needed."
REGION = "marked region"


@cache
def prompted_segmenter() -> PromptedSegmenter:
    """What turns prompts into a mask. A model of the SAM family takes this place by a setting, once there is one."""
    return prompted.ClassicalSegmenter()


def place(name: str, image: Image, frame: int) -> str:
    """img1, or img1, slice 13: people count from 1."""
    if image.frames == 1:
        return name
    return f"{name}, {'slice' if image.layout == 'volume' else 'frame'} {frame + 1}"


def area_words(cm2: float) -> str:
    return f"{cm2:.0f} cm2" if cm2 >= 10 else f"{cm2:.2g} cm2"


FRONTAL_CHEST = Accepts(
    works_on="frontal chest radiographs",
    modalities=frozenset({"CR", "DX", "RG"}),
    body_parts=frozenset({"CHEST", "THORAX", "LUNG", "LUNGS"}),
    views=frozenset({"PA", "AP"}),
    layouts=frozenset({"image", "frames"}),
)


def accepts(arguments: SegmentArguments) -> Accepts:
    """Lungs by name are outlined on frontal chest radiographs, what is marked on any image; the rest `run` answers."""
    by_name = not arguments.prompted and "lung" in arguments.structure.lower()
    return FRONTAL_CHEST if by_name else EVERYTHING


def _png(mask: Mask) -> bytes:
    from PIL import Image as Pillow

    out = io.BytesIO()
    Pillow.fromarray(mask.pixels).save(out, "PNG")
    return out.getvalue()


def _statement(mask: Mask, where: str, ref: str) -> Statement:
    share = (mask.pixels > 0).mean()
    area = f"{mask.area_cm2:.0f} cm2" if mask.area_cm2 is not None else f"{share:.0%} of the image"
    which = mask.label.replace("lung, image left", "lung on the left of the image")
    which = which.replace("lung, image right", "lung on the right of the image")
    return Statement(f"The {which} was outlined on {where}: {area}.", ref)


def _notes(image: Image, limit: str) -> list[str]:
    spacing = image.decoded.get("spacing")
    if spacing is None:
        return [limit, "No area in cm2: the file states no pixel spacing."]
    if spacing["source"] == "ImagerPixelSpacing":
        return [limit, "Areas are measured at the detector and are larger than in the patient."]
    return [limit]


def run(context: Context, arguments: SegmentArguments) -> ToolResult:
    if arguments.prompted:
        return _prompted(context, arguments)
    from inference.classical import segment_lungs

    if "lung" not in arguments.structure.lower():
        raise Declined(
            f"Only the lungs on a chest radiograph can be outlined by name so far, not: {arguments.structure}. "
            "Mark it with a box, points or a lasso instead."
        )
    image = context.image(arguments.image)
    masks = segment_lungs(load(image, arguments.frame))
    where = place(arguments.image, image, arguments.frame)
    return ToolResult(
        summary=f"{len(masks)} masks on {where}",
        statements=[_statement(mask, where, f"{context.ref}.{number}") for number, mask in enumerate(masks, 1)],
        notes=_notes(image, LIMIT),
        artifacts=[
            NewArtifact(
                Artifact.MASK, mask.label, image, _png(mask), {"area_cm2": mask.area_cm2, "frame": arguments.frame}
            )
            for mask in masks
        ],
        model=NAME,
    )


def _prompted(context: Context, arguments: SegmentArguments) -> ToolResult:
    image = context.image(arguments.image)
    segmenter = prompted_segmenter()
    label = clean_label(arguments.label) or REGION
    mask = segmenter(load(image, arguments.frame), arguments.prompts, label)
    count = int((mask.pixels > 0).sum())
    area = f"{area_words(mask.area_cm2)}, " if mask.area_cm2 is not None else ""
    where = place(arguments.image, image, arguments.frame)
    said = f"The {label} was outlined on {where} from {marks_in_words(arguments)}: {area}{count:,} pixels."
    as_it_is = bool(arguments.lasso) and not arguments.refine
    data = {
        "frame": arguments.frame,
        "area_cm2": mask.area_cm2,
        "pixels": count,
        "prompts": arguments.model_dump(include={"box", "points", "lasso", "refine"}, exclude_none=True),
    }
    return ToolResult(
        summary=f"{label} on {where}",
        statements=[Statement(said, f"{context.ref}.1")],
        notes=_notes(image, "The lasso is the outline, as it was drawn." if as_it_is else PROMPTED_LIMIT),
        artifacts=[NewArtifact(Artifact.MASK, label, image, _png(mask), data)],
        model="the lasso as it was drawn" if as_it_is else segmenter.name,
    )


def marks_in_words(arguments: SegmentArguments) -> str:
    """A box (120, 80) to (300, 260), 2 points to add, 1 point to remove and a lasso."""
    found: list[str] = []
    if box := arguments.box:
        found.append(f"a box ({box.x0:.0f}, {box.y0:.0f}) to ({box.x1:.0f}, {box.y1:.0f})")
    for adds, verb in ((True, "add"), (False, "remove")):
        count = sum(point.add == adds for point in arguments.points)
        if count:
            found.append(f"{count} point{'s' if count > 1 else ''} to {verb}")
    if arguments.lasso:
        found.append("a lasso" if arguments.refine else "a lasso as it is")
    return " and ".join(filter(None, [", ".join(found[:-1]), found[-1]]))


def check(image: Image, arguments: SegmentArguments) -> None:
    """Refuse prompts that do not fit the image before anything is saved. Raises BadInput."""
    if not image.pixels:
        raise BadInput(NO_GRID)
    if arguments.frame >= image.frames:
        raise BadInput(NO_FRAME.format(frame=arguments.frame + 1, frames=image.frames))
    prompted.check(arguments.prompts, image.width, image.height)


TOOL = Tool(
    name="segment",
    description="Outline the lungs on a frontal chest radiograph; or, on any image, the region that a box, points or a "
    "lasso mark. Returns masks, and areas where spacing is known.",
    arguments=SegmentArguments,
    queue="vision",
    run=run,
    accepts=accepts,
)
