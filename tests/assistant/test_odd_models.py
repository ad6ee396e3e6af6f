"""Served models do not all keep to the protocol; what they send must not break an answer."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from assistant import runs
from assistant.models import Conversation, Run
from inference import fake
from inference.fake import Reply
from tests.assistant.test_runs import radiograph
from tests.assistant.test_served_model import served

__all__ = ["radiograph", "served"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def conversation(alice: User) -> Conversation:
    return Conversation.objects.create(owner=alice)


def change_calls(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Let the scripted server send its tool calls changed."""
    ordinary = fake._tool_calls
    monkeypatch.setattr(fake, "_tool_calls", lambda reply: [change(call) for call in ordinary(reply)])


BOTH = Reply(tool_calls=[("segment", {"image": "img1"}), ("describe_image", {"image": "img1"})])


def test_two_calls_under_one_id_are_two_calls(conversation, radiograph, served, eager_celery, monkeypatch):
    change_calls(monkeypatch, lambda call: {**call, "id": "call_0"})
    served([BOTH, "Done [[c1]] [[c2]]."])
    run = runs.ask(conversation, "Look", [radiograph])
    run.refresh_from_db()
    assert (run.state, run.answer.text) == (Run.DONE, "Done [[c1]] [[c2]].")
    assert [(call.name, call.state) for call in run.tool_calls.all()] == [
        ("segment", "done"),
        ("describe_image", "done"),
    ]


def test_the_same_id_in_the_next_step_is_another_call(conversation, radiograph, served, eager_celery, monkeypatch):
    change_calls(monkeypatch, lambda call: {**call, "id": "call_0"})
    one = [Reply(tool_calls=[(name, {"image": "img1"})]) for name in ("segment", "describe_image")]
    served([*one, "Done."])
    run = runs.ask(conversation, "Look", [radiograph])
    run.refresh_from_db()
    assert run.state == Run.DONE
    assert [(call.name, call.state) for call in run.tool_calls.all()] == [
        ("segment", "done"),
        ("describe_image", "done"),
    ]


@pytest.mark.parametrize("arguments", ['{"image": "im', "img1", "[]", "null", ""])
def test_arguments_that_are_no_json_do_not_end_in_silence(
    conversation, radiograph, served, eager_celery, monkeypatch, arguments
):
    broken = {"name": "segment", "arguments": arguments}
    change_calls(monkeypatch, lambda call: {**call, "function": broken})
    server = served([Reply(tool_calls=[("segment", {})]), "I could not do that."])
    run = runs.ask(conversation, "Look", [radiograph])
    run.refresh_from_db()
    assert (run.state, run.answer.text) == (Run.DONE, "I could not do that.")
    assert len(server.requests) == 2
