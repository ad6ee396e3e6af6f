"""The REST API as its clients see it: shapes, refusals in one line, and nothing of anybody else's."""

import io
import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from PIL import Image as Picture
from skimage import data as skimage_data

from assistant import runs
from assistant.models import Annotation, ApiToken, Artifact, Conversation, Image, Message, Run
from tests.inference import files

pytestmark = pytest.mark.django_db(transaction=True)


class Caller:
    """A client with a bearer token."""

    def __init__(self, token: str) -> None:
        self.client, self.headers = Client(), {"Authorization": f"Bearer {token}"}

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, query, headers=self.headers)

    def post(self, path: str, body: Any = None) -> Any:
        return self.client.post(path, json.dumps(body), content_type="application/json", headers=self.headers)

    def upload(self, content: bytes, name: str = "image.png") -> Any:
        return self.client.post("/api/images", {"file": SimpleUploadedFile(name, content)}, headers=self.headers)

    def conversation(self) -> str:
        return str(self.post("/api/conversations").json()["id"])

    def ask(self, conversation: str, text: str, *images: str) -> Any:
        return self.post(f"/api/conversations/{conversation}/messages", {"text": text, "images": list(images)})


@pytest.fixture
def caller(alice: User) -> Caller:
    return Caller(ApiToken.issue(alice))


@pytest.fixture
def stranger(bob: User) -> Caller:
    return Caller(ApiToken.issue(bob))


@pytest.fixture
def film() -> bytes:
    return files.CHEST.read_bytes()


def picture(size: tuple[int, int] = (40, 30)) -> bytes:
    out = io.BytesIO()
    Picture.fromarray(skimage_data.camera()).resize(size).save(out, "PNG")
    return out.getvalue()


def refusal(response: Any, status: int) -> str:
    """The one line of a refusal."""
    assert response.status_code == status, response.content[:300]
    line = response.json()["detail"]
    assert isinstance(line, str)
    assert line
    assert "\n" not in line
    assert len(line) <= 500
    return line


NOWHERE = "00000000-0000-4000-8000-000000000000"
CALLS = [
    ("post", "/api/images"),
    ("post", "/api/conversations"),
    ("post", f"/api/conversations/{NOWHERE}/messages"),
    ("get", f"/api/runs/{NOWHERE}"),
    ("get", f"/api/runs/{NOWHERE}/events"),
    ("post", f"/api/runs/{NOWHERE}/cancel"),
    ("get", f"/api/artifacts/{NOWHERE}"),
    ("get", f"/api/images/{NOWHERE}"),
    ("get", f"/api/annotations/{NOWHERE}"),
    ("get", "/api/papers"),
]


