"""Names of structures, compared as people and label sets write them: "the lungs" is "Left Lung" and "Right Lung"."""

from __future__ import annotations

import re
from collections.abc import Iterable

EMPTY_WORDS = frozenset({"the", "a", "an", "of", "both", "all", "each", "field", "area", "border", "region", "outline"})
BY_IMAGE = "image"  # "lung, image left" names a side of the screen, never one of the patient


def words_of(name: str) -> frozenset[str]:
    """lung_upper_lobe_left -> {lung, upper, lobe, left}; each in the singular."""
    found = re.findall(r"[a-z0-9]+", name.lower())
    return frozenset(_singular(word) for word in found if _singular(word) not in EMPTY_WORDS)


def _singular(word: str) -> str:
    """Both sides of a comparison go through this, so a word that only ends in s does no harm."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def matching(structure: str, labels: Iterable[str]) -> tuple[str, ...]:
    """The labels that a request for a structure means: those of the same words, else those that have all of them."""
    asked, known = words_of(structure), list(labels)
    if not asked:
        return ()
    same = tuple(label for label in known if words_of(label) == asked)
    return same or tuple(label for label in known if _within(asked, words_of(label)))


def _within(asked: frozenset[str], label: frozenset[str]) -> bool:
    return asked <= label and (BY_IMAGE not in label or BY_IMAGE in asked)
