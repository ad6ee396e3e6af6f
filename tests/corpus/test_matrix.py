"""The matrix of two facets: its counts open the lists that they promise, its gaps are said, and each reader has their
own."""

import csv
import html
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext

from corpus.matrix import Matrix, Sides, count
from corpus.models import Label, Paper
from corpus.results import Facets

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
SVG = "{http://www.w3.org/2000/svg}"


def page(response: Any) -> str:
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def of(query: str, reader: User | None = None) -> Matrix:
    return count(Sides.of(QueryDict(query)), reader and reader.pk)


def cell(matrix: Matrix, row: str, column: str) -> int:
    columns = [head.term.value for head in matrix.columns]
    line = next(line for line in matrix.lines if line.term.value == row)
    return line.cells[columns.index(column)].count


def labelled(key: str, owner: User | None = None, year: int | None = 2024, **labels: str) -> Paper:
    paper = Paper.objects.create(key=key, title=f"On {key}", year=year, owner=owner)
    for facet, value in labels.items():
        Label.objects.create(paper=paper, facet=facet, value=value, source="annotator")
    return paper


@pytest.mark.usefixtures("literature")
def test_every_count_is_the_length_of_the_list_that_it_opens(alice: User, client_of: Callable[[User], Client]) -> None:
    client = client_of(alice)
    matrix = of("modality=x-ray&year_min=2023", alice)
    for line in matrix.lines[:4]:
        for each in (*line.cells, line):
            opened = page(client.get(each.address))
            found = re.search(r'<strong class="lit-number">(\d+)</strong>', opened)
            assert found is not None
            assert int(found[1]) == (each.total if each is line else each.count), each.address
    assert matrix.papers == Paper.objects.filter_facets(Facets(modalities=("x-ray",), year_min=2023)).count()


@pytest.mark.usefixtures("literature")
def test_all_facets_can_stand_on_either_side(alice: User, client_of: Callable[[User], Client]) -> None:
    client = client_of(alice)
    sides = ("task", "strategy", "technique", "modality", "dimension", "anatomy")
    for rows in sides:
        columns = "task" if rows != "task" else "anatomy"
        text = page(client.get(f"/literature/matrix/?rows={rows}&columns={columns}"))
        assert 'class="lit-matrix"' in text
    matrix = of("rows=modality&columns=technique")
    assert (len(matrix.lines), len(matrix.columns)) == (17, 21)
    assert cell(matrix, "ct", "contrastive-alignment") == (
        Paper.objects.filter_facets(Facets(modalities=("ct",), techniques=("contrastive-alignment",))).count()
    )


