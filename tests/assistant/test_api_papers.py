"""The literature through the API, and what the API says of itself."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from corpus import catalogue
from corpus.models import Label, Paper
from tests.assistant.test_api import Caller, caller, refusal

__all__ = ["caller"]
pytestmark = pytest.mark.django_db(transaction=True)


# The literature


@pytest.fixture
def papers(db: None) -> None:
    for number, (key, year, task) in enumerate([("clip", 2021, "classification"), ("medsam", 2023, "segmentation")]):
        paper = Paper.objects.create(
            key=key, title=f"{key} for medical images", year=year, annotation=f"Number {number} adapts {key}."
        )
        Label.objects.create(paper=paper, facet="task", value=task, source="reading list")
        Label.objects.create(paper=paper, facet="modality", value="x-ray", source="reading list")


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ({}, ["medsam", "clip"]),
        ({"task": "segmentation"}, ["medsam"]),
        ({"task": "segmentation", "modality": "x-ray"}, ["medsam"]),
        ({"modality": "ct"}, []),
        ({"strategy": "pretraining"}, []),
        ({"technique": "adapters"}, []),
        ({"year_max": 2022}, ["clip"]),
        ({"year_min": 2022}, ["medsam"]),
        ({"year_min": 10**30}, []),
        ({"year_min": -(10**30)}, ["medsam", "clip"]),
        ({"task": "\0"}, []),
    ],
    ids=repr,
)
def test_papers_by_their_facets(caller: Caller, papers: None, query: dict[str, Any], keys: list[str]) -> None:
    response = caller.get("/api/papers", **query)
    assert response.status_code == 200, response.content
    assert [paper["key"] for paper in response.json()] == keys


def test_papers_by_words_while_no_worker_answers(caller: Caller, papers: None, monkeypatch: Any) -> None:
    monkeypatch.setattr(catalogue.find, "__defaults__", (0.05,))  # seconds that it waits
    assert [paper["key"] for paper in caller.get("/api/papers", q="medsam").json()] == ["medsam"]
    assert caller.get("/api/papers", q="\0 medsam").status_code == 200
    refusal(caller.get("/api/papers", year_min="soon"), 422)


# What describes it


def test_the_api_describes_itself_to_who_is_signed_in(alice: User, client_of: Callable[[User], Client]) -> None:
    for path in ("/api/docs", "/api/openapi.json"):
        anonymous = Client().get(path)
        assert (anonymous.status_code, anonymous["Location"].startswith("/sign-in/")) == (302, True)
        assert client_of(alice).get(path).status_code == 200
    schema = client_of(alice).get("/api/openapi.json").json()
    assert schema["openapi"].startswith("3.")
    described = {(method, path) for path, methods in schema["paths"].items() for method in methods}
    assert described == {
        ("post", "/api/images"),
        ("post", "/api/series"),
        ("get", "/api/images/{image_id}"),
        ("get", "/api/annotations/{annotation_id}"),
        ("get", "/api/chat-models"),
        ("post", "/api/conversations"),
        ("post", "/api/conversations/{conversation_id}/messages"),
        ("get", "/api/runs/{run_id}"),
        ("get", "/api/runs/{run_id}/events"),
        ("post", "/api/runs/{run_id}/cancel"),
        ("get", "/api/artifacts/{artifact_id}"),
        ("get", "/api/papers"),
    }
    for methods in schema["paths"].values():
        for operation in methods.values():
            assert operation["security"]
            assert operation["summary"]
    names = json.dumps(schema)
    for reference in {part.split('"')[0] for part in names.split('"$ref": "#/components/schemas/')[1:]}:
        assert reference in schema["components"]["schemas"]


def test_the_page_of_the_api_needs_nothing_that_its_policy_forbids(alice: User, client_of: Any) -> None:
    page = client_of(alice).get("/api/docs").content.decode()
    assert "https://" not in page
    inline = [part.split(">", 1) for part in page.split("<script")[1:]]
    assert all('src="/static/' in tag or 'type="application/json"' in tag for tag, _ in inline)


def test_alive_and_ready_are_two_questions(db: None, settings: Any) -> None:
    assert Client().get("/healthz").content == b"ok"
    ready = Client().get("/readyz")
    assert ready.json()["database"] == ready.json()["valkey"] == "ok"
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    without = Client().get("/readyz")
    assert (without.status_code, without.json()["ready"], without.json()["valkey"]) == (503, False, "does not answer")
    assert Client().get("/healthz").status_code == 200
