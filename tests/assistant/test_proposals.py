"""Conditions that a served model proposes for a question, over real HTTP; chosen by a person, never applied."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from assistant import proposals
from inference.errors import Unavailable
from inference.fake import FakeOpenAI, Reply

pytestmark = pytest.mark.django_db(transaction=True)
ADDRESS = "/literature/proposals/?q=sharper+scans+of+the+chest&read=no&modality=ct"


@pytest.fixture
def served(settings: Any) -> Any:
    """A server with this script, to which LIGHTBOX_CHAT points."""
    servers: list[FakeOpenAI] = []

    def start(*script: Any) -> FakeOpenAI:
        servers.append(FakeOpenAI(list(script)))
        servers[-1].__enter__()
        settings.CHAT_MODEL = f"openai:{servers[-1].base_url}#{servers[-1].model}"
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def reader(alice: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(alice)


def test_what_the_model_says_is_offered_and_not_applied(served: Any, reader: Client, eager_celery: Any) -> None:
    server = served('Here: {"tasks": ["super-resolution", "dragons"], "modalities": ["ct"], "colour": "red"}')
    page = reader.get(ADDRESS, headers={"HX-Request": "true"}).content.decode()
    links = re.findall(r'href="([^"]+)">\+ ([^<]+)<', page)
    assert [name for _, name in links] == ["super-resolution"], (
        "neither an unknown value nor one that is chosen already"
    )
    assert links[0][0].replace("&amp;", "&") == (
        "/literature/?q=sharper+scans+of+the+chest&modality=ct&task=super-resolution&read=no"
    )
    assert "sharper scans of the chest" in str(server.requests[0]["messages"][-1])


@pytest.mark.parametrize("said", ["No idea.", "{", "[1]", '{"tasks": "vqa"}', '{"tasks": [["vqa"]]}', "{" * 5000 + "}"])
def test_odd_answers_propose_nothing(served: Any, reader: Client, eager_celery: Any, said: str) -> None:
    served(said)
    assert "proposes nothing more" in reader.get(ADDRESS).content.decode()


def test_a_server_that_fails_is_one_line(served: Any, reader: Client, eager_celery: Any) -> None:
    served(Reply("broken", status=500), Reply("broken", status=500))
    assert "did not answer" in reader.get(ADDRESS).content.decode()
    with pytest.raises(Unavailable):
        proposals.propose("lungs")


def test_the_guide_proposes_nothing_and_says_how_to_have_proposals(reader: Client) -> None:
    assert "LIGHTBOX_CHAT" in reader.get(ADDRESS).content.decode()
    assert "for more conditions" not in reader.get("/literature/?task=vqa").content.decode()


def test_the_list_offers_to_ask_where_a_model_is_served(served: Any, reader: Client) -> None:
    served()
    assert "for more conditions" in reader.get("/literature/?q=lungs").content.decode()