# Who is let in


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("header", [None, "Bearer ", "Bearer wrong", "Basic YWxpY2U6YWxpY2U=", "Bearer \0"])
def test_without_a_token_nothing_answers(db: None, method: str, path: str, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    assert refusal(getattr(Client(), method)(path, headers=headers), 401) == "Unauthorized"


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_a_browser_session_is_no_token(alice: User, client_of: Any, method: str, path: str) -> None:
    assert getattr(client_of(alice), method)(path).status_code == 401


def test_the_token_of_an_account_that_was_closed_lets_nobody_in(alice: User, caller: Caller) -> None:
    assert caller.get("/api/papers").status_code == 200
    User.objects.filter(pk=alice.pk).update(is_active=False)
    refusal(caller.get("/api/papers"), 401)


def test_a_token_is_kept_as_its_digest_only(alice: User) -> None:
    secret = ApiToken.issue(alice)
    assert secret not in str(list(ApiToken.objects.values()))


def test_the_token_command_lets_the_local_user_in(db: None) -> None:
    out = io.StringIO()
    call_command("token", stdout=out)
    caller = Caller(out.getvalue().strip())
    assert caller.post("/api/conversations").status_code == 201
    local = User.objects.get(username="local")
    assert not local.has_usable_password()
    call_command("token", stdout=io.StringIO())
    assert User.objects.count() == 1


def test_the_token_command_makes_no_account(alice: User) -> None:
    out = io.StringIO()
    call_command("token", "alice", stdout=out)
    assert Caller(out.getvalue().strip()).get("/api/papers").status_code == 200
    with pytest.raises(CommandError, match="no user 'carol'"):
        call_command("token", "carol")


# The way of a question


def test_an_upload_tells_what_it_is(caller: Caller, tmp_path: Path) -> None:
    source = files.write_dicom(tmp_path / "film.dcm", files.ramp()[:48], PixelSpacing=[0.2, 0.1])
    response = caller.upload(source.read_bytes(), "film.dcm")
    assert response.status_code == 201
    body = response.json()
    assert body == {
        "id": str(uuid.UUID(body["id"])),
        "kind": "dicom",
        "modality": "DX",
        "width": 64,
        "height": 48,
        "frames": 1,
        "spacing_mm": [0.2, 0.1],
    }


def test_an_upload_without_spacing_says_null(caller: Caller) -> None:
    body = caller.upload(picture()).json()
    assert body == {
        "id": body["id"],
        "kind": "png",
        "modality": "unknown",
        "width": 40,
        "height": 30,
        "frames": 1,
        "spacing_mm": None,
    }


def test_from_upload_to_answer(caller: Caller, film: bytes, eager_celery: Any) -> None:
    image = caller.upload(film, "film.dcm").json()["id"]
    created = caller.post("/api/conversations")
    assert (created.status_code, set(created.json())) == (201, {"id"})
    asked = caller.ask(created.json()["id"], "Describe this image and segment the lungs", image)
    assert asked.status_code == 202
    assert set(asked.json()) == {"message_id", "run_id"}
    assert Message.objects.get(pk=asked.json()["message_id"]).role == Message.USER
    run = caller.get(f"/api/runs/{asked.json()['run_id']}").json()
    assert run["state"] == "done"
    assert {"markdown", "citations"} <= set(run["answer"])
    assert "[1]" in run["answer"]["markdown"]
    assert "[[" not in run["answer"]["markdown"]
    assert run["answer"]["citations"] == []
    assert [(e["n"], e["kind"]) for e in run["answer"]["evidence"]] == [(1, "call"), (2, "mask"), (3, "mask")]
    masks = {artifact["id"] for artifact in run["tool_calls"][1]["artifacts"]}
    assert {e["artifact_id"] for e in run["answer"]["evidence"][1:]} == masks
    assert [call["name"] for call in run["tool_calls"]] == ["describe_image", "segment"]
    for call in run["tool_calls"]:
        assert {"id", "name", "arguments", "state", "result", "model", "started_at", "finished_at", "artifacts"} <= set(
            call
        )
        assert call["state"] == "done"
        assert call["arguments"] == {"image": "img1"}
        assert call["model"]
        assert call["started_at"] < call["finished_at"]
        assert call["result"]["statements"]


def test_a_mask_is_an_8_bit_png_of_the_images_own_size(caller: Caller, film: bytes, eager_celery: Any) -> None:
    image = caller.upload(film, "film.dcm").json()
    asked = caller.ask(caller.conversation(), "Segment the lungs", image["id"]).json()
    (call,) = caller.get(f"/api/runs/{asked['run_id']}").json()["tool_calls"]
    masks = call["artifacts"]
    assert len(masks) == 2
    for mask in masks:
        assert {"id", "kind", "url"} <= set(mask)
        assert mask["kind"] == "mask"
        assert mask["url"] == f"/api/artifacts/{mask['id']}"
        response = caller.get(mask["url"])
        assert response["Content-Type"] == "image/png"
        with Picture.open(io.BytesIO(response.content), formats=["PNG"]) as opened:
            assert opened.mode == "L"
            assert opened.size == (image["width"], image["height"])
            assert np.unique(np.asarray(opened)).tolist() == [0, 255]


def test_a_report_artifact_is_json(caller: Caller, film: bytes, eager_celery: Any) -> None:
    image = caller.upload(film, "film.dcm").json()["id"]
    asked = caller.ask(caller.conversation(), "Draft a report", image).json()
    calls = caller.get(f"/api/runs/{asked['run_id']}").json()["tool_calls"]
    (report,) = [artifact for call in calls for artifact in call["artifacts"] if artifact["kind"] == "report"]
    assert caller.get(report["url"]).json()["data"]["report_id"]


def test_a_question_that_was_never_answered_has_no_answer_yet(caller: Caller) -> None:
    asked = caller.ask(caller.conversation(), "Which papers adapt CLIP?").json()
    run = caller.get(f"/api/runs/{asked['run_id']}").json()
    assert (run["state"], run["answer"], run["tool_calls"]) == ("queued", None, [])


def test_stop_ends_a_run_and_says_so(caller: Caller, film: bytes) -> None:
    image = caller.upload(film, "film.dcm").json()["id"]
    asked = caller.ask(caller.conversation(), "Segment the lungs", image).json()
    runs.advance(asked["run_id"])
    assert caller.get(f"/api/runs/{asked['run_id']}").json()["state"] == "waiting"
    stopped = caller.post(f"/api/runs/{asked['run_id']}/cancel").json()
    assert stopped["state"] == "cancelled"
    assert [call["state"] for call in stopped["tool_calls"]] == ["cancelled"]
    again = caller.post(f"/api/runs/{asked['run_id']}/cancel")
    assert (again.status_code, again.json()) == (200, stopped)


def test_the_same_image_named_twice_is_one_image(caller: Caller) -> None:
    image = caller.upload(picture()).json()["id"]
    asked = caller.ask(caller.conversation(), "Look", image, image)
    assert asked.status_code == 202
    assert Message.objects.get().images.count() == 1


# Refusals, each in one line


def test_a_busy_conversation_says_409(caller: Caller) -> None:
    conversation = caller.conversation()
    caller.ask(conversation, "Which papers adapt CLIP?")
    assert "still being answered" in refusal(caller.ask(conversation, "And SAM?"), 409)
    assert Message.objects.count() == 1


@pytest.mark.parametrize(
    "body",
    [
        {"text": "", "images": []},
        {"text": " \n\0"},
        {"text": "a" * 20_001},
        {"text": None},
        {"text": 3},
        {"text": "half \ud83d a pair"},
        {"images": ["no id"]},
        {"images": "no list"},
        {"text": "hello", "images": [NOWHERE] * 101},
        {},
        [],
        None,
    ],
    ids=repr,
)
def test_a_question_that_cannot_be_taken_is_refused_in_one_line(caller: Caller, body: Any) -> None:
    conversation = caller.conversation()
    refusal(caller.post(f"/api/conversations/{conversation}/messages", body), 422)
    assert not Message.objects.exists()
    assert caller.ask(conversation, "Which papers adapt CLIP?").status_code == 202


@pytest.mark.parametrize("raw", [b"{", b"\xff\xfe", b"", b'{"text": "a"'])
def test_a_body_that_is_no_json_is_refused(caller: Caller, raw: bytes) -> None:
    path = f"/api/conversations/{caller.conversation()}/messages"
    response = caller.client.post(path, raw, content_type="application/json", headers=caller.headers)
    assert response.status_code in (400, 422)
    refusal(response, response.status_code)


def test_a_body_over_the_limit_is_413(caller: Caller) -> None:
    body = {"text": "a" * 1_200_000}
    refusal(caller.post(f"/api/conversations/{caller.conversation()}/messages", body), 413)


def test_an_upload_without_a_file_is_refused(caller: Caller) -> None:
    assert "file" in refusal(caller.client.post("/api/images", {}, headers=caller.headers), 422)
    assert "file" in refusal(caller.client.post("/api/images", {"file": "text"}, headers=caller.headers), 422)


def test_more_images_than_a_question_can_carry(caller: Caller, settings: Any) -> None:
    settings.IMAGES_PER_MESSAGE = 1
    images = [caller.upload(picture((20 + i, 20))).json()["id"] for i in range(2)]
    assert "at most 1" in refusal(caller.ask(caller.conversation(), "Look", *images), 422)


@pytest.mark.parametrize("path", ["/api/runs/abc", "/api/artifacts/1", "/api/conversations/x/messages", "/api/nothing"])
def test_what_is_no_address_is_404(caller: Caller, path: str) -> None:
    assert caller.get(path).status_code in (404, 405)
    assert caller.post(path, {}).status_code in (404, 405)


# Bob is a stranger


def test_bob_finds_nothing_of_alice(caller: Caller, stranger: Caller, film: bytes, eager_celery: Any) -> None:
    image = caller.upload(film, "film.dcm").json()["id"]
    conversation = caller.conversation()
    run = caller.ask(conversation, "Segment the lungs", image).json()["run_id"]
    mask = caller.get(f"/api/runs/{run}").json()["tool_calls"][0]["artifacts"][0]["id"]
    for reached in (
        stranger.get(f"/api/runs/{run}"),
        stranger.get(f"/api/runs/{run}/events"),
        stranger.post(f"/api/runs/{run}/cancel"),
        stranger.get(f"/api/artifacts/{mask}"),
        stranger.ask(conversation, "What did alice ask?"),
        stranger.ask(stranger.conversation(), "What is this?", image),
    ):
        refusal(reached, 404)
    assert Message.objects.filter(role=Message.USER).count() == 1


def test_bob_cannot_stop_alice(caller: Caller, stranger: Caller) -> None:
    run = caller.ask(caller.conversation(), "Which papers adapt CLIP?").json()["run_id"]
    refusal(stranger.post(f"/api/runs/{run}/cancel"), 404)
    assert Run.objects.get(pk=run).state == Run.QUEUED


def test_not_there_and_not_yours_look_the_same(caller: Caller, stranger: Caller) -> None:
    run = caller.ask(caller.conversation(), "Which papers adapt CLIP?").json()["run_id"]
    assert stranger.get(f"/api/runs/{run}").content == stranger.get(f"/api/runs/{NOWHERE}").content


def test_an_artifact_whose_file_is_gone_is_404(caller: Caller, film: bytes, eager_celery: Any) -> None:
    image = caller.upload(film, "film.dcm").json()["id"]
    caller.ask(caller.conversation(), "Segment the lungs", image)
    mask = Artifact.objects.first()
    assert mask is not None
    mask.file.delete(save=False)
    Artifact.objects.filter(pk=mask.pk).update(file="artifacts/gone.png")
    refusal(caller.get(f"/api/artifacts/{mask.pk}"), 404)


def test_what_alice_uploads_is_hers(caller: Caller, alice: User) -> None:
    caller.upload(picture())
    caller.conversation()
    assert Image.objects.get().owner == Conversation.objects.get().owner == alice


# What is drawn on images


def test_masks_and_measurements_are_read_by_their_image(caller: Caller, film: bytes, stranger: Caller) -> None:
    image = Image.objects.get(pk=caller.upload(film).json()["id"])
    drawn = np.zeros((image.height, image.width), np.uint8)
    drawn[10:20, 30:50] = 255
    data = {"type": "length", "values": [{"name": "length", "value": 3.0, "unit": "px"}]}
    mask = Annotation.add(image, drawn, kind="mask", author="person", label="left lung")
    Annotation.add(image, kind="measurement", author="person", label="nodule", data=data)
    facts = caller.get(f"/api/images/{image.pk}").json()
    assert (facts["layout"], facts["width"], facts["kind"]) == ("image", image.width, "dicom")
    first, second = facts["annotations"]
    assert (first["label"], first["version"], second["data"]) == ("left lung", 1, data)
    with Picture.open(io.BytesIO(caller.get(first["url"]).content)) as picture:
        assert np.array_equal(np.asarray(picture), drawn)
    assert caller.get(second["url"]).json()["label"] == "nodule"
    refusal(caller.get(first["url"], frame=1), 422)
    for path in (f"/api/images/{image.pk}", first["url"], f"/api/annotations/{mask.pk}"):
        assert stranger.get(path).status_code == 404
