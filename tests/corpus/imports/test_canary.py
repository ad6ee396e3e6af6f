"""A word that stands in alice's library alone: it finds her paper for her, and nothing of it ever reaches bob."""

import html
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, reverse

from assistant.models import ApiToken
from corpus import catalogue, client, retrieve
from corpus.imports import queue, removal, work
from corpus.models import Import, Label, Paper, Passage
from corpus.reload import refresh
from corpus.results import Facets, SearchResult
from corpus.urls import urlpatterns

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("literature")]
WORD = "zorblaxine"
RECORD = f"""@article{{canary, title={{Measuring {WORD} with mammography}}, author={{Canary, Alice}}, year={{1987}},
 keywords={{registration, mammography}},
 abstract={{The {WORD} of films is measured. A {WORD} is high in mammograms.}}}}"""


@pytest.fixture(autouse=True)
def own_index(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the index, for the tests of other parts find theirs as it was; and searches without the queue."""
    shutil.copytree(site.DATA_DIR / "index", tmp_path / "index")
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(queue, "enqueue", lambda task, argument: None)

    def search(q: str, facets: Facets, limit: int, timeout: float, *, reader: int | None, read: bool) -> SearchResult:
        return SearchResult.from_dict(retrieve.search(q, facets, limit, read=read, reader=reader).as_dict())

    monkeypatch.setattr(client, "search", search)


@pytest.fixture
def canary(alice: User, own_index: None) -> Paper:
    row = work.submit(alice, RECORD.encode(), f"{WORD}.bib", enqueue=False)
    claimed = work.claim(row.pk)
    assert claimed is not None
    work.advance(claimed)
    return Paper.objects.get(owner=alice)


def pages() -> list[str]:
    """Every page of the literature that needs no argument, those of other parts included."""
    named = [pattern for pattern in urlpatterns if isinstance(pattern, URLPattern) and "<" not in str(pattern.pattern)]
    return [reverse(f"corpus:{pattern.name}") for pattern in named]


def seen(browser: Client, address: str) -> str:
    response = browser.get(address)
    assert response.status_code in (200, 302, 404, 405), address
    return html.unescape(response.content.decode()) if response.status_code == 200 else ""


def test_its_owner_finds_it_by_title_and_by_abstract(canary: Paper, alice: User) -> None:
    assert retrieve.search(f"{WORD} of films", reader=alice.pk).results[0].pk == canary.pk
    found = retrieve.passages(f"how is {WORD} measured", reader=alice.pk)
    assert found[0].passage.paper == canary
    assert WORD in found[0].best_sentence
    assert catalogue.list_papers(WORD, reader=alice.pk)[0]["key"] == canary.key


def test_a_paper_without_an_abstract_is_found_by_its_title(alice: User, own_index: None) -> None:
    paper = Paper.objects.create(
        owner=alice, key="x2020quibble", title="On quibblestone in films", year=2020, origin="a"
    )
    refresh([paper.pk])
    assert retrieve.search("quibblestone in films", reader=alice.pk).results[0].pk == paper.pk


def test_no_search_of_a_stranger_finds_it(canary: Paper, bob: User) -> None:
    for query in (WORD, f"measuring {WORD} with mammography", "Measuring films of Canary in 1987", canary.key):
        for reader in (bob.pk, None):
            assert canary.pk not in {hit.pk for hit in retrieve.search(query, limit=500, reader=reader).results}
            assert canary.pk not in {hit.passage.paper_id for hit in retrieve.passages(query, limit=60, reader=reader)}
            listed = catalogue.list_papers(query, limit=500, reader=reader)
            assert canary.key not in {paper["key"] for paper in listed}
        assert retrieve.passages(query, keys={canary.pk}, reader=bob.pk) == []


def test_no_count_of_a_stranger_includes_it(canary: Paper, alice: User, bob: User) -> None:
    facets = Facets(tasks=("registration",), modalities=("mammography",))

    def counts(reader: int) -> dict[tuple[str, str], int]:
        menus = catalogue.choices(catalogue.find("", Facets(), reader=reader).papers, Facets())
        return {(facet, choice.term.value): choice.count for facet, choices in menus.items() for choice in choices}

    assert counts(alice.pk)["modality", "mammography"] == counts(bob.pk)["modality", "mammography"] + 1
    assert list(Paper.objects.visible_to(bob.pk).filter_facets(facets, bob.pk)) == []
    assert list(Paper.objects.visible_to(alice.pk).filter_facets(facets, alice.pk)) == [canary]
    mine, theirs = catalogue.years(alice.pk), catalogue.years(bob.pk)
    assert mine is not None
    assert theirs is not None
    assert (mine[0], mine[1]) == (1987, theirs[1])
    assert theirs[0] > 1987
    assert not Passage.objects.visible_to(bob.pk).filter(paper=canary).exists()


def test_no_page_of_a_stranger_shows_it(
    canary: Paper, alice: User, bob: User, client_of: Callable[[User], Client]
) -> None:
    owner, stranger = client_of(alice), client_of(bob)
    assert WORD in seen(owner, f"/literature/?q={WORD}")
    assert WORD in seen(owner, "/literature/library/")
    for address in (*pages(), *(f"{page}?q=mammography" for page in pages()), "/literature/?year_max=1990"):
        assert WORD not in seen(stranger, address), address
        assert canary.key not in seen(stranger, address), address
    # A word of one's own question comes back in the field and the reason, and nothing else does.
    assert canary.key not in seen(stranger, f"/literature/?q={WORD}")
    assert stranger.get(canary.get_absolute_url()).status_code == 404
    assert seen(stranger, canary.get_absolute_url()) == seen(stranger, "/literature/nobody2020nothing/")


def test_the_interface_for_programs_keeps_it_too(canary: Paper, alice: User, bob: User) -> None:
    def papers(user: User) -> str:
        headers = {"Authorization": f"Bearer {ApiToken.issue(user)}"}
        return json.dumps(Client().get("/api/papers", {"q": "mammography", "limit": 200}, headers=headers).json())

    assert WORD in papers(alice)
    assert WORD not in papers(bob)


def test_a_strangers_import_of_the_same_work_tells_nothing(canary: Paper, bob: User) -> None:
    row = work.submit(bob, RECORD.encode(), "mine.bib", enqueue=False)
    claimed = work.claim(row.pk)
    assert claimed is not None
    work.advance(claimed)
    assert [line["outcome"] for line in Import.objects.get(pk=row.pk).report] == ["added"]
    assert Paper.objects.filter(key=canary.key).count() == 2


def test_what_is_deleted_is_found_no_more(canary: Paper, alice: User) -> None:
    removal.remove(removal.removable(alice.pk, everyones=False))
    assert canary.pk not in {hit.passage.paper_id for hit in retrieve.passages(WORD, reader=alice.pk)}
    assert canary.key not in {paper["key"] for paper in catalogue.list_papers(WORD, reader=alice.pk)}
    refresh([canary.pk])
    assert canary.pk not in {hit.pk for hit in retrieve.search(f"{WORD} of films", limit=500, reader=alice.pk).results}
    assert not Label.objects.filter(paper=canary.pk).exists()
