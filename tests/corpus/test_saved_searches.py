"""Saved searches: kept with what they found, run again, compared."""

import html
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from corpus import client as corpus_client
from corpus import retrieve
from corpus.models import Paper, SavedSearch
from corpus.results import Facets, SearchResult
from corpus.saved import difference
from corpus.version import index_version
from inference.errors import Unavailable

pytestmark = pytest.mark.django_db
SAVE = "/literature/searches/save/"


@pytest.fixture
def reader(alice: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(alice)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The corpus worker's answer without the queue between."""

    def search(q: str, facets: Facets, limit: int, timeout: float, *, reader: int | None, read: bool) -> SearchResult:
        return SearchResult.from_dict(retrieve.search(q, facets, limit, read=read, reader=reader).as_dict())

    monkeypatch.setattr(corpus_client, "search", search)


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> SearchResult:
        raise Unavailable("The literature worker did not answer in time; try again in a moment.")

    monkeypatch.setattr(corpus_client, "search", nobody)


def text(response: Any, status: int = 200) -> str:
    assert response.status_code == status
    return html.unescape(response.content.decode())


def papers(*keys: str) -> list[Paper]:
    return [Paper.objects.create(key=key, title=f"Title {key}", year=2024) for key in keys]


# Keeping and running again


@pytest.mark.usefixtures("literature", "worker")
def test_a_question_is_saved_with_its_filters_and_found_unchanged(reader: Client, alice: User) -> None:
    form = {"q": "text-guided lesions", "task": "segmentation", "year_min": "2023", "read": "no", "name": "Lesions"}
    response = reader.post(SAVE, form)
    search = SavedSearch.objects.get(owner=alice)
    assert response["Location"] == search.get_absolute_url()
    assert (search.name, search.query, search.read) == ("Lesions", "text-guided lesions", False)
    assert search.facets == {"tasks": ["segmentation"], "year_min": 2023}
    assert search.index_version == index_version() != ""
    found = retrieve.search("text-guided lesions", Facets(tasks=("segmentation",), year_min=2023), 60, read=False)
    assert search.keys == [hit.key for hit in found.results]
    page = text(reader.get(search.get_absolute_url()))
    assert "Nothing has changed." in page
    assert "The index is the same" in page
    assert "the words only" in page
    assert "Keep the new result" not in page


@pytest.mark.usefixtures("literature", "worker")
def test_the_browse_page_offers_to_save_what_it_shows(reader: Client) -> None:
    page = text(reader.get("/literature/?q=lungs&task=segmentation&page=2"))
    form = page[page.index('action="/literature/searches/save/"') :].split("</form>")[0]
    assert 'name="q" value="lungs"' in form
    assert 'name="task" value="segmentation"' in form
    assert 'name="page"' not in form


@pytest.mark.usefixtures("no_worker")
def test_run_again_shows_what_came_went_and_moved(reader: Client, alice: User) -> None:
    papers("b", "d", "a", "c")
    search = SavedSearch.objects.create(owner=alice, name="All", keys=["a", "b", "c", "x", "y"])
    Paper.objects.create(owner=alice, key="x", title="Still here", year=2020)
    search.facets = {"year_min": 2024}
    search.save()
    page = text(reader.get(search.get_absolute_url()))
    assert "1 added, 2 gone, 0 moved." in page
    assert "Title d" in page
    assert "Still here" in page
    assert "<code>y</code>" in page
    assert "is no longer in the collection" in page
    reader.post(f"/literature/searches/{search.pk}/keep/")
    search.refresh_from_db()
    assert search.keys == ["a", "b", "c", "d"]
    assert "Nothing has changed." in text(reader.get(search.get_absolute_url()))


def test_looking_keeps_nothing(reader: Client, alice: User) -> None:
    papers("a")
    search = SavedSearch.objects.create(owner=alice, name="All", keys=["gone"])
    reader.get(search.get_absolute_url())
    search.refresh_from_db()
    assert search.keys == ["gone"]


@pytest.mark.parametrize(
    ("before", "now", "moved"),
    [
        ("abcd", "abcd", {}),
        ("abcd", "xabcd", {}),  # one that comes first moves nobody
        ("abcd", "acd", {}),
        ("abcd", "dabc", {"d": (4, 1)}),
        ("abcd", "bcda", {"a": (1, 4)}),
        ("abcdef", "abedcf", None),
        ("", "ab", {}),
        ("ab", "", {}),
    ],
)
def test_the_fewest_papers_count_as_moved(before: str, now: str, moved: dict[str, tuple[int, int]] | None) -> None:
    made = {paper.key: paper for paper in papers(*sorted({*before, *now}))}
    changes = difference(SavedSearch(keys=list(before)), [made[key] for key in now], None)
    found = {move.paper.key: (move.before, move.now) for move in changes.moved}
    if moved is None:
        assert len(found) == 2  # of three that were turned round one may stay
    else:
        assert found == moved
    assert changes.kept == len({*before} & {*now})


# The index


@pytest.mark.usefixtures("literature")
def test_another_index_is_noticed(reader: Client, alice: User, settings: Any, tmp_path: Path) -> None:
    version = index_version()
    search = SavedSearch.objects.create(owner=alice, name="All", index_version=version)
    assert "The index is the same" in text(reader.get(search.get_absolute_url()))
    shutil.copytree(settings.DATA_DIR / "index", tmp_path / "index")
    settings.DATA_DIR = tmp_path
    assert index_version() == version
    folder = tmp_path / "index" / json.loads((tmp_path / "index" / "current.json").read_text())["folder"]
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"corpus": "f" * 64}))
    assert index_version() != version
    assert f"The index has changed since (it was {version})" in text(reader.get(search.get_absolute_url()))
    (folder / "manifest.json").unlink()
    assert index_version() == ""
    assert "there is none now" in text(reader.get(search.get_absolute_url()))


