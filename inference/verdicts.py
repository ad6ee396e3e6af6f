"""Whether an answer to a yes-or-no question is a yes or a no. Conservative: what is not plainly one is unclear.

Rules over words, not understanding: an answer that begins with yes or no and then hedges, takes it back or says the
opposite is unclear, and so is every answer to a question that is not of that form, or that is put in the negative.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from inference.types import Score

Verdict = Literal["yes", "no", "unclear"]
YES: Verdict = "yes"
NO: Verdict = "no"
UNCLEAR: Verdict = "unclear"

MIDDLE = 0.1  # nearer to a half than this, a score leans nowhere
ASKS = re.compile(
    r"^\W*(?:please )?(?:is|are|was|were|does|do|did|has|have|can you see|could (?:this|it|there) be)\b", re.I
)
NEGATIVE = re.compile(
    r"\b(?:no|not|\w+n\W?t|without|absen(?:t|ce)|free of|normal|healthy|clear|exclud\w+|rul(?:e|ed|ing) out|or)\b",
    re.I,
)
HEDGE = re.compile(
    r"\b(?:possibl[ey]|perhaps|maybe|may|might|could|cannot|can(?:no|')t|unable|unclear|uncertain\w*|unsure|not sure|"
    r"likely|unlikely|probabl[ey]|suspicio\w+|suspected|suggest\w*|suggestive|appears?|seems?|equivocal|questionable|"
    r"difficult|limited|indeterminate|depends?|however|but|although|though|except|unless|if|either|consider)\b",
    re.I,
)
BEGINS = re.compile(r"^\W*(?:(?:the )?answer(?: is)?\W+)?(?P<word>yes|no)\b[\s,.:;!*-]*(?P<rest>.*)$", re.I | re.S)
DENIES = re.compile(
    r"\b(?:no|not|\w+n\W?t|without|absen(?:t|ce)|never|none|negative|excluded|ruled out|free of)\b", re.I
)
NO_SIGN = re.compile(r"^(?:definite )?(?:evidence|signs?|indications?)\b(?! (?:against|to the contrary))", re.I)
AFFIRMS = re.compile(r"\byes\b", re.I)
WORD = re.compile(r"[^\W\d_]+")


def is_yes_or_no(question: str) -> bool:
    """Whether a plain yes or no answers it, and a yes means that what it names is there."""
    return bool(ASKS.search(question)) and not NEGATIVE.search(question)


def of_text(answer: str, question: str) -> Verdict:
    """The verdict of an answer in words."""
    begins = BEGINS.match(answer)
    if begins is None or not is_yes_or_no(question) or HEDGE.search(answer):
        return UNCLEAR
    rest = begins["rest"].strip()
    if begins["word"].lower() == "yes":
        return UNCLEAR if DENIES.search(rest) else YES
    if AFFIRMS.search(rest):
        return UNCLEAR
    return NO if not rest or NO_SIGN.match(rest) or _denied_throughout(rest) else UNCLEAR


def _denied_throughout(rest: str) -> bool:
    """Each sentence after a no denies something: one that does not may say that something else is there."""
    sentences = [part for part in re.split(r"[.;!?]\s+|\s*\n\s*", rest) if WORD.search(part)]
    return bool(sentences) and all(DENIES.search(part) for part in sentences)


def asked_for(question: str, scores: Sequence[Score]) -> list[Score]:
    """The scores whose label a question names, word for word but for a plural: of "lung mass" and "mass" the first."""
    words = _words(question)
    named = [(one, _words(one.label)) for one in scores]
    found = [(one, label) for one, label in named if label and label <= words]
    return [one for one, label in found if not any(label < other for _, other in found)]


def of_scores(scores: Sequence[Score], question: str) -> Verdict:
    """Towards which end of 0 to 1 the score of the one label that a question names lies. The half is the middle of the
    scale and no tested limit: whoever shows the verdict says so."""
    found = asked_for(question, scores)
    if len(found) != 1 or not is_yes_or_no(question) or not 0 <= found[0].value <= 1:
        return UNCLEAR
    leaning = found[0].value - 0.5
    if abs(leaning) < MIDDLE:
        return UNCLEAR
    return YES if leaning > 0 else NO


def split(verdicts: Iterable[tuple[str, Verdict]]) -> tuple[list[str], list[str], list[str]]:
    """Who says yes, who says no, and from whom it is unclear. Nothing is counted or averaged."""
    said = list(verdicts)
    yes, no, unclear = ([who for who, verdict in said if verdict == one] for one in (YES, NO, UNCLEAR))
    return yes, no, unclear


def _words(text: str) -> set[str]:
    return {word.removesuffix("s") for word in WORD.findall(text.lower().replace("_", " "))}
