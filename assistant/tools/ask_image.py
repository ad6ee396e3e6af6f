"""A question about images, answered by a vision-language model behind the OpenAI protocol, when one is configured."""

from typing import TYPE_CHECKING, Annotated, Self

from django.conf import settings
from pydantic import Field, model_validator

from assistant import served
from assistant.chat_setting import ChatSetting
from assistant.tools.base import NOT_CONFIGURED, Context, Declined, ImageArguments, Statement, Tool, ToolResult

if TYPE_CHECKING:
    from inference.shown import Shown

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


def served_missing(what: str) -> str:
    """Nothing when a vision-language model is served, else the line that configures one."""
    if settings.VQA_MODEL:
        return ""
    return (
        f"{what} is {NOT_CONFIGURED}. Serve a vision-language model (vllm serve MODEL), set "
        "LIGHTBOX_VQA=openai:http://127.0.0.1:8001/v1#MODEL and start Lightbox again."
    )


def missing() -> str:
    return served_missing("Visual question answering")


def run(context: Context, arguments: AskImageArguments) -> ToolResult:
    from inference.routing import Routed
    from inference.vllm import OpenAIAnswerer

    asked = ChatSetting.parse(settings.VQA_MODEL)
    longest = served.longest_side(asked.model)
    seen = [one for name in arguments.names for one in _seen(context, name, arguments, longest)]
    if len(seen) > MOST:
        raise Declined(TOO_MANY.format(count=len(seen), most=MOST))
    answerer = OpenAIAnswerer(asked.base_url, asked.model, longest=longest, transport=Routed(served.seeing_pool))
    said = " ".join(answerer.answer(seen, arguments.question).split())
    lines = "; ".join(one.line for one in seen)
    return ToolResult(
        summary=said[:100],
        statements=[Statement(f"{asked.model} answers: {said}", context.ref)],
        notes=[
            f"It was shown: {lines}.",
            "This is what a model said on seeing the images; nothing here has checked it.",
        ],
        model=asked.model,
    )


def _seen(context: Context, name: str, arguments: AskImageArguments, longest: int) -> "list[Shown]":
    """Slices are chosen of what has slices; single images beside it are shown as they are."""
    from assistant.shown import shown

    image = context.image(name)
    single = image.frames == 1 and len(arguments.names) > 1
    return shown(image, name, () if single else arguments.slices, longest)


TOOL = Tool(
    name="ask_image",
    description="Ask the configured vision-language model a question about an image, or several seen together.",
    arguments=AskImageArguments,
    queue="vision",
    run=run,
    missing=missing,
    shows_a_model=True,
)
