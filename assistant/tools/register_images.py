"""Two images or volumes of the conversation laid on one another, without a trained model."""

from pydantic import Field

from assistant import checkpoints_in_use, model_calls, pictures
from assistant.models import Image
from assistant.tools.base import Context, Declined, ModelArguments, Statement, Tool, ToolResult, load
from assistant.tools.segment import place
from assistant.tools.volume import volume
from inference.measure import AT_THE_DETECTOR
from inference.registration import Kind, Metric
from inference.types import Result

NAME = r"^img\d{1,4}$"
ROLE, WHAT = "register", "Registration"
TRANSFORMS = {"rigid": "a rigid transform", "affine": "an affine transform", "bspline": "an affine and B-spline one"}
MEASURES = {
    "mutual-information": "normalised mutual information (1 to 2)",
    "correlation": "Pearson's correlation (-1 to 1)",
}
MIXED = (
    "{fixed} is {one} and {moving} is {other}: choose two images, or two volumes; or name the slice of each "
    "(fixed_frame, moving_frame)."
)
ITSELF = "An image cannot be aligned with itself: name two."


class RegisterArguments(ModelArguments):
    fixed: str = Field(description="the image that stays, such as img1", pattern=NAME)
    moving: str = Field(description="the image that is moved onto it, such as img2", pattern=NAME)
    transform: Kind = Field(default="rigid", description="rigid: turned and shifted; affine: scaled too; bspline: bent")
    metric: Metric = Field(
        default="mutual-information", description="mutual-information suits any two; correlation one modality only"
    )
    fixed_frame: int | None = Field(default=None, ge=0, le=1_000_000, description="one frame or slice, from 0")
    moving_frame: int | None = Field(default=None, ge=0, le=1_000_000, description="one frame or slice, from 0")


def _whole(image: Image, frame: int | None) -> bool:
    return image.layout == "volume" and frame is None


def run(context: Context, arguments: RegisterArguments) -> ToolResult:
    if arguments.fixed == arguments.moving and arguments.fixed_frame == arguments.moving_frame:
        raise Declined(ITSELF)
    found = checkpoints_in_use.choose(ROLE, WHAT, context.conversation, arguments.model)
    named = [
        (arguments.fixed, context.image(arguments.fixed), arguments.fixed_frame),
        (arguments.moving, context.image(arguments.moving), arguments.moving_frame),
    ]
    whole = [_whole(image, frame) for _, image, frame in named]
    if whole[0] != whole[1]:
        one, other = ("a volume" if is_whole else "a single image" for is_whole in whole)
        raise Declined(MIXED.format(fixed=arguments.fixed, moving=arguments.moving, one=one, other=other))
    both = [
        volume(image, name) if whole[0] else load(image, frame if frame is not None else 0)
        for name, image, frame in named
    ]
    places = [name if whole[0] else place(name, image, frame or 0) for name, image, frame in named]
    options = {"transform": arguments.transform, "metric": arguments.metric}
    done = model_calls.perform(context, found, "register", both, options)
    source = f"{places[1]} laid on {places[0]} by {TRANSFORMS[arguments.transform]}"
    fixed = named[0][1]
    return ToolResult(
        summary=f"{places[1]} on {places[0]}: {done.result.text}"[:200],
        statements=_statements(done.result, places, arguments, context.ref),
        notes=[*done.result.notes, *_detector([image for _, image, _ in named], done.result)],
        artifacts=[
            pictures.artifact(one, source, fixed, planes=whole[0], values=done.result.values)
            for one in done.result.pictures
        ],
        model=found.name,
        records=[done.record.as_dict()],
    )


def _detector(images: list[Image], result: Result) -> list[str]:
    in_mm = "shift_x_mm" in result.values
    at = [image for image in images if image.facts.spacing and image.facts.spacing.source == "ImagerPixelSpacing"]
    return [AT_THE_DETECTOR] if in_mm and at else []


def _statements(result: Result, places: list[str], arguments: RegisterArguments, ref: str) -> list[Statement]:
    after, before = result.values["similarity_after"], result.values.get("similarity_before")
    measure = MEASURES[arguments.metric]
    was = f"{before:.3f} as they were, " if before is not None else "the two did not overlap as they were, "
    return [
        Statement(f"To lie on {places[0]}, {places[1]} is {result.text}.", f"{ref}.1"),
        Statement(f"How alike the two are, by {measure}: {was}{after:.3f} after the alignment.", f"{ref}.2"),
    ]


TOOL = Tool(
    name="register_images",
    description="Align two images or two volumes of the conversation (rigid, affine or B-spline): the moved image, a "
    "checkerboard, a difference, how it was moved and how alike they are before and after.",
    arguments=RegisterArguments,
    queue="vision",
    run=run,
    missing=lambda: checkpoints_in_use.missing(ROLE, WHAT),
    role=lambda _: ROLE,
)
