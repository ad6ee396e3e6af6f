"""Boxes that a vision-language model writes as text: what it is asked, and what of its answer is believed.

Nothing of the answer is run or guessed at: it is JSON of one form, or it is refused with one line. Which numbers a
model writes depends on its family. Qwen2.5-VL writes pixels of the picture as its own processor has resized it, to
multiples of 28: near those of the picture it was sent, unless that is resized far. Qwen2-VL and Qwen3-VL write
thousandths of the width and of the height, 0 to 1000 (QwenLM/Qwen3-VL, issues 866 and 1427). Taking the one for the
other puts every box in a wrong place that looks right, so whoever shows boxes says which was taken.
"""

from __future__ import annotations

import json
import math
import re
from io import BytesIO
from typing import Any, Literal

from PIL import Image as Pillow

from inference.errors import BadInput
from inference.shown import UNREADABLE
from inference.types import Box
from inference.vllm import FENCED

Unit = Literal["pixels", "thousandths"]
UNITS: tuple[Unit, ...] = ("pixels", "thousandths")

MOST = 50  # boxes in one answer: more is a model that repeats itself
LONGEST_ANSWER = 20_000  # characters
LABEL = 80  # characters of a label
THOUSAND = 1000.0
BEYOND = 2.0  # pixels or thousandths that a corner may lie outside: rounding, no more
IN_THOUSANDTHS = re.compile(r"qwen[23]-?vl", re.I)  # not Qwen2.5-VL

PROMPT = (
    "Locate every instance of this in the image: {phrase}\n"
    "Answer with JSON alone: a list with one object for each instance, "
    '[{{"bbox_2d": [x0, y0, x1, y1], "label": "what it is"}}], where (x0, y0) is the upper left corner and (x1, y1) '
    "the lower right one, in {unit}. If it is not in the image, answer []."
)
UNIT_WORDS = {
    "pixels": "pixels of this image, {width} wide and {height} high",
    "thousandths": "thousandths of its width and height, from 0 to 1000",
}

NOT_JSON = "The model did not answer with boxes as JSON, so none is shown."
TOO_LONG = "The model's answer is too long to be a list of boxes, so none is shown."
NOT_A_LIST = "The model's answer is JSON, but not a list of boxes, so none is shown."
TOO_MANY = f"The model named {{count}} boxes; more than {MOST} are not believed, so none is shown."
NO_CORNERS = "Box {number} of the model's answer is not four finite numbers, so none is shown."
INVERTED = "Box {number} of the model's answer has no area or its corners are the wrong way round, so none is shown."
OUTSIDE = "Box {number} of the model's answer lies outside the picture it was sent, so none is shown."


def unit_of(model: str) -> Unit:
    """What a model of this name writes its corners in, where nobody has said otherwise."""
    return "thousandths" if IN_THOUSANDTHS.search(model) else "pixels"


def prompt(phrase: str, unit: Unit, sent: tuple[int, int]) -> str:
    """The question. `sent` is the width and height in pixels of the picture that goes with it."""
    width, height = sent
    return PROMPT.format(phrase=" ".join(phrase.split()), unit=UNIT_WORDS[unit].format(width=width, height=height))


def sent_size(picture: bytes, longest: int) -> tuple[int, int]:
    """Width and height in pixels of an 8-bit PNG or JPEG once it is shrunk as `inference.shown.data_url` does it.

    Raises BadInput when the bytes are no such picture.
    """
    try:
        with Pillow.open(BytesIO(picture), formats=["PNG", "JPEG"]) as opened:
            empty = Pillow.new("1", opened.size)
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError) as error:
        raise BadInput(UNREADABLE) from error
    empty.thumbnail((longest, longest))
    return empty.size


def parse(text: str, unit: Unit, sent: tuple[int, int], size: tuple[int, int]) -> list[Box]:
    """The boxes of an answer, in pixels of the image, in the model's order; an empty list where it says there is none.

    `sent` is the width and height of the picture that the model saw, `size` those of the image itself. A box that is
    named twice is kept once. One box that cannot be believed makes the whole answer worthless: it is refused with
    BadInput, and nothing else is raised whatever the text.
    """
    found = _listed(text)
    extent = (float(sent[0]), float(sent[1])) if unit == "pixels" else (THOUSAND, THOUSAND)
    scale = size[0] / extent[0], size[1] / extent[1]
    boxes = []
    for number, item in enumerate(found, 1):
        x0, y0, x1, y1 = _corners(item, number, extent)
        boxes.append(Box(_label(item), x0 * scale[0], y0 * scale[1], x1 * scale[0], y1 * scale[1]))
    return list(dict.fromkeys(boxes))


def _listed(text: str) -> list[Any]:
    if len(text) > LONGEST_ANSWER:
        raise BadInput(TOO_LONG)
    fenced = FENCED.fullmatch(text)
    try:
        found = json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError) as error:
        raise BadInput(NOT_JSON) from error
    if isinstance(found, dict) and "bbox_2d" in found:
        found = [found]  # some models leave the list away where there is one
    if not isinstance(found, list):
        raise BadInput(NOT_A_LIST)
    if len(found) > MOST:
        raise BadInput(TOO_MANY.format(count=len(found)))
    return found


def _corners(item: Any, number: int, extent: tuple[float, float]) -> tuple[float, float, float, float]:
    corners = item.get("bbox_2d") if isinstance(item, dict) else None
    if not isinstance(corners, list) or len(corners) != 4 or not all(map(_finite, corners)):
        raise BadInput(NO_CORNERS.format(number=number))
    x0, y0, x1, y1 = map(float, corners)
    if x0 >= x1 or y0 >= y1:
        raise BadInput(INVERTED.format(number=number))
    width, height = extent
    if min(x0, y0) < -BEYOND or x1 > width + BEYOND or y1 > height + BEYOND:
        raise BadInput(OUTSIDE.format(number=number))
    x0, y0, x1, y1 = max(x0, 0.0), max(y0, 0.0), min(x1, width), min(y1, height)
    if x0 >= x1 or y0 >= y1:
        raise BadInput(OUTSIDE.format(number=number))
    return x0, y0, x1, y1


def _finite(value: Any) -> bool:
    """A number; true and false are none, nor are integers that no float holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _label(item: dict[str, Any]) -> str:
    """The model's name for it as one printable line, "" where it gave none."""
    label = item.get("label")
    kept = "".join(c if c.isprintable() else " " for c in label) if isinstance(label, str) else ""
    return " ".join(kept.split())[:LABEL]
