"""A marker in an answer opens what it names, and only what is really there."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from assistant.evidence import MARKER, claims, numbered, references
from assistant.models import Artifact, Conversation, Message, Run, ToolCall
from corpus.models import Paper, Passage

TEXT = "MedCLIP decouples images and texts. It needs 20,000 pairs, an order of magnitude fewer than CLIP."
OTHER = "SAM segments anything with prompts. Adapters change few weights."


def sentences(text: str) -> list[str]:
    return [sentence for _, sentence in claims(text)]


# Which words a marker stands behind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("No marker at all.", []),
        ("One claim [[p1]].", ["One claim"]),
        ("One claim. [[p1]]", ["One claim."]),
        ("First claim [[p1]]. Second claim [[p2]].", ["First claim", "Second claim"]),
        ("Not this one. Only this one [[p1]].", ["Only this one"]),
        ("Two sources agree [[p1]][[p2]].", ["Two sources agree", "Two sources agree"]),
        ("Two sources agree [[p1]], [[p2]].", ["Two sources agree", "Two sources agree"]),
        ("Two sources agree [[p1]] and [[p2]].", ["Two sources agree", "Two sources agree"]),
        ("Two sources agree ([[p1]]; see also [[p2]]).", ["Two sources agree", "Two sources agree"]),
        ("It says “these words” [[p1]].", ["“these words”"]),
        ("It says “these words” ([[p1]]).", ["“these words”"]),
        ("One “first” [[p1]] and “second” [[p2]].", ["“first”", "“second”"]),
        ("Li: “One thing. Another thing.” [[p1]]", ["“One thing. Another thing.”"]),
        ("As “One. Two.” shows, it works [[p1]].", ["As “One. Two.” shows, it works"]),
        ("- **Name** (2021): “quoted words” [[p1]]\n- Next “more” [[p2]]", ["“quoted words”", "“more”"]),
        ("- plain words in a list [[p1]]\n- others there [[p2]]", ["plain words in a list", "others there"]),
        ("1. numbered item here [[p1]]\n2. the next one [[p2]]", ["numbered item here", "the next one"]),
        ("# Heading\n\nA sentence here [[c1]].", ["A sentence here"]),
        ("| Model | Says |\n|---|---|\n| CLIP | “a quote” [[p1]] |\n| SAM | other words here [[p2]] |", None),
        ("| CLIP | “a quote” | [[p1]] |", ["“a quote”"]),
        ("| CLIP | four words in cell | [[p1]] |", ["four words in cell"]),
        ('He writes "straight quotes" [[p1]].', ['"straight quotes"']),
        ("[[p1]] leads the sentence.", [""]),
        ("[[p1]] [[p2]]", ["", ""]),
        ("An unknown [[x1]] is no marker, nor [[p]], [p1], [[p1.2]] or [[c1.]].", []),
    ],
)
def test_a_marker_stands_behind_the_words_before_it(text: str, expected: list[str] | None) -> None:
    if expected is None:
        expected = ["“a quote”", "other words here"]
    assert sentences(text) == expected


def test_evidence_of_every_kind_is_recognised_in_order() -> None:
    text = "A lung [[c1.2]] of this image [[c3]] as in [[p77]]."
    assert [ref for ref, _ in claims(text)] == ["c1.2", "c3", "p77"]


# What it opens


pytestmark = pytest.mark.django_db


@pytest.fixture
def passage() -> Passage:
    paper = Paper.objects.create(key="medclip2022", title="MedCLIP", year=2022, annotation=TEXT)
    return Passage.objects.create(paper=paper, kind="annotation", ordinal=0, text=TEXT, start=0, end=len(TEXT))


@pytest.fixture
def other(passage: Passage) -> Passage:
    return Passage.objects.create(
        paper=passage.paper, kind="annotation", ordinal=1, text=OTHER, start=100, end=100 + len(OTHER)
    )


@pytest.fixture
def make_conversation(alice: User) -> Callable[..., Conversation]:
    def make(*found: Passage, number: int = 1, state: str = ToolCall.DONE) -> Conversation:
        """A conversation in which a search has returned these passages."""
        conversation = Conversation.objects.create(owner=alice)
        message = conversation.add(Message.USER, "Which papers?")
        run = conversation.runs.create(message=message, chat_model="guide", state=Run.DONE)
        ToolCall.objects.create(
            run=run,
            number=number,
            call_id="a",
            name="search_literature",
            arguments={},
            state=state,
            result={"summary": "", "passages": [{"ref": f"p{p.pk}"} for p in found]},
        )
        return conversation

    return make


@pytest.fixture
def searched(make_conversation: Callable[..., Conversation], passage: Passage, other: Passage) -> Conversation:
    return make_conversation(passage, other)


def only(text: str, conversation: Conversation) -> dict[str, Any]:
    (reference,) = references(text, conversation)
    return reference


def test_a_quotation_that_stands_is_verified_with_its_place(searched: Conversation, passage: Passage) -> None:
    found = only(f"They say “It needs 20,000 pairs” [[p{passage.pk}]].", searched)
    assert found["verified"]
    assert (found["kind"], found["key"], found["passage_id"]) == ("passage", "medclip2022", passage.pk)
    assert TEXT[found["start"] : found["end"]] == found["quote"] == "It needs 20,000 pairs"


@pytest.mark.parametrize(
    "claim",
    [
        "“It needs 20,000 pairs, an order of magnitude fewer than CLIP.”",
        "“it needs 20,000 pairs”",
        "It needs 20,000 pairs, an order of magnitude fewer than CLIP.",
        "**MedCLIP decouples images and texts.**",
        "- MedCLIP decouples images and texts",
        "MedCLIP decouples images and texts (",
        "“MedCLIP decouples  images and\ntexts”",
        "With “20,000 pairs”, “MedCLIP decouples images and texts” is what they write of it",
    ],
)
def test_words_that_stand_in_the_passage(searched: Conversation, passage: Passage, claim: str) -> None:
    assert only(f"{claim} [[p{passage.pk}]]", searched)["verified"]


@pytest.mark.parametrize(
    "claim",
    [
        "“It needs 2,000 pairs”",
        "“It needs 20,000 pair”",
        "MedCLIP is the best of all models.",
        "“It needs 20,000 pairs” proves that “MedCLIP cures cancer” in most people",
        "“MedCLIP cures cancer”, as “20,000 pairs” prove beyond doubt",
        "It is true, and",
        "and",
        "CLIP",
        "“”",
        "",
    ],
)
def test_words_that_do_not_stand_in_the_passage(searched: Conversation, passage: Passage, claim: str) -> None:
    found = only(f"{claim} [[p{passage.pk}]]", searched)
    assert not found["verified"]
    assert found["reason"].startswith("Unsupported: ")
    assert "\n" not in found["reason"]


def test_words_of_another_passage_do_not_count(searched: Conversation, passage: Passage, other: Passage) -> None:
    assert not only(f"“SAM segments anything” [[p{passage.pk}]]", searched)["verified"]
    assert only(f"“SAM segments anything” [[p{other.pk}]]", searched)["verified"]


def test_the_second_of_two_markers_is_checked_too(searched: Conversation, passage: Passage, other: Passage) -> None:
    text = f"“MedCLIP decouples images and texts” [[p{passage.pk}]] and [[p{other.pk}]]."
    assert [found["verified"] for found in references(text, searched)] == [True, False]


def test_a_passage_that_no_search_has_returned_is_not_there(
    make_conversation: Callable[..., Conversation], passage: Passage, other: Passage
) -> None:
    text = f"“MedCLIP decouples images and texts” [[p{passage.pk}]]"
    for conversation in (make_conversation(other), make_conversation(passage, state=ToolCall.FAILED)):
        found = only(text, conversation)
        assert (found["kind"], found["verified"]) == ("missing", False)
        assert "not found by any search of this conversation" in found["reason"]
        assert "title" not in found


def test_a_search_in_another_chat_does_not_count(
    make_conversation: Callable[..., Conversation], alice: User, passage: Passage
) -> None:
    make_conversation(passage)
    empty = Conversation.objects.create(owner=alice)
    assert not only(f"“MedCLIP decouples images and texts” [[p{passage.pk}]]", empty)["verified"]


@pytest.mark.parametrize("ref", ["p0", "p999999999", "c0", "c99", "c1.1", "c999999.9999"])
def test_what_does_not_exist_is_unsupported(searched: Conversation, ref: str) -> None:
    found = only(f"A claim about nothing [[{ref}]].", searched)
    assert (found["ref"], found["kind"], found["verified"]) == (ref, "missing", False)


def test_a_call_and_its_results_open(searched: Conversation) -> None:
    call = ToolCall.objects.get()
    ToolCall.objects.update(name="segment")
    mask = Artifact.objects.create(tool_call=call, number=1, kind="mask", label="right lung")
    whole, part = references("The image [[c1]] and the lung [[c1.1]].", searched)
    assert (whole["kind"], whole["tool_call_id"], whole["verified"]) == ("call", str(call.pk), True)
    assert (part["kind"], part["label"], part["artifact_id"]) == ("mask", "right lung", str(mask.pk))


def test_a_call_of_another_chat_does_not_open(
    make_conversation: Callable[..., Conversation], searched: Conversation
) -> None:
    make_conversation(number=7)
    assert not only("Somebody else's result [[c7]].", searched)["verified"]


# Numbers


def test_the_same_evidence_has_the_same_number(searched: Conversation, passage: Passage, other: Passage) -> None:
    a, b = f"“MedCLIP decouples images and texts” [[p{passage.pk}]]", f"“few weights” [[p{other.pk}]]"
    found = references(f"{a}. {b}. {a}. A call [[c1]]. “It needs” [[p{passage.pk}]].", searched)
    assert [reference["n"] for reference in found] == [1, 2, 1, 3, 4]


def test_markers_become_numbers_and_nothing_else_changes(searched: Conversation, passage: Passage) -> None:
    rng = random.Random(1)
    words = ["text", " ", "[", "]", "[[", "]]", "[1]", "“q”", "\n- ", "| a |", "p1", "c1", "ü", "[[x]]", "\\"]
    for _ in range(200):
        pieces, text = [], ""
        for _ in range(rng.randrange(1, 8)):
            piece = "".join(rng.choices(words, k=rng.randrange(6)))
            marker = rng.choice([f"[[p{passage.pk}]]", "[[c1]]", "[[c9.9]]"])
            pieces.append(piece)
            text += piece + marker
        found = references(text, searched)
        kept = MARKER.split(text)[:: MARKER.groups + 1]
        assert numbered(text, found) == "".join(
            piece + (f"[{found[i]['n']}]" if i < len(found) else "") for i, piece in enumerate(kept)
        )
        assert not MARKER.search(numbered(text, found)) or any("[[" in piece for piece in pieces)


def test_a_text_whose_references_are_lost_loses_its_markers_only() -> None:
    assert numbered("A [[p1]] b [[c2.1]].", []) == "A  b ."
