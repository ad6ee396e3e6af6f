"""Facets read from a question by a lexicon: the vocabulary's names, plain synonyms, and years.

Cautious on purpose. A wrong filter hides papers, so the reading is used only when it explains most of what the question
says ("3D CT report generation since 2025"); a question in free prose is left to ranking. Does not understand negation,
alternatives ("CT or MRI" is read as both) or anatomy. English only.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path

from corpus.results import Facets

COVERAGE = 0.6  # share of content words that the facets must explain; on the dev questions 0.55 to 0.75 are all right
_LEXICON = Path(__file__).parent / "data" / "lexicon.json"
_WORD = re.compile(r"[a-z0-9]+")
_YEAR = r"((?:19|20)\d\d)"

# Words that ask for papers and say nothing about which.
_FILLER = frozenset(json.loads(_LEXICON.with_name("words.json").read_text(encoding="utf-8"))["filler"])

_RANGES = (
    # (pattern, shift of the first year as minimum, shift of the last as maximum); None: no bound on that side
    (rf"(?:between|from)\s+{_YEAR}\s+(?:and|to|until|through)\s+{_YEAR}", 0, 0),
    (rf"{_YEAR}\s*[-\u2013\u2014]\s*{_YEAR}", 0, 0),
    (rf"{_YEAR}\s+(?:to|through)\s+{_YEAR}", 0, 0),
    (rf"(?:since|starting in|starting from|not before|no earlier than)\s+{_YEAR}", 0, None),
    (rf"(?:from\s+|in\s+)?{_YEAR}\s*(?:or|and)\s+(?:later|newer|after|onwards?|beyond)", 0, None),
    (rf"from\s+{_YEAR}\s+on\b", 0, None),
    (rf"{_YEAR}\s+onwards?", 0, None),
    (rf"{_YEAR}\s*\+", 0, None),
    (rf"(?:after|later than|newer than)\s+{_YEAR}", 1, None),
    (rf"(?:before|prior to|earlier than|older than)\s+{_YEAR}", None, -1),
    (rf"(?:up to and including|up to|until|till|no later than|not after|by the end of|through)\s+{_YEAR}", None, 0),
    (rf"{_YEAR}\s*(?:or|and)\s+(?:earlier|older|before)", None, 0),
    (_YEAR, 0, 0),
)


def read_facets(query: str) -> Facets:
    """The facets that the question states, or none when they would explain too little of it."""
    text, (year_min, year_max) = _take_years(query.lower())
    words = _WORD.findall(text)
    found, used = _take_phrases(words)
    content = [i for i, word in enumerate(words) if word not in _FILLER or i in used]
    explained = len(used.intersection(content))
    if not found and year_min is None and year_max is None:
        return Facets()
    if content and explained / len(content) < COVERAGE:
        return Facets()
    return Facets.from_dict(found | {"year_min": year_min, "year_max": year_max})


def content_words(query: str) -> list[str]:
    """The words of a question that say what it is about; all of them when none does."""
    words = query.split()
    return [word for word in words if word.strip(".,;:?!\"'").lower() not in _FILLER] or words


def _take_years(text: str) -> tuple[str, tuple[int | None, int | None]]:
    """The text without its statement about years, and the bounds that it states."""
    for pattern, low, high in _RANGES:
        if match := re.search(rf"(?<![\w.]){pattern}(?!\w)", text):
            first, last = int(match[1]), int(match[match.lastindex or 1])
            bounds = (None if low is None else first + low, None if high is None else last + high)
            return f"{text[: match.start()]} {text[match.end() :]}", bounds
    return text, (None, None)


def _take_phrases(words: list[str]) -> tuple[dict[str, tuple[str, ...]], set[int]]:
    """The longest phrases of the lexicon in the words, left to right: facets found, and positions used."""
    phrases = _phrases()
    stems = [_stem(_spelt(word)) for word in words]
    longest = max(map(len, phrases))
    found: dict[str, list[str]] = {}
    used: set[int] = set()
    start = 0
    while start < len(words):
        length = next((n for n in range(longest, 0, -1) if tuple(stems[start : start + n]) in phrases), 0)
        if length:
            facet, value = phrases[tuple(stems[start : start + length])]
            values = found.setdefault(facet, [])
            if value not in values:
                values.append(value)
            used.update(range(start, start + length))
        start += length or 1
    return {facet: tuple(values) for facet, values in found.items()}, used


@cache
def _phrases() -> dict[tuple[str, ...], tuple[str, str]]:
    """{stemmed phrase: (facet, value)}; the name of every value is a phrase too."""
    lexicon: dict[str, dict[str, list[str]]] = json.loads(_LEXICON.read_text(encoding="utf-8"))
    phrases = {}
    for facet, values in lexicon.items():
        for value, synonyms in values.items():
            for phrase in (value.replace("-", " "), *synonyms):
                phrases[tuple(_stem(word) for word in phrase.split())] = (facet, value)
    return phrases


@cache
def _words() -> frozenset[str]:
    """Every word of the lexicon that is long enough for a slip of the keyboard to be told from another word."""
    lexicon: dict[str, dict[str, list[str]]] = json.loads(_LEXICON.read_text(encoding="utf-8"))
    phrases: Iterable[str] = (p for values in lexicon.values() for synonyms in values.values() for p in synonyms)
    return frozenset(word for phrase in phrases for word in phrase.split() if len(word) >= 7)


def _spelt(word: str) -> str:
    """The word, or the lexicon's word of which it is a misspelling ("retreival")."""
    if len(word) < 7 or word in _words() or word in _FILLER:
        return word
    return next(iter(difflib.get_close_matches(word, _words(), n=1, cutoff=0.88)), word)


@lru_cache(maxsize=10_000)
def _stem(word: str) -> str:
    """The stem by Snowball, but an adapter is a thing and to adapt is none."""
    import Stemmer

    if word in ("adapter", "adapters", "adaptor", "adaptors"):
        return "adapter"

    return str(Stemmer.Stemmer("english").stemWord(word))
