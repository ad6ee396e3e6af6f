"""Sentences and passages of a text, as offsets into it: what is cut out stands in the text word for word."""

from __future__ import annotations

import re
from collections.abc import Iterator

Span = tuple[int, int]  # start and exclusive end, in characters

# A full stop ends a sentence only before white space and something that can begin one; never after these.
_END = re.compile(r"[.!?][\"'\u201d\u2019)\]]*(?=\s+[\"'\u201c\u2018(\[]?[A-Z0-9])|\n")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|et al|cf|vs|Fig|Figs|Eq|Dr|Prof|No|approx|resp|St)|\b[A-Z])\.\Z")


def sentences(text: str) -> Iterator[Span]:
    """The sentences of a text, in order, without the white space around them. A line break also ends one."""
    start = 0
    for match in _END.finditer(text):
        if not _ABBREVIATION.search(text[start : match.end()]):
            yield from _trimmed(text, start, match.end())
            start = match.end()
    yield from _trimmed(text, start, len(text))


def windows(text: str, size: int = 2) -> list[Span]:
    """Consecutive stretches of `size` whole sentences; a single last sentence joins the stretch before it.

    So a passage has between one and `size` + 1 sentences, and every sentence stands in exactly one passage.
    """
    spans = list(sentences(text))
    groups = [spans[i : i + size] for i in range(0, len(spans), size)]
    if len(groups) > 1 and len(groups[-1]) == 1:
        groups[-2].extend(groups.pop())
    return [(group[0][0], group[-1][1]) for group in groups]


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    piece = text[start:end]
    if piece.strip():
        yield start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
