"""Which checkpoint outlines what: the one that is named, else the chat's choice where it fits, else the first that is
ready and knows the structure, or takes these prompts, on this kind of image. Baselines come last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from assistant import checkpoints_in_use
from assistant.models import Conversation, Image
from assistant.tools.base import EVERYTHING, Accepts, Declined
from inference import checkpoints
from inference.checkpoints import Checkpoint
from inference.structures import matching

if TYPE_CHECKING:
    from assistant.tools.segment import SegmentArguments

BY_NAME, PROMPTED = "segment", "prompted-segment"
WHAT = "Segmentation"
MOST_LABELS = 24

NOBODY = "No model that is configured here outlines: {structure}. {known}{later}{instead}"
KNOWN = "By name: {labels}. "
LATER = "{name} would. {line}. "
INSTEAD = "Mark it with a box, points or a lasso instead."
NOT_ITS_STRUCTURE = "{name} does not outline: {structure}. It knows: {labels}."
NOT_THIS_KIND = "{names} outlines {structure} on {works_on} only, and this image is of another kind."
NOT_THESE = "{name} takes {takes} only, not {given}."


def role(arguments: SegmentArguments) -> str:
    return PROMPTED if arguments.prompted else BY_NAME


def accepted(found: Checkpoint) -> Accepts:
    """The images that a checkpoint works on."""
    return Accepts(found.works_on, found.modalities, found.body_parts, found.views, found.layouts)


def accepts(arguments: SegmentArguments) -> Accepts:
    """What is marked is outlined on any image. By name: the kinds of every checkpoint that knows the structure, taken
    together; `choose` then looks at each. Where there is none, it says so."""
    if arguments.prompted:
        return EVERYTHING
    named = [c for c in checkpoints_in_use.usable(BY_NAME) if not arguments.model or c.key == arguments.model]
    return together([accepted(c) for c in named if matching(arguments.structure, c.labels)])


def together(kinds: list[Accepts]) -> Accepts:
    """Whatever one of them accepts."""
    if not kinds:
        return EVERYTHING
    works_on = " or ".join(dict.fromkeys(kind.works_on for kind in kinds))
    return replace(kinds[0], works_on=works_on, or_else=tuple(kinds[1:]))


def choose(conversation: Conversation, image: Image, arguments: SegmentArguments) -> Checkpoint:
    """Raises Declined with what can be done instead."""
    does = role(arguments)
    if arguments.model:
        found = checkpoints_in_use.choose(does, WHAT, conversation, arguments.model)
        if line := _unfit(found, image, arguments):
            raise Declined(line)
        return found
    ready = list(checkpoints_in_use.usable(does))
    chosen = conversation.checkpoints.get(does, "")
    for found in sorted(ready, key=lambda c: c.key != chosen):
        if not _unfit(found, image, arguments):
            return found
    raise Declined(_nobody(ready, image, arguments))


def _unfit(found: Checkpoint, image: Image, arguments: SegmentArguments) -> str:
    """Why a checkpoint cannot do this, in one line, or nothing."""
    takes = [*found.options.get("prompts", ())]
    if arguments.prompted:
        given = arguments.marks
        unfit = takes and not set(given) <= set(takes)
        return NOT_THESE.format(name=found.name, takes=" or ".join(takes), given=" and ".join(given)) if unfit else ""
    if not matching(arguments.structure, found.labels):
        return NOT_ITS_STRUCTURE.format(name=found.name, structure=arguments.structure, labels=listed(found.labels))
    if accepted(found).refuses(image.kind_of(), image.layout):
        return NOT_THIS_KIND.format(names=found.name, structure=arguments.structure, works_on=found.works_on)
    return ""


def _nobody(ready: list[Checkpoint], image: Image, arguments: SegmentArguments) -> str:
    structure = arguments.structure
    if arguments.prompted:
        return checkpoints_in_use.missing(PROMPTED, WHAT) or _unfit(ready[-1], image, arguments)
    able = [found for found in ready if matching(structure, found.labels)]
    if able:
        names = ", ".join(found.name for found in able)
        works_on = " or ".join(dict.fromkeys(found.works_on for found in able))
        return f"{NOT_THIS_KIND.format(names=names, structure=structure, works_on=works_on)} {INSTEAD}"
    known = list(dict.fromkeys(label for found in ready for label in found.labels))
    words = KNOWN.format(labels=listed(known)) if known else ""
    return NOBODY.format(structure=structure, known=words, later=_later(image, structure), instead=INSTEAD)


def _later(image: Image, structure: str) -> str:
    """The first checkpoint that would outline it on this image, and what configures it."""
    for found in checkpoints.with_role(BY_NAME, checkpoints_in_use.catalogue().values()):
        suits = not accepted(found).refuses(image.kind_of(), image.layout)
        if suits and matching(structure, found.labels):
            return LATER.format(name=found.name, line=checkpoints_in_use.why_not(found).rstrip("."))
    return ""


def listed(labels: Iterable[str]) -> str:
    """Names in words, not all of a hundred."""
    known = [label.replace("_", " ") for label in labels]
    more = f" and {len(known) - MOST_LABELS} more" if len(known) > MOST_LABELS else ""
    return ", ".join(known[:MOST_LABELS]) + more
