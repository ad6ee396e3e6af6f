"""A box, points or a lasso drawn in the viewer become a turn of the chat whose first call the person has made."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from langchain_core.messages import AIMessage, ToolMessage

from assistant import marks, runs, uploads
from assistant.history import history
from assistant.models import Artifact, Conversation, Image, Message, Run, ToolCall
from assistant.templatetags.lightbox import arguments_line
from tests.assistant.pages import HTMX, text_of
from tests.inference import files

pytestmark = pytest.mark.django_db(transaction=True)

BOX = [30, 20, 70, 60]


def stored(user: User, content: bytes, name: str) -> Image:
    return uploads.store(user, SimpleUploadedFile(name, content))


@pytest.fixture
def film(alice: User, tmp_path: Path) -> Image:
    """100 x 80 pixels of 0.5 mm with a bright disc of radius 15 around (50, 40), and noise."""
    x, y = np.arange(100) + 0.5, np.arange(80) + 0.5
    inside = (x[np.newaxis] - 50) ** 2 + (y[:, np.newaxis] - 40) ** 2 <= 15**2
    greys = np.where(inside, 1500, 1000) + np.random.default_rng(2).normal(0, 20, inside.shape)
    path = files.write_dicom(tmp_path / "a.dcm", greys.astype(np.uint16), PixelSpacing=[0.5, 0.5])
    return stored(alice, path.read_bytes(), "a.dcm")


@pytest.fixture
def volume(alice: User) -> Image:
    voxels = np.zeros((40, 30, 8), np.int16)
    voxels[10:20, 8:18, 3:6] = 500
    return stored(alice, files.nifti_bytes(voxels, np.diag([2.0, 2.0, 5.0, 1.0])), "head.nii")


@pytest.fixture
def chat(alice: User, film: Image, volume: Image) -> Conversation:
    conversation = Conversation.objects.create(owner=alice)
    conversation.add("user", "A film and a head", [film, volume])
    return conversation


@pytest.fixture
def client(alice: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(alice)


def prompt(client: Client, chat: Conversation, image: Image, headers: dict[str, str] | None = None, **body: Any) -> Any:
    url = reverse("chat-segment", args=[chat.pk])
    sent = json.dumps({"image": str(image.pk), "frame": 0, **body})
    return client.post(url, sent, content_type="application/json", headers=headers or {})


def let_leases_run_out() -> None:
    past = timezone.now() - timedelta(seconds=1)
    Run.objects.filter(lease_until__isnull=False).update(lease_until=past)
    ToolCall.objects.filter(lease_until__isnull=False).update(lease_until=past)


def test_a_box_becomes_a_question_a_call_and_an_answer(
    client: Client, chat: Conversation, film: Image, eager_celery: Any
) -> None:
    points = [{"x": 50, "y": 40, "add": True}, {"x": 32, "y": 22, "add": False}]
    response = prompt(client, chat, film, box=BOX, points=points, label="nodule")
    assert response.status_code == 202, response.content
    run = Run.objects.get(pk=response.json()["run"])
    said = (
        "Segment the marked region on img1 as nodule: a box (30, 20) to (70, 60), 1 point to add and 1 point to remove"
    )
    assert run.message.text == said
    assert run.state == Run.DONE
    call = run.tool_calls.get()
    assert (call.name, call.call_id, call.state) == ("segment", ToolCall.GIVEN, ToolCall.DONE)
    assert call.arguments["box"] == {"x0": 30, "y0": 20, "x1": 70, "y1": 60}
    mask = Artifact.objects.get()
    assert (mask.label, mask.data["frame"]) == ("nodule", 0)
    assert mask.data["area_cm2"] == pytest.approx(np.pi * 7.5**2 / 100, rel=0.1)
    assert (
        f"The nodule was outlined on img1 from {said.partition(': ')[2]}: {mask.data['area_cm2']:.2g} cm2"
        in run.answer.text
    )
    assert "not a trained model" in run.answer.text
    assert run.answer.references[0]["artifact_id"] == str(mask.pk)
    # What is on the screen is what was made: the step, the words, the chip.
    page = text_of(client.get(reverse("chat", args=[chat.pk])))
    assert said in page
    assert "nodule on img1" in page
    assert arguments_line(call.arguments) == "img1, x0 30 x1 70 y0 20 y1 60, 2 points, nodule"
    assert response.json()["location"] == reverse("chat", args=[chat.pk])
    assert run.transcript().text == run.answer.text


def test_a_prompt_on_a_slice_stays_on_that_slice(
    client: Client, chat: Conversation, volume: Image, eager_celery: Any
) -> None:
    facts = volume.facts
    drawn = np.load(volume.pixels.open("rb"))
    ys, xs = np.nonzero(drawn[4])
    around = [int(xs.min()) - 3, int(ys.min()) - 3, int(xs.max()) + 4, int(ys.max()) + 4]
    run = Run.objects.get(pk=prompt(client, chat, volume, frame=4, box=around).json()["run"])
    assert run.message.text.startswith("Segment the marked region on img2, slice 5: a box")
    mask = Artifact.objects.get()
    assert mask.data["frame"] == 4
    found = marks.artifact_mask(mask) > 0
    truth = drawn[4] > 0
    assert found.shape == (facts.height, facts.width)
    assert (found & truth).sum() / (found | truth).sum() > 0.85


def test_a_lasso_as_it_is_is_the_mask(client: Client, chat: Conversation, film: Image, eager_celery: Any) -> None:
    prompt(client, chat, film, lasso=[[10, 10], [20, 10], [20, 30], [10, 30]], refine=False)
    found = np.argwhere(marks.artifact_mask(Artifact.objects.get()) > 0)
    assert (found.min(axis=0).tolist(), found.max(axis=0).tolist(), len(found)) == ([10, 10], [29, 19], 200)
    assert Run.objects.get().tool_calls.get().model == "the lasso as it was drawn"


def test_htmx_gets_the_turn_as_after_a_question(client: Client, chat: Conversation, film: Image) -> None:
    response = prompt(client, chat, film, HTMX, box=BOX)
    assert response.status_code == 202
    assert "Segment the marked region on img1" in text_of(response)
    assert reverse("run-events", args=[Run.objects.get().pk]) in text_of(response)


def test_the_agent_is_given_the_call_as_made_by_the_person(client: Client, chat: Conversation, film: Image) -> None:
    corners = [[10 + n * 0.1, 10 + (n % 7)] for n in range(300)]
    prompt(client, chat, film, lasso=corners)
    run = Run.objects.get()
    runs.call_tool(str(run.tool_calls.get().pk))
    question, asked, result = history(run, with_pixels=False)[-3:]
    assert question.additional_kwargs["given"] is True
    assert isinstance(asked, AIMessage)
    assert isinstance(result, ToolMessage)
    assert asked.tool_calls[0]["id"] == result.tool_call_id
    assert len(asked.tool_calls[0]["args"]["lasso"]) == 20  # a chat model has no use for 300 corners
    assert len(run.tool_calls.get().arguments["lasso"]) == 300


def test_a_later_question_builds_on_the_result(
    client: Client, chat: Conversation, film: Image, eager_celery: Any
) -> None:
    prompt(client, chat, film, box=BOX, label="nodule")
    chat.refresh_from_db()
    run = runs.ask(chat, "What is the mean of c1.1?", [])
    run.refresh_from_db()
    assert run.tool_calls.get().arguments == {"region": "c1.1"}
    assert "covers 1.7" in run.answer.text
    # "and img2?" does not move marks to an image that they were not drawn on.
    chat.refresh_from_db()
    prompt(client, chat, film, box=BOX)
    chat.refresh_from_db()
    other = runs.ask(chat, "and img2?", [])
    assert not any("box" in call.arguments for call in other.tool_calls.all())


def test_what_a_person_asks_for_needs_no_approval(
    client: Client, chat: Conversation, film: Image, eager_celery: Any, settings: Any
) -> None:
    settings.APPROVE = ["segment"]
    prompt(client, chat, film, box=BOX)
    assert Run.objects.get().state == Run.DONE


def test_a_region_that_is_not_found_is_said_with_the_reason(
    client: Client, chat: Conversation, film: Image, eager_celery: Any
) -> None:
    point = {"x": 50, "y": 40}
    prompt(client, chat, film, box=BOX, points=[point, {**point, "add": False}])
    run = Run.objects.get()
    assert (run.state, run.tool_calls.get().state) == (Run.DONE, ToolCall.DECLINED)
    assert "Nothing is left of the region" in run.answer.text


# Whatever dies


class WorkerDied(BaseException):
    """Stands for the end of a process: nothing of ours may catch it."""


def test_the_diameters_of_what_was_marked_are_told(client: Client, chat: Conversation, film: Image, eager_celery: Any):
    """The disc has a radius of 15 pixels of 0.5 mm."""
    prompt(client, chat, film, box=BOX)
    call = Run.objects.get().tool_calls.get()
    assert call.artifacts.get().data["longest_mm"] == pytest.approx(15, abs=1.5)
    assert "mm long at its longest and" in call.result["statements"][0]["text"]


@pytest.mark.parametrize("dies_at", range(1, 6))
def test_a_process_that_dies_at_any_write_costs_nothing_the_reader_sees(
    client: Client, chat: Conversation, film: Image, monkeypatch: pytest.MonkeyPatch, eager_celery: Any, dies_at: int
) -> None:
    writes, append = 0, Run.append

    def dying(self: Run, *new: Any) -> None:
        nonlocal writes
        writes += 1
        if writes == dies_at:
            raise WorkerDied
        append(self, *new)

    monkeypatch.setattr(Run, "append", dying)
    try:
        prompt(client, chat, film, box=BOX)
    except WorkerDied:
        if dies_at == 1:  # before anything was saved: the question was never taken
            assert not Run.objects.exists()
            assert chat.messages.count() == 1
            prompt(client, chat, film, box=BOX)
    for _ in range(4):
        let_leases_run_out()
        runs.sweep()
    run = Run.objects.get()
    assert run.state == Run.DONE
    assert chat.messages.filter(role=Message.ASSISTANT).count() == 1
    assert run.transcript().text == run.answer.text
    assert run.tool_calls.get().artifacts.count() == 1


def test_a_call_that_was_never_enqueued_is_found_by_the_sweep(
    client: Client, chat: Conversation, film: Image, monkeypatch: pytest.MonkeyPatch, eager_celery: Any
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("assistant.tasks.enqueue", lambda *_, **__: None)  # as if the process died after its commit
        prompt(client, chat, film, box=BOX)
    run = Run.objects.get()
    assert (run.state, run.tool_calls.get().state) == (Run.WAITING, ToolCall.REQUESTED)
    let_leases_run_out()
    runs.sweep()
    run.refresh_from_db()
    assert run.state == Run.DONE


def test_stop_ends_it_like_any_run(client: Client, chat: Conversation, film: Image) -> None:
    prompt(client, chat, film, box=BOX)
    run = Run.objects.get()
    assert runs.cancel(run)
    assert run.tool_calls.get().state == ToolCall.CANCELLED


# What is refused


def test_while_an_answer_is_written_it_is_409(client: Client, chat: Conversation, film: Image) -> None:
    prompt(client, chat, film, box=BOX)
    response = prompt(client, chat, film, box=BOX)
    assert response.status_code == 409
    assert "still being answered" in text_of(response)
    assert Run.objects.count() == 1


BAD: dict[str, dict[str, Any]] = {
    "no marks": {},
    "outside": {"box": [30, 20, 101, 60]},
    "negative": {"points": [{"x": -1, "y": 5}]},
    "not a number": {"box": [30, 20, "x", 60]},
    "three edges": {"box": [30, 20, 60]},
    "turned round": {"box": [70, 60, 30, 20]},
    "too small": {"box": [30, 20, 31, 21]},
    "a frame that is not there": {"box": BOX, "frame": 1},
    "no whole frame": {"box": BOX, "frame": 0.5},
    "too many points": {"points": [{"x": 5, "y": 5}] * 101},
    "too many corners": {"lasso": [[5, 5]] * 5001},
    "two corners": {"lasso": [[5, 5], [8, 8]]},
    "only points to remove": {"points": [{"x": 5, "y": 5, "add": False}]},
    "a point that is a list": {"points": [[5, 5]]},
    "a lasso that is a word": {"lasso": "all"},
    "a long label": {"box": BOX, "label": "x" * 200},
    "infinity": {"box": [0, 0, 1e999, 60]},
    "more than it knows": {"points": [{"x": 5, "y": 5, "weight": 3}]},
}


@pytest.mark.parametrize("what", BAD)
def test_marks_that_do_not_fit_are_refused_in_one_line_and_leave_nothing(
    client: Client, chat: Conversation, film: Image, what: str
) -> None:
    response = prompt(client, chat, film, **BAD[what])
    assert response.status_code == 422, text_of(response)
    line = response.json()["detail"]
    assert line
    assert "\n" not in line
    assert not Run.objects.exists()
    assert chat.messages.count() == 1


def test_only_images_of_this_chat_can_be_marked(
    client: Client, chat: Conversation, alice: User, bob: User, client_of: Callable[[User], Client], film: Image
) -> None:
    elsewhere = stored(alice, files.CHEST.read_bytes(), "b.dcm")
    assert prompt(client, chat, elsewhere, box=BOX).status_code == 404
    url = reverse("chat-segment", args=[chat.pk])
    for key in ("nonsense", None, 7, ["a"]):
        sent = json.dumps({"image": key, "box": BOX})
        assert client.post(url, sent, content_type="application/json").status_code == 404
    assert prompt(client_of(bob), chat, film, box=BOX).status_code == 404
