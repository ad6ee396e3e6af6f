"""A question about an image, answered by a vision-language model behind the OpenAI protocol, when one is configured."""

from django.conf import settings
from pydantic import Field

from assistant import served
from assistant.chat_setting import ChatSetting
from assistant.tools.base import NOT_CONFIGURED, Context, ImageArguments, Statement, Tool, ToolResult


class AskImageArguments(ImageArguments):
    question: str = Field(min_length=3, max_length=2000, description="one question about what the image shows")


def missing() -> str:
    if settings.VQA_MODEL:
        return ""
    return (
        f"Visual question answering is {NOT_CONFIGURED}. Serve a vision-language model (vllm serve MODEL), set "
        "LIGHTBOX_VQA=openai:http://127.0.0.1:8001/v1#MODEL and start Lightbox again."
    )


def run(context: Context, arguments: AskImageArguments) -> ToolResult:
    from inference.routing import Routed
    from inference.vllm import OpenAIAnswerer

    asked = ChatSetting.parse(settings.VQA_MODEL)
    answerer = OpenAIAnswerer(asked.base_url, asked.model, transport=Routed(served.seeing_pool))
    with context.image(arguments.image).preview.open("rb") as file:
        answer = answerer.answer([file.read()], arguments.question)
    said = " ".join(answer.split())
    return ToolResult(
        summary=said[:100],
        statements=[Statement(f"{asked.model} answers: {said}", context.ref)],
        notes=["This is what a model said on seeing the image; nothing here has checked it."],
        model=asked.model,
    )


TOOL = Tool(
    name="ask_image",
    description="Ask the configured vision-language model a question about an image.",
    arguments=AskImageArguments,
    queue="vision",
    run=run,
    missing=missing,
    shows_a_model=True,
)
