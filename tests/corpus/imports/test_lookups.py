"""Identifiers looked up at services that answer in the shape of Crossref, arXiv and OpenAlex, or do not answer."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from corpus.imports import lookups
from corpus.imports.lookups import Asking, Unreachable, crossref, openalex
from corpus.models import Import, Lookup, Paper
from tests.corpus.imports.conftest import Services

pytestmark = pytest.mark.django_db
DOI = {"DOI": "10.5555/films.2024.1"}


def arxiv(number: int) -> dict[str, str]:
    return {"archive": "arXiv", "archive_location": f"2402.{number}"}


def test_a_doi_is_crossref_with_the_abstract_of_openalex(services: Services) -> None:
    with Asking() as asking:
        item = lookups.complete(asking, DOI)
    assert item is not None
    assert item["title"] == "Reading films with words: a study"
    assert item["author"] == [{"family": "Haddad", "given": "Rima"}, {"literal": "The Film Group"}]
    assert (item["container-title"], item["volume"], item["issued"]) == (
        "Journal of Films",
        "3",
        {"date-parts": [[2024, 5]]},
    )
    assert item["abstract"] == "Words follow films. Films matter."
    assert services.asked == ["/works/10.5555/films.2024.1", "/works/doi:10.5555/films.2024.1"]


def test_nobody_is_asked_the_same_twice(services: Services) -> None:
    with Asking() as asking:
        first = lookups.complete(asking, DOI)
    asked = len(services.asked)
    with Asking() as asking:
        assert lookups.complete(asking, DOI) == first
        assert lookups.complete(asking, {"DOI": "10.5555/unknown"}) is None
        assert lookups.complete(asking, {"DOI": "10.5555/unknown"}) is None
    assert len(services.asked) == asked + 2


def test_what_was_unknown_is_asked_again_after_a_week(services: Services) -> None:
    with Asking() as asking:
        assert lookups.complete(asking, {"DOI": "10.5555/new"}) is None
    Lookup.objects.update(fetched_at=timezone.now() - timedelta(days=8))
    asked = len(services.asked)
    with Asking() as asking:
        lookups.complete(asking, {"DOI": "10.5555/new"})
    assert len(services.asked) > asked


def test_arxiv_ids_are_asked_for_together_and_cleaned(services: Services) -> None:
    with Asking() as asking:
        lookups.prepare(asking, [arxiv(99911), arxiv(99912), arxiv(99913)])
        item, absent = lookups.complete(asking, arxiv(99912)), lookups.complete(asking, arxiv(99913))
    assert item is not None
    assert item["title"] == "Words for films"
    assert item["abstract"] == "Films have words. Words have films."
    assert item["archive_location"] == "2402.99912"
    assert item["issued"] == {"date-parts": [[2024, 2, 1]]}
    assert item["custom"] == {"category": "cs.CV"}
    assert absent is None
    assert len(services.asked) == 1


def test_arxivs_error_with_status_200_is_an_unknown_id(services: Services) -> None:
    services.body = (
        '<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>https://arxiv.org/api/errors#incorrect_id</id>'
        "<title>Error</title><summary>incorrect id format</summary></entry></feed>"
    )
    with Asking() as asking:
        assert lookups.complete(asking, arxiv(99911)) is None


@pytest.mark.parametrize("status", [429, 500, 503])
def test_one_more_try_after_the_time_that_the_service_names(services: Services, status: int) -> None:
    waits: list[float] = []
    services.fail, services.retry_after = [status], "7"
    with Asking(waits.append) as asking:
        assert lookups.complete(asking, DOI) is not None
    assert waits == [7.0 if status != 500 else 1.0]


@pytest.mark.parametrize(
    ("named", "wait"), [("soon", 1.0), ("100000", 30.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("-1", 1.0)]
)
def test_absurd_waiting_times_are_bounded(services: Services, named: str, wait: float) -> None:
    waits: list[float] = []
    services.fail, services.retry_after = [429], named
    with Asking(waits.append) as asking:
        lookups.complete(asking, DOI)
    assert waits == [wait]


def test_a_service_that_fails_twice_is_left_alone_for_the_rest(services: Services) -> None:
    services.fail = [503, 503]
    with Asking() as asking:
        for _ in range(5):
            with pytest.raises(Unreachable, match="Crossref answered 503"):
                crossref.item(asking, "10.5555/films.2024.1")
    assert len(services.asked) == 2


def test_one_service_that_is_down_does_not_hide_what_another_knows(services: Services) -> None:
    services.fail = [503, 503]
    with Asking() as asking:
        found = lookups.complete(asking, DOI)
    assert found is not None
    assert (found["title"], found["abstract"]) == ("Reading films with words", "Words follow films. Films matter.")
    Lookup.objects.all().delete()
    with Asking(lambda _: None) as asking:
        crossref.item(asking, "10.5555/films.2024.1")
        services.fail = [500, 500]
        found = lookups.complete(asking, DOI)
    assert found is not None
    assert found["title"] == "Reading films with words: a study"


@pytest.mark.parametrize(
    "body", ["Rate exceeded.", "{", "[]", '{"message": 3}', "<html>", '{"message": {"title": {"a": 1}}}']
)
def test_nonsense_for_an_answer_is_one_line(services: Services, body: str) -> None:
    services.body = body
    for item in (DOI, arxiv(99911)):
        with Asking() as asking:
            try:
                found = lookups.complete(asking, item)
            except Unreachable as error:
                found = {"said": str(error)}
        assert found is None or "\n" not in json.dumps(found)


def test_the_polite_pool_and_the_key_are_used(services: Services, settings: Any) -> None:
    settings.MAILTO, settings.OPENALEX_KEY = "someone@example.org", "k"
    with Asking() as asking:
        lookups.complete(asking, DOI)
    assert services.asked[0].endswith("?mailto=someone%40example.org")
    assert services.asked[1].endswith("?mailto=someone%40example.org&api_key=k")
    assert "mailto:someone@example.org" in services.agents[0]


def test_what_no_database_takes_is_cleaned_before_it_is_kept(services: Services) -> None:
    services.body = '{"message": {"title": ["A\\u0000B"], "a": NaN, "b": 1e999, "deep": ' + "[" * 40 + "]" * 40 + "}}"
    with Asking() as asking:
        item = crossref.item(asking, "10.5555/films.2024.1")
    assert item is not None
    assert item["title"] == "AB"
    assert "u0000" not in json.dumps([row.body for row in Lookup.objects.all()])


def test_switched_off_nothing_is_asked(services: Services, settings: Any) -> None:
    settings.LOOKUPS = False
    with Asking() as asking, pytest.raises(Unreachable, match="switched off"):
        lookups.complete(asking, DOI)
    assert services.asked == []


def test_inverted_abstracts_of_any_shape() -> None:
    assert openalex.abstract({"b": [1, 3], "a": [0], "c": [2]}) == "a b c b"
    assert openalex.abstract(None) == ""
    assert openalex.abstract({"a": 3, "b": ["x", -1, 10**9]}) == ""


def test_identifiers_become_papers(bring: Callable[..., Import], services: Services, alice: User) -> None:
    row = bring(alice, "10.5555/films.2024.1\n2402.99911\n10.5555/unknown\n2402.99999")
    assert [line["outcome"] for line in row.report] == ["added", "added", "refused", "refused"]
    assert row.report[2]["reason"] == "Crossref and OpenAlex do not know this identifier."
    assert row.report[3]["reason"] == "arXiv does not know this identifier."
    assert {paper.key for paper in Paper.objects.all()} == {"haddad2024reading", "haddad2024words"}


def test_without_a_network_the_identifiers_are_kept_and_completed_later(
    bring: Callable[..., Import], nobody: None, alice: User, request: pytest.FixtureRequest
) -> None:
    row = bring(alice, "10.5555/films.2024.1\n2402.99911")
    assert row.state == Import.DONE
    assert [line["reason"] for line in row.report] == [
        "Crossref cannot be reached; only the identifier is kept. Import it again later.",
        "arXiv cannot be reached; only the identifier is kept. Import it again later.",
    ]
    kept = {paper.title: paper.key for paper in Paper.objects.filter(owner=alice)}
    assert set(kept) == {"doi:10.5555/films.2024.1", "arXiv:2402.99911"}
    request.getfixturevalue("services")
    again = bring(alice, "10.5555/films.2024.1\n2402.99911")
    assert [line["outcome"] for line in again.report] == ["merged", "merged"]
    papers = list(Paper.objects.filter(owner=alice).order_by("title"))
    assert [paper.title for paper in papers] == ["Reading films with words: a study", "Words for films"]
    assert papers[0].abstract == "Words follow films. Films matter."
    assert [paper.versions for paper in papers] == [[], []]
    assert {paper.key for paper in papers} == set(kept.values())
