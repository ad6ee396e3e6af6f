"""One image twice or four times as large: by Lanczos, and by a model where one is configured, measured on the image."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from assistant import checkpoints_in_use, greys, model_calls, pictures
from assistant.models import Conversation
from assistant.tools.base import Context, ImageArguments, ModelArguments, Statement, Tool, ToolResult, load
from assistant.tools.segment import place
from inference.checkpoints import Checkpoint
from inference.types import Image, Result

ROLE, WHAT = "super-resolution", "Super-resolution"
MEASURED = (
    "PSNR and SSIM were measured by making this image smaller by the same factor and enlarging it again: they say how "
    "much of this image a method brings back, not that the enlarged detail is true."
)
ONLY_BASELINE = "No trained model that enlarges by {factor} is configured (page Models), so only the baseline was used."


class EnlargeArguments(ImageArguments, ModelArguments):
    factor: Literal[2, 4] = Field(default=2, description="how many times as large")
    frame: int = Field(default=0, ge=0, le=1_000_000, description="the frame or slice, counted from 0")


def _methods(conversation: Conversation, key: str, factor: int) -> Iterator[Checkpoint]:
    """The model for this factor, if there is one, and the baseline beside it."""
    usable = list(checkpoints_in_use.usable(ROLE))
    baseline = [one for one in usable if one.built_in]
    if key:
        chosen = checkpoints_in_use.choose(ROLE, WHAT, conversation, key)
    else:
        wanted = conversation.checkpoints.get(ROLE, "")
        able = [one for one in usable if not one.built_in and one.options.get("scale", factor) == factor]
        named = [one for one in able if one.key == wanted]
        chosen = (named or able or baseline or [checkpoints_in_use.choose(ROLE, WHAT, conversation)])[0]
    yield chosen
    yield from (one for one in baseline if one.key != chosen.key)


def run(context: Context, arguments: EnlargeArguments) -> ToolResult:
    image = context.image(arguments.image)
    given = load(image, arguments.frame)
    shown = greys.windowed(given.pixels, greys.window_of(image, given.pixels), greys.function_of(image))
    where = place(arguments.image, image, arguments.frame)
    done = [
        (found, model_calls.perform(context, found, "enlarge", [Image(shown)], {"scale": arguments.factor}))
        for found in _methods(context.conversation, arguments.model, arguments.factor)
    ]
    artifacts = [
        pictures.artifact(picture, f"{where}, {found.name}", image, values=one.result.values)
        for found, one in done
        for picture in one.result.pictures
    ]
    statements = [
        Statement(_said(where, found, one.result), f"{context.ref}.{number}")
        for number, (found, one) in enumerate(done, 1)
    ]
    notes = list(dict.fromkeys(note for _, one in done for note in one.result.notes))
    alone = [] if any(not found.built_in for found, _ in done) else [ONLY_BASELINE.format(factor=arguments.factor)]
    return ToolResult(
        summary=f"{where} enlarged by {arguments.factor}",
        statements=statements,
        notes=[MEASURED, *notes, *alone],
        artifacts=artifacts,
        model=", ".join(found.name for found, _ in done),
        records=[one.record.as_dict() for _, one in done],
    )


def _said(where: str, found: Checkpoint, result: Result) -> str:
    height, width = result.pictures[0].pixels.shape[:2]
    values = result.values
    measured = f", PSNR {values['psnr_db']:.1f} dB and SSIM {values['ssim']:.3f}" if "ssim" in values else ""
    return f"{where} was enlarged to {width} x {height} pixels by {found.name}{measured}."


TOOL = Tool(
    name="enlarge_image",
    description="Enlarge an image by 2 or 4, by Lanczos and by a super-resolution model where one is configured, with "
    "PSNR and SSIM measured on the image itself.",
    arguments=EnlargeArguments,
    queue="vision",
    run=run,
    missing=lambda: checkpoints_in_use.missing(ROLE, WHAT),
    role=lambda _: ROLE,
    shows_a_model=True,
)
