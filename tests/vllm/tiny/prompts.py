"""What Lightbox really sends to a model server, recorded by letting it ask a scripted one, with every tool there is.

The prompts are the product's own, so they change with it: `train` begins here and fills in other questions and results.
"""

import io
import json
import os
import sys
import tempfile
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from PIL import Image as Pillow

Body = dict[str, Any]  # of a request to /v1/chat/completions
QUESTION = "QUESTION"


@dataclass(frozen=True)
class Recorded:
    """Bodies of requests: a question alone, with an image, the same after a tool's result, and one to a VQA model."""

    alone: Body
    shown: Body
    after: Body
    vqa: Body


def record() -> Recorded:
    """Ask through a Lightbox of a moment, with a data folder of its own. In a fresh process only: it sets up Django."""
    if "django" in sys.modules:
        raise RuntimeError("Django is set up already, maybe on somebody's data: record in a process of its own.")
    from inference.fake import FakeOpenAI, Reply

    script = [Reply(tool_calls=[("describe_image", {"image": "img1"})]), "Done [[c1]].", "Done.", "Done."]
    with tempfile.TemporaryDirectory() as data, FakeOpenAI(script) as server:
        served = f"openai:{server.base_url}#{server.model}"
        os.environ.update(DJANGO_SETTINGS_MODULE="assistant.settings", LIGHTBOX_DATA=data, LIGHTBOX_CHAT=served)
        os.environ.update(LIGHTBOX_VQA=served, REDIS_URL=f"unix://{data}/nobody", LIGHTBOX_LOG="ERROR")
        os.environ.pop("DATABASE_URL", None)
        _ask(server.base_url, server.model)
        shown, after, alone, vqa = server.requests
    return Recorded(alone, shown, after, vqa)


def _ask(base_url: str, model: str) -> None:
    import django

    django.setup()
    from django.contrib.auth.models import User
    from django.core.files.uploadedfile import SimpleUploadedFile
    from django.core.management import call_command

    from assistant import runs, uploads
    from assistant.celery import app
    from assistant.models import Conversation
    from inference.vllm import OpenAIAnswerer

    app.conf.task_always_eager = app.conf.task_eager_propagates = True
    call_command("migrate", verbosity=0)
    alice = User.objects.create_user("alice")
    picture = png(Pillow.new("RGB", (112, 112)))
    image = uploads.store(alice, SimpleUploadedFile("picture.png", picture))
    for images in ([image], []):
        runs.ask(Conversation.objects.create(owner=alice), QUESTION, images)
    OpenAIAnswerer(base_url, model).answer([picture], QUESTION)


def png(picture: Pillow.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def asked(recorded: Body, question: str, images: int = 1, first: int = 1) -> Body:
    """The same request with another question, and `images` pictures that the chat calls img<first> and so on."""
    body = deepcopy(recorded)
    message = next(m for m in reversed(body["messages"]) if m["role"] == "user")
    if isinstance(message["content"], str):
        message["content"] = message["content"].replace(QUESTION, question)
        return body
    parts = message["content"]
    text = next(part for part in parts if part["type"] == "text")
    pictures = [part for part in parts if part["type"] == "image_url"] * images
    words, mark, note = text["text"].replace(QUESTION, question).partition("img1: ")
    notes = [f"img{first + i}: {note}" for i in range(images)] if mark else []
    told = {"type": "text", "text": words + "\n".join(notes)}
    message["content"] = [told, *pictures] if parts[0]["type"] == "text" else [*pictures, told]
    return body


def answered(recorded: Body, name: str, arguments: dict[str, Any], summary: str, refs: list[str]) -> Body:
    """The request after a call of `name` with a result of this summary, whose statements stand on `refs`.

    Without refs the call was declined, and the summary is the reason.
    """
    body = deepcopy(recorded)
    call = body["messages"][-2]["tool_calls"][0]["function"]
    call["name"], call["arguments"] = name, json.dumps(arguments)
    told = json.loads(body["messages"][-1]["content"])
    first = told["statements"][0]
    told |= {"summary": summary, "statements": [{**first, "ref": ref} for ref in refs]}
    declined = {"state": "declined", "reason": summary}
    body["messages"][-1]["content"] = json.dumps(told if refs else declined, ensure_ascii=False)
    return body
