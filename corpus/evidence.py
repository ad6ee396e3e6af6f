"""Can the collection answer this question at all? Decided from what the nearest texts say, with the reason in words.

One similarity cannot tell: an unanswerable question is often as near to some paper as one in lay terms. So the
question's words are looked for in the texts that would have to answer it: those of the papers that it names, else those
of the best five. In order:

1. advice on a patient: papers about methods cannot give it;
2. conditions that no paper fulfils;
3. names of methods that occur nowhere;
4. papers that are named, and words that none of their texts has ("RoentGen ... on mammograms");
5. subjects beside the field (`data/beyond.json`: radiotherapy, dogs, court cases) that none of these texts mentions;
6. too little similarity and too few of the words together.

What it does not see: a question all of whose words a paper uses in another connection, such as a figure that was
reported for another data set. The lists know English only.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from corpus.index import tokens
from corpus.lexicon import labels_named
from corpus.ranking import Question
from corpus.results import Facets
from corpus.thesaurus import words_of

LOWEST_SUPPORT = 0.53  # of similarity + WORDS_COUNT * share of words found - UNKNOWN_COUNTS * words found nowhere
WORDS_COUNT = 0.25
UNKNOWN_COUNTS = 0.03

_DATA = Path(__file__).parent / "data"
_WORD = re.compile(r"[A-Za-z0-9&]+")
_YEAR = re.compile(r"(?:19|20)\d\d")
_NAME = re.compile(r"(?<![\w-])[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")
_BODY = (
    r"(?:mri|ct|x-?ray|scan|scans|ultrasound|mammogram|biopsy|mole|rash|lump|nodule|chest|lungs?|eye|eyes|skin|knee|back"
    r"|head|brain|breast|tumou?r|cancer|results?|symptoms?|report says)"
)
_RELATIVE = (
    r"(?:mother|father|mum|mom|dad|son|daughter|wife|husband|partner|child|kid|baby|toddler|sister|brother|aunt|uncle"
    r"|grandmother|grandfather|grandma|grandpa|friend|neighbour|neighbor|patient|doctor)"
)
_ADVICE = re.compile(
    rf"\b(?:my|our|his|her) (?:[\w-]+ ){{0,2}}(?:{_RELATIVE}|{_BODY})(?:'s)?\b(?! (?:archive|data|dataset|model|team))"
    r"|\bshould (?:i|we|he|she|they|the patient|my|labour|labor)\b"
    r"|\b(?:can|could) (?:i|we|he|she) (?:wait|take|stop|fly|exercise|still)\b|\bdo (?:i|we) need (?:an?|to) \w+"
    r"|\bis (?:it|this|that) (?:safe|ok|okay|dangerous|serious|cancer|malignant|normal) (?:to|for|while|if|in)\b"
    r"|\b(?:i|we) (?:have|had|got|feel|am|was|were) (?:an? )?(?:\w+ )?"
    r"(?:pain|nodule|lump|rash|cough|fever|lesion|mole|cancer|tumou?r|diagnosed|pregnant)\b"
    r"|\b(?:what|which|wich) (?:\w+ ){0,2}(?:dose|dosage|antibiotics?|drug|medication|medicine|treatment)\b"
    r"|\b\d+[- ](?:years?|months?|weeks?)[- ](?:old|pregnant)\b|\bwhile pregnant\b|\bmean for me\b"
    r"|\b(?:a|the|for a|to a) (?:pt|patient|toddler|baby|woman|man) (?:with|who|has|swallowed|aged)\b.{0,40}"
    r"\b(?:egfr|dose|give|safe|treat|prescribe)",
    re.IGNORECASE,
)


@cache
def _list(name: str) -> frozenset[str]:
    return frozenset(json.loads((_DATA / "words.json").read_text(encoding="utf-8"))[name])


@dataclass(frozen=True, slots=True)
class Found:
    """What a question found: how many papers, the best cosine, which papers it names (their names as one text), the
    texts that would have to answer it, and whether a stem occurs anywhere that the reader may see."""

    papers: int
    nearest: float
    named: int
    names: str
    texts: Sequence[str]
    occurs: Callable[[str], bool]


@dataclass(slots=True)
class _Words:
    """A question's content words against the texts: (word, stem) that stand there, that do not, and that occur nowhere.

    `share` is the share that stands there, each word weighted by how many of the texts lack it.
    """

    missing: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    share: float = 1.0


def doubt(question: Question, facets: Facets, found: Found) -> str:
    """Why the collection cannot answer, in one sentence; an empty string when nothing speaks against it."""
    if _ADVICE.search(question.text):
        return "The papers describe methods; they cannot advise on a patient."
    if found.papers == 0:
        return "No paper fulfils all the conditions." if facets else "No paper fulfils the chosen filters."
    if unknown := _unknown_names(question, found):
        return f"No paper in the collection mentions {_listed(unknown)}."
    words = _look_for(question, found)
    if found.named:
        lacking = _lacking(question, found, words)
        return f"The collection has the named paper, but says nothing about: {_listed(lacking)}." if lacking else ""
    if facets:
        return ""
    if beyond := _beyond(question.text, found.texts):
        return f"Looked for {_listed(beyond)}: none of the nearest papers says anything about it."
    support = found.nearest + WORDS_COUNT * words.share - UNKNOWN_COUNTS * len(words.unknown)
    if support < LOWEST_SUPPORT:
        absent = f" Not found in the nearest papers: {_listed(words.missing)}." if words.missing else ""
        return f"Nothing in the collection is close to this question.{absent}"
    return ""


def _lacking(question: Question, found: Found, words: _Words) -> list[str]:
    """What keeps the named papers from answering: a subject of its own, a word from elsewhere, or several words.

    Who compares papers asks more freely: there it takes two words that occur nowhere.
    """
    if beyond := _beyond(question.text, found.texts):
        return beyond
    if found.named > 1:
        return words.unknown if len(words.unknown) > 1 else []
    subjects = [word for word in words.missing if word in question.named or word in words.unknown]
    return words.missing if subjects or len(words.missing) > 1 else []


def _look_for(question: Question, found: Found) -> _Words:
    """The question's content words, looked for in the texts in any of their spellings and names."""
    stems = [frozenset(own) for own in tokens(list(found.texts))]
    notions = [frozenset(words_of(text)) for text in found.texts]
    result, total, there = _Words(), 0.0, 0.0
    for word in dict.fromkeys(_content(question.text, found.names if found.named else "")):
        stem = tokens([word])[0]
        if not stem:
            continue
        mended = question.mended.get(stem[0], stem[0])
        named = question.named.get(word, frozenset())
        having = sum(mended in own or bool(named & known) for own, known in zip(stems, notions, strict=True))
        weight = 1 + math.log((1 + len(stems)) / (1 + having))
        total += weight
        there += weight * bool(having)
        if not having:
            result.missing.append(word)
            if not named and not found.occurs(mended):
                result.unknown.append(word)
    result.share = there / total if total else 1.0
    return result


