"""An ultrasound is held back from every model until its owner has settled the text in it."""

from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pydicom import dcmread

from assistant import burned_in, history, runs, tools, uploads
from assistant.models import Conversation, Image, ToolCall
from tests.inference import files

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ultrasound(alice: User) -> Image:
    """As it is after its upload, before any worker has looked at it."""
    return uploads.store(alice, SimpleUploadedFile("us.dcm", files.COLOUR_ULTRASOUND.read_bytes()))


@pytest.fixture
def searched(ultrasound: Image) -> Image:
    burned_in.settle(ultrasound.pk)
    ultrasound.refresh_from_db()
    return ultrasound


def declined(owner: User, image: Image, settings: Any) -> str:
    """What ask_image says about it, with a model configured."""
    settings.VQA_MODEL = "openai:http://127.0.0.1:9/v1#tiny"
    conversation = Conversation.objects.create(owner=owner)
    run = runs.ask(conversation, "What is this?", [image])
    call = ToolCall.objects.create(
        run=run, number=1, call_id="x", name="ask_image", arguments={"image": "img1", "question": "What is it?"}
    )
    outcome = tools.execute(call)
    return outcome.summary if outcome.state == ToolCall.DECLINED else ""


def test_it_waits_from_the_first_moment_and_is_then_found(ultrasound: Image) -> None:
    assert ultrasound.held
    burned_in.settle(ultrasound.pk)
    ultrasound.refresh_from_db()
    assert ultrasound.text_check == Image.FOUND
    assert len(ultrasound.text_boxes) >= 12


def test_no_model_sees_it_until_it_is_settled(alice: User, searched: Image, settings: Any) -> None:
    assert "mask it or accept it" in declined(alice, searched, settings)
    run = Conversation.objects.get().runs.get()
    question = history.history(run, with_pixels=True)[-1]
    assert "data:image" not in str(question.content)
    burned_in.accept(searched)
    assert "data:image" in str(history.history(run, with_pixels=True)[-1].content)


def test_a_radiograph_is_not_searched_unless_asked(alice: User, client_of: Any) -> None:
    film = uploads.store(alice, SimpleUploadedFile("film.dcm", files.CHEST.read_bytes()))
    assert not film.held
    client_of(alice).post(reverse("image-text", args=[film.pk]), {"do": "search"})
    film.refresh_from_db()
    assert film.text_check == Image.WAITING


def test_masking_leaves_no_text_in_any_file(alice: User, searched: Image, client_of: Any, settings: Any) -> None:
    before = {str(file.name) for file in (searched.pixels, searched.preview)}
    client_of(alice).post(reverse("image-text", args=[searched.pk]), {"do": "mask"})
    burned_in.settle(searched.pk)
    searched.refresh_from_db()
    assert searched.text_check == Image.MASKED
    assert not searched.original
    assert not any(default_storage.exists(name) for name in before)
    boxes = searched.text_boxes
    with searched.pixels.open("rb") as file:
        pixels = np.load(file)
    assert all((pixels[y0:y1, x0:x1] == pixels.min()).all() for x0, y0, x1, y1 in boxes)
    with searched.cleaned.open("rb") as file:
        kept = dcmread(file)
    assert all((kept.pixel_array[y0:y1, x0:x1] == 0).all() for x0, y0, x1, y1 in boxes)
    burned_in.ask(searched)
    burned_in.settle(searched.pk)
    searched.refresh_from_db()
    assert searched.text_check == Image.CLEAR


def test_the_page_says_where_it_stands_and_what_can_be_done(alice: User, searched: Image, client_of: Any) -> None:
    client: Client = client_of(alice)
    address = reverse("image-text", args=[searched.pk])
    page = client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "may name a person" in page
    assert 'value="mask"' in page
    page = client.post(address, {"do": "accept"}, headers={"HX-Request": "true"}).content.decode()
    assert "You accepted the text" in page
    assert client.post(address, {"do": "shred"}).status_code == 422


def test_what_nobody_took_up_is_asked_for_again(ultrasound: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Image] = []
    monkeypatch.setattr(burned_in, "enqueue", asked.append)
    burned_in.sweep()
    assert asked == []
    Image.objects.update(created_at="2026-01-01T00:00Z")
    burned_in.sweep()
    assert asked == [ultrasound]


def test_a_search_that_dies_holds_the_image(ultrasound: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    ultrasound.pixels.storage.delete(ultrasound.pixels.name)
    with ultrasound.preview.open("rb") as file:
        ultrasound.pixels.save("pixels.npy", file)  # no array at all
    burned_in.settle(ultrasound.pk)
    ultrasound.refresh_from_db()
    assert ultrasound.text_check == Image.FAILED
    assert ultrasound.held
