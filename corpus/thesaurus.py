"""The field's notions and the words that people have for them, on both sides of a search.

`data/thesaurus.json` holds notions: {"id", "terms", "asked", "labels"}. `terms` are the words of technical texts: where
one stands in a paper, the paper deals with the notion. `asked` are words of those who ask: lay terms, jargon,
paraphrases. A paper is indexed under its notions as under words ("notion:hallucination"), and a question is expanded by
the notions that it names in any of these words, and by those that are nearest to it in meaning. So "VLM output that
invents findings" finds papers that say hallucination.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

_FILE = Path(__file__).parent / "data" / "thesaurus.json"
_WORD = re.compile(r"[a-z0-9]+")
_LONGEST = 6  # words of a phrase
_MOST = 3  # times that a paper counts as using a notion
# Left out of phrases in questions, where they vary; technical terms stand as they are written.
_LINKING = frozenset(json.loads(_FILE.with_name("words.json").read_text(encoding="utf-8"))["linking"])


@dataclass(frozen=True, slots=True)
class Notion:
    """One entry of the thesaurus; `text` is what its meaning is compared by."""

    id: str
    terms: tuple[str, ...]
    asked: tuple[str, ...]

    @property
    def word(self) -> str:
        """The word under which papers are indexed."""
        return f"notion:{self.id}"

    @property
    def text(self) -> str:
        """Its name and how people ask for it: what the meaning of a question is compared with."""
        return f"{self.id.replace('-', ' ')}: {', '.join(self.asked[:14])}"


@cache
def notions() -> tuple[Notion, ...]:
    """All notions, in the order of the file."""
    rows = json.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(Notion(row["id"], tuple(row["terms"]), tuple(row["asked"])) for row in rows)


def words_of(text: str) -> list[str]:
    """The notions that a text deals with, as index words; one that it names in several ways comes repeatedly."""
    phrases = set(_phrases(_stems(text)))
    found = Counter(word for phrase in phrases for word in _terms().get(phrase, ()))
    return [word for word, times in sorted(found.items()) for _ in range(min(times, _MOST))]


def named_in(question: str) -> dict[str, frozenset[str]]:
    """{word of the question, as it is written: the notions that it helps to name}, as index words."""
    written = re.findall(r"[A-Za-z0-9]+", question)
    kept = [(word, _stem(word.lower())) for word in written if word.lower() not in _LINKING]
    found: dict[str, set[str]] = {}
    for length in range(1, _LONGEST + 1):
        for start in range(len(kept) - length + 1):
            stretch = kept[start : start + length]
            for notion in _asked().get(tuple(stem for _, stem in stretch), ()):
                for word, _ in stretch:
                    found.setdefault(word, set()).add(notion)
    return {word: frozenset(names) for word, names in found.items()}


def _phrases(stems: list[str]) -> Iterator[tuple[str, ...]]:
    for length in range(1, _LONGEST + 1):
        for start in range(len(stems) - length + 1):
            yield tuple(stems[start : start + length])


@cache
def _terms() -> dict[tuple[str, ...], frozenset[str]]:
    """{stemmed term: notions}, as technical texts write them."""
    return _table((tuple(_stems(term)), notion) for notion in notions() for term in notion.terms)


@cache
def _asked() -> dict[tuple[str, ...], frozenset[str]]:
    """{stemmed phrase without its linking words: notions}, in all the words there are for them."""
    return _table(
        (tuple(_stem(word) for word in _WORD.findall(phrase.lower()) if word not in _LINKING), notion)
        for notion in notions()
        for phrase in (*notion.terms, *notion.asked)
    )


def _table(pairs: Iterable[tuple[tuple[str, ...], Notion]]) -> dict[tuple[str, ...], frozenset[str]]:
    table: dict[tuple[str, ...], set[str]] = {}
    for phrase, notion in pairs:
        if phrase:
            table.setdefault(phrase, set()).add(notion.word)
    return {phrase: frozenset(words) for phrase, words in table.items()}


def _stems(text: str) -> list[str]:
    return [_stem(word) for word in _WORD.findall(text.lower())]


@lru_cache(maxsize=50_000)
def _stem(word: str) -> str:
    import Stemmer

    return str(Stemmer.Stemmer("english").stemWord(word))
