"""What a tool is. One tool, one file beside this one, one line in the registry (`assistant.tools`).

A tool returns statements: sentences that stand on evidence it made, each with the name of that evidence. They are what
the chat model reads, what the guide writes from, and what a report is drafted from, so no answer needs to be parsed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from assistant.models import Artifact, Conversation, ConversationImage, Image, ToolCall
from inference import types
from inference.checkpoints import Checkpoint
from inference.decode import GONE, NO_FRAME, as_image
from inference.errors import BadInput

NOT_CONFIGURED = "not configured"
EXPERT = "expert"  # the queue of calls that wait for the worker of a model
LABEL = 120  # characters of a name
NO_GRID = (
    "The pixels of this image are not kept as one grid (a slide is read tile by tile), so this cannot be done on it."
)


class Declined(Exception):
    """The tool is not made for this request or not configured; the text is one line with the reason."""


class Arguments(BaseModel):
    """Base of every tool's arguments. What is not in the schema is refused, whoever sends it."""

    model_config = ConfigDict(extra="forbid")


class ModelArguments(Arguments):
    model: str = Field(default="", max_length=120, description="the key of a checkpoint, where the user names one")


class ImageArguments(Arguments):
    image: str = Field(description="the image's name in this conversation, such as img1", pattern=r"^img\d{1,4}$")

    @property
    def names(self) -> list[str]:
        """Every image that the tool looks at."""
        return [self.image]


def clean_label(text: str) -> str:
    """A name that a person or a model gave, as one line without what the page would take for a marker."""
    kept = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(kept.replace("[[", "[").replace("]]", "]").split())[:LABEL].strip()


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence and the evidence it stands on: `c3` (this call), `c3.1` (its first artifact) or `p12` (a passage).

    `in_table`: a cell of the result's table says the same.
    """

    text: str
    ref: str
    in_table: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {"text": self.text, "ref": self.ref} | ({"in_table": True} if self.in_table else {})


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """Something for the page. `png` is the bytes of a mask of the image's own size, or of a picture
    (`assistant.pictures.artifact`); `mask` is that of a whole volume, (S, H, W) uint8, 0 or 255."""

    kind: str
    label: str
    image: Image | None = None
    png: bytes | None = None
    data: dict[str, Any] = field(default_factory=dict)
    mask: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """`summary` is one short line for the page; `notes` are limits that whoever uses the statements must say.

    `records` are those of the checkpoints that were called (`inference.jobs.Record`): the page shows them.
    """

    summary: str
    statements: list[Statement]
    model: str
    notes: list[str] = field(default_factory=list)
    artifacts: list[NewArtifact] = field(default_factory=list)
    passages: list[dict[str, Any]] = field(default_factory=list)
    table: dict[str, Any] = field(default_factory=dict)
    answerable: bool = True
    records: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Context:
    """The call at hand, and the only way from a tool to an image."""

    call: ToolCall

    @property
    def ref(self) -> str:
        return f"c{self.call.number}"

    @property
    def conversation(self) -> Conversation:
        return self.call.run.conversation

    @property
    def reader(self) -> int:
        """Whose literature may be searched: the primary key of the conversation's owner."""
        return self.conversation.owner_id

    def image(self, name: str) -> Image:
        """The image of this conversation with this name. Raises Declined for any other."""
        return image_of(self.conversation, name)


def drawn(image: Image, line: types.Line, frame: int = 0) -> NewArtifact:
    """A line of a tool on a frame, as a measured length is shown."""
    value = {"name": "length", "value": line.length, "unit": "px" if line.length_mm is None else "mm"}
    data = {"frame": frame, "points": [[line.x0, line.y0], [line.x1, line.y1]], "values": [value]}
    return NewArtifact(Artifact.LINE, line.label, image, data=data)


def image_of(conversation: Conversation, name: str) -> Image:
    """The image that a conversation calls img1. Raises Declined when it has none of this name."""
    rows = ConversationImage.objects.filter(conversation=conversation).select_related("image")
    row = rows.filter(number=int(name.removeprefix("img"))).first()
    if row is None:
        raise Declined(f"There is no {name} in this conversation.")
    return row.image


