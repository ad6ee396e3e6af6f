"""A question about images, answered by a vision-language model behind the OpenAI protocol, when one is configured."""

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from assistant.tools import seeing
from assistant.tools.base import Context, Declined, ImageArguments, Statement, Tool, ToolResult
from assistant.tools.seeing import Seeing

if TYPE_CHECKING:
    from inference.shown import Shown

ROLE, WHAT = "vqa", "Visual question answering"
MOST = 8  # pictures in one question
TOO_MANY = (
    "This question would show {count} pictures to the model; it takes at most {most}. Name fewer images or slices."
)


class AskImageArguments(ImageArguments):
    image: str = Field(default="", description="the image's name, such as img1", pattern=r"^(img\d{1,4})?$")
    images: list[Annotated[str, Field(pattern=r"^img\d{1,4}$")]] = Field(
        default_factory=list, max_length=MOST, description="several images to be seen together, such as [img1, img2]"
    )
    slices: list[Annotated[int, Field(ge=1)]] = Field(
        default_factory=list,
        max_length=MOST,
        description="of a volume, the numbers of the slices to show, from 1; without them a grid of slices is shown",
    )
    question: str = Field(min_length=3, max_length=2000, description="one question about what the images show")

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.names:
            raise ValueError("name an image")
        return self

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys([*([self.image] if self.image else []), *self.images]))


def missing() -> str:
    return seeing.missing(ROLE, WHAT)


def run(context: Context, arguments: AskImageArguments) -> ToolResult:
    asked = seeing.choose(ROLE, WHAT, context.conversation)
    seen = [one for name in arguments.names for one in _seen(context, asked, name, arguments)]
    if len(seen) > MOST:
        raise Declined(TOO_MANY.format(count=len(seen), most=MOST))
    said = " ".join(asked.answerer().answer(seen, arguments.question).split())
    lines = "; ".join(one.line for one in seen)
    return ToolResult(
        summary=said[:100],
        statements=[Statement(f"{asked.model} answers: {said}", context.ref)],
        notes=[
            f"It was shown: {lines}.",
            "This is what a model said on seeing the images; nothing here has checked it.",
        ],
        model=asked.model,
        records=[asked.record],
    )


def _seen(context: Context, asked: Seeing, name: str, arguments: AskImageArguments) -> "list[Shown]":
    """Slices are chosen of what has slices; single images beside it are shown as they are."""
    image = context.image(name)
    single = image.frames == 1 and len(arguments.names) > 1
    return asked.shown(image, name, () if single else arguments.slices)


TOOL = Tool(
    name="ask_image",
    description="Ask the configured vision-language model a question about an image, or several seen together.",
    arguments=AskImageArguments,
    queue="vision",
    run=run,
    missing=missing,
    shows_a_model=True,
)
