"""Things that words name, as boxes with scores, by a zero-shot detector of the catalogue (`inference.backends`)."""

from typing import Annotated

from pydantic import Field, StringConstraints

from assistant import checkpoints_in_use, greys, model_calls
from assistant.models import Artifact, Image
from assistant.tools import gate
from assistant.tools.base import (
    Context,
    Declined,
    ImageArguments,
    ModelArguments,
    NewArtifact,
    Statement,
    Tool,
    ToolResult,
    clean_label,
    load,
)
from assistant.tools.ground import frame_of
from assistant.tools.segment import place
from inference import types
from inference.types import Box

ROLE, WHAT = "detect", "Object detection"
NO_WORDS = "None of these labels holds a word: say what to look for, such as: tube, lung."
SAID = (
    "{model} puts a box about “{label}” on {where} with a score of {score:.2f}: columns {x0:.0f} to {x1:.0f}, rows "
    "{y0:.0f} to {y1:.0f}."
)
NONE = "{model} puts no box on {where} for {labels}, at its threshold of {threshold}."
NONE_NOTE = "That no box was put says that no score was above the threshold, not that nothing is there."
SCORE = "A score is the model's own output, not a probability; nothing here has checked the boxes."

Words = Annotated[str, StringConstraints(min_length=1, max_length=120, strip_whitespace=True)]


class DetectArguments(ImageArguments, ModelArguments):
    labels: list[Words] = Field(min_length=1, max_length=20, description="what to look for in words, such as: tube")
    threshold: float | None = Field(
        default=None, ge=0, le=1, description="the lowest score of a box that is kept; the model's own if left out"
    )
    frame: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="the frame or slice, from 0; of several, the middle one if left out",
    )


def run(context: Context, arguments: DetectArguments) -> ToolResult:
    labels = [label for label in map(clean_label, arguments.labels) if any(map(str.isalnum, label))]
    if not labels:
        raise Declined(NO_WORDS)
    image = context.image(arguments.image)
    found = checkpoints_in_use.choose(ROLE, WHAT, context.conversation, arguments.model)
    notes = gate.check(found, image, arguments.image)
    frame = frame_of(image, arguments.frame)
    options = {"labels": labels, "threshold": arguments.threshold}
    done = model_calls.perform(context, found, "detect", [_as_shown(image, frame)], options)
    where, boxes = place(arguments.image, image, frame), done.result.boxes
    own = "its own" if arguments.threshold is None else f"{arguments.threshold:.2f}"
    none = NONE.format(model=found.name, where=where, labels=_listed(labels), threshold=own)
    return ToolResult(
        summary=f"{len(boxes)} box{'' if len(boxes) == 1 else 'es'} on {where}",
        statements=[
            Statement(_said(found.name, where, box), f"{context.ref}.{number}") for number, box in enumerate(boxes, 1)
        ]
        or [Statement(none, context.ref)],
        notes=[SCORE if boxes else NONE_NOTE, *filter(None, [found.note]), *done.result.notes, *notes],
        artifacts=[_artifact(box, image, frame) for box in boxes],
        model=found.name,
        records=[done.record.as_dict()],
    )


def _as_shown(image: Image, frame: int) -> types.Image:
    """The frame in the greys that its reader sees."""
    given = load(image, frame)
    return types.Image(greys.windowed(given.pixels, greys.window_of(image, given.pixels), greys.function_of(image)))


def _listed(labels: list[str]) -> str:
    return ", ".join(f"“{label}”" for label in labels)


def _said(model: str, where: str, box: Box) -> str:
    corners = {"x0": box.x0, "x1": box.x1, "y0": box.y0, "y1": box.y1}
    return SAID.format(model=model, label=box.label, where=where, score=box.score, **corners)


def _artifact(box: Box, image: Image, frame: int) -> NewArtifact:
    data = {"x0": box.x0, "y0": box.y0, "x1": box.x1, "y1": box.y1, "frame": frame, "score": box.score}
    return NewArtifact(Artifact.BOX, box.label, image, None, data)


TOOL = Tool(
    name="detect_objects",
    description="Find things on an image by labels in words, as boxes with scores, by a zero-shot detector.",
    arguments=DetectArguments,
    queue="vision",
    run=run,
    missing=lambda: checkpoints_in_use.missing(ROLE, WHAT),
    role=lambda _: ROLE,
    shows_a_model=True,
)
