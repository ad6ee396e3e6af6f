"""What an entry records of what is asked: the sentences that answer, or the words of which it says nothing.

Word by word, and strict on purpose: the nearest sentence is always there, and is no answer. A name, a metric or a
number that is asked for must stand in the sentence. Does not understand negation, or one thing said in other words
beyond the few below.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from corpus.index import tokens
from corpus.models import Passage
from corpus.sentences import sentences

LIMIT = 3  # sentences that answer a question about the text
FACTS = {
    # line of `Paper.facts`: how it is asked for
    "Data sets:": r"data ?sets?|corpus|corpora|cohorts?|benchmarks?|(?:what|which) data|(?:train|test|evaluat)ed on",
    "Backbones:": r"backbones?|encoders?|architectures?|base models?|built on",
}
RESULTS = re.compile(r"\b(?:results?|scores?|performances?|perform|how (?:good|well)|figures?)\b", re.I)
OUTCOME = re.compile(r"\b(?:improv|outperform|beat|exceed|surpass|lead|match|gain|rise|best|better)\w*\b", re.I)
METRIC = re.compile(
    r"\b(?:dice|dsc|iou|miou|auc|auroc|bleu(?:-?\d)?|rouge(?:-?l)?|cider|meteor|f1|accuracy|sensitivity|specificity|"
    r"precision|recall|map|hausdorff|psnr|ssim|fid|kappa)\b",
    re.I,
)
QUANTITY = re.compile(r"\bhow (?:many|much|large|big|long|often)\b|\bwhat (?:number|percentage|share|size)\b", re.I)
_NAME = re.compile(r"(?<![\w-])(?=[\w-]*[A-Z])[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")
_COMMON = frozenset("x-ray x-rays ct mri pet oct ai vlm llm 2d 3d i".split())  # noqa: SIM905 - capitals, but no names
_ALIKE = (
    "loss losses objective objectives",
    "limitation limitations weakness weaknesses drawback drawbacks shortcoming shortcomings unsafe caveat",
    "size large parameters",
    "images samples pairs scans",
    "hardware gpu gpus",
)
_WORDS = Path(__file__).parent / "data" / "words.json"
_ASKING = (
    "read summarise summarize explain long reach reaches reached take takes took achieve achieves achieved obtain "
    "obtained get gets trained"
)
_PLAIN = frozenset(word for words in json.loads(_WORDS.read_text(encoding="utf-8")).values() for word in words)
_PLAIN = (_PLAIN | frozenset(_ASKING.split())) - frozenset(" ".join(_ALIKE).split())  # what is asked for is not plain


@dataclass(frozen=True, slots=True)
class Answer:
    """(passage, sentence of it) that answer, best first; `missing` says of what the entry records nothing."""

    found: list[tuple[Passage, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def is_general(question: str, names: Iterable[str]) -> bool:
    """Whether it asks for nothing in particular: "What is MedCLIP?", "tell me about it"."""
    return not _content(_without(question, names)) and not _asked_facts(question)


def answer(question: str, passages: Sequence[Passage], names: Iterable[str]) -> Answer:
    """What these passages of one paper say to the question. `names` are the paper's own, and ask for nothing.

    Passages come in the order in which they fit the question best.
    """
    asked = _without(question, names)
    spoken = [(passage, passage.text[a:b]) for passage in passages for a, b in sentences(passage.text)]
    required = _required(asked)
    if missing := [word for word in required if not any(_holds(text, word) for _, text in spoken)]:
        return Answer(missing=missing)
    fitting = [(passage, text) for passage, text in spoken if all(_holds(text, word) for word in required)]
    if not fitting:
        return Answer(missing=[" together with ".join(required)])
    if facts := _asked_facts(asked):
        return _facts(facts, fitting, bool(required))
    if not required and RESULTS.search(asked):
        return _results(fitting)
    return _said(asked, fitting, required)


def _without(question: str, names: Iterable[str]) -> str:
    for name in sorted(filter(None, names), key=len, reverse=True):
        question = re.sub(rf"(?<!\w){re.escape(name)}(?:'s)?(?!\w)", " ", question, flags=re.I)
    return question


def _required(asked: str) -> list[str]:
    """Names (with a capital that begins no question) and metrics: whatever answers must hold them."""
    if asked.isupper():  # no name could be told from its words
        return METRIC.findall(asked)
    first = asked.split(maxsplit=1)[0] if asked.strip() else ""
    names = [re.sub(r"(?<=[A-Z])s$", "", word) for word in _NAME.findall(asked) if word != first]
    names = [name for name in names if name.casefold() not in _PLAIN | _COMMON]
    return list(dict.fromkeys([*names, *METRIC.findall(asked)]))


def _holds(text: str, word: str) -> bool:
    """The word in any case, spacing and hyphenation, as a word of its own."""
    letters = r"[\s-]?".join(re.escape(part) for part in re.split(r"[\s-]+", word))
    return bool(re.search(rf"(?<![^\W_]){letters}(?:s|es)?(?![^\W_])", text, re.I))


def _asked_facts(asked: str) -> list[str]:
    return [line for line, words in FACTS.items() if re.search(rf"\b(?:{words})\b", asked, re.I)]


def _facts(lines: list[str], fitting: list[tuple[Passage, str]], narrowed: bool) -> Answer:
    found: list[tuple[Passage, str]] = []
    missing: list[str] = []
    for line in lines:
        listed = [(passage, text) for passage, text in fitting if text.startswith(line)]
        told = re.compile(rf"\b(?:{FACTS[line]})\b", re.I)
        listed = listed or [(passage, text) for passage, text in fitting if narrowed or told.search(text)][:LIMIT]
        found += [one for one in listed if one not in found]
        missing += [] if listed else [line.rstrip(":").lower()]
    return Answer(found, missing)


def _results(fitting: list[tuple[Passage, str]]) -> Answer:
    """The reported results, else the sentences of the text that speak of them."""
    listed = [
        (passage, text)
        for passage, text in fitting
        if passage.kind == Passage.Kind.RESULTS and not text.startswith(tuple(FACTS))
    ]
    told = [(passage, text) for passage, text in fitting if OUTCOME.search(text) or METRIC.search(text)]
    found = listed or told[:LIMIT]
    return Answer(found, [] if found else ["results"])


def _said(asked: str, fitting: list[tuple[Passage, str]], required: list[str]) -> Answer:
    """The sentences with most words of the question."""
    wanted = _content(asked)
    stems = [_stems(text) for _, text in fitting]
    counts = [sum(bool(words & having) for words in wanted.values()) + len(required) for having in stems]
    if QUANTITY.search(asked):
        counts = [n if re.search(r"\d", text) else 0 for n, (_, text) in zip(counts, fitting, strict=True)]
    best = sorted(range(len(fitting)), key=lambda i: -counts[i])[:LIMIT]  # stable: the better passage first
    found = [fitting[i] for i in best if counts[i] and counts[i] * 2 >= counts[best[0]]]
    missing = [word for word, words in wanted.items() if not any(words & having for having in stems)]
    return Answer(found, missing if found or missing else list(wanted))


def _content(asked: str) -> dict[str, frozenset[str]]:
    """{word of the question that says what it is about: the stems that stand for it}."""
    words = [w for w in re.findall(r"[^\W_]+(?:-[^\W_]+)*", asked.lower()) if len(w) > 2 and w not in _PLAIN]
    stems: dict[str, frozenset[str]] = {}
    for word in dict.fromkeys(words):
        alike = next((group for group in _ALIKE if word in group.split()), word)
        if found := _stems(alike):
            stems[word] = found
    return stems


def _stems(text: str) -> frozenset[str]:
    return frozenset(tokens([text])[0])
