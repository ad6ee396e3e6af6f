"""Key findings of a paper: sentences of its own passages, sorted by plain rules. Nothing is written here, only chosen.

A sentence counts as methodology, as a result, or as significance when it carries the signs of that kind and more of
them than of the other two. Signs are words ("fine-tunes", "outperforms", "the first"), figures, and the names of the
paper's own techniques. Sentences about the entry itself ("its abstract could not be found") count as nothing. Where no
sentence carries the signs, nothing is said: precision before completeness.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus.models import Passage
from corpus.sentences import sentences

METHODOLOGY, RESULTS, SIGNIFICANCE = "methodology", "results", "significance"
KINDS = (METHODOLOGY, RESULTS, SIGNIFICANCE)
AT_MOST = {METHODOLOGY: 2, RESULTS: 3, SIGNIFICANCE: 2}
ENOUGH = 2.0  # signs that a sentence needs at least


def _any(words: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)


_WORDS = json.loads((Path(__file__).parent / "data" / "findings.json").read_text(encoding="utf-8"))
_FIGURES = re.compile(
    r"\d(?:\.\d+)? ?%|\b0\.\d+|\bp ?[<=] ?0|\b\d+\.\d+ (?:points?|AP|on|and)\b|\b\d+(?:\.\d+)? points?\b", re.IGNORECASE
)
# (kind, weight, signs): each pattern that matches adds its weight once.
_SIGNS: list[tuple[str, float, re.Pattern[str]]] = [
    *((group["kind"], group["weight"], _any(group["words"])) for group in _WORDS["signs"]),
    (RESULTS, 1.5, _FIGURES),
]
# The first sentence often says what was wrong before the work, in the same words in which methods are described.
_BACKGROUND = _any(_WORDS["background"])
_THE_WORK = _any(_WORDS["the_work"])
# What an entry says about itself or about the list, not about the work.
_ABOUT_THE_ENTRY = re.compile(
    r"could not be|could be found|not recorded|by its title|left out|was not confirmed|not confirmed|is unknown"
    r"|the (?:review's |reading )?list (?:gives|abbreviates|names|calls|has)|the review(?:'s list)? (?:gives|lists)"
    r"|appearance in (?:a|the|this)|abstract gives no|no figures|not (?:given|stated) (?:here|in the abstract)"
    r"|preprint version|arXiv version",
    re.IGNORECASE,
)
_SIZE = re.compile(r"^(?:size|number|count|cases|images|pairs|samples|parameters|train)\b", re.IGNORECASE)
_SECTIONS = {
    METHODOLOGY: re.compile(r"method|approach|material|model|architecture", re.IGNORECASE),
    RESULTS: re.compile(r"result|experiment|evaluation", re.IGNORECASE),
    SIGNIFICANCE: re.compile(r"discussion|conclusion|limitation", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class Point:
    """One finding: a sentence that stands in the passage, word for word, from `start` to `end` (exclusive)."""

    kind: str
    text: str
    passage: Passage
    start: int
    end: int
    score: float
    place: int


def kind_of(
    sentence: str, techniques: Iterable[str] = (), section: str = "", *, opening: bool = False
) -> tuple[str, float]:
    """The kind of a sentence and the weight of its signs; ("", 0) when it has too few, or two kinds are equal.

    `opening` says that it is the first of its text, where the problem stands more often than the answer.
    """
    if _ABOUT_THE_ENTRY.search(sentence):
        return "", 0.0
    if opening and _BACKGROUND.search(sentence) and not _THE_WORK.search(sentence):
        return "", 0.0
    weights = dict.fromkeys(KINDS, 0.0)
    for kind, weight, signs in _SIGNS:
        if signs.search(sentence):
            weights[kind] += weight
    lowered = sentence.lower()
    weights[METHODOLOGY] += any(name.lower() in lowered for name in techniques)
    for kind, headings in _SECTIONS.items():
        weights[kind] += bool(section and headings.search(section))
    first, second = sorted(KINDS, key=lambda kind: -weights[kind])[:2]
    if weights[first] < ENOUGH or weights[first] == weights[second]:
        return "", 0.0
    return first, weights[first]


def findings(passages: Sequence[Passage], techniques: Iterable[str] = ()) -> dict[str, list[Point]]:
    """{kind: its points in the order of the text}, every kind present, some of them empty.

    `techniques` are the paper's own, as written for people. Our annotation and the abstract speak before the full text,
    which is only asked about kinds of which these say nothing.
    """
    names = list(techniques)
    near = list(_points((p for p in passages if p.kind != Passage.Kind.FULL_TEXT), names))
    far: list[Point] | None = None
    chosen: dict[str, list[Point]] = {}
    for kind in KINDS:
        points = [point for point in near if point.kind == kind]
        if not points:
            if far is None:
                far = list(_points((p for p in passages if p.kind == Passage.Kind.FULL_TEXT), names))
            points = [point for point in far if point.kind == kind]
        best = sorted(points, key=lambda point: (-point.score, point.place))[: AT_MOST[kind]]
        chosen[kind] = sorted(best, key=lambda point: point.place)
    return chosen


def _points(passages: Iterable[Passage], techniques: Sequence[str]) -> Iterable[Point]:
    place = 0
    for passage in passages:
        for start, end in sentences(passage.text):
            text = passage.text[start:end]
            place += 1
            if passage.kind == Passage.Kind.RESULTS:
                kind, score = _fact(text)
            else:
                kind, score = kind_of(text, techniques, passage.section, opening=passage.start + start == 0)
            if kind:
                yield Point(kind, text, passage, start, end, score, place)


def _fact(line: str) -> tuple[str, float]:
    """A line of recorded results ("Dice on QaTa-COV19: +6.09%."): a result, unless it lists or counts data."""
    if line.startswith(("Backbones:", "Data sets:")) or _SIZE.match(line):
        return "", 0.0
    return RESULTS, ENOUGH
