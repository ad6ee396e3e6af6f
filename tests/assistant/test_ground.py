"""Boxes that a served model names: on the image, behind a chip, or refused in one line."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from assistant import runs, viewing
from assistant.models import Artifact, Conversation, Image, Run, ToolCall
from inference import servers
from inference.fake import FakeOpenAI
from tests import phantom
from tests.assistant.pages import HTMX, text_of
from tests.assistant.test_runs import radiograph

__all__ = ["radiograph"]
pytestmark = pytest.mark.django_db(transaction=True)


class Seer:
    """A served model that answers every question with `says`."""

    def __init__(self) -> None:
        self.says = "[]"
        self.server = FakeOpenAI(lambda _: self.says)


@pytest.fixture
def seer(settings: Any) -> Iterator[Seer]:
    servers.forget()
    made = Seer()
    with made.server as server:
        settings.VQA_MODEL = f"openai:{server.base_url}#seer"
        yield made
    servers.forget()


def call(conversation: Conversation, name: str, **arguments: object) -> ToolCall:
    """Carries out one call of a tool."""
    message = conversation.add("user", "Look")
    run = conversation.runs.create(message=message, chat_model="guide", state=Run.WAITING)
    made = ToolCall.objects.create(run=run, number=1, call_id="x", name=name, arguments=arguments)
    runs.call_tool(str(made.pk))
    made.refresh_from_db()
    return made


def boxed(*corners: float, label: str = "tube") -> str:
    return json.dumps([{"bbox_2d": list(corners), "label": label}])


def test_a_box_lies_where_the_model_said_in_the_images_own_pixels(alice: User, radiograph: Image, seer: Seer):
    seer.says = boxed(96, 102, 480, 512)
    conversation = phantom.chat_with(alice, radiograph)
    done = call(conversation, "ground", image="img1", phrase="the tube")
    assert done.state == ToolCall.DONE, done.text
    made = Artifact.objects.get(tool_call=done)
    assert (made.kind, made.label, made.data["frame"]) == ("box", "tube", 0)
    scale = max(radiograph.width, radiograph.height) / 1024
    assert made.data["x0"] == pytest.approx(96 * scale, rel=0.01)
    assert made.data["y1"] == pytest.approx(512 * scale, rel=0.01)
    assert done.result["statements"][0]["ref"] == "c1.1"
    assert "seer puts a box about “tube” on img1" in done.result["statements"][0]["text"]
    assert "nothing here has checked it" in done.result["notes"][0]
    (layer,) = viewing.layers(conversation, radiograph, made)
    assert layer.lit
    assert layer.box is not None


def test_thousandths_are_taken_as_such_where_the_setting_says_so(
    alice: User, radiograph: Image, seer: Seer, settings: Any
):
    settings.VQA_BOXES = "thousandths"
    seer.says = boxed(0, 0, 500, 1000)
    done = call(phantom.chat_with(alice, radiograph), "ground", image="img1", phrase="the tube")
    data = Artifact.objects.get(tool_call=done).data
    assert (data["x1"], data["y1"]) == (radiograph.width / 2, radiograph.height)
    assert "as thousandths" in done.result["notes"][1]
    asked = seer.server.requests[-1]["messages"][-1]["content"][-1]["text"]
    assert "from 0 to 1000" in asked


def test_a_slice_is_shown_alone_and_the_box_lies_on_it(alice: User, seer: Seer):
    seer.says = boxed(26, 8, 34, 16, label="")
    volume = phantom.store(alice, phantom.voxels())
    done = call(phantom.chat_with(alice, volume), "ground", image="img1", phrase="bright block", frame=23)
    made = Artifact.objects.get(tool_call=done)
    assert (made.label, made.data) == ("bright block", {"x0": 26, "y0": 8, "x1": 34, "y1": 16, "frame": 23})
    assert "img1, slice 24" in done.result["statements"][0]["text"]
    assert len([p for p in seer.server.requests[-1]["messages"][-1]["content"] if p["type"] == "image_url"]) == 1
    wrong = call(phantom.chat_with(alice, volume), "ground", image="img1", phrase="block", frame=30)
    assert wrong.state == ToolCall.DECLINED


@pytest.mark.parametrize("says", ["It is near the heart.", boxed(90, 10, 20, 50), boxed(0, 0, 9000, 50)])
def test_an_answer_that_cannot_be_believed_shows_no_box(alice: User, radiograph: Image, seer: Seer, says: str):
    seer.says = says
    done = call(phantom.chat_with(alice, radiograph), "ground", image="img1", phrase="the tube")
    assert done.state == ToolCall.DECLINED
    assert "so none is shown" in done.text
    assert not Artifact.objects.exists()


def test_that_nothing_is_there_is_the_models_word(alice: User, radiograph: Image, seer: Seer):
    done = call(phantom.chat_with(alice, radiograph), "ground", image="img1", phrase="a pacemaker")
    assert done.result["statements"] == [
        {"text": "seer says that it does not see this on img1: a pacemaker.", "ref": "c1"}
    ]


def test_a_held_image_is_not_shown_to_the_model(alice: User, radiograph: Image, seer: Seer):
    Image.objects.filter(pk=radiograph.pk).update(text_check=Image.FOUND)
    done = call(phantom.chat_with(alice, radiograph), "ground", image="img1", phrase="the tube")
    assert done.state == ToolCall.DECLINED
    assert seer.server.requests == []


def test_without_a_served_model_it_says_what_configures_one(alice: User, radiograph: Image):
    done = call(phantom.chat_with(alice, radiograph), "ground", image="img1", phrase="the tube")
    assert "boxes) is not configured" in done.text
    assert "LIGHTBOX_VQA=" in done.text


def test_a_wrong_setting_is_named(alice: User, radiograph: Image, seer: Seer, settings: Any):
    settings.VQA_BOXES = "inches"
    done = call(phantom.chat_with(alice, radiograph), "ground", image="img1", phrase="the tube")
    assert "LIGHTBOX_VQA_BOXES='inches'" in done.text


def test_asked_where_something_is_the_guide_finds_it_and_its_chip_opens_the_box(
    alice: User, radiograph: Image, seer: Seer, eager_celery: Any, client_of: Callable[[User], Client]
):
    seer.says = boxed(96, 102, 480, 512)
    run = runs.ask(Conversation.objects.create(owner=alice), "Where is the endotracheal tube?", [radiograph])
    run.refresh_from_db()
    assert run.answer is not None
    assert [c.name for c in run.tool_calls.all()] == ["ground"]
    assert [r["kind"] for r in run.answer.references] == ["box"]
    page = client_of(alice).get(reverse("evidence", args=[run.answer_id, 1]), headers=HTMX)
    assert f'data-artifact="{run.answer.references[0]["artifact_id"]}"' in text_of(page)
    assert "c1.1 · ground" in text_of(page)
    assert "nothing here has checked it" in run.answer.text
