"""Tools decline images that they are not made for, the answer says why, and a person's word goes before the gate's."""

import io
import json
import re
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from PIL import Image as Pillow

from assistant import history, kinds, runs, tools, uploads
from assistant.models import Conversation, Image, Run, ToolCall
from assistant.tools.base import EVERYTHING, Accepts
from inference.gate_samples import dermoscopy
from inference.types import Gate
from tests.assistant.pages import HTMX, text_of

pytestmark = pytest.mark.django_db(transaction=True)


def png(pixels: np.ndarray) -> SimpleUploadedFile:
    out = io.BytesIO()
    Pillow.fromarray(pixels).save(out, "PNG")
    return SimpleUploadedFile("picture.png", out.getvalue())


@pytest.fixture
def skin(alice: User) -> Image:
    """A drawn dermoscopy photograph: no wheel carries a real one."""
    return uploads.store(alice, png(dermoscopy(np.random.default_rng(1))))


@pytest.fixture
def film(alice: User) -> Image:
    return uploads.sample(alice)


@pytest.fixture
def unknown(alice: User) -> Image:
    rows = np.random.default_rng(5).integers(60, 200, (200, 200), dtype=np.uint8)
    return uploads.store(alice, png(rows))


def asked(owner: User, question: str, *images: Image) -> Run:
    run = runs.ask(Conversation.objects.create(owner=owner), question, list(images))
    run.refresh_from_db()
    return run


def call(run: Run, name: str, **arguments: Any) -> tools.Outcome:
    number = run.tool_calls.count() + 90
    row = ToolCall(run=run, number=number, call_id=f"x{number}", name=name, arguments={"image": "img1", **arguments})
    row.save()
    return tools.execute(row)


def answer(run: Run) -> str:
    assert run.answer
    return run.answer.text


# Declining


def test_a_mismatch_is_declined_with_what_it_looks_like_and_what_to_do(alice: User, skin: Image) -> None:
    outcome = call(asked(alice, "hello", skin), "segment")
    assert outcome.state == ToolCall.DECLINED
    assert outcome.summary.startswith("img1 looks like a dermoscopy photograph (confidence 0.")
    assert "skin tones" in outcome.summary
    assert "segment works on frontal chest radiographs or CT volumes of the chest." in outcome.summary
    assert outcome.summary.endswith("If that is wrong, correct it under the image.")


def test_what_is_accepted_is_carried_out_without_a_word(alice: User, film: Image) -> None:
    outcome = call(asked(alice, "hello", film), "segment")
    assert outcome.state == ToolCall.DONE
    assert not any("not known" in note for note in outcome.result["notes"])


def test_an_image_of_no_known_kind_goes_through_with_a_note(alice: User, film: Image) -> None:
    kinds.correct(film, {"modality": "", "body_part": "", "view": ""})
    outcome = call(asked(alice, "hello", film), "segment")
    assert outcome.state == ToolCall.DONE
    assert any("It is not known whether img1" in note for note in outcome.result["notes"])


def test_what_is_marked_can_be_outlined_on_any_image(alice: User, skin: Image) -> None:
    box = {"x0": 200.0, "y0": 150.0, "x1": 400.0, "y1": 300.0}
    assert call(asked(alice, "hello", skin), "segment", box=box).state == ToolCall.DONE


def test_the_description_of_an_image_asks_for_no_kind(alice: User, skin: Image) -> None:
    assert call(asked(alice, "hello", skin), "describe_image").state == ToolCall.DONE


@pytest.mark.parametrize(
    ("kind", "layout", "refused"),
    [
        (Gate("DX", "CHEST", "PA"), "image", False),
        (Gate("CR", "CHEST"), "image", False),
        (Gate("DX", "CHEST", "LL"), "image", True),
        (Gate("DX", "KNEE"), "image", True),
        (Gate("DX", "CHEST, ABDOMEN"), "image", False),
        (Gate("CT", "CHEST"), "image", True),
        (Gate("CT", "CHEST"), "volume", False),
        (Gate("DX", "CHEST"), "volume", True),
        (Gate(), "image", False),
        (Gate("", "KNEE"), "image", True),
    ],
)
def test_kinds_are_compared_by_modality_part_view_and_layout(kind: Gate, layout: str, refused: bool) -> None:
    segment = tools.TOOLS["segment"]
    assert segment.accepts(segment.arguments(image="img1")).refuses(kind, layout) is refused
    assert not EVERYTHING.refuses(kind, layout)


