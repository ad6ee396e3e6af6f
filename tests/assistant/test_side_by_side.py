"""A prior beside an image: linked by its owner, opened with one click, nobody else's."""

import io
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image as Picture

from assistant import uploads
from assistant.models import Conversation, ConversationImage, Image

pytestmark = pytest.mark.django_db


def photograph(user: User, name: str) -> Image:
    out = io.BytesIO()
    Picture.new("L", (64, 48), len(name)).save(out, "PNG")
    return uploads.store(user, SimpleUploadedFile(name, out.getvalue()))


@pytest.fixture
def chat(alice: User) -> Conversation:
    conversation = Conversation.objects.create(owner=alice)
    ConversationImage.attach(conversation, photograph(alice, "today.png"))
    return conversation


def today(chat: Conversation) -> Image:
    return chat.numbered_images.get().image


def test_a_prior_is_linked_shown_beside_and_unlinked(alice: User, client_of: Any, chat: Conversation) -> None:
    prior, client = photograph(alice, "last year.png"), client_of(alice)
    page = client.get(reverse("chat", args=[chat.pk])).content.decode()
    assert "last year.png" in page
    view = reverse("chat-view", args=[chat.pk, today(chat).pk])
    link = reverse("study-priors", args=[today(chat).study_id])
    answer = client.post(link, {"prior": prior.pk, "do": "add", "next": view})
    assert answer["Location"] == f"{view}?prior={prior.pk}"
    page = client.get(answer["Location"]).content.decode()
    assert f'data-image="{prior.pk}"' in page
    assert f'data-image="{today(chat).pk}"' in page
    assert "Research use only" in page
    assert list(today(chat).study.priors.all()) == [prior.study]
    described = client.get(reverse("image-viewer", args=[today(chat).pk])).json()
    assert [one["image"] for one in described["priors"]] == [str(prior.pk)]
    client.post(link, {"prior": prior.pk, "do": "remove", "next": view})
    assert not today(chat).study.priors.exists()


def test_a_stranger_s_image_can_neither_be_shown_nor_linked(
    alice: User, bob: User, client_of: Any, chat: Conversation
) -> None:
    theirs, client = photograph(bob, "bob.png"), client_of(alice)
    view = reverse("chat-view", args=[chat.pk, today(chat).pk])
    assert client.get(f"{view}?prior={theirs.pk}").status_code == 404
    assert client.get(f"{view}?prior=nonsense").status_code == 404
    link = reverse("study-priors", args=[today(chat).study_id])
    assert client.post(link, {"prior": theirs.pk, "do": "add"}).status_code == 404
    assert client_of(bob).post(link, {"prior": theirs.pk, "do": "add"}).status_code == 404
    assert not today(chat).study.priors.exists()


def test_a_study_is_no_prior_of_itself_and_the_way_back_stays_here(
    alice: User, client_of: Any, chat: Conversation
) -> None:
    link, client = reverse("study-priors", args=[today(chat).study_id]), client_of(alice)
    assert client.post(link, {"prior": today(chat).pk, "do": "add"}).status_code == 422
    prior = photograph(alice, "last year.png")
    assert client.post(link, {"prior": prior.pk, "do": "burn"}).status_code == 422
    answer = client.post(link, {"prior": prior.pk, "do": "add", "next": "https://example.org/"})
    assert answer["Location"] == reverse("home")


def test_deleting_the_prior_takes_the_link_with_it(alice: User, client_of: Any, chat: Conversation) -> None:
    prior = photograph(alice, "last year.png")
    today(chat).study.priors.add(prior.study)
    prior.delete_with_files()
    assert not today(chat).study.priors.exists()
    assert client_of(alice).get(reverse("chat", args=[chat.pk])).status_code == 200
