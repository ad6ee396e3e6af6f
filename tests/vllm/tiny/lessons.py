"""What the small model learns: pairs of a real prompt and what a good model would say to it."""

import json
import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from tests.vllm.tiny.prompts import Body, Recorded, answered, asked

DESCRIBE = ["Describe this image", "Describe the image", "Please describe this film", "What is this file?"]
SEGMENT = [
    "Segment the lungs",
    "Outline the lungs",
    "Please segment both lungs",
    "Segment the lungs in this radiograph",
]
SEE = [
    "What do you see in this image?",
    "What does the image show?",
    "Is this image bright or dark?",
    "What do you see?",
]
SEARCH = ["Which papers are about {}?", "Find papers about {}", "What does the literature say about {}?"]
FOR_EVER = ["Talk without end", "Please talk without end"]
GREET = ["Hello", "Good morning", "Hello, who are you?"]
TOPICS = [
    *("prompt learning", "pneumonia", "report generation", "segmentation", "pathology", "CLIP", "nodules"),
    "visual question answering",
]
LOOP = "and so on " * 20
REASONS = ["This call was not allowed.", "This call was not allowed.", "There is no img2 in this conversation."]


@dataclass(frozen=True)
class Lesson:
    """A request, the pictures in it from left to right, and the answer. `ends`: the model is to stop there."""

    body: Body
    answer: str
    pictures: list[Pillow.Image] = field(default_factory=list)
    ends: bool = True


def picture(random_: random.Random) -> tuple[Pillow.Image, str]:
    """A dark or bright picture, with a disc on one side or none, and a sentence about it."""
    dark, side = random_.random() < 0.5, random_.choice(["left", "right", ""])
    ground, ink = (random_.randint(5, 60), random_.randint(200, 250))[:: 1 if dark else -1]
    width, height = random_.randint(90, 400), random_.randint(90, 400)
    made = Pillow.new("RGB", (width, height), (ground,) * 3)
    if side:
        radius = min(width, height) * random_.uniform(0.16, 0.24)
        x = width * random_.uniform(0.22, 0.32)
        x, y = x if side == "left" else width - x, height * random_.uniform(0.35, 0.65)
        ImageDraw.Draw(made).ellipse((x - radius, y - radius, x + radius, y + radius), fill=(ink,) * 3)
    noise = np.random.default_rng(random_.getrandbits(32)).normal(0, random_.choice([0, 4, 8]), (height, width, 1))
    made = Pillow.fromarray(np.clip(np.asarray(made) + noise, 0, 255).astype(np.uint8))
    return made, f"{'dark' if dark else 'bright'} with {f'a disc on the {side}' if side else 'no disc'}"


def lesson(recorded: Recorded, random_: random.Random) -> Lesson:
    """One of all kinds by chance, those that are hard more often."""
    kinds = [_vqa, _vqa, _vqa, _tool, _tool, _search, _search, _search_result, _result, _result, _words]
    return random_.choice(kinds)(recorded, random_)


def _vqa(recorded: Recorded, random_: random.Random) -> Lesson:
    pictures, seen = zip(*(picture(random_) for _ in range(random_.choice([1, 1, 1, 2]))), strict=True)
    body = asked(recorded.vqa, random_.choice(SEE), len(pictures))
    if len(pictures) == 1:
        return Lesson(body, f"The image is {seen[0]}.", list(pictures))
    return Lesson(body, f"The first image is {seen[0]}. The second image is {seen[1]}.", list(pictures))


def _first(random_: random.Random) -> int:
    return random_.choice([1, 1, 1, 2])


def _call(name: str, arguments: dict[str, Any]) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {json.dumps(arguments)}}}\n</tool_call>'


def _chosen(image: str, random_: random.Random) -> tuple[str, str, dict[str, Any]]:
    """A question about an image, and the call that answers it."""
    name = random_.choice(["describe_image", "segment", "ask_image"])
    question = random_.choice({"describe_image": DESCRIBE, "segment": SEGMENT, "ask_image": SEE}[name])
    more = {"question": "What do you see?"} if name == "ask_image" else {}
    return question, name, {"image": image, **more}


def _tool(recorded: Recorded, random_: random.Random) -> Lesson:
    first = _first(random_)
    question, name, arguments = _chosen(f"img{first}", random_)
    return Lesson(asked(recorded.shown, question, 1, first), _call(name, arguments), [picture(random_)[0]])


def _search(recorded: Recorded, random_: random.Random) -> Lesson:
    topic = random_.choice(TOPICS)
    body = asked(recorded.alone, random_.choice(SEARCH).format(topic))
    return Lesson(body, _call("search_literature", {"query": topic}))


def _search_result(recorded: Recorded, random_: random.Random) -> Lesson:
    topic = random_.choice(TOPICS)
    refs = [f"p{random_.randint(1, 3000)}" for _ in range(random_.randint(1, 5))]
    before = asked(_without_image(recorded.after), random_.choice(SEARCH).format(topic))
    body = answered(before, "search_literature", {"query": topic}, f"{len(refs)} papers", refs)
    return Lesson(body, "These passages were found.")


def _markers(refs: list[str]) -> str:
    return " ".join(f"[[{ref}]]" for ref in refs[:2])


def _without_image(recorded: Body) -> Body:
    body = {**recorded, "messages": [dict(message) for message in recorded["messages"]]}
    for message in body["messages"]:
        if message["role"] == "user":
            message["content"] = message["content"][0]["text"].partition("\n\n")[0]
    return body


def _result(recorded: Recorded, random_: random.Random) -> Lesson:
    first, number = _first(random_), random_.choice([1, 1, 1, 2, 3])
    question, name, arguments = _chosen(f"img{first}", random_)
    shown, seen = picture(random_)
    ref, two = f"c{number}", [f"c{number}.1", f"c{number}.2"]
    if name == "describe_image":
        size = f"{shown.width} x {shown.height}, {random_.choice(['RG', 'unknown'])}, exposure normal"
        summary, refs, answer = size, [ref] * 4, f"The file was read [[{ref}]]."
    elif name == "segment":
        summary, refs, answer = f"2 masks on img{first}", two, f"Both lungs are outlined {_markers(two)}."
    else:
        summary, refs, answer = f"The image is {seen}.", [ref], f"The image is {seen} [[{ref}]]."
    if random_.random() < 0.25:
        summary, refs, answer = random_.choice(REASONS), [], "That was not done, so nothing is said."
    body = answered(asked(recorded.after, question, 1, first), name, arguments, summary, refs)
    return Lesson(body, answer, [shown])


def _words(recorded: Recorded, random_: random.Random) -> Lesson:
    questions, answer, ends = random_.choice(
        [
            (FOR_EVER, LOOP, False),
            (GREET, "Hello. Ask about an image or about the literature.", True),
        ]
    )
    question = random_.choice(questions)
    if random_.random() < 0.3:
        return Lesson(asked(recorded.shown, question), answer, [picture(random_)[0]], ends)
    return Lesson(asked(recorded.alone, question), answer, [], ends)