@pytest.mark.usefixtures("literature")
def test_it_takes_few_queries_however_large_it_is(django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(2):
        of("rows=modality&columns=technique")
    with CaptureQueriesContext(
        connection,
    ) as asked:
        of("rows=task&columns=strategy&modality=ct")
    assert len(asked) == 2


def test_gaps_are_said_in_words_and_are_no_links(alice: User, client_of: Callable[[User], Client]) -> None:
    labelled("one", task="vqa", learning_strategy="fine-tuning")
    text = page(client_of(alice).get("/literature/matrix/"))
    assert text.count('aria-label="gap: no paper"') == 11 * 3 - 1
    assert '<a href="/literature/?task=vqa&strategy=fine-tuning" aria-label="1 paper">1</a>' in text
    assert "32</span> gaps" in text
    assert "task=vqa&strategy=pretraining" not in text


def test_totals_count_papers_and_not_cells() -> None:
    both = labelled("both", task="vqa", learning_strategy="fine-tuning")
    Label.objects.create(paper=both, facet="learning_strategy", value="pretraining", source="annotator")
    Label.objects.create(paper=both, facet="task", value="vqa", source="reading list")  # two sources count once
    labelled("bare")
    matrix = of("")
    line = next(line for line in matrix.lines if line.term.value == "vqa")
    assert [each.count for each in line.cells] == [1, 1, 0]
    assert line.total == 1
    assert (matrix.papers, matrix.unplaced) == (2, 1)


def test_each_reader_counts_their_own_library_and_corrections(alice: User, bob: User) -> None:
    shared = labelled("shared", task="vqa", learning_strategy="fine-tuning")
    labelled("hers", owner=alice, task="vqa", learning_strategy="fine-tuning")
    assert [cell(of("", who), "vqa", "fine-tuning") for who in (alice, bob, None)] == [2, 1, 1]
    Label.objects.create(paper=shared, facet="task", value="vqa", source="you", owner=alice, rejected=True)
    Label.objects.create(paper=shared, facet="task", value="synthesis", source="you", owner=alice)
    assert [cell(of("", who), "vqa", "fine-tuning") for who in (alice, bob)] == [1, 1]
    assert [cell(of("", who), "synthesis", "fine-tuning") for who in (alice, bob)] == [1, 0]


def test_the_years_of_a_row_are_drawn_and_written(alice: User, client_of: Callable[[User], Client]) -> None:
    for number, year in enumerate((2022, 2024, 2024, None)):
        labelled(f"p{number}", year=year, task="vqa", learning_strategy="fine-tuning")
    line = next(line for line in of("").lines if line.term.value == "vqa")
    assert line.by_year == [(2022, 1), (2023, 0), (2024, 2)]
    text = page(client_of(alice).get("/literature/matrix/"))
    assert 'role="img" aria-label="2022: 1, 2024: 2"' in text
    assert text.count("<rect") == 2


def test_nonsense_in_the_address_is_ignored(alice: User, client_of: Callable[[User], Client]) -> None:
    labelled("one", task="vqa", learning_strategy="fine-tuning")
    client = client_of(alice)
    for query in ("rows=x&columns=y", "rows=task&columns=task", "rows=%00&year_min=abc", "modality=%00", "task=vqa"):
        assert client.get(f"/literature/matrix/?{query}").status_code == 200, query
        assert client.get(f"/literature/matrix.csv?{query}").status_code == 200, query
    assert of("rows=task&columns=task").sides.columns == "strategy"
    assert of("rows=strategy&columns=strategy").sides.columns == "task"
    # A filter on a facet that is itself a side would hide rows; it is dropped.
    assert of("task=synthesis").papers == 1


def test_an_empty_literature_has_a_matrix_of_gaps(alice: User, client_of: Callable[[User], Client]) -> None:
    for address in ("/literature/matrix/", "/literature/matrix/?rows=anatomy&columns=task"):
        assert "0</strong> papers" in page(client_of(alice).get(address))
    assert client_of(alice).get("/literature/matrix.svg?rows=anatomy").status_code == 200


def test_the_csv_is_a_table_that_no_spreadsheet_runs(alice: User, client_of: Callable[[User], Client]) -> None:
    labelled("one", task="vqa", anatomy="=cmd()")
    labelled("two", task="vqa", anatomy='lung, "left"', year=2023)
    response = client_of(alice).get("/literature/matrix.csv?rows=anatomy&columns=task")
    assert response["Content-Type"].startswith("text/csv")
    assert 'filename="anatomy-by-task.csv"' in response["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(response.content.decode())))
    assert rows[0][0] == "anatomy / task"
    assert rows[0][-3:] == ["all papers", "2023", "2024"]
    assert {row[0] for row in rows[1:]} == {"'=cmd()", 'lung, "left"', "all papers"}
    at = rows[0].index("visual question answering")
    assert [row[at] for row in rows[1:]] == ["1", "1", "2"]
    page_csv = client_of(alice).get("/literature/matrix/?rows=anatomy&columns=task")
    assert "/literature/matrix.csv?rows=anatomy&columns=task" in page(page_csv)


def test_the_picture_stands_alone(alice: User, client_of: Callable[[User], Client]) -> None:
    labelled("one", task="vqa", anatomy="<b>&lung")
    response = client_of(alice).get("/literature/matrix.svg?rows=anatomy&columns=task")
    assert response["Content-Type"] == "image/svg+xml"
    root = ET.fromstring(response.content)
    title = root.find(f"{SVG}title")
    assert title is not None
    assert title.text == "Anatomy by task"
    assert root.find(f"{SVG}desc") is not None
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert "<b>&lung" in texts
    assert "visual question answering" in texts
    # Neither a style sheet nor a style attribute: the site's policy forbids them, and it must look right everywhere.
    assert not any("style" in element.attrib or element.tag.endswith("style") for element in root.iter())
    gaps = [element for element in root.iter(f"{SVG}title") if element.text == "gap: no paper"]
    assert len(gaps) == 10


def test_htmx_gets_the_table_and_the_controls(alice: User, client_of: Callable[[User], Client]) -> None:
    labelled("one", task="vqa", learning_strategy="fine-tuning")
    response = client_of(alice).get("/literature/matrix/?rows=modality&columns=task&year_min=", headers=HTMX)
    text = page(response)
    assert "<html" not in text
    assert text.lstrip().startswith('<section id="lit-matrix"')
    assert 'id="lit-matrix-controls" class="lit-matrix-controls" hx-swap-oob="true"' in text
    assert response["HX-Push-Url"] == "/literature/matrix/?rows=modality&columns=task"


def test_anonymous_must_sign_in(client: Client, db: None) -> None:
    for address in ("/literature/matrix/", "/literature/matrix.csv", "/literature/matrix.svg"):
        assert "sign-in" in client.get(address)["Location"]
