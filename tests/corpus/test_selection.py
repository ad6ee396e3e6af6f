"""The selection, and the files and pages made of it: each reader's own, and only of papers that they may see."""

import csv
import html
import io
import json
from collections.abc import Callable
from typing import Any

import pybtex.database
import pytest
from django.contrib.auth.models import User
from django.test import Client

from corpus import client as corpus_client
from corpus.models import Paper, Selected
from corpus.results import SearchResult
from inference.errors import Unavailable

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def reader(alice: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(alice)


@pytest.fixture
def papers(db: None) -> list[Paper]:
    return [
        Paper.objects.create(key=f"paper{n}", title=f"Title {n}", authors=["Ann Lee"], year=2020 + n) for n in range(3)
    ]


def text(response: Any) -> str:
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def selected(user: User) -> list[str]:
    return list(Selected.objects.filter(owner=user).values_list("paper__key", flat=True))


def select(client: Client, *chosen: Paper, **more: Any) -> Any:
    return client.post("/literature/selection/add/", {"paper": [paper.pk for paper in chosen], **more})


# Selecting


def test_a_button_selects_and_goes_back_where_it_was_pressed(reader: Client, alice: User, papers: list[Paper]) -> None:
    page = text(reader.get("/literature/?year_min=2020"))
    assert page.count(">Select<") == 3
    response = select(reader, papers[1], next="/literature/?year_min=2020")
    assert response.status_code == 302
    assert response["Location"] == "/literature/?year_min=2020"
    assert selected(alice) == ["paper1"]
    page = text(reader.get("/literature/?year_min=2020"))
    assert page.count(">Select<") == 2
    assert "Title 1. Take it out of the selection" in page


def test_with_script_only_the_button_changes(reader: Client, alice: User, papers: list[Paper]) -> None:
    answer = {"paper": papers[0].pk, "next": "/literature/?page=2"}
    page = text(reader.post("/literature/selection/add/", answer, headers=HTMX))
    assert page.lstrip().startswith("<form")
    assert "Selected" in page
    assert 'name="next" value="/literature/?page=2"' in page
    page = text(reader.post("/literature/selection/remove/", answer, headers=HTMX))
    assert ">Select<" in page
    assert selected(alice) == []


def test_selecting_twice_is_selecting_once_and_keeps_its_place(
    reader: Client, alice: User, papers: list[Paper]
) -> None:
    select(reader, papers[2])
    select(reader, papers[0], papers[2], papers[1])
    assert selected(alice) == ["paper2", "paper0", "paper1"]


def test_all_that_is_shown_is_selected_at_once(reader: Client, alice: User, papers: list[Paper]) -> None:
    page = text(reader.get("/literature/"))
    form = page[page.index("<form", page.index('class="sel-actions"')) : page.index("Select all shown")]
    assert [f'value="{paper.pk}"' in form for paper in papers] == [True] * 3
    select(reader, *papers)
    assert len(selected(alice)) == 3


def test_the_page_lists_removes_and_clears(reader: Client, alice: User, papers: list[Paper]) -> None:
    assert "Nothing is selected yet" in text(reader.get("/literature/selection/"))
    select(reader, *papers)
    page = text(reader.get("/literature/selection/"))
    assert [f"Title {n}</a>" in page for n in range(3)] == [True] * 3
    reader.post("/literature/selection/remove/", {"paper": papers[0].pk})
    assert selected(alice) == ["paper1", "paper2"]
    reader.post("/literature/selection/clear/")
    assert selected(alice) == []


def test_a_paper_that_is_deleted_or_taken_away_disappears(
    reader: Client, alice: User, bob: User, papers: list[Paper]
) -> None:
    select(reader, *papers)
    papers[0].delete()
    papers[1].owner = bob
    papers[1].save()
    page = text(reader.get("/literature/selection/"))
    assert "Title 2" in page
    assert "Title 0" not in page
    assert "Title 1" not in page
    assert "paper1" not in reader.get("/literature/export/bibtex/").content.decode()


def test_another_readers_paper_cannot_be_selected(reader: Client, alice: User, bob: User) -> None:
    hidden = Paper.objects.create(owner=bob, key="canary", title="Canary")
    assert select(reader, hidden).status_code == 404
    absent = reader.post("/literature/selection/add/", {"paper": "999999"})
    assert absent.status_code == 404
    assert absent.content == select(reader, hidden).content
    assert selected(alice) == []


@pytest.mark.parametrize("paper", ["", "x", "-1", "1.5", "\u0661", "9" * 40])
def test_nonsense_is_404(reader: Client, paper: str) -> None:
    assert reader.post("/literature/selection/add/", {"paper": paper}).status_code == 404


@pytest.mark.parametrize("away", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_the_way_back_stays_on_this_site(reader: Client, papers: list[Paper], away: str) -> None:
    assert select(reader, papers[0], next=away)["Location"] == "/literature/selection/"


def test_a_selection_is_its_readers_own(
    reader: Client, bob: User, client_of: Callable[[User], Client], papers: list[Paper]
) -> None:
    select(reader, *papers)
    stranger = client_of(bob)
    assert "Nothing is selected yet" in text(stranger.get("/literature/selection/"))
    assert "no papers to compare" in text(stranger.get("/literature/compare/"))
    assert stranger.get("/literature/export/bibtex/").content == b""


def test_two_readers_select_the_same_papers_in_orders_of_their_own(
    reader: Client, alice: User, bob: User, client_of: Callable[[User], Client], papers: list[Paper]
) -> None:
    stranger = client_of(bob)
    select(stranger, papers[0], papers[1], papers[2])
    select(reader, papers[2])
    select(reader, papers[0])
    for client, keys in ((reader, ["paper2", "paper0"]), (stranger, ["paper0", "paper1", "paper2"])):
        body = client.get("/literature/export/csl/").content.decode()
        assert [item["id"] for item in json.loads(body)] == keys


def test_a_list_asks_once_what_is_selected(
    reader: Client, papers: list[Paper], django_assert_max_num_queries: Any
) -> None:
    select(reader, *papers)
    with django_assert_max_num_queries(15) as captured:
        reader.get("/literature/")
    asked = [query["sql"] for query in captured.captured_queries if "corpus_selected" in query["sql"]]
    assert len(asked) == 1


# Files


@pytest.mark.parametrize(
    ("form", "media_type", "name"),
    [
        ("bibtex", "application/x-bibtex; charset=utf-8", "lightbox-selection.bib"),
        ("ris", "application/x-research-info-systems; charset=utf-8", "lightbox-selection.ris"),
        ("csl", "application/vnd.citationstyles.csl+json", "lightbox-selection.json"),
    ],
)
def test_the_selection_is_a_file_in_the_order_of_selecting(
    reader: Client, papers: list[Paper], form: str, media_type: str, name: str
) -> None:
    select(reader, papers[2], papers[0])
    response = reader.get(f"/literature/export/{form}/")
    assert response["Content-Type"] == media_type
    assert response["Content-Disposition"] == f'attachment; filename="{name}"'
    body = response.content.decode()
    assert 0 < body.index("paper2") < body.index("paper0")
    assert "paper1" not in body


def test_one_paper_is_a_file_under_its_key(reader: Client, papers: list[Paper]) -> None:
    response = reader.get("/literature/export/bibtex/?key=paper1")
    assert 'filename="lightbox-paper1.bib"' in response["Content-Disposition"]
    assert list(pybtex.database.parse_string(response.content.decode(), "bibtex").entries) == ["paper1"]


def test_an_odd_key_gives_a_plain_file_name(reader: Client) -> None:
    Paper.objects.create(key='a";\u00e9/b', title="T")
    response = reader.get("/literature/export/ris/", {"key": 'a";\u00e9/b'})
    assert response["Content-Disposition"] == 'attachment; filename="lightbox-a----b.ris"'


def test_two_libraries_with_one_key_stay_apart_in_one_file(reader: Client, alice: User, papers: list[Paper]) -> None:
    own = Paper.objects.create(owner=alice, key="paper0", title="My own copy")
    select(reader, papers[0], own)
    body = reader.get("/literature/export/csl/").content.decode()
    assert [(item["id"], item["title"]) for item in json.loads(body)] == [
        ("paper0", "Title 0"),
        ("paper0-2", "My own copy"),
    ]


def test_a_key_means_ones_own_paper_before_everyones(reader: Client, alice: User, papers: list[Paper]) -> None:
    Paper.objects.create(owner=alice, key="paper0", title="My own copy")
    assert "My own copy" in reader.get("/literature/export/csl/?key=paper0").content.decode()


def test_a_paper_that_is_not_there_is_404_whoever_has_it(reader: Client, bob: User) -> None:
    Paper.objects.create(owner=bob, key="canary", title="Canary")
    answers = [
        reader.get(f"/literature/{page}?key={key}")
        for page in ("export/bibtex/", "references/")
        for key in ("canary", "absent", "%00")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    page = text(reader.get("/literature/compare/?key=canary"))
    assert "Canary" not in page
    assert "Not in the collection: canary" in page


@pytest.mark.parametrize("address", ["export/docx/", "references/?style=nature2", "compare/pdf/", "related-work/pdf/"])
def test_an_unknown_format_is_404(reader: Client, address: str) -> None:
    assert reader.get(f"/literature/{address}").status_code == 404


@pytest.mark.usefixtures("literature")
def test_a_browse_result_is_exported_by_its_own_address(reader: Client) -> None:
    body = reader.get("/literature/export/csl/?task=segmentation&modality=ultrasound&from=list").content.decode()
    assert {item["title"].split(":")[0] for item in json.loads(body)} == {"AdaptiveSAM", "MedCLIP-SAM"}
    page = text(reader.get("/literature/?task=segmentation&modality=ultrasound"))
    assert "/literature/export/bibtex/?task=segmentation&modality=ultrasound&from=list" in page
    page = text(reader.get("/literature/references/?task=segmentation&modality=ultrasound&from=list&style=ieee"))
    assert "[2] " in page
    assert 'name="modality" value="ultrasound"' in page
    assert "/literature/export/ris/?task=segmentation&modality=ultrasound&from=list" in page


def test_a_result_that_could_not_be_ranked_says_so(
    reader: Client, papers: list[Paper], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: object, **__: object) -> SearchResult:
        raise Unavailable("The literature worker did not answer in time; try again in a moment.")

    monkeypatch.setattr(corpus_client, "search", nobody)
    page = text(reader.get("/literature/references/?q=Title&from=list"))
    assert "did not answer in time" in page
    assert "not ranked" in page


# Pages made of the selection


def test_references_are_shown_and_saved_as_text(reader: Client, papers: list[Paper]) -> None:
    select(reader, *papers)
    page = text(reader.get("/literature/references/?style=vancouver"))
    assert "1. Lee A. Title 0" in page
    response = reader.get("/literature/references/?style=apa&as=txt")
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response.content.decode().splitlines() == [f"Lee, A. ({2020 + n}). Title {n}." for n in range(3)]


def test_what_a_record_holds_is_never_markup(reader: Client) -> None:
    Paper.objects.create(
        key="evil", title="<script>alert(1)</script>", authors=["<img src=x onerror=y> Lee"], code_url="javascript:x"
    )
    for page in ("references/?key=evil", "compare/?key=evil", "related-work/?key=evil", "evil/", ""):
        content = reader.get(f"/literature/{page}").content
        assert b"<script>alert" not in content, page
        assert b"<img" not in content, page
    assert b'href="javascript' not in reader.get("/literature/compare/?key=evil").content


def test_the_comparison_is_a_page_a_csv_and_markdown(reader: Client, papers: list[Paper]) -> None:
    papers[0].results = [{"dataset": "IU X-Ray", "metric": "BLEU-1", "value": "0.49"}]
    papers[0].save()
    papers[1].results = [{"dataset": "IU X-Ray", "metric": "BLEU-1", "value": "0.51"}]
    papers[1].save()
    page = text(reader.get("/literature/compare/?key=paper0&key=paper1&key=paper2"))
    assert "not recorded" in page
    assert "No results are recorded of Title 2." in page
    assert page.index("0.49") < page.index("0.51")
    response = reader.get("/literature/compare/csv/?key=paper0&key=paper1&key=paper2")
    assert response["Content-Disposition"] == 'attachment; filename="lightbox-comparison.csv"'
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    assert [row["BLEU-1 on IU X-Ray"] for row in rows] == ["0.49", "0.51", ""]
    lines = reader.get("/literature/compare/md/?key=paper0&key=paper1&key=paper2").content.decode()
    assert "| IU X-Ray | BLEU-1 | 0.49 | 0.51 |" in lines
    assert "No results recorded: [@paper2]." in lines
