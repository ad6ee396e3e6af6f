"""The draft of related work: quotations and recorded facts, and nothing else."""

import io
import re
from collections.abc import Callable

import pybtex.database
import pytest
from django.contrib.auth.models import User
from django.test import Client
from docx import Document

from corpus.csl import items
from corpus.exports import bibtex
from corpus.models import Label, Paper, Passage
from corpus.related_work import NOTICE, Work, as_markdown, draft

pytestmark = pytest.mark.django_db


def paper(key: str, *labels: tuple[str, str], owner: User | None = None, text: str = "", **more: object) -> Paper:
    made = Paper.objects.create(key=key, owner=owner, title=f"Paper {key}", **{"year": 2024, **more})
    Label.objects.bulk_create(
        Label(paper=made, facet=facet, value=value, source="annotator") for facet, value in labels
    )
    if text:
        passage(made, text, owner)
    return made


def passage(of: Paper, text: str, owner: User | None = None, kind: str = "annotation", ordinal: int = 0) -> Passage:
    return Passage.objects.create(paper=of, owner=owner, kind=kind, ordinal=ordinal, text=text, start=0, end=len(text))


def works(papers: list[Paper], reader: int | None = None) -> list[Work]:
    drafted = draft(papers, reader)
    return [work for section in drafted.sections for group in section.groups for work in group.works] + list(
        drafted.unplaced
    )


PRETRAINING = ("learning_strategy", "pretraining")
TUNING = ("learning_strategy", "fine-tuning")
PROMPTS = ("learning_strategy", "prompt-learning")


@pytest.mark.usefixtures("literature")
def test_every_sentence_of_the_whole_collection_is_a_quotation_or_a_recorded_fact() -> None:
    papers = list(Paper.objects.all())
    found = works(papers)
    assert sorted(work.paper.key for work in found) == sorted(paper.key for paper in papers)
    for work in found:
        assert work.passage is not None
        assert work.quote in work.passage.text
        assert work.passage.current
        assert work.passage.paper_id == work.paper.pk
        rest = work.facts.removeprefix(work.paper.model_name or f"“{work.paper.title}”")
        assert re.fullmatch(
            rf" \({work.paper.year}\) is recorded (without a task or technique|(under the tasks? .+?)?(, )?"
            r"(with the techniques? .+?)?)(; it is also recorded under .+)?",
            rest,
        ), work.facts


@pytest.mark.usefixtures("literature")
def test_the_same_papers_give_the_same_draft_in_any_order() -> None:
    papers = list(Paper.objects.all()[:60])
    assert as_markdown(draft(papers, None)) == as_markdown(draft(papers[::-1], None))


def test_papers_stand_by_strategy_then_technique_then_year() -> None:
    chosen = [
        paper("d", PROMPTS, ("technique", "soft-prompt-tuning")),
        paper("c", PRETRAINING, ("technique", "knowledge-injection"), year=2023),
        paper("b", PRETRAINING, ("technique", "contrastive-alignment")),
        paper("a", PRETRAINING, ("technique", "knowledge-injection"), year=2021),
        paper("e", PRETRAINING),
    ]
    drafted = draft(chosen, None)
    assert [
        (section.title, [(group.title, [work.key for work in group.works]) for group in section.groups])
        for section in drafted.sections
    ] == [
        ("pretraining", [("contrastive alignment", ["b"]), ("knowledge injection", ["a", "c"]), ("", ["e"])]),
        ("prompt learning", [("soft prompt tuning", ["d"])]),
    ]
    assert [section.count for section in drafted.sections] == [4, 1]


def test_a_paper_with_several_strategies_stands_once_and_says_the_others() -> None:
    made = paper("a", TUNING, PRETRAINING, ("technique", "instruction-tuning"), ("technique", "generative-pretraining"))
    drafted = draft([made], None)
    assert [(section.title, section.groups[0].title) for section in drafted.sections] == [
        ("pretraining", "generative pretraining")
    ]
    assert drafted.sections[0].groups[0].works[0].facts == (
        "“Paper a” (2024) is recorded with the techniques generative pretraining and instruction tuning; "
        "it is also recorded under fine-tuning"
    )


