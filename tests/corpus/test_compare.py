"""The comparison table: what stands beside what, and the passage behind each cell."""

import csv
import io

import pytest
from django.contrib.auth.models import User

from corpus.compare import NOT_RECORDED, Table, as_csv, as_markdown, table
from corpus.models import Label, Paper, Passage
from corpus.quotes import stands_in

pytestmark = pytest.mark.django_db


def paper(key: str, owner: User | None = None, **more: object) -> Paper:
    """A paper with the passage that lists its facts, as the loader makes it."""
    made = Paper.objects.create(key=key, owner=owner, title=f"Paper {key}", **more)
    if facts := made.facts():
        Passage.objects.create(
            paper=made, owner=owner, kind=Passage.Kind.RESULTS, ordinal=0, text=facts, start=0, end=len(facts)
        )
    return made


def result(dataset: str, metric: str, value: str, note: str = "") -> dict[str, str]:
    return {"dataset": dataset, "metric": metric, "value": value} | ({"note": note} if note else {})


def column(compared: Table, title: str) -> list[str]:
    place = [column.title for column in compared.columns].index(title)
    return [row.cells[place].text for row in compared.rows]


@pytest.mark.usefixtures("literature")
def test_every_recorded_value_of_the_collection_stands_in_the_passage_behind_it() -> None:
    compared = table(Paper.objects.all(), None)
    assert len(compared.rows) == 220
    passages = Passage.objects.in_bulk()
    counted = 0
    for row in compared.rows:
        for of, cell in zip(compared.columns, row.cells, strict=True):
            for value in cell.values:
                if of.is_result or of.title in ("backbone", "data set"):
                    assert value.passage_id is not None, (row.paper.key, of.title, value)
                    assert stands_in(value.text, passages[value.passage_id].text)
                    assert passages[value.passage_id].paper_id == row.paper.pk
                    assert value.url.endswith(f"#p{value.passage_id}")
                    counted += 1
    assert counted > 600


def test_numbers_stand_together_only_for_the_same_metric_on_the_same_data_set() -> None:
    first = paper("one", results=[result("IU X-Ray", "BLEU-1", "0.49"), result("IU X-Ray", "BLEU-4", "0.17")])
    second = paper("two", results=[result("IU Xray", "bleu-1", "0.51"), result("MIMIC-CXR", "BLEU-1", "0.38")])
    compared = table([first, second], None)
    titles = [column.title for column in compared.columns if column.is_result]
    assert titles == ["BLEU-1 on IU X-Ray", "BLEU-4 on IU X-Ray", "BLEU-1 on MIMIC-CXR"]
    assert column(compared, "BLEU-1 on IU X-Ray") == ["0.49", "0.51"]
    assert column(compared, "BLEU-4 on IU X-Ray") == ["0.17", ""]
    assert column(compared, "BLEU-1 on MIMIC-CXR") == ["", "0.38"]


def test_names_that_differ_in_more_than_spelling_stay_apart() -> None:
    first = paper("one", results=[result("RefCOCO", "acc", "1"), result("CT-RATE", "acc", "3")])
    second = paper("two", results=[result("RefCOCO+", "acc", "2"), result("CT-RATE", "acc gain", "4")])
    compared = table([first, second], None)
    assert len([column for column in compared.columns if column.is_result]) == 4


def test_several_values_are_listed_with_their_notes() -> None:
    made = paper("eva", results=[result("ImageNet", "top-1", "82.0", "E/14+"), result("ImageNet", "top-1", "80.4")])
    assert column(table([made], None), "top-1 on ImageNet") == ["82.0 (E/14+); 80.4"]


def test_what_is_not_recorded_is_empty_and_said_so() -> None:
    bare = paper("bare")
    compared = table([bare], None)
    assert [cell.text for cell in compared.rows[0].cells] == [""] * 5
    assert compared.rows[0].cells[0].passage_id is None
    assert compared.unmeasured() == [bare]
    assert NOT_RECORDED in as_markdown(compared, ["bare"])
    assert "No results recorded: [@bare]." in as_markdown(compared, ["bare"])


def test_results_without_a_value_or_a_measurement_count_as_not_recorded() -> None:
    made = paper("odd", results=[result("A", "B", "")])
    made.results = [{"dataset": "A", "metric": "B", "value": None}, {"value": "3"}, {"metric": "C", "value": 0.5}]
    made.save()
    compared = table([made], None)
    assert [column.title for column in compared.columns if column.is_result] == ["C"]
    assert column(compared, "C") == ["0.5"]


def test_a_paper_of_another_library_is_left_out_with_its_passages(alice: User, bob: User) -> None:
    hidden = paper("hidden", owner=bob, backbones=["canary"])
    shared = paper("shared", backbones=["ViT"])
    assert [row.paper for row in table([hidden, shared], alice.pk).rows] == [shared]
    assert column(table([hidden, shared], bob.pk), "backbone") == ["canary", "ViT"]


def test_a_passage_that_is_not_the_readers_is_not_behind_a_cell(alice: User, bob: User) -> None:
    made = Paper.objects.create(key="a", title="A", backbones=["ViT"])
    passage = Passage.objects.create(
        paper=made, owner=bob, kind=Passage.Kind.ABSTRACT, ordinal=0, text="A ViT is used.", start=0, end=14
    )
    assert table([made], alice.pk).rows[0].cells[1].passage_id is None
    assert table([made], bob.pk).rows[0].cells[1].passage_id == passage.pk


def test_labels_are_those_of_the_reader(alice: User, bob: User) -> None:
    made = paper("a")
    Label.objects.create(paper=made, facet="technique", value="soft-prompt-tuning", source="annotator")
    Label.objects.create(
        paper=made, facet="technique", value="soft-prompt-tuning", source="alice", owner=alice, rejected=True
    )
    Label.objects.create(paper=made, facet="technique", value="in-context-learning", source="bob", owner=bob)
    assert column(table([made], None), "technique") == ["soft prompt tuning"]
    assert column(table([made], alice.pk), "technique") == [""]
    assert column(table([made], bob.pk), "technique") == ["in-context learning; soft prompt tuning"]


def test_the_csv_has_a_line_a_paper_and_no_formula() -> None:
    made = paper("a", model_name="=HYPERLINK(1)", backbones=["@evil", "b"], results=[result("D", "gain", "+3.9%")])
    rows = list(csv.DictReader(io.StringIO(as_csv(table([made], None), ["a"]))))
    assert rows == [
        {
            "key": "a",
            "paper": "'=HYPERLINK(1)",
            "year": "",
            "backbone": "'@evil; b",
            "data set": "",
            "technique": "",
            "code": "",
            "gain on D": "+3.9%",
        }
    ]


def test_markdown_says_names_and_nothing_else() -> None:
    made = paper("a", model_name="A|B *c*", year=2024, results=[result("D|E", "F1", "0.5")])
    lines = as_markdown(table([made], None), ["a"]).splitlines()
    assert lines[0] == "| paper | year | backbone | data set | technique | code |"
    assert lines[2] == rf"| A\|B \*c\* [@a] | 2024 | {' | '.join([NOT_RECORDED] * 4)} |"
    assert r"| D\|E | F1 | 0.5 |" in lines
