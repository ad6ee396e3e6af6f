"""Labels that words name: keywords, headings of reading lists, and, for the list doctor, the words of titles."""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from corpus.lexicon import read_facets
from corpus.models import Label

_LEXICON = Path(__file__).resolve().parent.parent / "data" / "lexicon.json"
_WORD = re.compile(r"[a-z0-9]+")
# Words that titles of every task use: "SAM-based detection of tumours" may well stand under segmentation.
_VAGUE = {"detection", "detect", "detector", "retrieval", "segment", "anomaly", "anomalies", "generate", "agent"}
_KEYWORDS = 40  # of one record; more is somebody's whole vocabulary


@lru_cache(maxsize=5_000)
def labels_of(phrase: str) -> tuple[tuple[str, str], ...]:
    """(facet, value) of each label that a keyword or heading means; none where it says more than the vocabulary."""
    named = read_facets(phrase[:200]).labels()
    return tuple((facet, value) for facet, values in named.items() for value in values)


def of_keywords(csl: dict[str, Any]) -> set[tuple[str, str]]:
    """The labels that the item's keywords name."""
    words = re.split(r"[,;\n]", str(csl.get("keyword") or ""))
    return {label for word in words[:_KEYWORDS] if word.strip() for label in labels_of(_cleaned(word))}


def tasks_of(heading: str) -> tuple[str, ...]:
    """The tasks that a heading of a reading list names: of "3.1 Medical report generation (MRG)" report-generation."""
    return tuple(value for facet, value in labels_of(_cleaned(heading)) if facet == Label.Facet.TASK)


def tasks_in_title(title: str) -> dict[str, str]:
    """{task: the phrase of the lexicon} for each task that the words of a title name; vague words count for none."""
    words = f" {_words(title)} "
    found: dict[str, str] = {}
    for phrase, task in _phrases().items():
        if f" {phrase} " in words:
            found.setdefault(task, phrase)
    return found


def _cleaned(heading: str) -> str:
    """Without numbering, emphasis, emoji and what stands in brackets."""
    without = re.sub(r"\([^)]*\)|\[[^\]]*\]", " ", heading[:200])
    return re.sub(r"^\s*[\d.]+\s+|[^\w\s/-]", " ", without).strip()


@cache
def _phrases() -> dict[str, str]:
    """{phrase: task} of the lexicon's tasks, without the vague ones."""
    tasks: dict[str, list[str]] = json.loads(_LEXICON.read_text(encoding="utf-8"))["tasks"]
    return {_words(phrase): task for task, phrases in tasks.items() for phrase in phrases if phrase not in _VAGUE}


def _words(text: str) -> str:
    """Lower-case words in the singular. Not stemmed: "segment anything" is no segmentation."""
    return " ".join(word.removesuffix("s") for word in _WORD.findall(text.lower()))
