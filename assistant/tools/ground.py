"""Where something is on an image, as boxes that a served vision-language model writes and `inference.boxes` checks."""

from typing import TYPE_CHECKING

from django.conf import settings
from pydantic import Field

from assistant import model_servers
from assistant.models import Artifact, Image
from assistant.tools import seeing
from assistant.tools.base import Context, ImageArguments, NewArtifact, Statement, Tool, ToolResult, clean_label
from assistant.tools.seeing import Seeing
from assistant.tools.segment import place
from inference.decode import NO_FRAME
from inference.errors import BadInput

if TYPE_CHECKING:
    from inference.boxes import Unit
    from inference.types import Box

ROLE, WHAT = "ground", "Finding things by name (boxes)"
WRONG_UNIT = "LIGHTBOX_VQA_BOXES={found!r} is not understood: write pixels or thousandths, or leave it out."
NONE_FOUND = "{model} says that it does not see this on {where}: {phrase}."
SAID = "{model} puts a box about “{label}” on {where}: columns {x0:.0f} to {x1:.0f}, rows {y0:.0f} to {y1:.0f}."
UNCHECKED = "A model said where this is, and nothing here has checked it: look at what each box holds."
TAKEN_AS = "The corners were taken as {unit} of the picture that it was sent."


class GroundArguments(ImageArguments):
    phrase: str = Field(min_length=2, max_length=200, description="what to find, such as: the endotracheal tube")
    frame: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="the frame or slice, from 0; of several, the middle one if left out",
    )


def missing() -> str:
    return seeing.missing(ROLE, WHAT)


def unit(model: str) -> "Unit":
    """What a served model writes corners in: of that of LIGHTBOX_VQA, LIGHTBOX_VQA_BOXES says it. Raises BadInput for
    a setting that is not understood."""
    from inference.boxes import UNITS, unit_of

    first = model_servers.seeing()
    if not settings.VQA_BOXES or first is None or model != first.model:
        return unit_of(model)
    for known in UNITS:
        if known == settings.VQA_BOXES:
            return known
    raise BadInput(WRONG_UNIT.format(found=settings.VQA_BOXES))


def run(context: Context, arguments: GroundArguments) -> ToolResult:
    from inference import boxes

    image = context.image(arguments.image)
    asked = seeing.choose(ROLE, WHAT, context.conversation)
    taken = unit(asked.model)
    frame = frame_of(image, arguments.frame)
    several = image.layout in ("volume", "frames") and image.frames > 1
    (seen,) = asked.shown(image, arguments.image, [frame + 1] if several else ())
    sent = boxes.sent_size(seen.picture, asked.longest)
    said = asked.answerer().answer([seen], boxes.prompt(arguments.phrase, taken, sent), max_tokens=2048)
    found = boxes.parse(said, taken, sent, (image.width, image.height))
    return _result(context, arguments, image, frame, asked, taken, found)


def frame_of(image: Image, frame: int | None) -> int:
    """The frame that a call means, from 0. Raises BadInput when there is no such frame."""
    chosen = image.frames // 2 if frame is None else frame
    if not 0 <= chosen < max(1, image.frames):
        raise BadInput(NO_FRAME.format(frame=chosen + 1, frames=image.frames))
    return chosen


def _result(
    context: Context,
    arguments: GroundArguments,
    image: Image,
    frame: int,
    asked: Seeing,
    taken: "Unit",
    found: "list[Box]",
) -> ToolResult:
    model = asked.model
    where = place(arguments.image, image, frame)
    labels = [clean_label(box.label) or clean_label(arguments.phrase) for box in found]
    said = [
        Statement(
            SAID.format(model=model, label=label, where=where, x0=box.x0, x1=box.x1, y0=box.y0, y1=box.y1),
            f"{context.ref}.{number}",
        )
        for number, (label, box) in enumerate(zip(labels, found, strict=True), 1)
    ]
    none = Statement(NONE_FOUND.format(model=model, where=where, phrase=clean_label(arguments.phrase)), context.ref)
    return ToolResult(
        summary=f"{len(found)} box{'' if len(found) == 1 else 'es'} on {where}",
        statements=said or [none],
        notes=[UNCHECKED, *([TAKEN_AS.format(unit=taken)] if found else [])],
        artifacts=[
            NewArtifact(Artifact.BOX, label, image, None, _data(box, frame))
            for label, box in zip(labels, found, strict=True)
        ],
        model=model,
        records=[asked.record],
    )


def _data(box: "Box", frame: int) -> dict[str, float]:
    return {"x0": box.x0, "y0": box.y0, "x1": box.x1, "y1": box.y1, "frame": frame}


TOOL = Tool(
    name="ground",
    description="Find something on an image by a name or phrase, as boxes, by the configured vision-language model.",
    arguments=GroundArguments,
    queue="vision",
    run=run,
    missing=missing,
    shows_a_model=True,
)