def test_what_could_not_be_placed_or_quoted_is_said() -> None:
    made = paper("a", ("task", "vqa"), ("task", "classification"), model_name="Method", year=None)
    drafted = draft([made], None)
    assert drafted.sections == ()
    assert [work.key for work in drafted.unplaced] == ["a"]
    written = as_markdown(drafted)
    assert "## Not placed\n\nNo learning strategy is recorded of these papers.\n" in written
    facts = r"Method (no year) is recorded under the tasks visual question answering and classification \[@a\]."
    assert facts.replace("\\", "") in written
    assert "There is no text to quote of [@a]." in written


def test_the_papers_own_words_come_before_ours_and_scraps_are_passed_over() -> None:
    made = paper("a", PRETRAINING, text="Our annotation says what the method does, at some length.")
    assert works([made])[0].quote == "Our annotation says what the method does, at some length."
    own = passage(made, "Too short. The abstract says that the method is trained on pairs. And more.", kind="abstract")
    work = works([made])[0]
    assert work.quote == "The abstract says that the method is trained on pairs."
    assert work.passage == own


def test_a_sentence_that_names_the_method_is_preferred() -> None:
    made = paper("a", PRETRAINING, model_name="MedX")
    passage(made, "Labels are rare and expensive in radiology. So MedX learns from reports instead.")
    passage(made, "MedX is also evaluated on two other data sets.", ordinal=1)
    assert works([made])[0].quote == "So MedX learns from reports instead."


def test_retired_passages_are_not_quoted() -> None:
    made = paper("a", PRETRAINING, text="This sentence has left the entry, and is quoted no more.")
    made.passages.update(current=False)
    assert works([made])[0].quote == ""


def test_nothing_of_another_library_is_in_it(alice: User, bob: User) -> None:
    hidden = paper("hidden", PRETRAINING, owner=bob, text="The canary of bob sings in this sentence.")
    shared = paper("shared", PRETRAINING)
    passage(shared, "The full canary of bob sings in this passage.", owner=bob)
    Label.objects.create(paper=shared, facet="technique", value="direct-use", source="bob", owner=bob)
    found = works([hidden, shared], alice.pk)
    assert [(work.key, work.quote) for work in found] == [("shared", "")]
    assert "direct use" not in found[0].facts
    assert len(works([hidden, shared], bob.pk)) == 2


def test_the_readers_corrections_hold(alice: User) -> None:
    made = paper("a", PRETRAINING)
    Label.objects.create(paper=made, facet=PRETRAINING[0], value=PRETRAINING[1], source="x", owner=alice, rejected=True)
    Label.objects.create(paper=made, facet=TUNING[0], value=TUNING[1], source="x", owner=alice)
    assert [section.title for section in draft([made], alice.pk).sections] == ["fine-tuning"]
    assert [section.title for section in draft([made], None).sections] == ["pretraining"]


def test_markdown_cites_keys_of_the_bibtex_file_and_opens_the_passage(alice: User) -> None:
    first = paper("lee", PRETRAINING, text="It aligns *images* with [reports] in one space.", model_name="A_B")
    second = paper("lee", PRETRAINING, owner=alice, text="A second paper of the same key stands here.")
    written = as_markdown(draft([first, second], alice.pk), lambda path: f"https://site{path}")
    keys = set(re.findall(r"(?<!\\)\[@([^\]]+)\]", written))
    assert keys == set(pybtex.database.parse_string(bibtex(items([first, second])), "bibtex").entries)
    assert NOTICE in written
    assert r"“It aligns \*images\* with \[reports\] in one space.”" in written
    assert r"A\_B (2024)" in written
    own = first.passages.get()
    assert f"](<https://site/literature/lee/#p{own.pk}>)" in written


def test_the_page_and_its_files(alice: User, client_of: Callable[[User], Client]) -> None:
    paper("a", PRETRAINING, text="It aligns images with reports in one space.", authors=["Ann Lee"])
    reader = client_of(alice)
    page = reader.get("/literature/related-work/?key=a").content.decode()
    assert "“It aligns images with reports in one space.”" in page
    assert "draft of quotations" in page
    written = reader.get("/literature/related-work/md/?key=a")
    assert written["Content-Disposition"] == 'attachment; filename="lightbox-related-work.md"'
    assert "http://testserver/literature/a/#p" in written.content.decode()
    response = reader.get("/literature/related-work/docx/?key=a")
    lines = [line.text for line in Document(io.BytesIO(response.content)).paragraphs]
    assert NOTICE in lines
    assert any("“It aligns images with reports in one space.”" in line for line in lines)
    assert lines[-1] == "[a] Lee, A. (2024). Paper a."
