"""Which notes on a paper a person sees, and which of these they may delete."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q

from corpus.models import Note, Paper

LIMIT = 5000  # characters


@dataclass(frozen=True, slots=True)
class Remark:
    """A note as one reader sees it."""

    note: Note
    mine: bool
    deletable: bool


def notes_of(paper: Paper, reader: int | None, *, staff: bool) -> list[Remark]:
    """The reader's own notes and the shared ones, oldest first. Staff may delete shared ones.

    Whether the reader may see the paper is the caller's question.
    """
    rows = paper.notes.filter(Q(author=reader) | Q(shared=True)).select_related("author")
    return [Remark(note, mine := note.author_id == reader, mine or (staff and note.shared)) for note in rows]


def wrong(text: str) -> str:
    """Why this cannot be a note, in one line; empty when it can."""
    if not text:
        return "Write something first."
    return f"A note has at most {LIMIT:,} characters; this one has {len(text):,}." if len(text) > LIMIT else ""
