"""What stands beside the chat: the image with its masks, and the sources of an answer. All of it read from rows."""

import uuid
from dataclasses import dataclass
from typing import Any

from assistant.models import Annotation, Artifact, Conversation, Image, Message, ToolCall
from corpus.models import Passage

# Okabe and Ito (2008), without black, and without the bluish green that stands too near to the page's accent.
MASK_COLOURS = ("#e69f00", "#56b4e9", "#f0e442", "#cc79a7", "#d55e00", "#0072b2")
ANNOTATIONS_BEGIN = 3  # their colours begin half-way round, so that a correction differs from what it corrects
SIDES = {"L": "L", "R": "R", "A": "A", "P": "P", "H": "H", "F": "F"}
OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}


def colour_of(artifact: Artifact) -> int:
    """1 to 6: the mask's place in MASK_COLOURS, and the number of its CSS class."""
    return colour_at(artifact.number)


def colour_at(number: int) -> int:
    return (number - 1) % len(MASK_COLOURS) + 1


@dataclass(frozen=True, slots=True)
class Layer:
    """One mask over the image; `shown` at first, `lit` when its chip was opened."""

    artifact: Artifact
    colour: int
    shown: bool
    lit: bool


def image_pane(conversation: Conversation, image: Image | None = None, lit: Artifact | None = None) -> dict[str, Any]:
    """The context of pane_image.html. Without an image: the one the chat got last."""
    rows = list(conversation.numbered_images.select_related("image"))
    if image is None and rows:
        image = rows[-1].image
    return {
        "conversation": conversation,
        "numbered_images": rows,
        "image": image,
        "layers": _layers(conversation, image, lit) if image else [],
        "lit": lit,
        "sides": sides(image) if image else None,
    }


def _layers(conversation: Conversation, image: Image, lit: Artifact | None) -> list[Layer]:
    """The masks of this image in this chat. Those of the newest call are shown, earlier ones wait in the list."""
    masks = list(
        Artifact.objects.filter(tool_call__run__conversation=conversation, image=image, kind=Artifact.MASK)
        .select_related("tool_call")
        .order_by("tool_call__number", "number")
    )
    call = (lit or masks[-1]).tool_call_id if masks else None
    return [Layer(m, colour_of(m), m.tool_call_id == call, lit is not None and m.pk == lit.pk) for m in masks]


def sides(image: Image) -> dict[str, str] | None:
    """The letters at the screen's left and right edge, when the file says how the patient lies."""
    orientation = image.decoded.get("orientation")
    if not orientation or (right := str(orientation[0])[:1]) not in SIDES:
        return None
    return {"left": OPPOSITE[right], "right": SIDES[right]}


def numbered(references: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each piece of evidence once, in the order of its number, with a title to show."""
    by_n: dict[int, dict[str, Any]] = {}
    for reference in references:
        title = reference.get("title") or reference.get("label") or reference["ref"]
        by_n.setdefault(reference["n"], {**reference, "title": title})
    return [by_n[n] for n in sorted(by_n)]


def sources_pane(message: Message | None, n: int | None = None) -> dict[str, Any]:
    """The context of pane_sources.html: the list, and the opened one with its neighbours. KeyError: no such number."""
    references = [r for r in numbered(message.references) if r["verified"]] if message else []
    context: dict[str, Any] = {"message": message, "references": references}
    if n is None:
        return context
    at = next((i for i, reference in enumerate(references) if reference["n"] == n), None)
    if at is None or message is None:
        raise KeyError(n)
    return context | {
        "opened": references[at],
        "evidence": evidence(message, references[at]),
        "before": references[at - 1] if at else None,
        "after": references[at + 1] if at + 1 < len(references) else None,
    }


def evidence(message: Message, reference: dict[str, Any]) -> dict[str, Any]:
    """What a reference opens. Each row is looked up within the conversation of the message, whatever the JSON says."""
    if reference["kind"] == "passage":
        return _passage(reference, message.conversation.owner_id)
    if reference.get("annotation_id"):
        marks = Annotation.objects.filter(image__conversationimage__conversation=message.conversation_id)
        mark = marks.select_related("image", "corrects").filter(pk=uuid.UUID(reference["annotation_id"])).first()
        return {"annotation": mark, "ref": reference["ref"]}
    calls = ToolCall.objects.filter(run__conversation=message.conversation_id).select_related("report", "run")
    if reference.get("artifact_id"):
        artifact = Artifact.objects.filter(
            pk=uuid.UUID(reference["artifact_id"]), tool_call__run__conversation=message.conversation_id
        )
        found = artifact.select_related("tool_call__run", "image").first()
        return {"artifact": found, "call": calls.filter(pk=found.tool_call_id).first() if found else None}
    return {"call": calls.filter(pk=uuid.UUID(reference["tool_call_id"])).first()}


def _passage(reference: dict[str, Any], reader: int) -> dict[str, Any]:
    """The passage with its quotation, if the owner of the conversation may read it: JSON is no permission."""
    readable = Passage.objects.visible_to(reader).select_related("paper")
    passage = readable.filter(pk=reference["passage_id"]).first()
    if passage is None:
        return {"passage": None}
    start, end = reference.get("start", 0), reference.get("end", 0)
    return {
        "passage": passage,
        "paper": passage.paper,
        "head": passage.text[:start],
        "quote": passage.text[start:end],
        "tail": passage.text[end:],
    }