@pytest.mark.usefixtures("no_worker")
def test_without_a_worker_nothing_is_saved_changed_or_compared(reader: Client, alice: User) -> None:
    papers("a")
    assert "The search was not saved" in text(reader.post(SAVE, {"q": "lungs"}), 503)
    assert not SavedSearch.objects.exists()
    search = SavedSearch.objects.create(owner=alice, name="Lungs", query="lungs", keys=["a"])
    page = text(reader.get(search.get_absolute_url()), 503)
    assert "did not answer in time" in page
    assert "gone" not in page
    assert "Nothing was changed" in text(reader.post(f"/literature/searches/{search.pk}/keep/"), 503)
    search.refresh_from_db()
    assert search.keys == ["a"]


# Whose they are


def test_a_search_is_its_readers_own(reader: Client, bob: User) -> None:
    theirs = SavedSearch.objects.create(owner=bob, name="Secret of bob", keys=["a"])
    assert "Secret of bob" not in text(reader.get("/literature/searches/"))
    for method, address in (("get", ""), ("post", "keep/"), ("post", "delete/")):
        answer = getattr(reader, method)(f"/literature/searches/{theirs.pk}/{address}")
        assert answer.status_code == 404
        absent = getattr(reader, method)(f"/literature/searches/{'9' * 30}/{address}")
        assert absent.content == answer.content
    assert SavedSearch.objects.filter(pk=theirs.pk).exists()


def test_a_paper_of_another_library_is_not_named_where_it_is_gone(reader: Client, alice: User, bob: User) -> None:
    Paper.objects.create(owner=bob, key="x", title="Canary")
    search = SavedSearch.objects.create(owner=alice, name="All", keys=["x"])
    assert "Canary" not in text(reader.get(search.get_absolute_url()))


def test_searches_are_listed_newest_first_and_deleted(reader: Client, alice: User) -> None:
    assert "No search is saved yet" in text(reader.get("/literature/searches/"))
    reader.post(SAVE, {"task": "segmentation", "year_min": "2024"})
    reader.post(SAVE, {"name": "<b>second</b>\x00"})
    page = text(reader.get("/literature/searches/"))
    assert page.index("<b>second</b>") < page.index("segmentation, from 2024")
    assert b"<b>second" not in reader.get("/literature/searches/").content
    for search in SavedSearch.objects.all():
        reader.post(f"/literature/searches/{search.pk}/delete/")
    assert not SavedSearch.objects.exists()


def test_odd_forms_are_saved_as_far_as_they_can_be_read(reader: Client, alice: User) -> None:
    reader.post(SAVE, {"name": "n" * 900, "task": "a\x00b", "year_min": "x", "page": "-1", "read": "maybe"})
    search = SavedSearch.objects.get(owner=alice)
    assert (len(search.name), search.facets, search.keys) == (200, {"tasks": ["ab"]}, [])
    assert text(reader.get(search.get_absolute_url()))
