"""The lungs on a frontal chest radiograph, by classical image processing: no trained model, and it says so."""

import io

from pydantic import Field

from assistant.models import Artifact, Image
from assistant.tools.base import (
    EVERYTHING,
    Accepts,
    Context,
    Declined,
    ImageArguments,
    NewArtifact,
    Statement,
    Tool,
    ToolResult,
    load,
)
from inference.types import Mask


class SegmentArguments(ImageArguments):
    structure: str = Field(default="lungs", max_length=60, description="what to outline; only lungs so far")


NAME = "classical baseline (scikit-image)"
LIMIT = "A classical baseline outlines the air-filled lung; consolidated or hidden parts are left out."


FRONTAL_CHEST = Accepts(
    works_on="frontal chest radiographs",
    modalities=frozenset({"CR", "DX", "RG"}),
    body_parts=frozenset({"CHEST", "THORAX", "LUNG", "LUNGS"}),
    views=frozenset({"PA", "AP"}),
    layouts=frozenset({"image"}),
)


def accepts(arguments: SegmentArguments) -> Accepts:
    """Lungs are outlined on frontal chest radiographs; what else is asked for, `run` answers."""
    return FRONTAL_CHEST if "lung" in arguments.structure.lower() else EVERYTHING


def _png(mask: Mask) -> bytes:
    from PIL import Image as Pillow

    out = io.BytesIO()
    Pillow.fromarray(mask.pixels).save(out, "PNG")
    return out.getvalue()


def _statement(mask: Mask, name: str, ref: str) -> Statement:
    share = (mask.pixels > 0).mean()
    area = f"{mask.area_cm2:.0f} cm2" if mask.area_cm2 is not None else f"{share:.0%} of the image"
    which = mask.label.replace("lung, image left", "lung on the left of the image")
    which = which.replace("lung, image right", "lung on the right of the image")
    return Statement(f"The {which} was outlined on {name}: {area}.", ref)


def _notes(image: Image) -> list[str]:
    spacing = image.decoded.get("spacing")
    if spacing is None:
        return [LIMIT, "No area in cm2: the file states no pixel spacing."]
    if spacing["source"] == "ImagerPixelSpacing":
        return [LIMIT, "Areas are measured at the detector and are larger than in the patient."]
    return [LIMIT]


def run(context: Context, arguments: SegmentArguments) -> ToolResult:
    from inference.classical import segment_lungs

    if "lung" not in arguments.structure.lower():
        raise Declined(f"Only the lungs on a chest radiograph can be outlined so far, not: {arguments.structure}.")
    image = context.image(arguments.image)
    masks = segment_lungs(load(image))
    return ToolResult(
        summary=f"{len(masks)} masks on {arguments.image}",
        statements=[
            _statement(mask, arguments.image, f"{context.ref}.{number}") for number, mask in enumerate(masks, 1)
        ],
        notes=_notes(image),
        artifacts=[
            NewArtifact(Artifact.MASK, mask.label, image, _png(mask), {"area_cm2": mask.area_cm2}) for mask in masks
        ],
        model=NAME,
    )


TOOL = Tool(
    name="segment",
    description="Outline the lungs on a frontal chest radiograph. Returns masks, and areas where spacing is known.",
    arguments=SegmentArguments,
    queue="vision",
    run=run,
    accepts=accepts,
)
