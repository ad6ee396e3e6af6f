"""The page of a paper: what rests on what, findings that are sentences of passages, related papers and why."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from corpus.findings import KINDS, findings, kind_of
from corpus.models import Label, Paper, Passage
from corpus.related import related
from corpus.sentences import sentences
from corpus.vocabulary import name_of

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
GOLD = Path(__file__).with_name("findings-gold.json")
Visit = Callable[[User], Client]


def page(client: Client, key: str, query: str = "", **headers: str) -> str:
    response = client.get(f"/literature/{key}/{query}", headers=headers)
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def paper_of(key: str, owner: User | None = None, **more: Any) -> Paper:
    return Paper.objects.create(key=key, title=more.pop("title", f"On {key}"), owner=owner, **more)


def label(paper: Paper, owner: User | None = None, rejected: bool = False, **values: str) -> None:
    for facet, value in values.items():
        Label.objects.create(paper=paper, facet=facet, value=value, source="annotator", owner=owner, rejected=rejected)


def passage(paper: Paper, text: str, kind: str = "annotation", **more: Any) -> Passage:
    return Passage.objects.create(paper=paper, text=text, kind=kind, ordinal=0, start=0, end=len(text), **more)


# What stands on the page


def test_identifiers_lead_to_their_resolvers_and_nothing_else_is_a_link(alice: User, client_of: Visit) -> None:
    paper_of(
        "one", doi="10.1007/978-3-031<1>", arxiv_id="2306.00890", pmcid="PMC123", url="javascript:alert(1)",
        code_url="https://github.com/x/y",
    )  # fmt: skip
    text = client_of(alice).get("/literature/one/").content.decode()
    assert 'href="https://doi.org/10.1007/978-3-031%3C1%3E"' in text
    assert 'href="https://arxiv.org/abs/2306.00890"' in text
    assert 'href="https://pmc.ncbi.nlm.nih.gov/articles/PMC123/"' in text
    assert 'href="https://github.com/x/y"' in text
    assert "javascript:" not in text
    paper_of("two", doi="not a doi", arxiv_id='"><b>', pmcid="x")
    text = client_of(alice).get("/literature/two/").content.decode()
    assert "doi.org" not in text
    assert "arxiv.org" not in text


def test_a_preprint_and_its_published_version_are_shown_as_one(alice: User, client_of: Visit) -> None:
    versions = [{"kind": "preprint", "year": 2023, "venue": "arXiv", "arxiv_id": "2301.00001"}, {"kind": "published"}]
    paper_of("one", versions=versions, year=2024)
    text = page(client_of(alice), "one")
    assert "Also as preprint, arXiv, 2023" in text
    assert 'href="https://arxiv.org/abs/2301.00001"' in text


def test_the_abstract_is_told_from_our_annotation(alice: User, client_of: Visit) -> None:
    paper = paper_of("one", annotation="Ours.", evidence="abstract", abstract="Theirs.")
    ours, theirs = passage(paper, "Ours."), passage(paper, "Theirs.", "abstract")
    text = page(client_of(alice), "one")
    assert f'id="p{ours.pk}">Ours.' in text
    assert f'id="p{theirs.pk}">Theirs.' in text
    assert "in this project's words" in text
    assert "The paper's own words" in text


def test_an_imported_paper_with_nothing_but_a_title_has_a_page(alice: User, client_of: Visit) -> None:
    paper_of("bare", owner=alice)
    text = page(client_of(alice), "bare", "?findings=1")
    assert "no year" in text
    assert "in your own library" in text
    assert text.count("nothing recorded") == 3
    assert "No other paper shares" in text


def test_passages_of_another_readers_file_stay_away(alice: User, bob: User, client_of: Visit) -> None:
    paper = paper_of("one", annotation="It fuses text and image features with an adapter.")
    passage(paper, paper.annotation)
    passage(paper, "Our secret method outperforms all baselines by 5%.", "full_text", owner=alice, page=3)
    text = page(client_of(alice), "one", "?findings=1")
    assert "Our secret method outperforms" in text
    assert "full text, page 3" in text
    assert "secret" not in page(client_of(bob), "one", "?findings=1")


# Key findings


def test_findings_come_on_request_and_htmx_gets_only_them(alice: User, client_of: Visit) -> None:
    paper = paper_of("one", annotation="It trains adapters on reports. Dice rises by 6%, which outperforms SAM.")
    where = passage(paper, paper.annotation)
    assert "Show key findings" in page(client_of(alice), "one")
    part = page(client_of(alice), "one", "?findings=1", **HTMX)
    assert part.startswith('<section id="lit-findings"')
    assert "<html" not in part
    assert "“It trains adapters on reports.”" in part
    assert part.count(f'href="/literature/one/#p{where.pk}"') == 2
    assert part.count("nothing recorded") == 1
    whole = page(client_of(alice), "one", "?findings=1")
    assert "“It trains adapters on reports.”" in whole
    assert "<html" in whole


@pytest.mark.usefixtures("literature")
def test_every_finding_stands_word_for_word_where_it_says() -> None:
    said = 0
    for paper in Paper.objects.prefetch_related("passages"):
        points = findings(list(paper.passages.all()))
        assert list(points) == list(KINDS)
        for kind, found in points.items():
            for point in found:
                assert point.passage.paper_id == paper.pk
                assert point.passage.text[point.start : point.end] == point.text, kind
                said += 1
    assert said > 400
    # The same question has the same answer.
    paper = Paper.objects.get(key="li2023lvit")
    rows = list(paper.passages.all())
    assert findings(rows) == findings(rows)


@pytest.mark.usefixtures("literature")
def test_the_kind_of_a_sentence_is_right_nine_times_in_ten() -> None:
    said, right, worth, found = 0, 0, 0, 0
    gold = {key: letters.split() for key, letters in json.loads(GOLD.read_text()).items() if key != "about"}
    for key, letters in gold.items():
        paper = Paper.objects.get(key=key)
        techniques = [name_of(row.value) for row in paper.labels.filter(facet="technique")]
        spans = list(sentences(paper.annotation))
        for (start, end), letter in zip(spans, letters, strict=True):
            kind, _ = kind_of(paper.annotation[start:end], techniques, opening=start == 0)
            said += bool(kind)
            right += bool(kind) and kind[0] in letter
            worth += letter != "-"
            found += bool(kind) and kind[0] in letter
    assert said >= 30
    assert right / said >= 0.9
    assert found / worth >= 0.5


@pytest.mark.parametrize(
    "sentence",
    [
        "Its abstract could not be found, so the models, data and results are not recorded.",
        "The review's list gives no title or link for the entry.",
        "An IEEE paper that, by its title, uses foundation models to synthesise images.",
        "The weather was fine.",
        "",
    ],
)
def test_what_is_no_finding_is_not_made_one(sentence: str) -> None:
    assert kind_of(sentence) == ("", 0.0)


def test_the_problem_in_the_first_sentence_is_not_taken_for_the_method() -> None:
    problem = "Adding text to segmentation suffers because encoders are trained apart."
    assert kind_of(problem, opening=True) == ("", 0.0)


def test_recorded_results_are_findings_and_sizes_are_not() -> None:
    paper = paper_of("one")
    rows = passage(paper, "Data sets: BraTS.\nsize on BraTS: 5 scans.\nDice on BraTS: 0.91.", "results")
    points = findings([rows])
    assert [point.text for point in points["results"]] == ["Dice on BraTS: 0.91."]
    assert not points["methodology"]
    assert not points["significance"]


# Related papers


def test_rare_things_weigh_more_and_the_reason_names_them() -> None:
    here = paper_of("here", datasets=["BraTS (2021)"], backbones=["CLIP"])
    label(here, task="segmentation", modality="mri")
    near = paper_of("near", datasets=["brats"])
    label(near, task="segmentation")
    for number in range(8):
        label(paper_of(f"p{number}"), task="segmentation")
    found = related(here, None, limit=2)
    assert found[0].paper == near
    assert found[0].reason == "shares: segmentation; data set BraTS (2021)"
    assert found[1].reason == "shares: segmentation"
    assert found[0].score > found[1].score
    assert here not in [each.paper for each in found]


def test_related_papers_follow_corrections_and_keep_libraries_apart(alice: User, bob: User) -> None:
    here = paper_of("here")
    label(here, technique="pseudo-labelling")
    label(paper_of("hers", owner=alice, title="A secret"), technique="pseudo-labelling")
    assert [each.paper.key for each in related(here, alice.pk)] == ["hers"]
    assert related(here, bob.pk) == []
    label(here, owner=alice, rejected=True, technique="pseudo-labelling")
    assert related(here, alice.pk) == []


@pytest.mark.usefixtures("literature")
def test_a_review_of_everything_is_not_near_to_everything() -> None:
    first = related(Paper.objects.get(key="li2023lvit"), None)
    assert "lin2025taming" not in [each.paper.key for each in first]
    assert all("data set QaTa-COV19" in each.reason or "data sets" in each.reason for each in first[:3])


@pytest.mark.usefixtures("literature")
def test_a_page_takes_few_queries(alice: User, client_of: Visit, django_assert_max_num_queries: Any) -> None:
    client = client_of(alice)
    client.get("/literature/li2023lvit/")
    with django_assert_max_num_queries(24):
        text = page(client, "li2023lvit", "?findings=1")
    assert re.search(r"shares: [^<]*text-guided fusion", text)
