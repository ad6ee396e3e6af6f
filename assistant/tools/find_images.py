"""The user's own images that look like one, or that a text describes, by the vectors of a model and FAISS."""

from typing import Any

import numpy as np
from pydantic import Field

from assistant import checkpoints_in_use, image_vectors, model_calls
from assistant.burned_in import why_held
from assistant.models import Artifact, Image
from assistant.tools.base import (
    NOT_CONFIGURED,
    Context,
    Declined,
    ImageArguments,
    ModelArguments,
    NewArtifact,
    Statement,
    Tool,
    ToolResult,
)
from inference.checkpoints import Checkpoint
from inference.types import Embedding

ROLE, WHAT = "retrieve", "Search for images"
ALONE = "There is no other image of yours to compare {name} with."
NONE_YET = "You have no images to search yet."
BY_TEXT = (
    f"Search for images by text is {NOT_CONFIGURED}. It needs a model of the CLIP family: manage.py models pull "
    "biomedclip, for example; the page Models lists more. Images can be found by an image without it."
)
SIMILARITY = "A similarity is the cosine between two vectors, at most 1; it is no probability that two show the same."


class SimilarArguments(ImageArguments, ModelArguments):
    limit: int = Field(default=10, ge=1, le=50, description="how many images to list")


class TextArguments(ModelArguments):
    text: str = Field(min_length=3, max_length=300, description="what the images show, in a few words")
    limit: int = Field(default=10, ge=1, le=50, description="how many images to list")


def similar(context: Context, arguments: SimilarArguments) -> ToolResult:
    found = checkpoints_in_use.choose(ROLE, WHAT, context.conversation, arguments.model)
    image = context.image(arguments.image)
    if not found.built_in and (line := why_held(image, arguments.image)):
        raise Declined(line)
    others, notes = image_vectors.candidates(context, found, without=image)
    if not others:
        raise Declined(" ".join([ALONE.format(name=arguments.image), *notes]))
    vectors, records = image_vectors.of(context, found, [image, *others])
    ranked = _nearest(vectors[image.pk], others, vectors, arguments.limit)
    said = f"Of {_count(len(others))}, the most similar to {arguments.image} {{first}}"
    return _result(context, found, ranked, said, [*_limits(found), *notes], [one.as_dict() for one in records])


def by_text(context: Context, arguments: TextArguments) -> ToolResult:
    found = _with_words(context, arguments.model)
    images, notes = image_vectors.candidates(context, found)
    if not images:
        raise Declined(" ".join([NONE_YET, *notes]))
    asked = model_calls.perform(context, found, "embed_texts", [], {"texts": [arguments.text]})
    assert asked.result.vectors is not None
    vectors, records = image_vectors.of(context, found, images)
    ranked = _nearest(asked.result.vectors[0], images, vectors, arguments.limit)
    said = f"Of {_count(len(images))}, the nearest to “{arguments.text}” {{first}}"
    done = [one.as_dict() for one in (asked.record, *records)]
    return _result(context, found, ranked, said, [*_limits(found), *notes], done)


def _with_words(context: Context, key: str) -> Checkpoint:
    """A checkpoint that knows words: no baseline does. Raises Declined."""
    conversation = context.conversation
    if key:
        found = checkpoints_in_use.choose(ROLE, WHAT, conversation, key)
        if found.built_in:
            raise Declined(BY_TEXT)
        return found
    chosen = conversation.checkpoints.get(ROLE, "")
    able = [one for one in checkpoints_in_use.usable(ROLE) if not one.built_in]
    if not able:
        raise Declined(BY_TEXT)
    return next((one for one in able if one.key == chosen), able[0])


def _missing_words() -> str:
    return "" if any(not one.built_in for one in checkpoints_in_use.usable(ROLE)) else BY_TEXT


def _nearest(vector: Embedding, images: list[Image], vectors: dict[Any, Embedding], limit: int) -> list[Any]:
    from corpus.image_index import nearest

    return nearest(vector, images, np.stack([vectors[image.pk] for image in images]), limit)


def _count(count: int) -> str:
    return f"{count} of your images" if count > 1 else "one image of yours"


def _limits(found: Checkpoint) -> list[str]:
    if found.built_in:
        from inference.backends.appearance import LIMIT

        return [LIMIT, SIMILARITY]
    return [SIMILARITY]


def _result(
    context: Context, found: Checkpoint, ranked: list[tuple[Image, float]], said: str, notes: list[str], records: Any
) -> ToolResult:
    """File names are the user's own: they stand in the table for the page, and in nothing that a model reads."""
    numbered = {row.image_id: str(row) for row in context.conversation.numbered_images.all()}
    rows = [
        {"id": str(image.pk), "name": numbered.get(image.pk, ""), "similarity": round(score, 3)}
        for image, score in ranked
    ]
    best = f"{rows[0]['name']}, with" if rows[0]["name"] else "has"
    first = f"{'is ' if rows[0]['name'] else ''}{best} a similarity of {rows[0]['similarity']:.2f}"
    more = f"; the {len(rows)} nearest are listed" if len(rows) > 1 else ""
    return ToolResult(
        summary=f"{len(rows)} images, the nearest with similarity {rows[0]['similarity']:.2f}",
        statements=[Statement(said.format(first=first) + more + ".", f"{context.ref}.1")],
        notes=notes,
        artifacts=[NewArtifact(Artifact.TABLE, "similar images", data={"images": rows})],
        model=found.name,
        records=records,
    )


SIMILAR = Tool(
    name="find_similar_images",
    description="The user's own images that look most like an image of the conversation, each with a similarity.",
    arguments=SimilarArguments,
    queue="vision",
    run=similar,
    missing=lambda: checkpoints_in_use.missing(ROLE, WHAT),
    role=lambda _: ROLE,
)
TEXT = Tool(
    name="find_images_by_text",
    description="The user's own images that a few words describe best, each with a similarity.",
    arguments=TextArguments,
    queue="vision",
    run=by_text,
    missing=_missing_words,
    role=lambda _: ROLE,
)
