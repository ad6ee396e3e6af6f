"""What stands beside the chat: the image with its masks, and the sources of an answer. All of it read from rows."""

import uuid
from typing import Any

from assistant import viewing
from assistant.models import Annotation, Artifact, Conversation, ConversationImage, Image, Message, ToolCall
from corpus.models import Passage


def image_pane(
    conversation: Conversation,
    image: Image | None = None,
    lit: Artifact | Annotation | None = None,
    frame: int | None = None,
) -> dict[str, Any]:
    """The context of pane_image.html. Without an image: the one the chat got last. `frame`: for want of script."""
    rows = list(conversation.numbered_images.select_related("image"))
    if image is None and rows:
        image = rows[-1].image
    name = next((str(row) for row in rows if image and row.image_id == image.pk), "")
    return {
        "conversation": conversation,
        "numbered_images": rows,
        "image": image,
        "image_name": name,
        "layers": viewing.layers(conversation, image, lit, name) if image else [],
        "lit": lit,
        "edges": viewing.edges(image) if image else None,
        "version": viewing.version(image) if image else "",
        "priors": _priors(image, rows) if image else None,
        "frame": _frame(image, frame) if image else None,
    }


PRIORS_OFFERED = 50


def _priors(image: Image, rows: list[ConversationImage]) -> dict[str, list[Image]]:
    """What this image can be put beside: linked priors, the chat's other images, and the owner's other studies."""
    linked = list(Image.objects.filter(study__in=image.study.priors.all(), owner=image.owner_id))
    known = {image.pk, *(prior.pk for prior in linked)}
    here = [row.image for row in rows if row.image_id not in known]
    others = Image.objects.filter(owner=image.owner_id).exclude(study=image.study_id).exclude(pk__in=known)
    return {"linked": linked, "here": here, "others": list(others[:PRIORS_OFFERED])}


def _frame(image: Image, asked: int | None) -> dict[str, Any] | None:
    """The frame that is shown without script, with its neighbours; None for an image of one frame."""
    if image.frames < 2 or image.layout == "slide":
        return None
    first = image.frames // 2 if image.layout == "volume" else 0
    n = first if asked is None else min(max(asked, 0), image.frames - 1)
    after = n + 1 if n + 1 < image.frames else None
    return {"n": n, "before": n - 1 if n else None, "after": after, "asked": asked is not None}


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
        call = calls.filter(pk=found.tool_call_id).first() if found else None
        return {"artifact": found, "call": call, "found_images": _found_images(found, message.conversation.owner_id)}
    return {"call": calls.filter(pk=uuid.UUID(reference["tool_call_id"])).first()}


def _found_images(artifact: Artifact | None, owner: int) -> list[dict[str, Any]]:
    """The images that a search has listed, as far as they are still there and the owner's: JSON is no permission."""
    listed = artifact.data.get("images", []) if artifact and artifact.kind == Artifact.TABLE else []
    rows = {str(image.pk): image for image in Image.objects.filter(owner=owner, pk__in=[one["id"] for one in listed])}
    return [one | {"image": rows[one["id"]]} for one in listed if one["id"] in rows]


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
