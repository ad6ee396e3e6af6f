"""The page of the models: what is there, who switches, and what a chat chooses."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from assistant import checkpoints_in_use
from assistant.models import Conversation, Message, ModelSwitch, ToolCall
from assistant.tools.base import Declined
from corpus.models import Label, Paper
from tests.assistant.pages import HTMX, text_of

pytestmark = pytest.mark.django_db
MINE = (
    '[[checkpoint]]\nkey="mine"\nname="My <b>model</b>"\nroles=["segment"]\nbackend="lungs"\nlicence="CC-BY-NC-4.0"\n'
)


@pytest.fixture
def mine(settings: Any, tmp_path: Path) -> Path:
    """A second checkpoint that segments, of one's own."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.safetensors").touch()
    path = tmp_path / "mine.toml"
    path.write_text(f'{MINE}commercial = false\nsource = "folder:{tmp_path / "weights"}"\n')
    settings.CATALOGUES = [str(path)]
    settings.MODELS_DIR = tmp_path / "models"
    return path


@pytest.fixture
def chat(alice: User) -> Conversation:
    return Conversation.objects.create(owner=alice)


def test_every_checkpoint_is_there_with_state_licence_and_what_it_works_on(alice, client_of, mine):
    body = text_of(client_of(alice).get(reverse("models")))
    assert body.count('<li id="model-') == len(checkpoints_in_use.catalogue())
    assert "My &lt;b&gt;model&lt;/b&gt;" in body
    assert "CC-BY-NC-4.0, not for commercial use." in body
    assert "manage.py models serve lingshu-7b" in body
    assert "VQA-RAD 78.0, SLAKE 86.8, PathVQA 65.6 (accuracy in %" in body
    assert "Works on T1-weighted MR volumes of the head." in body
    assert str(mine.parent) not in body  # no folder of this machine


def test_one_role_shows_those_that_have_it(alice, client_of):
    body = text_of(client_of(alice).get(reverse("models"), {"role": "register"}))
    assert 'id="model-registration-simpleitk"' in body
    assert 'id="model-baseline-lungs"' not in body
    assert 'role=register#checkpoints" aria-current="true"' in body
    assert 'id="model-baseline-lungs"' in text_of(client_of(alice).get(reverse("models"), {"role": "no such"}))


def test_a_checkpoint_has_a_page_with_its_literature(alice, client_of):
    paper = Paper.objects.create(key="kirillov2023segment", title="Segment Anything", year=2023, annotation="Prompts.")
    Label.objects.create(paper=paper, facet="task", value="segmentation", source="list")
    body = text_of(client_of(alice).get(reverse("model", args=["sam-vit-base"])))
    assert paper.get_absolute_url() in body
    assert re.search(r"<dt>Task</dt><dd>Segmentation</dd>", body, re.I)
    assert "huggingface.co/facebook/sam-vit-base" in body
    listed = text_of(client_of(alice).get(reverse("models")))
    assert f'<a href="{paper.get_absolute_url()}">Its paper</a>' in listed
    assert client_of(alice).get(reverse("model", args=["no-such"])).status_code == 404


def test_a_catalogue_that_cannot_be_read_leaves_the_rest_of_the_page(alice, client_of, mine):
    mine.write_text("[[checkpoint")
    body = text_of(client_of(alice).get(reverse("models")))
    assert "The catalogue mine.toml cannot be read" in body
    assert "<h2>Tools</h2>" in body


def test_only_staff_switch_where_there_are_accounts(alice, staff, client_of, settings):
    settings.MULTI_USER = True
    url = reverse("model-switch", args=["baseline-lungs"])
    refused = client_of(alice).post(url, {"on": "0"})
    assert refused.status_code == 403
    assert "Only staff switch" in text_of(refused)
    assert not ModelSwitch.objects.exists()
    assert "model-switch" not in text_of(client_of(alice).get(reverse("models")))
    assert url not in text_of(client_of(alice).get(reverse("models")))
    assert client_of(staff).post(url, {"on": "0"}).url == reverse("model", args=["baseline-lungs"])
    switched = ModelSwitch.objects.get()
    assert (switched.key, switched.on, switched.by) == ("baseline-lungs", False, staff)
    assert "switched off" in text_of(client_of(alice).get(reverse("model", args=["baseline-lungs"])))
    again = client_of(staff).post(url, {"on": "1"}, headers=HTMX)
    assert text_of(again).startswith('<li id="model-baseline-lungs">')
    assert ModelSwitch.objects.get().on


