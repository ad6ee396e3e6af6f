"""What the guide takes a request for, where things on images, findings and opinions are asked for."""

from typing import Any

import pytest

from inference.intents import Call, understand

TOOLS = [
    *("describe_image", "segment", "classify", "ask_image", "ground", "detect_objects", "compare_images"),
    *("second_opinions", "report_findings", "search_literature", "draft_report"),
]
ONE = [{"name": "img1", "attached": True}]
EFFUSION = "Is there an effusion?"


def calls(text: str, before: list[Call] | None = None, tools: list[str] | None = None) -> list[Call]:
    return understand(text, ONE, tools or TOOLS, None, before).calls


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("Detect the tube and lines", ["tube", "lines"]),
        ("please detect a pacemaker, an electrode or wires on img1", ["pacemaker", "electrode", "wires"]),
        ("Detect objects", ["objects"]),
    ],
)
def test_what_is_to_be_detected_are_its_words(text: str, labels: list[str]):
    assert calls(text) == [("detect_objects", {"image": "img1", "labels": labels})]


def test_detecting_a_disease_asks_whether_it_is_there_as_well():
    assert [name for name, _ in calls("Detect pneumonia")] == [
        *("detect_objects", "ask_image", "classify", "describe_image")
    ]


def test_where_one_gives_no_boxes_the_other_is_asked_if_it_is_bound():
    found = understand("Where is the tube?", ONE, TOOLS, None)
    assert found.otherwise == [
        (
            ("ground", {"image": "img1", "phrase": "the tube"}),
            ("detect_objects", {"image": "img1", "labels": ["tube"]}),
        )
    ]
    without = [name for name in TOOLS if name != "detect_objects"]
    assert understand("Where is the tube?", ONE, without, None).otherwise == []


def test_two_requests_in_one_sentence_are_two_calls():
    assert calls("Locate the heart and detect the tube") == [
        ("ground", {"image": "img1", "phrase": "the heart"}),
        ("detect_objects", {"image": "img1", "labels": ["tube"]}),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Second opinion: is there an effusion?",
        "Get a second opinion on this image: is there an effusion?",
        "Ask all models whether there is an effusion",
        "Give me a second opinion on whether there is an effusion",
    ],
)
def test_opinions_are_on_the_question_that_stands_with_them(text: str):
    ((name, arguments),) = calls(text)
    assert name == "second_opinions"
    assert arguments["question"].lower() == EFFUSION.lower()


@pytest.mark.parametrize("text", ["Second opinion?", "What do other models think?", "Do the models agree?"])
def test_opinions_without_a_question_are_on_the_last_one(text: str):
    before: list[Call] = [("ask_image", {"image": "img1", "question": EFFUSION}), ("classify", {"image": "img1"})]
    assert calls(text, before) == [("second_opinions", {"image": "img1", "question": EFFUSION})]
    other: list[Call] = [("ask_image", {"image": "img2", "question": EFFUSION})]
    assert calls(text, other)[0][1]["question"] == "What does this image show?"


def test_opinions_on_the_question_before_them_in_the_same_message():
    assert calls("Is there an effusion? Get a second opinion.")[-1] == (
        "second_opinions",
        {"image": "img1", "question": EFFUSION},
    )


@pytest.mark.parametrize("text", ["Which papers detect nodules?", "Find papers on effusion detection"])
def test_the_literature_is_still_the_literature(text: str):
    assert [name for name, _ in calls(text)] == ["search_literature"]


def test_findings_are_written_and_a_report_is_drafted():
    assert calls("Write the findings") == [("report_findings", {"image": "img1"})]
    drafted: Any = understand("Write a report", ONE, TOOLS, None)
    assert [name for name, _ in drafted.afterwards] == ["draft_report"]
