"""Before a tool looks at an image: does it work on this kind of image? A mismatch is declined, with what to do."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from assistant.models import Conversation, Image
from assistant.tools.base import Accepts, Declined, ImageArguments, Tool, ToolResult
from inference.checkpoints import Checkpoint
from inference.kinds import name_of, signs_of
from inference.types import Gate

CORRECT = "If that is wrong, correct it under the image."
NOT_SUITED = "{name} {is_a}, and {tool} works on {works_on}. {correct}"
UNTOLD = (
    "It cannot be told whether {name} is one of the {works_on} that {tool} works on. Say what it is under the image."
)
NOTE = "It is not known whether {name} is of the kind that this tool is made for: {works_on}."
LAYOUTS = {
    "volume": "is a volume",
    "frames": "has several frames",
    "slide": "is a whole slide",
    "image": "is a single image",
}


def refusal(tool: Tool, arguments: Any, image: Image, name: str) -> str:
    """Why this call does not suit the image, in a sentence or two, or nothing."""
    return refusal_of(tool.name, tool.accepts(arguments), image, name)


def check(found: Checkpoint, image: Image, name: str) -> list[str]:
    """Whether a checkpoint is made for this image, by its entry in the catalogue: a note where that cannot be told.

    Raises Declined with the reason when it is not.
    """
    accepts = Accepts(
        works_on=found.works_on,
        modalities=found.modalities,
        body_parts=found.body_parts,
        views=found.views,
        layouts=found.layouts,
    )
    if line := refusal_of(found.name, accepts, image, name):
        raise Declined(line)
    return [NOTE.format(name=name, works_on=found.works_on)] if accepts.untold(image.kind_of()) else []


def refusal_of(who: str, accepts: Accepts, image: Image, name: str) -> str:
    """The same for whoever accepts what."""
    kind = image.kind_of()
    if not accepts.refuses(kind, image.layout):
        return ""
    words = {"name": name, "tool": who, "works_on": accepts.works_on}
    if accepts.every_layout and image.layout not in accepts.every_layout:
        return NOT_SUITED.format(is_a=LAYOUTS[image.layout], correct="", **words).rstrip()
    if not kind.modality and not kind.body_part and not kind.view:
        return UNTOLD.format(**words)
    return NOT_SUITED.format(is_a=_is_a(kind), correct=CORRECT, **words)


def _is_a(kind: Gate) -> str:
    what = name_of(kind, article=True) or f"shows the {kind.body_part.lower()}"
    if kind.source == "header":
        return f"is {what} by its header"
    if kind.source == "person":
        return f"is {what}, as was said under it"
    return f"looks like {what} (confidence {': '.join(filter(None, (f'{kind.confidence:.2f}', signs_of(kind))))})"


def with_note(result: ToolResult, tool: Tool, arguments: Any, image: Image, name: str) -> ToolResult:
    """The result, saying so when it was not known that the image suits the tool."""
    accepts = tool.accepts(arguments)
    if not accepts.untold(image.kind_of()):
        return result
    note = NOTE.format(name=name, works_on=accepts.works_on)
    return replace(result, notes=[*result.notes, note])


def declines(tools: Iterable[Tool], image: Image, name: str) -> dict[str, str]:
    """The tools that would decline this image when called with nothing but its name, and why."""
    found = {}
    for tool in tools:
        if not issubclass(tool.arguments, ImageArguments):
            continue
        asked = tool.arguments.model_construct(image=name)
        if why := refusal(tool, asked, image, name):
            found[tool.name] = why
    return found


def all_declines(tools: Iterable[Tool], conversation: Conversation) -> list[str]:
    """What the guide may have said of the images of a conversation in place of a call."""
    rows = conversation.numbered_images.select_related("image")
    return [why for row in rows for why in declines(tools, row.image, str(row)).values()]