def test_what_is_switched_off_is_used_by_nobody(staff, chat, client_of):
    client_of(staff).post(reverse("model-switch", args=["baseline-lungs"]), {"on": "0"})
    assert "baseline-lungs" not in [one.key for one in checkpoints_in_use.usable("segment")]
    with pytest.raises(Declined, match="has been switched off here"):
        checkpoints_in_use.choose("segment", "Segmentation", chat, "baseline-lungs")


def test_a_model_that_is_not_in_the_catalogue_cannot_be_switched(staff, client_of):
    assert client_of(staff).post(reverse("model-switch", args=["no-such"]), {"on": "0"}).status_code == 404
    assert not ModelSwitch.objects.exists()


def test_a_chat_chooses_among_what_is_ready(alice, chat, client_of, mine):
    client, url = client_of(alice), reverse("chat-models", args=[chat.pk])
    body = text_of(client.get(url))
    assert 'name="segment"' in body
    assert "The first that is ready: My" in body
    assert 'name="register"' not in body  # there is only one
    assert "classical baseline (scikit-image) (BSD-3-Clause)" in body
    assert client.post(url, {"segment": "baseline-lungs"}).url == reverse("chat", args=[chat.pk])
    chat.refresh_from_db()
    assert chat.checkpoints == {"segment": "baseline-lungs"}
    assert checkpoints_in_use.choose("segment", "Segmentation", chat).key == "baseline-lungs"
    body = text_of(client.post(url, {"segment": ""}, headers=HTMX))
    assert "it counts from the next question on" in body
    assert body.startswith("<form")
    chat.refresh_from_db()
    assert chat.checkpoints == {}


@pytest.mark.parametrize("key", ["no-such", "maira-2", "registration-simpleitk", "../mine", "\0"])
def test_a_chat_cannot_choose_what_is_not_offered(alice, chat, client_of, mine, key):
    answer = client_of(alice).post(reverse("chat-models", args=[chat.pk]), {"segment": key}, headers=HTMX)
    assert answer.status_code == 422
    assert "cannot be used for this: segment" in text_of(answer)
    chat.refresh_from_db()
    assert chat.checkpoints == {}


def test_a_chat_says_that_its_model_is_gone_and_can_let_go_of_it(alice, chat, client_of, mine):
    chat.checkpoints = {"segment": "mine"}
    chat.save()
    ModelSwitch.objects.create(key="mine", on=False)
    client, url = client_of(alice), reverse("chat-models", args=[chat.pk])
    assert "My &lt;b&gt;model&lt;/b&gt; was chosen and cannot be used now." in text_of(client.get(url))
    client.post(url, {"segment": ""})
    chat.refresh_from_db()
    assert chat.checkpoints == {}


def test_a_chat_without_a_choice_says_so(alice, chat, client_of):
    for key in ("baseline-ct-lungs", "baseline-vessels"):
        ModelSwitch.objects.create(key=key, on=False)
    assert "Nothing to choose" in text_of(client_of(alice).get(reverse("chat-models", args=[chat.pk])))


def test_a_tool_call_shows_licence_revision_and_paper_of_its_model(alice, chat, client_of):
    paper = Paper.objects.create(key="kirillov2023segment", title="Segment Anything", year=2023)
    message = chat.add(Message.USER, "Outline it")
    run = chat.runs.create(message=message, chat_model="guide", state="done")
    record = {"checkpoint": "sam-vit-base", "name": "SAM", "revision": "abc123", "licence": "Apache-2.0"}
    record |= {"device": "cuda", "started": 100.0, "ended": 102.5, "load_seconds": 1.2, "memory_mb": 900.4}
    gone = {"checkpoint": "gone", "name": "Gone", "licence": "MIT", "device": "cpu", "started": 1.0, "ended": 1.5}
    call = ToolCall.objects.create(
        run=run,
        number=1,
        name="segment",
        state="done",
        arguments={},
        result={"summary": "One mask", "records": [record | {"versions": {"torch": "2.13.0"}}, gone]},
    )
    body = text_of(client_of(alice).get(reverse("tool-call", args=[call.pk])))
    assert "abc123" in body
    assert "Apache-2.0" in body
    assert "cuda, 2.5 s by its worker" in body
    assert "1.2 s loading" in body
    assert "torch 2.13.0" in body
    assert f'<a href="{paper.get_absolute_url()}">Segment Anything</a>' in body
    assert "Gone" in body
