"""Things detected by words: boxes with scores on the image, behind chips; by a real detector with random weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from assistant import greys, runs, viewing
from assistant.models import Artifact, Conversation, Image, ToolCall
from assistant.tools.base import load
from inference import backends, types
from inference.checkpoints import parse
from tests import phantom
from tests.assistant.pages import HTMX, text_of
from tests.assistant.test_ground import Seer, boxed, call, seer
from tests.assistant.test_runs import radiograph
from tests.inference.test_zero_shot_detector import make_owl

__all__ = ["radiograph", "seer"]
pytestmark = pytest.mark.django_db(transaction=True)


def entry(folder: Path) -> dict[str, Any]:
    return {
        "key": "tiny-detector",
        "name": "Tiny detector",
        "roles": ["detect"],
        "backend": "zero-shot-detector",
        "source": f"folder:{folder}",
        "licence": "MIT",
        "note": "Trained on nothing.",
    }


@pytest.fixture(scope="module")
def owl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_owl(tmp_path_factory.mktemp("owl"))


@pytest.fixture
def detector(owl: Path, tmp_path: Path, settings: Any, eager_celery: Any) -> Path:
    """A catalogue with a detector that is ready."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in entry(owl).items()]
    path = tmp_path / "mine.toml"
    path.write_text("[[checkpoint]]\n" + "\n".join(lines))
    settings.CATALOGUES = [str(path)]
    return owl


def test_boxes_are_those_of_the_model_on_the_greys_that_the_reader_sees(alice: User, radiograph: Image, detector: Path):
    conversation = phantom.chat_with(alice, radiograph)
    done = call(conversation, "detect_objects", image="img1", labels=["heart", "tube"], threshold=0.0)
    assert done.state == ToolCall.DONE, done.text
    given = load(radiograph)
    window, function = greys.window_of(radiograph, given.pixels), greys.function_of(radiograph)
    shown = types.Image(greys.windowed(given.pixels, window, function))
    model = backends.load(parse(entry(detector)), detector, "cpu")
    expected = model.detect([shown], {"labels": ["heart", "tube"], "threshold": 0.0}).boxes
    made = list(Artifact.objects.filter(tool_call=done).order_by("number"))
    assert [one.kind for one in made] == ["box"] * len(expected)
    assert [(one.label, one.data["x0"], one.data["score"]) for one in made] == [
        (box.label, pytest.approx(box.x0), pytest.approx(box.score)) for box in expected
    ]
    first = done.result["statements"][0]
    assert first["ref"] == "c1.1"
    assert f"“{expected[0].label}” on img1 with a score of {expected[0].score:.2f}" in first["text"]
    assert "not a probability" in done.result["notes"][0]
    assert "Trained on nothing." in done.result["notes"]
    assert done.result["records"][0]["licence"] == "MIT"
    lit = [layer for layer in viewing.layers(conversation, radiograph, made[1]) if layer.lit]
    assert [layer.box for layer in lit] == [[made[1].data[name] for name in ("x0", "y0", "x1", "y1")]]


def test_no_box_says_only_that_no_score_was_high_enough(alice: User, radiograph: Image, detector: Path):
    done = call(phantom.chat_with(alice, radiograph), "detect_objects", image="img1", labels=["heart"], threshold=1.0)
    assert done.result["statements"] == [
        {"text": "Tiny detector puts no box on img1 for “heart”, at its threshold of 1.00.", "ref": "c1"}
    ]
    assert "not that nothing is there" in done.result["notes"][0]
    assert not Artifact.objects.exists()


def test_of_a_volume_the_slice_that_is_named_is_looked_at_else_the_middle_one(alice: User, detector: Path):
    volume = phantom.store(alice, phantom.voxels())
    asked = {"image": "img1", "labels": ["heart"], "threshold": 0.0}
    named = call(phantom.chat_with(alice, volume), "detect_objects", **asked, frame=23)
    assert {made.data["frame"] for made in Artifact.objects.filter(tool_call=named)} == {23}
    assert "img1, slice 24" in named.result["statements"][0]["text"]
    middle = call(phantom.chat_with(alice, volume), "detect_objects", **asked)
    assert {made.data["frame"] for made in Artifact.objects.filter(tool_call=middle)} == {15}
    assert call(phantom.chat_with(alice, volume), "detect_objects", **asked, frame=30).state == ToolCall.DECLINED


@pytest.mark.parametrize(
    "arguments",
    [
        {"labels": []},
        {"labels": ["x" * 121]},
        {"labels": [" "]},
        {"labels": ["heart"], "threshold": 1.5},
        {"labels": ["heart"], "threshold": "NaN"},
        {"labels": ["heart"], "frame": -1},
        {"labels": ["heart"], "colour": "red"},
        {"labels": ["?!"]},
        {"labels": ["heart"], "model": "no-such"},
    ],
)
def test_what_cannot_be_asked_is_declined_or_refused_and_puts_no_box(
    alice: User, radiograph: Image, detector: Path, arguments: dict[str, Any]
):
    done = call(phantom.chat_with(alice, radiograph), "detect_objects", image="img1", **arguments)
    assert done.state in (ToolCall.DECLINED, ToolCall.FAILED)
    assert not Artifact.objects.exists()


def test_an_image_whose_text_is_not_settled_is_not_looked_at(alice: User, radiograph: Image, detector: Path):
    Image.objects.filter(pk=radiograph.pk).update(text_check=Image.FOUND)
    done = call(phantom.chat_with(alice, radiograph), "detect_objects", image="img1", labels=["heart"])
    assert done.state == ToolCall.DECLINED


def test_without_a_detector_it_says_where_one_is_configured(alice: User, radiograph: Image):
    done = call(phantom.chat_with(alice, radiograph), "detect_objects", image="img1", labels=["heart"])
    assert "Object detection is not configured" in done.text


def test_asked_to_detect_things_the_guide_names_them_and_a_chip_opens_its_box(
    alice: User, radiograph: Image, detector: Path, client_of: Callable[[User], Client]
):
    run = runs.ask(Conversation.objects.create(owner=alice), "Detect the tube, a heart and lines on img1", [radiograph])
    run.refresh_from_db()
    (made,) = run.tool_calls.all()
    assert (made.name, made.arguments["labels"]) == ("detect_objects", ["tube", "heart", "lines"])
    assert run.answer is not None
    first = next(r for r in run.answer.references if r["ref"] == "c1.1")
    page = client_of(alice).get(reverse("evidence", args=[run.answer_id, first["n"]]), headers=HTMX)
    assert f'data-artifact="{first["artifact_id"]}"' in text_of(page)
    assert "c1.1 · detect_objects" in text_of(page)


def test_where_no_served_model_answers_with_boxes_the_detector_is_asked(alice: User, radiograph: Image, detector: Path):
    run = runs.ask(Conversation.objects.create(owner=alice), "Where is the endotracheal tube?", [radiograph])
    run.refresh_from_db()
    assert [(c.name, c.state) for c in run.tool_calls.order_by("number")] == [
        ("ground", ToolCall.DECLINED),
        ("detect_objects", ToolCall.DONE),
    ]


def test_where_there_is_no_detector_a_served_model_is_asked(
    alice: User, radiograph: Image, seer: Seer, eager_celery: Any
):
    seer.says = boxed(96, 102, 480, 512)
    run = runs.ask(Conversation.objects.create(owner=alice), "Detect the tube", [radiograph])
    run.refresh_from_db()
    names = [(c.name, c.state) for c in run.tool_calls.order_by("number")]
    assert names == [("detect_objects", ToolCall.DECLINED), ("ground", ToolCall.DONE)]
