"""Labels for people: how a value is written on a page, and what it means."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from corpus.results import LABEL_FACETS

_VOCABULARY = Path(__file__).parent / "data" / "vocabulary.json"

# What is not its value with spaces for hyphens.
_WRITTEN = {
    "vqa": "visual question answering",
    "image-text-retrieval": "image-text retrieval",
    "multi-task": "multi-task",
    "super-resolution": "super-resolution",
    "fine-tuning": "fine-tuning",
    "full-fine-tuning": "full fine-tuning",
    "in-context-learning": "in-context learning",
    "soft-prompt-tuning": "soft prompt tuning",
    "parameter-efficient-tuning": "parameter-efficient tuning",
    "federated-or-privacy": "federated or private learning",
    "text-guided-fusion": "text-guided fusion",
    "pseudo-labelling": "pseudo-labelling",
    "retrieval-augmentation": "retrieval augmentation",
    "agent-tool-use": "agents and tool use",
    "benchmark-or-dataset": "benchmark or data set",
    "multi-modality": "several modalities",
    "x-ray": "X-ray",
    "ct": "CT",
    "mri": "MRI",
    "2d": "2D",
    "3d": "3D",
    "wsi": "whole-slide image",
}


@dataclass(frozen=True, slots=True)
class Term:
    """A value of a facet. `family` groups techniques in menus; `definition` is one line, or empty."""

    value: str
    name: str
    definition: str = ""
    family: str = ""


def name_of(value: str) -> str:
    """How a label is written on a page: "report-generation" is "report generation"."""
    return _WRITTEN.get(value, value.replace("-", " "))


@cache
def terms() -> dict[str, dict[str, Term]]:
    """{facet of Label: {value: Term}}, in the vocabulary's order. Anatomy is open and has no vocabulary."""
    vocabulary = json.loads(_VOCABULARY.read_text(encoding="utf-8"))
    return {LABEL_FACETS[name]: dict(map(_term, _items(entry["labels"]))) for name, entry in vocabulary.items()}


def term(facet: str, value: str) -> Term:
    """The term of the vocabulary, or one made from the value: the vocabulary is open."""
    return terms().get(facet, {}).get(value) or Term(value, name_of(value))


def _items(labels: list[str] | dict[str, str | list[str]]) -> list[tuple[str, str, str]]:
    """(value, definition, family), whichever of its three shapes the vocabulary uses for a facet."""
    if isinstance(labels, list):
        return [(value, "", "") for value in labels]
    return [(value, said, "") if isinstance(said, str) else (value, said[1], said[0]) for value, said in labels.items()]


def _term(item: tuple[str, str, str]) -> tuple[str, Term]:
    value, definition, family = item
    return value, Term(value, name_of(value), definition, family)
