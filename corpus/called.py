"""From a name as a person writes it to the papers that it can mean, and to the names most like it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

from corpus.names import NameRow, Names

TITLE_WORDS = 3  # from so many words on, a part of a title names its paper


def called(name: str, rows: Iterable[NameRow]) -> list[int]:
    """Primary keys of the papers that people call so, as far as these rows of one reader tell.

    By citation key, title or method as it is written; else in any case, spacing and hyphenation ("med clip"); else by
    the names that the words hold; else by a part of a title. Of several libraries' papers with one key, the reader's
    own. More than one: the name is ambiguous. None: there is no such paper.
    """
    rows = list(rows)
    names = {row[0]: [row[2], row[3], *_short(row[4])] for row in rows}
    folded = _folded(name)
    owner = next((row[1] for row in rows if row[1] is not None), None)
    ways: tuple[Callable[[], set[int]], ...] = (
        lambda: {pk for pk, known in names.items() if name in known},
        lambda: {pk for pk, known in names.items() if folded and folded in map(_folded, known)},
        lambda: Names(rows).named_in(name, owner),
        lambda: {row[0] for row in rows if len(name.split()) >= TITLE_WORDS and folded in _folded(row[3])},
    )
    found: set[int] = next((papers for way in ways if (papers := way())), set())
    by_key: dict[str, NameRow] = {}
    for row in rows:
        if row[0] in found and (row[2] not in by_key or row[1] is not None):
            by_key[row[2]] = row
    return [row[0] for row in by_key.values()]


def near(name: str, rows: Iterable[NameRow]) -> list[str]:
    """The names most like one that is not there: at most three, as their papers write them."""
    known = {_folded(short): short for row in rows for short in (*_short(row[4]), row[2]) if short}
    return [known[like] for like in difflib.get_close_matches(_folded(name), known, n=3, cutoff=0.75)]


def _short(model_name: str) -> list[str]:
    """The name without its remark, and a name in the remark: "SurgicalGPT (LV-GPT)" gives both."""
    before, _, remark = model_name.partition(" (")
    return [name for name in (before, remark.removesuffix(")")) if name and (name == before or " " not in name)]


def _folded(name: str) -> str:
    """Letters and digits in small letters; a plus counts ("Surgical-VQLA++" is another method)."""
    return "".join(letter for letter in name.casefold() if letter.isalnum() or letter == "+")
