"""Findings and impression that a served model writes: its own sentences, under its name, in a draft of a report."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from assistant import runs
from assistant.models import Conversation, Report, ToolCall
from tests import phantom
from tests.assistant.test_compare_images import plain
from tests.assistant.test_ground import Seer, call, seer

__all__ = ["seer"]
pytestmark = pytest.mark.django_db(transaction=True)
WRITTEN = json.dumps(
    {"findings": ["The left base is dense.", "The heart is wide."], "impression": ["Effusion [[c9]]."]}
)


@pytest.fixture
def chat(alice: User) -> Conversation:
    return phantom.chat_with(alice, plain(alice))


def write(chat: Conversation, **more: str) -> ToolCall:
    return call(chat, "report_findings", image="img1", **more)


def test_each_sentence_is_a_statement_under_the_models_name(chat: Conversation, seer: Seer):
    seer.says = WRITTEN
    done = write(chat, indication="Cough")
    assert done.state == ToolCall.DONE, done.text
    assert [statement["text"] for statement in done.result["statements"]] == [
        "seer (findings): The left base is dense.",
        "seer (findings): The heart is wide.",
        "seer (impression): Effusion [c9].",
    ]
    assert "nothing here has checked them" in done.result["notes"][0]
    assert "The indication is: Cough" in seer.server.requests[-1]["messages"][-1]["content"][-1]["text"]


def test_what_is_not_of_the_form_is_refused_with_one_line(chat: Conversation, seer: Seer):
    seer.says = "The left base is dense."
    done = write(chat)
    assert done.state == ToolCall.DECLINED
    assert "seer did not give its answer in the form asked for, twice" in done.text


def test_that_nothing_was_written_is_said(chat: Conversation, seer: Seer):
    seer.says = '{"findings": [], "impression": []}'
    assert write(chat).result["statements"][0]["text"] == "seer wrote no finding and no impression of img1."


def test_without_a_served_model_it_says_what_configures_one(chat: Conversation):
    assert "Writing findings of an image is not configured" in write(chat).text


def test_a_draft_keeps_findings_and_impression_apart(chat: Conversation, seer: Seer, eager_celery: Any):
    seer.says = WRITTEN
    run = runs.ask(chat, "Write the findings", [])
    assert [made.name for made in run.tool_calls.all()] == ["report_findings"]
    runs.ask(chat, "Draft a report", [])
    report = Report.objects.get(conversation=chat)
    told = {section["heading"]: [one["text"] for one in section["sentences"]] for section in report.sections}
    assert "seer (findings): The heart is wide." in told["Findings"]
    assert not any("impression" in text for text in told["Findings"])
    assert told["Impression"][0] == "seer (impression): Effusion [c9]."
    assert "a qualified person has to confirm them" in told["Impression"][-1]