def test_a_tool_may_insist_on_a_known_kind() -> None:
    strict = Accepts("CT", modalities=frozenset({"CT"}), unknown_ok=False)
    assert strict.refuses(Gate(), "volume")
    assert not strict.refuses(Gate("CT"), "volume")


# The guide and the chat model


@pytest.mark.parametrize("question", ["Segment the lungs", "Draft a report"])
def test_the_guide_calls_no_tool_that_would_decline_and_says_why(
    alice: User, skin: Image, eager_celery: Any, question: str
) -> None:
    run = asked(alice, question, skin)
    assert not run.tool_calls.filter(name="segment").exists()
    assert "img1 looks like a dermoscopy photograph" in answer(run)
    assert answer(run).count("segment works on") == 1
    assert not run.tool_calls.filter(state=ToolCall.FAILED).exists()


def test_its_reason_is_not_marked_as_a_claim_without_a_source(alice: User, skin: Image, eager_celery: Any) -> None:
    run = asked(alice, "Segment the lungs. Which papers study lung segmentation?", skin)
    assert run.tool_calls.filter(name="search_literature").exists()
    assert run.answer
    assert not any("dermoscopy" in line["text"] for line in run.answer.support.get("unsupported", []))


def test_the_guide_segments_what_a_person_calls_a_chest_radiograph(alice: User, film: Image, eager_celery: Any) -> None:
    kinds.correct(film, {"modality": "DX", "body_part": "CHEST", "view": "PA"})
    run = asked(alice, "Segment the lungs", film)
    assert run.tool_calls.get().state == ToolCall.DONE


def test_a_person_can_also_keep_a_tool_away(alice: User, film: Image, eager_celery: Any) -> None:
    kinds.correct(film, {"modality": "MR", "body_part": "KNEE", "view": ""})
    run = asked(alice, "Segment the lungs", film)
    assert not run.tool_calls.exists()
    assert "img1 is MR of the knee, as was said under it" in answer(run)


def test_a_chat_model_is_told_what_the_image_looks_like(alice: User, skin: Image) -> None:
    question = history.history(asked(alice, "hello", skin), with_pixels=False)[-1]
    assert re.search(
        r"img1: PNG, .*by its pixels a dermoscopy photograph \(confidence 0\.\d\d\)", str(question.content)
    )


# Under the image


def test_the_pane_says_what_the_image_is_and_how_that_is_known(
    alice: User, film: Image, skin: Image, unknown: Image, client_of: Any
) -> None:
    assert kinds.line(film) == "Chest radiograph, PA (from the header)"
    assert kinds.line(skin) == f"Looks like a dermoscopy photograph ({skin.kind_of().confidence:.2f})"
    assert kinds.line(unknown) == "What kind of image this is cannot be told"
    run = asked(alice, "hello", skin)
    page = text_of(client_of(alice).get(reverse("chat", args=[run.conversation_id])))
    assert kinds.line(skin) in page
    assert "even all around" in page


def test_a_correction_is_kept_shown_and_undone(alice: User, skin: Image, client_of: Any) -> None:
    client, url = client_of(alice), reverse("image-kind", args=[skin.pk])
    said = {"modality": "XC", "body_part": "SKIN", "view": "", "do": "say"}
    after = client.post(url, said, headers=HTMX)
    skin.refresh_from_db()
    assert (skin.kind_of().modality, skin.kind_of().source) == ("XC", "person")
    assert "Skin photograph of a patient (as was said here)" in text_of(after)
    assert "Undo the correction" in text_of(after)
    undone = text_of(client.post(url, {**said, "do": "forget"}, headers=HTMX))
    skin.refresh_from_db()
    assert (skin.said, skin.kind_of().modality) == ({}, "DMS")
    assert "Looks like a dermoscopy photograph" in undone


def test_it_works_without_script_and_goes_back_to_the_chat(alice: User, skin: Image, client_of: Any) -> None:
    chat = reverse("chat", args=[asked(alice, "hello", skin).conversation_id])
    url = reverse("image-kind", args=[skin.pk])
    assert client_of(alice).post(url, {"modality": "US", "next": chat}).url == chat
    assert client_of(alice).post(url, {"modality": "US", "next": "https://elsewhere.example/"}).url == reverse("home")


