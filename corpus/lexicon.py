"""Facets read from a question by a lexicon: the vocabulary's names, their synonyms, and years.

Cautious on purpose. A wrong condition hides papers, so the reading is used only when it explains most of what the
question says ("3D CT report generation since 2025"); a question in free prose is left to ranking. An organ is read only
where everything is explained, since the collection names organs for some papers only. What stands behind a "not" or a
"without" is no condition, and neither are alternatives ("CT or MRI"), which conditions that all must hold cannot say.
English only.

The lexicon is data (`data/lexicon.json`): {facet: {value: [synonyms]}}. A synonym is one or more words; a word with a
capital counts only in capitals ("US", "MR"), since in small letters it is another word.
"""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

from corpus.results import LABEL_FACETS, Facets

COVERAGE = (
    0.6  # share of content words that the facets must explain; on 71 questions of three authors 0.55 to 0.7 are alike
)
_LEXICON = Path(__file__).parent / "data" / "lexicon.json"
_DIMENSION = re.compile(r"\b([23])[ -]?d\b", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z0-9]+(?:&[A-Za-z0-9]+)*")
_YEAR = r"((?:19|20)\d\d)"

_SHORT_RANGE = re.compile(r"\b(20)(\d\d)\s*[/\u2013-]\s*(\d\d)\b(?!\d)")  # 2024/25

# Words that ask for papers and say nothing about which.
_LISTS = json.loads(_LEXICON.with_name("words.json").read_text(encoding="utf-8"))
_FILLER = frozenset(_LISTS["filler"])
_LINKING = frozenset(
    {"a", "an", "any", "from", "in", "into", "of", "on", "the", "to", "with"}
)  # may stand inside a phrase
_NEGATIONS = frozenset({"not", "no", "non", "without", "except", "excluding", "nor", "neither"})
_ALTERNATIVE = frozenset({"or"})

