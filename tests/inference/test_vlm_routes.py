"""Which requests the guide takes for a place, a comparison, more opinions or findings to be written, and which not."""

from typing import Any

import pytest

from inference.intents import understand

TOOLS = ["ground", "compare_images", "second_opinions", "report_findings"]
OTHERS = ["describe_image", "segment", "classify", "ask_image", "search_literature", "draft_report", "register_images"]
OTHERS += ["find_anomalies"]
ONE = [{"name": "img1", "attached": True}]
TWO = [{"name": "img1", "attached": True}, {"name": "img2", "attached": True}]


def calls(text: str, images: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    return understand(text, images, TOOLS + OTHERS, None).calls


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("Where is the endotracheal tube?", "the endotracheal tube"),
        ("where are the nodules on this image?", "the nodules"),
        ("Please locate the fracture", "the fracture"),
        ("Put a box around the pacemaker", "the pacemaker"),
    ],
)
def test_a_place_is_asked_of_the_model_that_draws_boxes(text: str, phrase: str):
    assert calls(text, ONE) == [("ground", {"image": "img1", "phrase": phrase})]


@pytest.mark.parametrize("text", ["Where are the lungs?", "Where can I find papers on this?", "Find similar images"])
def test_what_is_no_place_on_an_image_is_not(text: str):
    assert "ground" not in [name for name, _ in calls(text, ONE)]


@pytest.mark.parametrize(
    "text",
    [
        "Compare these two",
        "Compare these two images",
        "compare img1 with img2",
        "What is the difference between img1 and img2?",
        "Show both images side by side",
        "How do these images differ?",
    ],
)
def test_two_images_are_compared_in_the_order_they_are_named(text: str):
    assert calls(text, TWO) == [("compare_images", {"first": "img1", "second": "img2"})]


def test_the_order_is_that_of_the_request():
    assert calls("Compare img2 and img1", TWO) == [("compare_images", {"first": "img2", "second": "img1"})]


@pytest.mark.parametrize(
    "text", ["Compare CLIP and SAM", "Compare img1 with the normal set", "What is the difference between CLIP and SAM?"]
)
def test_other_comparisons_are_not_of_two_images(text: str):
    assert "compare_images" not in [name for name, _ in calls(text, TWO)]


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Second opinion: is there an effusion?", "is there an effusion?"),
        ("Get a second opinion on whether there is a nodule", "Is there a nodule?"),
        ("I want a second opinion", "What does this image show?"),
        ("Second opinions on img1", "What does this image show?"),
    ],
)
def test_a_second_opinion_is_asked_on_the_question(text: str, question: str):
    assert calls(text, ONE) == [("second_opinions", {"image": "img1", "question": question})]


@pytest.mark.parametrize(
    "text", ["Write the findings", "Findings and impression, please", "Report the findings of img1"]
)
def test_findings_are_written_when_they_are_asked_for(text: str):
    assert calls(text, ONE) == [("report_findings", {"image": "img1"})]


def test_a_report_with_findings_is_still_a_draft():
    request = understand("Draft a report with findings and impression", ONE, TOOLS + OTHERS, None)
    assert [name for name, _ in request.afterwards] == ["draft_report"]
