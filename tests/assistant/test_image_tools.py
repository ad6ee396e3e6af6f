"""Tools that make pictures of images or find them: asked in a chat, answered by the guide, opened as evidence."""

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
from assistant.models import Artifact, Conversation, Image, ImageVector, Run
from tests import phantom
from tests.assistant.pages import HTMX, text_of
from tests.inference.test_registration import film, moved

pytestmark = pytest.mark.django_db(transaction=True)


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    low, high = float(pixels.min()), float(pixels.max())
    Picture.fromarray(((pixels - low) / max(high - low, 1) * 255).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def stored(user: User, pixels: np.ndarray, name: str = "film.png") -> Image:
    return uploads.store(user, SimpleUploadedFile(name, png(pixels)))


def asked(conversation: Conversation, text: str, images: list[Image]) -> Run:
    run = runs.ask(conversation, text, images)
    run.refresh_from_db()
    return run


def answer(run: Run) -> str:
    assert run.answer is not None
    return run.answer.text


@pytest.fixture
def chat(alice: User, eager_celery: Any) -> Conversation:
    return Conversation.objects.create(owner=alice)


@pytest.fixture
def client(alice: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(alice)


def test_two_films_are_aligned_and_their_pictures_open(alice: User, chat: Conversation, client: Client):
    run = asked(chat, "Align img2 to img1", [stored(alice, film()), stored(alice, moved(film()))])
    said = answer(run)
    assert "To lie on img1, img2 is turned by 7.0 degrees clockwise and shifted by 9." in said
    assert "after the alignment" in said
    assert "not millimetres" in said
    pictures = list(Artifact.objects.filter(tool_call__run=run, kind=Artifact.PICTURE))
    assert [made.label for made in pictures] == ["moving image, aligned", "checkerboard of both", "difference of both"]
    page = client.get(reverse("evidence", args=[run.answer_id, 2]), headers=HTMX)
    assert "Checkerboard of both" in text_of(page)
    assert "img2 laid on img1 by a rigid transform. 231 x 245 pixels" in text_of(page)
    assert "Research use only" in text_of(page)
    address = reverse("artifact-picture", args=[pictures[1].pk])
    assert address in page.content.decode()
    served = client.get(address)
    assert served["Content-Type"] == "image/png"
    with Picture.open(io.BytesIO(served.content)) as shown:
        assert shown.size == (pictures[1].data["width"], pictures[1].data["height"])
        assert shown.text["Source"] == "img2 laid on img1 by a rigid transform"


def test_two_volumes_are_aligned_in_millimetres(alice: User, chat: Conversation):
    voxels = phantom.voxels()
    shifted = np.roll(voxels, 3, axis=2)  # three columns of 1.5 mm to the patient's left
    images = [phantom.store(alice, voxels), phantom.store(alice, shifted)]
    run = asked(chat, "Register these volumes by correlation", images)
    assert "4.5 mm to the patient's right" in answer(run)
    made = Artifact.objects.filter(tool_call__run=run, kind=Artifact.PICTURE).first()
    assert made is not None
    assert made.data["planes"]


def test_an_image_and_a_volume_are_not_aligned(alice: User, chat: Conversation):
    run = asked(chat, "Align img1 with img2", [stored(alice, film()), phantom.store(alice, phantom.voxels())])
    assert "img2 is a volume and img1 is a single image" in answer(run)


def test_a_picture_is_its_owners(alice: User, bob: User, chat: Conversation, client_of: Callable[[User], Client]):
    run = asked(chat, "Align img2 to img1", [stored(alice, film()), stored(alice, moved(film()))])
    made = Artifact.objects.filter(tool_call__run=run, kind=Artifact.PICTURE)[0]
    assert client_of(bob).get(reverse("artifact-picture", args=[made.pk])).status_code == 404


def stripes(step: int, turned: bool = False) -> np.ndarray:
    pixels = np.tile((np.arange(96) // step % 2 * 200 + 20).astype(np.float64), (96, 1))
    return pixels.T if turned else pixels


def test_similar_images_are_the_owners_own(alice: User, bob: User, chat: Conversation, client: Client):
    query, near, far = (stored(alice, stripes(*how)) for how in ((8,), (9,), (8, True)))
    other = stored(bob, stripes(8), "bob.png")
    run = asked(chat, "Find images similar to img1", [query])
    assert "Of 2 of your images, the most similar to img1 has a similarity of" in answer(run)
    assert "a baseline, not a trained model" in answer(run)
    assert "film.png" not in answer(run)  # a file name is for the user alone
    made = Artifact.objects.get(tool_call__run=run)
    assert [row["id"] for row in made.data["images"]] == [str(near.pk), str(far.pk)]
    assert not other.vectors.exists()
    page = client.get(reverse("evidence", args=[run.answer_id, 1]), headers=HTMX)
    assert near.name in text_of(page)
    assert f"?image={near.pk}" in page.content.decode()
    assert "similarity" in text_of(page)


def test_a_listed_image_that_is_not_the_owners_is_not_shown(alice: User, bob: User, chat: Conversation, client: Client):
    run = asked(chat, "Find images similar to img1", [stored(alice, stripes(8)), stored(alice, stripes(9))])
    made = Artifact.objects.get(tool_call__run=run)
    made.data["images"][0]["id"] = str(stored(bob, stripes(8), "bob.png").pk)
    made.save()
    page = client.get(reverse("evidence", args=[run.answer_id, 1]), headers=HTMX)
    assert "bob.png" not in page.content.decode()


def test_a_vector_is_made_once(alice: User, chat: Conversation):
    images = [stored(alice, stripes(8)), stored(alice, stripes(9))]
    asked(chat, "Find images similar to img1", images)
    before = set(ImageVector.objects.values_list("pk", flat=True))
    assert len(before) == 2
    asked(chat, "Find images similar to img2", [])
    assert set(ImageVector.objects.values_list("pk", flat=True)) == before


def test_search_by_text_says_what_configures_it(alice: User, chat: Conversation):
    run = asked(chat, "Find my images with a pleural effusion", [stored(alice, stripes(8))])
    assert "Search for images by text is not configured" in answer(run)
    assert "manage.py models pull" in answer(run)
