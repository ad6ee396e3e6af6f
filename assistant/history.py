"""A conversation's active branch as LangChain messages: what the chat model is given."""

from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages import ToolCall as ModelCall

from assistant.models import ConversationImage, Image, Message, Run, ToolCall
from inference.allowed import sentence
from inference.types import Decoded

Names = dict[Any, str]  # image key -> img<number>


def history(run: Run, with_pixels: bool) -> list[BaseMessage]:
    """Oldest first, ending with the question of this run. `with_pixels` adds the images as data URLs."""
    numbered = ConversationImage.objects.filter(conversation=run.conversation_id)
    names: Names = {row.image_id: str(row) for row in numbered}
    messages: list[BaseMessage] = []
    for message in _path(run.message):
        if message.role == Message.USER:
            messages.append(_question(message, names, with_pixels))
        else:
            messages += _answered(message)
    return messages


def _path(leaf: Message) -> list[Message]:
    path = [leaf]
    while (parent := path[-1].parent) is not None:
        path.append(parent)
    return path[::-1]


def _question(message: Message, names: Names, with_pixels: bool) -> HumanMessage:
    images = list(message.images.all())
    notes = [f"{names[image.pk]}: {_describe(image)}" for image in images]
    text = message.text + ("\n\nAttached images:\n" + "\n".join(notes) if notes else "")
    content: list[str | dict[str, Any]] = [{"type": "text", "text": text}]
    if with_pixels:
        content += [{"type": "image_url", "image_url": {"url": _url(image)}} for image in images]
    attached = {image.pk for image in images}
    known = [{"name": name, "attached": key in attached} for key, name in names.items()]
    return HumanMessage(
        content=content if with_pixels and images else text,
        additional_kwargs={"question": message.text, "images": known},
    )


def _describe(image: Image) -> str:
    """What the model is told beside the pixels: nothing but the allow-list, never the name of the file."""
    return sentence(Decoded.from_dict(image.decoded))


def _url(image: Image) -> str:
    from inference.vllm import data_url

    with image.preview.open("rb") as file:
        return str(data_url(file.read()))


def _answered(message: Message) -> list[BaseMessage]:
    """An earlier answer with the tool results it stood on, so that a later question can build on them."""
    run = Run.objects.filter(answer=message).first()
    calls = list(run.tool_calls.exclude(state__in=ToolCall.UNFINISHED)) if run else []
    asked: list[BaseMessage] = []
    if calls:
        requests = [ModelCall(name=c.name, args=c.arguments, id=f"c{c.number}", type="tool_call") for c in calls]
        asked = [AIMessage(content="", tool_calls=requests)]
        asked += [ToolMessage(content=c.text or c.state, tool_call_id=f"c{c.number}", name=c.name) for c in calls]
    return [*asked, AIMessage(content=message.text or message.note or "(no answer)")]
