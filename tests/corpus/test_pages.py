"""The pages of the literature, as a signed-in person and as a stranger see them."""

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from corpus import client as corpus_client
from corpus import retrieve
from corpus.catalogue import list_papers
from corpus.models import Paper, Passage
from corpus.results import Facets, SearchResult
from inference.errors import Unavailable

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("literature")]
HTMX = {"HX-Request": "true"}


@pytest.fixture
def reader(alice: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(alice)


@pytest.fixture(autouse=True)
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The corpus worker's answer without the queue between: the seam that test_worker.py covers."""

    def search(q: str, facets: Facets, limit: int, timeout: float, *, reader: int | None, read: bool) -> SearchResult:
        return SearchResult.from_dict(retrieve.search(q, facets, limit, read=read, reader=reader).as_dict())

    monkeypatch.setattr(corpus_client, "search", search)


def text(response: Any) -> str:
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def count(page: str) -> int:
    found = re.search(r'<strong class="lit-number">(\d+)</strong>', page)
    assert found is not None
    return int(found[1])


def menu(page: str) -> dict[str, int]:
    """{value: count} of all filters."""
    rows = re.findall(r'name="(\w+)" value="([^"]+)".*?<span class="lit-count">(\d+)</span>', page, re.S)
    return {f"{name}={value}": int(number) for name, value, number in rows}


@pytest.mark.parametrize("address", ["/literature/", "/literature/li2023lvit/"])
def test_anonymous_must_sign_in(client: Client, address: str) -> None:
    response = client.get(address)
    assert response.status_code == 302
    assert "sign-in" in response["Location"]


def test_all_papers_are_there_newest_first_on_pages(reader: Client) -> None:
    first = text(reader.get("/literature/"))
    assert count(first) == 220
    years = [int(year) for year in re.findall(r'<span class="lit-number">(\d{4})</span>', first)]
    assert years == sorted(years, reverse=True)
    assert len(years) == 20
    last = text(reader.get("/literature/?page=11"))
    assert '<span aria-current="page">11</span>' in last
    assert last.count("<h2>") == 20


def test_filters_are_links_that_can_be_kept(reader: Client) -> None:
    page = text(reader.get("/literature/?task=segmentation&modality=ultrasound"))
    assert count(page) == 2
    assert "AdaptiveSAM" in page
    assert "MedCLIP-SAM" in page
    assert re.search(r'value="segmentation" checked', page)
    assert 'aria-label="Remove ultrasound"' in page


def test_counts_respect_the_other_filters_and_tell_the_truth(reader: Client) -> None:
    page = text(reader.get("/literature/?task=segmentation"))
    counts = menu(page)
    assert counts["task=segmentation"] == count(page) == 39
    assert counts["modality=ultrasound"] == count(
        text(reader.get("/literature/?task=segmentation&modality=ultrasound"))
    )
    assert counts["strategy=pretraining"] == count(
        text(reader.get("/literature/?task=segmentation&strategy=pretraining"))
    )
    assert (
        counts["task=registration"]
        == Paper.objects.filter_facets(Facets(tasks=("segmentation", "registration"))).count()
    )
    assert counts["modality=mammography"] == 0


def test_years_are_inclusive_and_nonsense_is_ignored(reader: Client) -> None:
    assert count(text(reader.get("/literature/?year_min=2025&year_max=2025"))) == 39
    assert count(text(reader.get("/literature/?year_min=abc&year_max=-3&page=zzz&read=maybe"))) == 220
    assert count(text(reader.get("/literature/?task=no-such-task"))) == 0
    assert count(text(reader.get("/literature/?page=9999999"))) == 220
    assert count(text(reader.get("/literature/?task=%00"))) == 0


def test_labels_are_written_for_people(reader: Client) -> None:
    page = text(reader.get("/literature/"))
    for name in ("image-text retrieval", "visual question answering", "X-ray", "parameter-efficient tuning"):
        assert f"<span>{name}</span>" in page
    assert "Research use only, not for diagnosis" in page


def test_htmx_gets_only_what_changes_and_a_clean_address(reader: Client) -> None:
    response = reader.get("/literature/?q=&task=vqa&year_min=&year_max=", headers=HTMX)
    page = text(response)
    assert "<html" not in page
    assert page.lstrip().startswith("<section")
    assert 'id="lit-menus" hx-swap-oob="true"' in page
    assert response["HX-Push-Url"] == "/literature/?task=vqa"
    assert "HX-Request" in response["Vary"]


def test_going_back_gets_the_whole_page(reader: Client) -> None:
    page = text(reader.get("/literature/?task=vqa", headers={**HTMX, "HX-History-Restore-Request": "true"}))
    assert "<html" in page


def test_a_question_is_ranked_and_what_was_read_from_it_is_said(reader: Client) -> None:
    page = text(reader.get("/literature/?q=3D+CT+report+generation+published+since+2025"))
    assert count(page) == 7
    assert "were read from the question" in page
    for reading in ("report generation", "CT", "3D", "from 2025"):
        assert f'aria-label="Remove {reading}"' in page
    words = text(reader.get("/literature/?q=3D+CT+report+generation+published+since+2025&read=no"))
    assert "read from the question" not in words
    assert count(words) > 7


def test_an_unanswerable_question_says_so_above_the_nearest_papers(reader: Client) -> None:
    assert "No paper in the collection mentions ConVIRT" in text(reader.get("/literature/?q=training+of+ConVIRT"))


def test_without_a_worker_words_are_matched_and_the_page_says_so(
    reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: object, **__: object) -> SearchResult:
        raise Unavailable("The literature worker did not answer in time; try again in a moment.")

    monkeypatch.setattr(corpus_client, "search", nobody)
    page = text(reader.get("/literature/?q=papers+about+diabetic+retinopathy"))
    assert "did not answer in time" in page
    assert "contain its every word" in page
    assert 0 < count(page) == Paper.objects.matching_words("diabetic retinopathy").count()
    page = text(reader.get("/literature/?q=3D+CT+report+generation+since+2025"))
    assert "with the labels that the question states" in page
    assert count(page) == 7


def test_what_people_type_is_never_markup(reader: Client) -> None:
    response = reader.get("/literature/", {"q": "<script>alert(1)</script>", "task": '"><img src=x>'})
    assert b"<script>alert" not in response.content
    assert b"<img src=x" not in response.content


def test_a_paper_shows_what_is_known_and_where_each_label_comes_from(reader: Client) -> None:
    paper = Paper.objects.get(key="li2023lvit")
    page = text(reader.get(paper.get_absolute_url()))
    assert f"<h1>{paper.title}</h1>" in page
    assert "nnotation written from the abstract" in page
    assert '<span class="lit-source">reading list</span>' in page
    assert '<span class="lit-source">annotator</span>' in page
    assert 'href="/literature/?task=segmentation"' in page
    for passage in paper.passages.all():
        assert f'id="p{passage.pk}"' in page
    assert f"https://arxiv.org/abs/{paper.arxiv_id}" in page


def test_every_paper_has_a_page(reader: Client) -> None:
    for paper in Paper.objects.all():
        assert paper.annotation[:40] in text(reader.get(paper.get_absolute_url()))


def test_a_retired_passage_still_opens(reader: Client) -> None:
    passage = Passage.objects.filter(paper__key="li2023lvit").first()
    assert passage is not None
    passage.current = False
    passage.save()
    page = text(reader.get("/literature/li2023lvit/"))
    assert "Earlier wording" in page
    assert f'id="p{passage.pk}"' in page


def test_an_unknown_paper_is_404_and_nothing_can_be_posted(reader: Client) -> None:
    assert reader.get("/literature/nobody2020nothing/").status_code == 404
    assert reader.get("/literature/%00/").status_code == 404
    assert reader.post("/literature/").status_code == 405


def test_the_api_list_is_json_and_filtered() -> None:
    papers = list_papers(task="vqa", year_max=2021, reader=None)
    assert [paper["year"] for paper in papers] == sorted((p["year"] for p in papers), reverse=True)
    assert all("vqa" in paper["tasks"] and paper["year"] <= 2021 for paper in papers)
    assert len(list_papers(limit=5, reader=None)) == 5
    assert list_papers("MedKLIP", limit=1, reader=None)[0]["key"] == "wu2023medklip"