def _content(text: str, names: str) -> list[str]:
    """The words that name a subject: no plain words, no years, nothing of the names of papers."""
    own = {word.lower() for word in _WORD.findall(names)}
    return [
        word
        for word in _WORD.findall(text)
        if word.lower() not in _list("plain") | _list("filler") | own and not _YEAR.fullmatch(word)
    ]


def _unknown_names(question: Question, found: Found) -> list[str]:
    """Names of methods, data sets and the like of which a part occurs nowhere: ConVIRT, FDA, ThoraxWhisper-7B.

    A name has two capitals, or one within a sentence; what the lexicon or the thesaurus knows (RAG, PEFT) is none. A
    question in capitals throughout has no names to be told apart.
    """
    if question.text.isupper():
        return []
    known = question.named.keys() | set(_NAME.findall(found.names))
    written = ((match[0], match.start() > 0) for match in _NAME.finditer(question.text))
    names = [
        name for name, within in written if _is_name(name, within) and name not in known and not labels_named(name)
    ]
    return [
        name
        for name in dict.fromkeys(names)
        if not all(found.occurs(stem) for part in tokens([_capitalised(name)]) for stem in part)
    ]


def _is_name(word: str, within: bool) -> bool:
    capitals = sum(letter.isupper() for letter in word)
    plain = word.lower() in _list("plain") or word.lower() in _list("filler")
    return capitals >= 2 or (capitals == 1 and within and word[0].isupper() and len(word) > 3 and not plain)


def _capitalised(name: str) -> str:
    """The parts of a compound that are names: "ECG" of "ECG-language"; plural endings of acronyms dropped."""
    parts = [part for part in name.split("-") if len(part) > 1 and any(letter.isupper() for letter in part)]
    return " ".join(re.sub(r"(?<=[A-Z])s$", "", part) for part in parts)


@cache
def _subjects() -> dict[tuple[str, ...], str]:
    """{stemmed term: the subject beside the field that it means}."""
    rows = json.loads((_DATA / "beyond.json").read_text(encoding="utf-8"))
    pairs = [(term, row["subject"]) for row in rows for term in row["terms"]]
    stemmed = tokens([term for term, _ in pairs])
    # Of "hospital IT" only the hospital is left without stop words, which is another subject.
    return {
        tuple(stems): subject
        for stems, (term, subject) in zip(stemmed, pairs, strict=True)
        if len(stems) == len(_WORD.findall(term))
    }


def _beyond(text: str, texts: Sequence[str]) -> list[str]:
    """The terms of subjects beside the field that the question uses and that none of the texts does."""
    asked = tokens([text])[0]
    longest = max(map(len, _subjects()))
    stretches = [asked[i : i + n] for n in range(1, longest + 1) for i in range(len(asked) - n + 1)]
    known = [set(own) for own in tokens(list(texts))]
    lacking = [
        stretch
        for stretch in stretches
        if tuple(stretch) in _subjects() and not any(own.issuperset(stretch) for own in known)
    ]
    return list(dict.fromkeys(_subjects()[tuple(stretch)] for stretch in lacking))


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:5])