def load(image: Image, frame: int = 0) -> types.Image:
    """One frame of the decoded pixels, from 0, with what is known of them, a person's word first. Of a volume nothing
    else is read.

    Raises BadInput when there is no such frame, or no pixels.
    """
    decoded = image.facts
    if not image.pixels:
        raise BadInput(NO_GRID)
    if not 0 <= frame < image.frames:
        raise BadInput(NO_FRAME.format(frame=frame + 1, frames=image.frames))
    try:
        with image.pixels.open("rb") as file:
            pixels = _frame(file, frame if decoded.layout in ("frames", "volume") else None, decoded.volumes > 1)
    except (OSError, ValueError) as error:
        raise BadInput(GONE) from error
    kind = image.kind_of()
    told = decoded.modality if decoded.modality not in ("OT", "SC") else "unknown"
    known = replace(
        decoded,
        modality=kind.modality or told,
        body_part=kind.body_part or (None if image.said else decoded.body_part),
        view=kind.view or (None if image.said else decoded.view),
    )
    return as_image(pixels, replace(known, layout="image", volumes=1))


def _frame(file: Any, frame: int | None, in_time: bool) -> NDArray[Any]:
    """The array of an .npy file, or frame `frame` of it (of the first time point), by its place in the file."""
    np.lib.format.read_magic(file)
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject or by_columns:
        raise ValueError("not written by inference.decode")
    shape = shape[1:] if in_time else shape
    if frame is not None:
        shape = shape[1:]
        file.seek(frame * int(np.prod(shape)) * dtype.itemsize, 1)
    found = np.frombuffer(file.read(int(np.prod(shape)) * dtype.itemsize), dtype=dtype)
    return found.reshape(shape)


@dataclass(frozen=True, slots=True)
class Accepts:
    """The kinds of image that a tool works on, in DICOM's codes; an empty set accepts any. `works_on` says it in words.

    A modality, body part or view that is not known is accepted with a note, but with `unknown_ok` False. `or_else` are
    other kinds that will do as well.
    """

    works_on: str = "any image"
    modalities: frozenset[str] = frozenset()
    body_parts: frozenset[str] = frozenset()
    views: frozenset[str] = frozenset()
    layouts: frozenset[str] = frozenset()
    unknown_ok: bool = True
    or_else: tuple["Accepts", ...] = ()

    @property
    def every_layout(self) -> frozenset[str]:
        """The layouts that are accepted in one way or another; an empty set accepts any."""
        each = [self.layouts, *(other.every_layout for other in self.or_else)]
        return frozenset().union(*each) if all(each) else frozenset()

    def refuses(self, kind: types.Gate, layout: str) -> bool:
        """Whether an image is known to be of another kind, or not known and has to be."""
        return self._refuses(kind, layout) and all(other.refuses(kind, layout) for other in self.or_else)

    def _refuses(self, kind: types.Gate, layout: str) -> bool:
        if self.layouts and layout not in self.layouts:
            return True
        wanted = ((self.modalities, kind.modality), (self.body_parts, kind.body_part), (self.views, kind.view))
        if any(known and codes and not _any_of(codes, known) for codes, known in wanted):
            return True
        return bool(self.modalities) and not kind.modality and not self.unknown_ok

    def untold(self, kind: types.Gate) -> bool:
        """Whether a part of what this asks for is not known. The view is not: hardly any file names it."""
        return bool((self.modalities and not kind.modality) or (self.body_parts and not kind.body_part))


EVERYTHING = Accepts()


def _any_of(codes: frozenset[str], known: str) -> bool:
    return any(part.strip() in codes for part in known.upper().split(","))


@dataclass(frozen=True, slots=True)
class Tool:
    """`missing()` is empty when the tool can work, else the line that configures it. `accepts` gives the images that
    suit a call with these arguments: others are declined before `run` (`assistant.tools.gate`), which may raise
    Declined or any InferenceError."""

    name: str
    description: str
    arguments: type[Arguments]
    queue: str
    run: Callable[[Context, Any], ToolResult]
    missing: Callable[[], str] = lambda: ""
    accepts: Callable[[Any], Accepts] = lambda _: EVERYTHING
    shows_a_model: bool = False  # its image's pixels: refused while text in them is not settled
    # The role of the checkpoint that a call with these arguments asks for: with weights, it waits on the queue EXPERT.
    role: Callable[[Any], str] = lambda _: ""
    # Where the role alone does not decide (a structure by name): the checkpoint of a call. Raises Declined.
    choose: Callable[[Conversation, Any], Checkpoint] | None = None
