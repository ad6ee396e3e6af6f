"""One question to every model that can answer: side by side, disagreements in words, a failure in its own row."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from assistant import runs, tools
from assistant.models import Artifact, Conversation, Image, ToolCall
from inference import perform
from tests import phantom
from tests.assistant.pages import HTMX
from tests.assistant.test_compare_images import plain
from tests.assistant.test_ground import Seer, call, seer

__all__ = ["seer"]
pytestmark = pytest.mark.django_db(transaction=True)
ASKED = "Is there an effusion?"
ENTRY = """
[[checkpoint]]
key = "{key}"
name = "{name}"
roles = ["classify"]
backend = "hf-classifier"
licence = "MIT"
revision = "r1"
source = "folder:{folder}"
modalities = {modalities}
"""


def classifier(folder: Path, value: float | None) -> None:
    """A small ViT that gives every image this score of an effusion; without one, weights that are none."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    names = {0: "Effusion", 1: "Nodule"}
    config = ViTConfig(**sizes, image_size=32, patch_size=8, id2label=names, label2id={n: i for i, n in names.items()})
    config.problem_type = "multi_label_classification"
    model = ViTForImageClassification(config)
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.logit(torch.tensor([value or 0.5, 0.3])))
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    if value is None:
        (folder / "model.safetensors").write_bytes(b"none")


@pytest.fixture
def classifiers(tmp_path: Path, settings: Any, eager_celery: Any) -> Callable[..., None]:
    """Configures classifiers with weights: {key: the score of an effusion, None where it fails}."""

    def make(modalities: str = "[]", **scores: float | None) -> None:
        for key, value in scores.items():
            classifier(tmp_path / key, value)
        entries = [
            ENTRY.format(key=key, name=key.capitalize(), folder=tmp_path / key, modalities=modalities) for key in scores
        ]
        (tmp_path / "catalogue.toml").write_text("".join(entries))
        settings.CATALOGUES = [str(tmp_path / "catalogue.toml")]
        perform.residents.cache_clear()

    return make


@pytest.fixture
def chat(alice: User) -> Conversation:
    return phantom.chat_with(alice, plain(alice))


def ask(chat: Conversation, question: str = ASKED) -> ToolCall:
    return call(chat, "second_opinions", image="img1", question=question)


def rows(done: ToolCall) -> dict[str, list[str]]:
    return {who: cells for who, *cells in Artifact.objects.get(tool_call=done).data["rows"]}


def texts(done: ToolCall) -> str:
    return " ".join(statement["text"] for statement in done.result["statements"])


def test_a_disagreement_is_said_in_words_and_not_averaged(chat: Conversation, classifiers: Any, seer: Seer):
    classifiers(alpha=0.9, beta=0.1)
    seer.says = "Yes, on the left."
    done = ask(chat)
    assert done.state == ToolCall.DONE, done.text
    assert rows(done)["Alpha"] == ["Effusion: score 0.90.", "Effusion 0.90", "yes", "r1", "MIT"]
    assert rows(done)["Beta"][2] == "no"
    assert rows(done)["seer"] == ["Yes, on the left.", "", "yes", "not told", "licence not stated"]
    assert "They disagree: Alpha and seer say yes, Beta says no." in texts(done)
    assert "none was averaged" in done.result["notes"][0]
    assert "is no tested limit" in done.result["notes"][1]
    assert {statement["ref"] for statement in done.result["statements"]} == {"c1.1"}
    assert [record["checkpoint"] for record in done.result["records"]] == ["alpha", "beta", "served-seer"]


def test_agreement_is_no_proof_and_the_unclear_are_named(chat: Conversation, classifiers: Any, seer: Seer):
    classifiers(alpha=0.1, beta=0.2)
    seer.says = "It is hard to say."
    said = texts(ask(chat))
    assert "Alpha and Beta all say no; that they agree does not make it so. From seer it is unclear." in said


def test_the_failure_of_one_is_its_row(chat: Conversation, classifiers: Any, seer: Seer):
    classifiers(alpha=None, beta=0.9)
    seer.says = "No."
    done = ask(chat)
    assert rows(done)["Alpha"][2] == "no answer"
    assert "Alpha gave no answer: " in texts(done)
    assert "They disagree: Beta says yes, seer says no." in texts(done)


def test_with_only_one_there_is_nothing_to_compare_with(chat: Conversation, classifiers: Any):
    classifiers(alpha=0.9)
    assert "There is nothing to compare with: only Alpha answered." in texts(ask(chat))


def test_when_nobody_answers_that_is_said(chat: Conversation, classifiers: Any, seer: Seer):
    classifiers(alpha=None)
    seer.says = ""
    assert "Nobody answered" in texts(ask(chat))


def test_without_anybody_to_ask_it_says_what_configures_one(chat: Conversation, classifiers: Any):
    classifiers(modalities='["DMS"]', alpha=0.9)
    Image.objects.update(said={"modality": "MG", "body_part": "BREAST", "view": ""})
    done = ask(chat)
    assert done.state == ToolCall.DECLINED
    assert "LIGHTBOX_VQA=" in done.text


def test_what_is_made_for_other_images_is_not_asked(chat: Conversation, classifiers: Any, seer: Seer):
    classifiers(modalities='["DMS"]', alpha=0.9)
    Image.objects.update(said={"modality": "MG", "body_part": "BREAST", "view": ""})
    done = ask(chat)
    assert "Not asked, since they are made for other images: Alpha," in " ".join(done.result["notes"])
    assert "only seer answered" in texts(done)


def test_at_most_four_classifiers_are_asked(chat: Conversation, classifiers: Any):
    classifiers(**{f"model{n}": 0.9 for n in "abcde"})
    done = ask(chat)
    assert len(rows(done)) == 4
    assert any(note.startswith("At most 4 classifiers are asked") for note in done.result["notes"])


def test_an_open_question_gets_answers_and_no_verdict(chat: Conversation, classifiers: Any, seer: Seer):
    classifiers(alpha=0.9)
    seer.says = "A grey ramp."
    said = texts(ask(chat, "What does this show?"))
    assert "it has no label for what was asked; its best are Effusion: score 0.90" in said
    assert "Whether they agree cannot be told" in said


def test_a_held_image_is_asked_about_by_nobody(chat: Conversation, classifiers: Any, seer: Seer):
    classifiers(alpha=0.9)
    Image.objects.update(text_check=Image.FOUND)
    assert ask(chat).state == ToolCall.DECLINED
    assert seer.server.requests == []


def test_it_waits_where_models_are_waited_for(chat: Conversation):
    assert tools.queue_of("second_opinions", {"image": "img1", "question": ASKED}, chat) == "expert"


def test_the_guide_asks_for_them_and_the_table_opens(
    alice: User, chat: Conversation, classifiers: Any, seer: Seer, client_of: Callable[[User], Client]
):
    classifiers(alpha=0.9)
    seer.says = "No."
    run = runs.ask(chat, "Give me a second opinion on whether there is an effusion", [])
    run.refresh_from_db()
    (made,) = run.tool_calls.all()
    assert (made.name, made.arguments["question"]) == ("second_opinions", "Is there an effusion?")
    assert run.answer is not None
    assert "They disagree: Alpha says yes, seer says no." in run.answer.text
    page = client_of(alice).get(reverse("evidence", args=[run.answer_id, 1]), headers=HTMX)
    assert '<th scope="col">licence</th>' in page.content.decode()
