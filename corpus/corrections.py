"""A reader's own view of the labels: what they struck out, what they added. Shipped rows never change.

A correction is one row of the reader's for a facet and value, so that saying a thing twice changes nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from corpus.browse import State
from corpus.catalogue import PARAMETERS
from corpus.models import Label, Paper
from corpus.storable import storable
from corpus.vocabulary import Term, term, terms

YOU = "you"  # the source of a correction: only its owner ever reads it
ANATOMY_LIMIT = 40  # characters
_ANATOMY = re.compile(r"[^\W\d_][\w ,()/'-]*")


class Refused(Exception):
    """The correction makes no sense; the text says why, in one line for the page."""


@dataclass(frozen=True, slots=True)
class ShownLabel:
    """A value of a facet as one reader sees it: who says so, and whether the reader struck it out or added it."""

    facet: str
    term: Term
    sources: list[str]
    address: str
    struck: bool = False
    added: bool = False


def shown_labels(paper: Paper, reader: int | None) -> list[tuple[str, list[ShownLabel]]]:
    """(facet's name, its labels) in the order of the facets; what the reader struck out is among them, and marked."""
    rows: dict[tuple[str, str], list[Label]] = {}
    for label in Label.objects.visible_to(reader).filter(paper=paper).order_by("value", "pk"):
        rows.setdefault((label.facet, label.value), []).append(label)
    groups = []
    for facet in Label.Facet:
        shown = [_shown(facet.value, value, labels) for (of, value), labels in rows.items() if of == facet]
        if shown := [label for label in shown if label.sources]:
            groups.append((str(facet.label), shown))
    return groups


def _shown(facet: str, value: str, labels: list[Label]) -> ShownLabel:
    parameter = next((name for name, of in PARAMETERS.items() if of == facet), "")
    sources = [_source(label) for label in labels if not label.rejected]
    own = [label for label in labels if label.owner_id is not None]
    return ShownLabel(
        facet,
        term(facet, value),
        list(dict.fromkeys(sources)),
        State.address_of(parameter, value),
        struck=any(label.rejected for label in own),
        added=any(not label.rejected for label in own),
    )


def _source(label: Label) -> str:
    return label.source if label.confidence is None else f"{label.source}, {label.confidence:.2f}"


def addable() -> list[tuple[str, str, list[Term]]]:
    """(facet, its name, its values) of the vocabulary. Anatomy has none: it is written."""
    return [(facet.value, str(facet.label), list(terms()[facet].values())) for facet in Label.Facet if facet in terms()]


def correct(paper: Paper, reader: int, do: str, facet: str, value: str) -> None:
    """Strikes out, restores or adds a label for this reader alone. Raises Refused."""
    if facet not in Label.Facet.values:
        raise Refused("There is no such kind of label.")
    if do not in ("strike", "restore", "add"):
        raise Refused("A label can be struck out, restored or added.")
    {"strike": _strike, "restore": _restore, "add": _add}[do](paper, reader, facet, storable(value))


def _strike(paper: Paper, reader: int, facet: str, value: str) -> None:
    """A shipped label is struck out; one that the reader added simply goes."""
    place: dict[str, Any] = {"paper": paper, "facet": facet, "value": value}
    if Label.objects.filter(**place, owner=None, rejected=False).exists():
        Label.objects.update_or_create(**place, owner_id=reader, defaults={"rejected": True, "source": YOU})
    elif not Label.objects.filter(**place, owner=reader).delete()[0]:
        raise Refused("The paper does not carry this label.")


def _restore(paper: Paper, reader: int, facet: str, value: str) -> None:
    Label.objects.filter(paper=paper, facet=facet, value=value, owner=reader, rejected=True).delete()


def _add(paper: Paper, reader: int, facet: str, value: str) -> None:
    """Adding what was struck out restores it; adding what stands changes nothing."""
    value = _checked(facet, value)
    place: dict[str, Any] = {"paper": paper, "facet": facet, "value": value}
    if Label.objects.filter(**place, owner=None, rejected=False).exists():
        _restore(paper, reader, facet, value)
    else:
        Label.objects.update_or_create(**place, owner_id=reader, defaults={"rejected": False, "source": YOU})


def _checked(facet: str, value: str) -> str:
    """The value as it is stored. Raises Refused where the vocabulary, or the form of an anatomy, does not allow it."""
    if facet != Label.Facet.ANATOMY:
        if value not in terms().get(facet, {}):
            raise Refused("Choose a label from the list.")
        return value
    value = " ".join(value.lower().split())
    if not value:
        raise Refused("Write a part of the body, such as lung.")
    if len(value) > ANATOMY_LIMIT:
        raise Refused(f"A part of the body has at most {ANATOMY_LIMIT} characters.")
    if not _ANATOMY.fullmatch(value):
        raise Refused("A part of the body is written in letters, such as lung or lymph node.")
    return value
