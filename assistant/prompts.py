"""Prompts drawn in the viewer as a call of the tool `segment`, made by a person, and as words for the chat."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from assistant.models import ConversationImage
from assistant.tools import segment
from assistant.tools.base import clean_label
from inference.errors import BadInput

FIELDS = ("frame", "box", "points", "lasso", "refine", "label")
NOT_UNDERSTOOD = "These marks cannot be used: {wrong}."


def as_call(row: ConversationImage, body: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """(the tool's name, the question in words, the arguments). Raises BadInput for marks that do not fit the image."""
    given = {name: body[name] for name in FIELDS if body.get(name) is not None}
    given["box"] = _box(given.get("box"))
    given["lasso"] = [_corner(corner) for corner in _list(given.get("lasso"))]
    try:
        arguments = segment.SegmentArguments.model_validate({"image": str(row), **given}, strict=False)
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(map(str, wrong["loc"])) or "request"
        raise BadInput(NOT_UNDERSTOOD.format(wrong=f"{where}: {wrong['msg']}"[:300])) from error
    segment.check(row.image, arguments)
    named = f" as {name}" if (name := clean_label(arguments.label)) else ""
    where = segment.place(str(row), row.image, arguments.frame)
    text = f"Segment the marked region on {where}{named}: {segment.marks_in_words(arguments)}"
    return segment.TOOL.name, text, arguments.model_dump(exclude_defaults=True)


def _list(value: Any) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise BadInput(NOT_UNDERSTOOD.format(wrong="lasso is not a list of corners"))
    return value or []


def _box(value: Any) -> Any:
    """[x0, y0, x1, y1] with names; what is named already stays as it is, and is checked by the schema."""
    named = isinstance(value, list) and len(value) == 4
    return dict(zip(("x0", "y0", "x1", "y1"), value, strict=True)) if named else value


def _corner(value: Any) -> Any:
    return dict(zip(("x", "y"), value, strict=True)) if isinstance(value, list) and len(value) == 2 else value
