"""Two images side by side: what differs is said as it was measured, and nothing is said to have progressed."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image as Picture

from assistant import runs, uploads
from assistant.models import Artifact, Conversation, Image, ToolCall
from tests import phantom
from tests.assistant.pages import HTMX, text_of
from tests.assistant.test_ground import Seer, call, seer
from tests.assistant.test_runs import radiograph
from tests.inference.test_chest import thorax

__all__ = ["radiograph", "seer"]
pytestmark = pytest.mark.django_db(transaction=True)


def film(user: User, heart: float) -> Image:
    """A frontal chest whose heart is so much of the image wide, said to be one."""
    pixels = thorax(heart).pixels
    out = io.BytesIO()
    Picture.fromarray((pixels / pixels.max() * 255).astype(np.uint8)).save(out, "PNG")
    image = uploads.store(user, SimpleUploadedFile("film.png", out.getvalue()))
    Image.objects.filter(pk=image.pk).update(text_check=Image.CLEAR)
    image.refresh_from_db()
    return image


def plain(user: User) -> Image:
    """A picture of nothing, which no baseline takes for a chest."""
    out = io.BytesIO()
    Picture.fromarray(np.tile(np.arange(160, dtype=np.uint8), (140, 1))).save(out, "PNG")
    image = uploads.store(user, SimpleUploadedFile("plain.png", out.getvalue()))
    Image.objects.filter(pk=image.pk).update(text_check=Image.CLEAR)
    return image


def compare(conversation: Conversation, first: str = "img1", second: str = "img2") -> ToolCall:
    return call(conversation, "compare_images", first=first, second=second)


def texts(done: ToolCall) -> str:
    return " ".join(statement["text"] for statement in done.result["statements"])


def rows(done: ToolCall) -> dict[str, list[str]]:
    return {name: cells for name, *cells in Artifact.objects.get(tool_call=done).data["rows"]}


def test_two_chest_radiographs_are_measured_side_by_side_in_the_order_they_were_named(alice: User):
    conversation = phantom.chat_with(alice, film(alice, 0.36), film(alice, 0.46))
    done = compare(conversation, "img2", "img1")
    assert done.state == ToolCall.DONE, done.text
    assert Artifact.objects.get(tool_call=done).data["columns"] == ["", "img2", "img1"]
    assert "img2 is the first and img1 the second" in done.result["notes"][0]
    wide, narrow = (float(cell.split()[0]) for cell in rows(done)["cardiothoracic ratio"])
    assert wide == pytest.approx(0.46 / 0.71, abs=0.05)
    assert narrow == pytest.approx(0.36 / 0.71, abs=0.05)
    assert "The cardiothoracic ratio" in texts(done)
    assert "The lungs as outlined" in texts(done)
    assert "Neither states a pixel spacing" in texts(done)
    assert {statement["ref"] for statement in done.result["statements"]} == {"c1.1"}
    nothing_progressed(done)


def nothing_progressed(done: ToolCall) -> None:
    assert "none of them says that anything has got better or worse" in " ".join(done.result["notes"])
    for word in ("progress", "worsen", "improv", "increas", "decreas", "enlarge"):
        assert word not in texts(done).lower()


def test_ratios_whose_tries_overlap_are_not_told_apart(alice: User):
    same = [film(alice, 0.4), film(alice, 0.4)]
    assert "overlaps, so the two are not told apart" in texts(compare(phantom.chat_with(alice, *same)))


def test_a_volume_and_a_film_are_compared_by_what_both_have(alice: User, radiograph: Image):
    done = compare(phantom.chat_with(alice, radiograph, phantom.store(alice, phantom.voxels())))
    assert done.state == ToolCall.DONE, done.text
    assert "not of the same kind" in texts(done)
    assert "img2, slice 16" in texts(done)
    assert "img2 is not taken for one" in " ".join(done.result["notes"])
    assert "cardiothoracic ratio" not in rows(done)


def test_a_served_model_adds_its_words_under_its_name(alice: User, seer: Seer):
    seer.says = "The second heart is wider."
    done = compare(phantom.chat_with(alice, plain(alice), plain(alice)))
    assert done.result["statements"][-1] == {"text": "seer says: The second heart is wider.", "ref": "c1"}
    assert "What seer says has been checked by nothing here." in done.result["notes"]
    content = seer.server.requests[-1]["messages"][-1]["content"]
    assert [part["text"].partition(",")[0] for part in content if part["type"] == "text"][:2] == ["img1", "img2"]


def test_a_held_image_is_compared_but_not_shown_to_the_model(alice: User, seer: Seer):
    images = [plain(alice), plain(alice)]
    Image.objects.filter(pk=images[1].pk).update(text_check=Image.FOUND)
    done = compare(phantom.chat_with(alice, *images))
    assert done.state == ToolCall.DONE
    assert seer.server.requests == []
    assert "seer was not asked: img2 has text burned into it" in " ".join(done.result["notes"])


def test_a_model_that_does_not_answer_costs_its_words_only(alice: User, seer: Seer):
    seer.says = ""
    done = compare(phantom.chat_with(alice, plain(alice), plain(alice)))
    assert done.state == ToolCall.DONE
    assert "seer gave no answer: The model gave an empty answer" in " ".join(done.result["notes"])


@pytest.mark.parametrize(("second", "why"), [("img1", "with itself"), ("img7", "There is no img7")])
def test_one_image_is_not_compared(alice: User, radiograph: Image, second: str, why: str):
    done = compare(phantom.chat_with(alice, radiograph), "img1", second)
    assert done.state == ToolCall.DECLINED
    assert why in done.text


def test_asked_to_compare_the_guide_does_and_its_table_opens(
    alice: User, eager_celery: Any, client_of: Callable[[User], Client]
):
    images = [film(alice, 0.36), film(alice, 0.46)]
    run = runs.ask(Conversation.objects.create(owner=alice), "Compare these two images", images)
    run.refresh_from_db()
    assert [c.name for c in run.tool_calls.all()] == ["compare_images"]
    assert run.answer is not None
    page = client_of(alice).get(reverse("evidence", args=[run.answer_id, 1]), headers=HTMX)
    assert "Compare images" in text_of(page)
    assert "<td>cardiothoracic ratio</td>" in page.content.decode()
    both = f"{reverse('chat-view', args=[run.conversation_id, images[0].pk])}?prior={images[1].pk}"
    assert f'href="{both}"' in page.content.decode()
    beside = client_of(alice).get(both).content.decode()
    assert beside.count('class="viewing"') == 2
    assert "Prior:" not in beside  # nobody has said which of the two is older
