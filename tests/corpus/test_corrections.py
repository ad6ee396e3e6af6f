"""Labels as each reader corrects them: shipped rows stay, one's own view changes, and nobody else's does."""

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import QueryDict
from django.test import Client

from corpus.matrix import Sides, count
from corpus.models import Label, Paper
from corpus.results import Facets

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
Visit = Callable[[User], Client]


@pytest.fixture
def paper(db: None) -> Paper:
    paper = Paper.objects.create(key="lee2024scan", title="On scans", year=2024, annotation="It segments scans.")
    Label.objects.create(paper=paper, facet="modality", value="ct", source="annotator")
    Label.objects.create(paper=paper, facet="task", value="segmentation", source="reading list")
    Label.objects.create(paper=paper, facet="task", value="segmentation", source="rule", confidence=0.7)
    return paper


def post(client: Client, paper: Paper, do: str, facet: str, value: str, **more: Any) -> Any:
    data = {"do": do, "facet": facet, "value": value}
    return client.post(f"/literature/{paper.key}/labels/", data, headers=more.get("headers", {}))


def page(client: Client, paper: Paper) -> str:
    return html.unescape(client.get(paper.get_absolute_url()).content.decode())


def shipped() -> list[tuple[Any, ...]]:
    return list(Label.objects.filter(owner=None).order_by("pk").values_list())


def listed(client: Client, query: str) -> bool:
    return "On scans" in client.get(f"/literature/?{query}").content.decode()


def test_each_label_says_who_says_so(paper: Paper, alice: User, client_of: Visit) -> None:
    text = page(client_of(alice), paper)
    for source in ("reading list", "annotator", "rule, 0.70"):
        assert f'<span class="lit-source">{source}</span>' in text


def test_a_label_is_struck_out_and_restored_for_its_reader_alone(
    paper: Paper, alice: User, bob: User, client_of: Visit
) -> None:
    hers, his, before = client_of(alice), client_of(bob), shipped()
    assert post(hers, paper, "strike", "modality", "ct").status_code == 302
    assert "<s>CT</s>" in page(hers, paper)
    assert "<s>" not in page(his, paper)
    assert not listed(hers, "modality=ct")
    assert listed(his, "modality=ct")
    matrix = [count(Sides.of(QueryDict("rows=modality")), who.pk).lines[1].total for who in (alice, bob)]
    assert matrix == [0, 1]
    post(hers, paper, "restore", "modality", "ct")
    assert "<s>" not in page(hers, paper)
    assert listed(hers, "modality=ct")
    assert shipped() == before


def test_one_of_the_vocabulary_is_added_and_removed_again(
    paper: Paper, alice: User, bob: User, client_of: Visit
) -> None:
    hers = client_of(alice)
    post(hers, paper, "add", "", "technique/pseudo-labelling")  # as the one list of all facets sends it
    assert re.search(r'pseudo-labelling</a> <span class="lit-source">you</span>', page(hers, paper))
    assert listed(hers, "technique=pseudo-labelling")
    assert not listed(client_of(bob), "technique=pseudo-labelling")
    assert "pseudo-labelling</a>" not in page(client_of(bob), paper)
    post(hers, paper, "strike", "technique", "pseudo-labelling")
    assert Label.objects.filter(owner=alice).count() == 0


def test_an_anatomy_is_written_short_and_in_lower_case(paper: Paper, alice: User, client_of: Visit) -> None:
    hers = client_of(alice)
    post(hers, paper, "add", "anatomy", "  Lymph   Node ")
    assert Label.objects.get(owner=alice).value == "lymph node"
    assert Paper.objects.filter_facets(Facets(anatomy=("lymph node",)), alice.pk).exists()
    assert not Paper.objects.filter_facets(Facets(anatomy=("lymph node",))).exists()


@pytest.mark.parametrize(
    ("do", "facet", "value", "line"),
    [
        ("add", "anatomy", "x" * 41, "at most 40 characters"),
        ("add", "anatomy", "<script>", "written in letters"),
        ("add", "anatomy", "=cmd()", "written in letters"),
        ("add", "anatomy", " \0 ", "Write a part of the body"),
        ("add", "technique", "magic", "Choose a label from the list"),
        ("add", "colour", "red", "no such kind of label"),
        ("add", "", "", "no such kind of label"),
        ("strike", "modality", "mri", "does not carry this label"),
        ("burn", "modality", "ct", "can be struck out, restored or added"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    do: str, facet: str, value: str, line: str, paper: Paper, alice: User, client_of: Visit
) -> None:
    hers = client_of(alice)
    answer = post(hers, paper, do, facet, value, headers=HTMX)
    assert answer.status_code == 422
    assert line in answer.content.decode()
    assert answer["Content-Type"].startswith("text/plain")
    plain = post(hers, paper, do, facet, value)
    assert plain.status_code == 422
    assert line in html.unescape(plain.content.decode())
    assert "On scans" in plain.content.decode()  # the page itself, with the line in its place
    assert not Label.objects.exclude(owner=None).exists()


def test_saying_it_twice_changes_nothing(paper: Paper, alice: User, client_of: Visit) -> None:
    hers = client_of(alice)
    for _ in range(2):
        post(hers, paper, "strike", "modality", "ct")
        post(hers, paper, "add", "task", "vqa")
        post(hers, paper, "add", "task", "segmentation")  # stands already
    assert Label.objects.filter(owner=alice).count() == 2
    post(hers, paper, "add", "modality", "ct")  # adding what was struck out restores it
    assert [label.value for label in Label.objects.filter(owner=alice)] == ["vqa"]


def test_a_label_shipped_after_it_was_added_can_still_be_struck_out(
    paper: Paper, alice: User, client_of: Visit
) -> None:
    hers = client_of(alice)
    post(hers, paper, "add", "modality", "mri")
    Label.objects.create(paper=paper, facet="modality", value="mri", source="annotator")
    post(hers, paper, "strike", "modality", "mri")
    assert not listed(hers, "modality=mri")
    assert "<s>MRI</s>" in page(hers, paper)


def test_htmx_gets_the_section_and_focus_has_where_to_stay(paper: Paper, alice: User, client_of: Visit) -> None:
    hers = client_of(alice)
    button = 'id="lit-do-modality-ct"'
    assert button in page(hers, paper)
    text = post(hers, paper, "strike", "modality", "ct", headers=HTMX).content.decode()
    assert text.startswith('<h2 id="lit-labels-title">')
    assert "<html" not in text
    assert button in text
    assert "csrfmiddlewaretoken" in text
    assert '<details class="lit-add">' in text
    again = post(hers, paper, "add", "task", "vqa", headers=HTMX).content.decode()
    assert '<details class="lit-add" open>' in again  # the next one is added from the same place


def test_the_labels_of_a_private_paper_are_its_owners_business(alice: User, bob: User, client_of: Visit) -> None:
    hers = Paper.objects.create(key="own", title="Mine", owner=alice)
    answers = [post(client_of(bob), Paper(key=key), "add", "task", "vqa") for key in ("own", "none")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content
    assert post(client_of(alice), hers, "add", "task", "vqa").status_code == 302
    assert post(Client(), hers, "add", "task", "vqa")["Location"].startswith("/sign-in/")
