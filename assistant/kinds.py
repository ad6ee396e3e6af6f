"""What kind of image it is, as the page says it, as a person corrects it, and as a configured classifier sees it.

The gate itself (`inference.gate`) decides while a file is decoded. Where that did not come from the header and
LIGHTBOX_GATE names a classifier, a worker asks it too, and its answer counts unless it cannot tell either.
"""

import logging
import uuid
from dataclasses import replace
from pathlib import Path

from django.conf import settings

from assistant import tasks
from assistant.models import Image
from inference.errors import InferenceError
from inference.kinds import name_of

log = logging.getLogger("lightbox.kinds")

UNKNOWN = "What kind of image this is cannot be told"
QUEUE = "vision"


def line(image: Image) -> str:
    """One quiet line: "Chest radiograph, PA (from the header)", "Looks like ultrasound (0.81)"."""
    kind = image.kind_of()
    name = name_of(kind)
    if not name:
        return UNKNOWN if kind.source != "person" else "Kind of image not known (as was said here)"
    if kind.source in ("header", "person"):
        return f"{name[0].upper()}{name[1:]} ({'from the header' if kind.source == 'header' else 'as was said here'})"
    return f"Looks like {name_of(kind, article=True)} ({kind.confidence:.2f})"


def correct(image: Image, said: dict[str, str]) -> None:
    """Keep what the owner says; nothing at all goes back to what the gate decided."""
    image.said = said
    image.save(update_fields=["said"])


def ask_model(image: Image) -> None:
    """Have the configured classifier look, where one is and the header has not decided. Nothing waits for it."""
    gate = image.facts.gate
    if settings.GATE_MODEL and image.pixels and not image.held and (gate is None or gate.source != "header"):
        tasks.enqueue(tasks.judge_image, image.pk, queue=QUEUE)


def judge(image_id: uuid.UUID | str) -> None:
    """A worker's step: ask the classifier, and keep its answer when it has one. Twice is as once."""
    from assistant.tools.base import load
    from inference.gate import decide_by_model

    image = Image.objects.filter(pk=image_id).first()
    if image is None or image.held or not settings.GATE_MODEL:
        return
    try:
        gate = decide_by_model(load(image, image.frames // 2), Path(settings.GATE_MODEL).expanduser())
    except InferenceError as error:
        log.warning("the gate's model gave no answer on %s: %s", image.pk, error)
        return
    if gate.modality:
        Image.objects.filter(pk=image.pk).update(decoded=replace(image.facts, gate=gate).as_dict())
