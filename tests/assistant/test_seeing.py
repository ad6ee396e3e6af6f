"""Which served model answers a question about an image, and what staff and chats have to say in it."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from assistant import served, tools
from assistant.models import Conversation, Image, ModelSwitch, Run, ToolCall
from assistant.tools import seeing
from inference import servers
from inference.fake import FakeOpenAI
from tests import phantom
from tests.assistant.pages import HTMX
from tests.assistant.test_ground import call
from tests.assistant.test_runs import radiograph

__all__ = ["radiograph"]
pytestmark = pytest.mark.django_db(transaction=True)
QWEN, LINGSHU = "Qwen/Qwen3-VL-8B-Instruct", "lingshu-medical-mllm/Lingshu-7B"


@pytest.fixture
def qwen() -> Iterator[FakeOpenAI]:
    servers.forget()
    with FakeOpenAI(lambda _: "Yes, says Qwen.", model=QWEN) as server:
        yield server
    servers.forget()


@pytest.fixture
def lingshu() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(lambda _: "No.", model=LINGSHU) as server:
        yield server


@pytest.fixture
def chat(alice: User, radiograph: Image) -> Conversation:
    return phantom.chat_with(alice, radiograph)


def at(server: FakeOpenAI, model: str = "") -> str:
    return f"openai:{server.base_url}#{model or server.model}"


def ask(chat: Conversation, tool: str = "ask_image", **arguments: str) -> ToolCall:
    return call(chat, tool, image="img1", **(arguments or {"question": "Is there an effusion?"}))


def test_a_chat_model_that_the_catalogue_says_can_see_is_asked(chat, qwen, settings):
    settings.SERVERS = at(qwen)
    done = ask(chat)
    assert done.result["statements"][0]["text"] == f"{QWEN} answers: Yes, says Qwen."
    assert done.result["records"][0] == {
        "checkpoint": "qwen3-vl-8b-instruct",
        "name": "Qwen3-VL-8B-Instruct",
        "revision": "",
        "licence": "Apache-2.0",
    }


def test_a_chat_model_that_nobody_says_can_see_is_not(chat, qwen, settings):
    settings.SERVERS = at(qwen, "some/language-model")
    assert "not configured. Serve a vision-language model" in ask(chat).text
    assert not qwen.requests


def test_the_model_of_the_setting_is_asked_before_the_others(chat, qwen, lingshu, settings):
    settings.SERVERS, settings.VQA_MODEL = at(qwen), at(lingshu)
    assert "answers: No." in ask(chat).text
    assert (len(qwen.requests), len(lingshu.requests)) == (0, 1)


def test_the_choice_of_the_chat_is_asked_before_that(chat, qwen, lingshu, settings):
    settings.SERVERS, settings.VQA_MODEL = at(qwen), at(lingshu)
    chat.checkpoints = {"vqa": "qwen3-vl-8b-instruct"}
    chat.save()
    assert "says Qwen" in ask(chat).text
    assert not lingshu.requests


def test_what_a_model_was_not_made_for_it_is_not_asked(chat, lingshu, settings):
    settings.VQA_MODEL = at(lingshu)
    declined = ask(chat, "ground", phrase="the tube")
    assert "of the models that are served here (Lingshu-7B) none is made for it" in declined.text
    assert not lingshu.requests


def test_where_one_cannot_another_does(chat, qwen, lingshu, settings):
    settings.SERVERS, settings.VQA_MODEL = at(qwen), at(lingshu)
    ask(chat, "ground", phrase="the tube")
    assert (len(qwen.requests), len(lingshu.requests)) == (1, 0)


@pytest.mark.parametrize("tool", ["ask_image", "report_findings", "ground"])
def test_what_staff_have_switched_off_is_asked_by_nobody(chat, qwen, settings, tool):
    settings.VQA_MODEL = at(qwen, "house/model")
    ModelSwitch.objects.create(key="served-house-model", on=False)
    assert tools.TOOLS[tool].missing()
    assert "house/model" in tools.TOOLS[tool].missing()
    arguments = {"ask_image": {"question": "What is it?"}, "ground": {"phrase": "a tube"}}.get(
        tool, {"indication": "-"}
    )
    assert "not configured" in ask(chat, tool, **arguments).text
    assert not qwen.requests


def test_a_choice_that_staff_have_switched_off_says_so(chat, qwen, lingshu, settings):
    settings.SERVERS, settings.VQA_MODEL = at(qwen), at(lingshu)
    chat.checkpoints = {"vqa": "qwen3-vl-8b-instruct"}
    chat.save()
    ModelSwitch.objects.create(key="qwen3-vl-8b-instruct", on=False)
    assert "Qwen3-VL-8B-Instruct has been switched off here" in ask(chat).text


def test_a_served_model_that_no_catalogue_describes_is_on_the_page_and_can_be_switched(qwen, settings, admin_client):
    settings.VQA_MODEL = at(qwen, "house/Model 7B")
    page = admin_client.get(reverse("models")).content.decode()
    assert "house/Model 7B" in page
    assert (
        "no catalogue describes it"
        in admin_client.get(reverse("model", args=["served-house-model-7b"])).content.decode()
    )
    admin_client.post(reverse("model-switch", args=["served-house-model-7b"]), {"on": "0"}, headers=HTMX)
    assert seeing.usable("vqa") == []


def test_a_chat_model_that_staff_switch_off_is_not_offered_and_chats_say_who_answers(
    alice: User, qwen, settings, client_of: Any, eager_celery: Any
):
    settings.SERVERS = at(qwen)
    (_, choice) = served.choices()
    conversation = Conversation.objects.create(owner=alice, chat_model=served.kept(choice.name))
    ModelSwitch.objects.create(key="qwen3-vl-8b-instruct", on=False)
    assert [one.name for one in served.choices()] == ["guide"]
    client: Client = client_of(alice)
    page = client.get(reverse("chat", args=[conversation.pk])).content.decode()
    assert f"{QWEN} has been switched off here, so Guide answers." in page
    client.post(f"{reverse('chat', args=[conversation.pk])}messages/", {"text": "Which papers adapt CLIP?"})
    assert Run.objects.get().chat_model == "guide"
    assert not qwen.requests


def test_a_default_that_staff_switch_off_leaves_the_guide(qwen, settings):
    settings.CHAT_MODEL = at(qwen)
    ModelSwitch.objects.create(key="qwen3-vl-8b-instruct", on=False)
    assert served.default().name == "guide"


def test_opinions_of_several_served_models_stand_side_by_side(chat, qwen, lingshu, settings):
    settings.SERVERS, settings.VQA_MODEL = at(qwen), at(lingshu)
    told = ask(chat, "second_opinions").text
    assert "They disagree: " in told
    assert f"{QWEN} says yes" in told
    assert f"{LINGSHU} says no" in told
