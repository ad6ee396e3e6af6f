"""What counts as a yes and a no: little, and nothing that hedges."""

import pytest

from inference import verdicts
from inference.types import Score

ASKED = "Is there a pleural effusion?"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("Yes.", "yes"),
        ("yes, a small effusion is seen on the left.", "yes"),
        ("**Yes** - at the left base.", "yes"),
        ("Answer: Yes", "yes"),
        ("No.", "no"),
        ("No, there is no effusion.", "no"),
        ("No evidence of effusion.", "no"),
        ("No", "no"),
        ("", "unclear"),
        ("Unclear: the angle is cut off.", "unclear"),
        ("Yes, possibly.", "unclear"),
        ("Yes and no.", "unclear"),
        ("Yes, but there is no effusion on the right.", "unclear"),
        ("No. There is an effusion.", "unclear"),
        ("No, it is large.", "unclear"),
        ("No evidence against it.", "unclear"),
        ("Not seen.", "unclear"),
        ("Nodules are seen.", "unclear"),
        ("Yesterday's film showed one.", "unclear"),
        ("There is an effusion.", "unclear"),
        ("I cannot tell. Yes?", "unclear"),
        ("No, although a small one cannot be excluded.", "unclear"),
    ],
)
def test_only_a_plain_yes_or_no_counts(answer: str, verdict: str):
    assert verdicts.of_text(answer, ASKED) == verdict


@pytest.mark.parametrize(
    "question",
    ["What does it show?", "Is there no effusion?", "Isn't there an effusion?", "Is the heart normal?", "Effusion"],
)
def test_a_question_that_is_open_or_put_in_the_negative_gets_no_verdict(question: str):
    assert verdicts.of_text("Yes.", question) == "unclear"
    assert verdicts.of_scores([Score("Effusion", 0.9)], question) == "unclear"


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.9, "yes"), (0.55, "unclear"), (0.5, "unclear"), (0.1, "no"), (7.0, "unclear")]
)
def test_a_score_near_the_middle_or_off_the_scale_leans_nowhere(value: float, verdict: str):
    assert verdicts.of_scores([Score("Effusion", value), Score("Nodule", 0.99)], ASKED) == verdict


def test_the_label_is_the_one_that_the_question_names():
    scores = [Score("Mass", 0.1), Score("Lung_Mass", 0.2), Score("Effusion", 0.3)]
    assert [one.label for one in verdicts.asked_for("Is there a lung mass?", scores)] == ["Lung_Mass"]
    assert [one.label for one in verdicts.asked_for("Are there effusions?", scores)] == ["Effusion"]
    assert verdicts.asked_for("Is there a fracture?", scores) == []


def test_of_two_labels_none_decides():
    assert (
        verdicts.of_scores([Score("Mass", 0.9), Score("Effusion", 0.9)], "Is there a mass with effusion?") == "unclear"
    )