_RANGES = (
    # (pattern, shift of the first year as minimum, shift of the last as maximum); None: no bound on that side
    (rf"(?:(?:between|from|in)\s+)?{_YEAR}\s+(?:and|to|until|till|through)\s+{_YEAR}", 0, 0),
    (rf"(?:nothing|none|not|no)\s+(?:older|earlier)\s+than\s+{_YEAR}", 0, None),
    (rf"{_YEAR}\s*[-\u2013\u2014]\s*{_YEAR}", 0, 0),
    (
        rf"(?:up to and including|up to|until|till|(?:no|not|nothing) (?:later|newer) than|(?:nothing|not) after|"
        rf"at the latest(?: in)?|by the end of|through)\s+{_YEAR}",
        None,
        0,
    ),
    (rf"(?:since|starting in|starting from|not before|no earlier than|not earlier than|as of)\s+{_YEAR}", 0, None),
    (rf"(?:from\s+|in\s+)?{_YEAR}\s*(?:or|and)\s+(?:later|newer|after|onwards?|beyond|afterwards|since)", 0, None),
    (rf"(?:after|later than|newer than|more recent than)\s+{_YEAR}", 1, None),
    (rf"(?:from\s+)?{_YEAR}\s+on\b", 0, None),
    (rf"any (?:year|time) from\s+{_YEAR}", 0, None),
    (rf"{_YEAR}\s+at the latest", None, 0),
    (rf"{_YEAR}\s+onwards?", 0, None),
    (rf"{_YEAR}\s*\+", 0, None),
    (rf"(?:before|prior to|earlier than|older than|pre-?)\s*{_YEAR}", None, -1),
    (rf"{_YEAR}\s*(?:or|and)\s+(?:earlier|older|before)", None, 0),
    (_YEAR, 0, 0),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: the conditions, and the words that no condition explains."""

    facets: Facets = field(default_factory=Facets)
    rest: str = ""


@dataclass(frozen=True, slots=True)
class _Phrase:
    """A phrase of the lexicon found in a question: the places of its words, and the label that it means."""

    places: range
    facet: str
    value: str


def read_facets(query: str) -> Facets:
    """The facets that the question states, or none when they would explain too little of it."""
    return read(query).facets


def read(query: str) -> Reading:
    """The facets that the question states, and the rest of its words: all of them when too little is explained."""
    text, (year_min, year_max) = _take_years(_DIMENSION.sub(r"\1d", query))
    words = _WORD.findall(text)
    understood = _take_phrases(words)
    phrases = _conditions(words, understood)
    explained = _explained(words, understood)
    if explained < 1:
        phrases = [phrase for phrase in phrases if phrase.facet != "anatomy"]
    found: dict[str, list[str]] = {}
    for phrase in phrases:
        found.setdefault(phrase.facet, []).append(phrase.value)
    values = {facet: tuple(dict.fromkeys(labels)) for facet, labels in found.items()}
    facets = Facets.from_dict(values | {"year_min": year_min, "year_max": year_max})
    if not facets or explained < COVERAGE:
        return Reading(rest=query)
    used = {place for phrase in phrases for place in phrase.places}
    rest = [word for i, word in enumerate(words) if i not in used and word.lower() not in _FILLER]
    return Reading(facets, " ".join(rest))


def labels_named(query: str) -> set[tuple[str, str]]:
    """(facet of Label, value) of every label that the question names, also where it is too free to be a condition."""
    words = _WORD.findall(_DIMENSION.sub(r"\1d", query))
    return {(LABEL_FACETS[phrase.facet], phrase.value) for phrase in _conditions(words, _take_phrases(words))}


def is_subject(text: str) -> bool:
    """True when the text consists of labels and nothing else."""
    words = _WORD.findall(text)
    phrases = _take_phrases(words)
    return bool(phrases) and _explained(words, phrases) == 1.0


def content_words(query: str) -> list[str]:
    """The words of a question that say what it is about; all of them when none does."""
    words = query.split()
    return [word for word in words if word.strip(".,;:?!\"'").lower() not in _FILLER] or words


def _explained(words: list[str], phrases: list[_Phrase]) -> float:
    """The share of the content words that the phrases explain; 1 where there are none."""
    used = {place for phrase in phrases for place in phrase.places}
    content = [i for i, word in enumerate(words) if word.lower() not in _FILLER or i in used]
    return len(used.intersection(content)) / len(content) if content else 1.0


def _take_years(text: str) -> tuple[str, tuple[int | None, int | None]]:
    """The text without its statement about years, and the bounds that it states."""
    text = _SHORT_RANGE.sub(r"\1\2-\1\3", text)
    for pattern, low, high in _RANGES:
        if match := re.search(rf"(?<![\w.]){pattern}(?!\w)", text, re.IGNORECASE):
            first, last = int(match[1]), int(match[match.lastindex or 1])
            bounds = (None if low is None else first + low, None if high is None else last + high)
            return f"{text[: match.start()]} {text[match.end() :]}", bounds
    return text, (None, None)


def _conditions(words: list[str], phrases: list[_Phrase]) -> list[_Phrase]:
    """The phrases that are meant as conditions: not negated, and no alternatives of one another."""
    found = [p for p in phrases if not any(word.lower() in _NEGATIONS for word in words[: p.places.start][-1:])]
    barred: set[int] = set()
    for i, (one, other) in enumerate(itertools.pairwise(found)):
        between = {word.lower() for word in words[one.places.stop : other.places.start]}
        joined = between & _ALTERNATIVE and between <= _ALTERNATIVE | _LINKING | _FILLER
        differ = one.value != other.value
        if joined and differ and (one.facet == other.facet or "anatomy" in (one.facet, other.facet)):
            barred |= {i, i + 1}
    return [phrase for i, phrase in enumerate(found) if i not in barred]


def _take_phrases(words: list[str]) -> list[_Phrase]:
    """The phrases of the lexicon that together explain the most words, in as few phrases as that takes.

    Not the longest from the left: in "MR image generation" that would be "MR image", and the generation would be lost.
    """
    places = [i for i, word in enumerate(words) if word.lower() not in _LINKING]
    forms = [_forms(words[i]) for i in places]
    # From the end: what the words from here on give at best, as (words explained, minus the phrases, the phrases).
    best: list[tuple[int, int, tuple[_Phrase, ...]]] = [(0, 0, ())]
    for start in range(len(places) - 1, -1, -1):
        options = [best[0]]
        for length in range(1, min(_longest(), len(places) - start) + 1):
            if meaning := _meaning(forms[start : start + length]):
                explained, phrases, rest = best[length - 1]
                phrase = _Phrase(range(places[start], places[start + length - 1] + 1), *meaning)
                options.append((explained + length, phrases - 1, (phrase, *rest)))
        best.insert(0, max(options, key=lambda option: option[:2]))
    return list(best[0][2])


def _meaning(forms: list[tuple[str, ...]]) -> tuple[str, str] | None:
    """(facet, value) of the phrase that these words make in any of their forms."""
    return next((_phrases()[key] for key in itertools.product(*forms) if key in _phrases()), None)


@lru_cache(maxsize=10_000)
def _forms(word: str) -> tuple[str, ...]:
    """How a word may stand in the lexicon: as an acronym (in capitals), and as a stem."""
    stem = _stem(_spelt(word.lower()))
    return (word, stem) if word.isupper() and len(word) > 1 else (stem,)


@cache
def _phrases() -> dict[tuple[str, ...], tuple[str, str]]:
    """{words of a phrase, stemmed: (facet, value)}; the name of every value is a phrase too."""
    phrases = {}
    for facet, values in _lexicon().items():
        for value, synonyms in values.items():
            for phrase in (value.replace("-", " "), *synonyms):
                words = [word for word in _WORD.findall(phrase) if word not in _LINKING]
                phrases[tuple(word if word.isupper() else _stem(word) for word in words)] = (facet, value)
    return phrases


@cache
def _longest() -> int:
    return max(map(len, _phrases()))


@cache
def _lexicon() -> dict[str, dict[str, list[str]]]:
    lexicon: dict[str, dict[str, list[str]]] = json.loads(_LEXICON.read_text(encoding="utf-8"))
    return lexicon


@cache
def _words() -> frozenset[str]:
    """Every word of the lexicon that is long enough for a slip of the keyboard to be told from another word."""
    phrases: Iterable[str] = (p for values in _lexicon().values() for synonyms in values.values() for p in synonyms)
    return frozenset(word for phrase in phrases for word in phrase.split() if len(word) >= 6 and word.islower())


def _spelt(word: str) -> str:
    """The word, or the lexicon's word of which it is a misspelling ("retreival")."""
    if len(word) < 6 or word in _words() or word in _FILLER or _stem(word) in _stems():
        return word
    near = difflib.get_close_matches(word, _words(), n=1, cutoff=0.85)
    return near[0] if near and near[0][0] == word[0] else word


@cache
def _stems() -> frozenset[str]:
    return frozenset(map(_stem, _words()))


@lru_cache(maxsize=10_000)
def _stem(word: str) -> str:
    """The stem by Snowball, but an adapter is a thing and to adapt is none."""
    import Stemmer

    if word in ("adapter", "adapters", "adaptor", "adaptors"):
        return "adapter"

    return str(Stemmer.Stemmer("english").stemWord(word))
