"""Can the collection answer this question at all? A few rules, each of which can say why it doubts.

Deliberately simple: similarity cannot tell an unanswerable question from one in lay terms (their cosines overlap), so
the rules look for plain signs. What they miss is answered with the nearest papers, which is why every answer shows its
passages. They do not detect a result that nobody reported.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection
from pathlib import Path

from corpus.index import tokens
from corpus.results import Facets

LOWEST_COSINE = 0.26  # below it nothing in the collection is about the question (dev queries: answerable from 0.28)

_WORDS = Path(__file__).parent / "data" / "words.json"
_ADVICE = re.compile(
    r"\b(?:my|our) (?:\w+ )?(?:mother|father|mum|mom|dad|son|daughter|wife|husband|child|baby|sister|brother|patient"
    r"|grandmother|grandfather|doctor)\b"
    r"|\bshould (?:i|we|he|she|they|the patient)\b"
    r"|\b(?:i|we) (?:have|had|got|feel) (?:an? )?(?:\w+ )?"
    r"(?:pain|nodule|lump|rash|cough|fever|lesion|mole|cancer|tumou?r)\b"
    r"|\b(?:what|which|wich) (?:\w+ ){0,2}(?:dose|dosage|antibiotics?|drug|medication|treatment)\b"
    r"|\b\d+[- ](?:years?|months?)[- ]old\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<![\w-])[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")

# Words of questions about papers, as opposed to words about their subject.
_PLAIN = frozenset(json.loads(_WORDS.read_text(encoding="utf-8"))["plain"])


def doubt(
    query: str, facets: Facets, hits: int, cosine: float, names_a_paper: bool, vocabulary: Collection[str]
) -> str:
    """Why the collection cannot answer, in one sentence; an empty string when no rule speaks against it.

    `cosine` is the best similarity of any text with the question, `vocabulary` the stemmed words of the collection.
    """
    if _ADVICE.search(query):
        return "The papers describe methods; they cannot advise on a patient."
    if hits == 0:
        return "No paper fulfils all the conditions." if facets else "No paper fulfils the chosen filters."
    if unknown := _unknown_names(query, vocabulary):
        return f"No paper in the collection mentions {', '.join(unknown)}."
    if names_a_paper and (unknown := _unknown_words(query, vocabulary)):
        return f"The collection has the named paper, but says nothing about: {', '.join(unknown)}."
    if cosine < LOWEST_COSINE and not names_a_paper:
        return "Nothing in the collection is close to this question."
    return ""


def _unknown_names(query: str, vocabulary: Collection[str]) -> list[str]:
    """Names of methods, data sets and the like of which a part occurs nowhere: ConVIRT, FDA, ThoraxWhisper-7B.

    A name has two capitals. A question in capitals throughout has no names that could be told from its words.
    """
    if query.isupper():
        return []
    names = [name for name in _NAME.findall(query) if sum(letter.isupper() for letter in name) >= 2]
    return [name for name in dict.fromkeys(names) if not _occurs(_capitalised(name), vocabulary)]


def _capitalised(name: str) -> str:
    """The parts of a compound that are names: "ECG" of "ECG-language"; plural endings of acronyms dropped."""
    parts = [part for part in name.split("-") if len(part) > 1 and any(letter.isupper() for letter in part)]
    return " ".join(re.sub(r"(?<=[A-Z])s$", "", part) for part in parts)


def _unknown_words(query: str, vocabulary: Collection[str]) -> list[str]:
    """Content words that occur nowhere, not even (allowing for a typing error) in a near spelling."""
    words = [word for word in re.findall(r"(?<![\w-])[a-z]{4,}(?![\w-])", query) if word not in _PLAIN]
    return [word for word in dict.fromkeys(words) if not (_occurs(word, vocabulary) or _near(word, vocabulary))]


def _occurs(text: str, vocabulary: Collection[str]) -> bool:
    """True when every word of the text that BM25 counts occurs in the collection."""
    return all(word in vocabulary for word in tokens([text])[0])


def _near(word: str, vocabulary: Collection[str]) -> bool:
    stem = tokens([word])[0][0]
    alike = [known for known in vocabulary if known[:1] == stem[:1] and abs(len(known) - len(stem)) <= 2]
    return bool(difflib.get_close_matches(stem, alike, n=1, cutoff=0.8))
