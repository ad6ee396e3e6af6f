"""Named sets of labels and templates for zero-shot classification (label_sets.toml)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from inference.errors import BadInput

BUNDLED = Path(__file__).with_name("label_sets.toml")
NOT_THERE = "There is no label set {name!r}. There are: {known}; or give the labels themselves."


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Labels, and templates with {} where a label goes."""

    name: str
    title: str
    labels: tuple[str, ...]
    templates: tuple[str, ...]


@cache
def label_sets() -> dict[str, LabelSet]:
    """Those of label_sets.toml, by name."""
    read = tomllib.loads(BUNDLED.read_text(encoding="utf-8"))
    return {
        name: LabelSet(name, one["title"], tuple(one["labels"]), tuple(one["templates"])) for name, one in read.items()
    }


def label_set(name: str) -> LabelSet:
    """The set of this name. Raises BadInput."""
    if found := label_sets().get(name):
        return found
    raise BadInput(NOT_THERE.format(name=name, known=", ".join(label_sets())))