def test_what_the_header_said_can_be_kept_in_the_form(alice: User, film: Image, client_of: Any) -> None:
    decoded = film.decoded
    decoded["gate"] |= {"modality": "RF", "body_part": "COLON", "view": "RAO"}
    film.save()
    client, url = client_of(alice), reverse("image-kind", args=[film.pk])
    assert text_of(client.get(url)).count("selected") == 3
    assert client.post(url, {"modality": "RF", "body_part": "COLON", "view": "RAO"}, headers=HTMX).status_code == 200


@pytest.mark.parametrize("field", ["modality", "body_part", "view"])
def test_words_that_are_not_in_the_lists_are_refused(alice: User, skin: Image, client_of: Any, field: str) -> None:
    response = client_of(alice).post(reverse("image-kind", args=[skin.pk]), {field: "<b>X</b>"}, headers=HTMX)
    skin.refresh_from_db()
    assert (response.status_code, skin.said) == (422, {})
    assert "from the lists" in text_of(response)


def test_a_stranger_corrects_nothing(bob: User, skin: Image, client_of: Any) -> None:
    assert client_of(bob).post(reverse("image-kind", args=[skin.pk]), {"modality": "CT"}).status_code == 404
    skin.refresh_from_db()
    assert skin.said == {}


def test_every_choice_has_a_label(alice: User, skin: Image, client_of: Any) -> None:
    page = text_of(client_of(alice).get(reverse("image-kind", args=[skin.pk])))
    selects = re.findall(r'<select name="\w+" id="([\w-]+)"', page)
    assert len(selects) == 3
    assert all(f'<label for="{name}">' in page for name in selects)


def test_an_image_from_before_the_gate_is_simply_not_known(alice: User, film: Image, client_of: Client) -> None:
    film.decoded = {name: value for name, value in film.decoded.items() if name != "gate"}
    film.save()
    assert kinds.line(film) == "What kind of image this is cannot be told"
    assert call(asked(alice, "hello", film), "segment").state == ToolCall.DONE


# A learned model by setting


def test_a_configured_classifier_decides_where_the_header_does_not(
    alice: User, skin: Image, film: Image, settings: Any, eager_celery: Any, tmp_path: Any
) -> None:
    torch = pytest.importorskip("torch")
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = ViTForImageClassification(ViTConfig(**sizes, image_size=32, patch_size=8, id2label={0: "a", 1: "b"}))
    with torch.no_grad():
        model.classifier.bias[0] = 9
    model.save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    (tmp_path / "gate.json").write_text(json.dumps({"a": {"modality": "XC", "body_part": "SKIN"}}))
    settings.GATE_MODEL = str(tmp_path)
    for image in (skin, film):
        kinds.ask_model(image)
        image.refresh_from_db()
    assert (skin.kind_of().modality, skin.kind_of().source) == ("XC", "model")
    assert film.kind_of().source == "header"


def test_a_classifier_that_cannot_be_loaded_changes_nothing(skin: Image, settings: Any, eager_celery: Any) -> None:
    settings.GATE_MODEL = "/no/such/folder"
    kinds.ask_model(skin)
    skin.refresh_from_db()
    assert skin.kind_of().modality == "DMS"


# The confusion table


@pytest.mark.timeout(400)  # it decodes half a hundred files, each in a process of its own
def test_the_confusion_table_adds_up_and_is_right_where_it_tells() -> None:
    out = io.StringIO()
    call_command("gate_confusion", stdout=out)
    parts = out.getvalue().split("\n# ")[1:]
    assert len(parts) == 3
    for part in parts:
        for block in part.split("\nModality,")[1:]:
            _check_block(block.split("\nBody part,")[0])
    told, right = map(int, re.findall(r"all: \d+ pictures, told (\d+), right (\d+)", parts[1])[0])
    assert told >= 15
    assert right / told >= 0.9
    assert "Cannot tell: " in parts[0]
    assert "MR2_UNCR.dcm (MR)" in parts[0]


def _check_block(block: str) -> None:
    """Each row's counts add up to its total, and the totals to the pictures of the summary."""
    rows = [line.split() for line in block.splitlines()[2:] if re.match(r"[A-Z]+ +\d", line)]
    counts = [list(map(int, row[1:])) for row in rows]
    pictures, told, right, cannot = map(
        int, re.findall(r"all: (\d+) pictures, told (\d+), right (\d+).*cannot tell (\d+)", block)[0]
    )
    assert all(sum(row[:-1]) == row[-1] for row in counts)
    assert sum(row[-1] for row in counts) == pictures == told + cannot
    assert sum(row[-2] for row in counts) == cannot
    assert right <= told
