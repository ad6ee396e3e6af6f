"""Papers named in a question: by citation key, by title, or by the name of their method."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable

# (primary key, owner or None, citation key, title, model name, annotation)
NameRow = tuple[int, int | None, str, str, str, str]

COMMON = 6  # a name that more papers than this mention (CLIP, SAM) is a building block, not a request for its paper
_WORDS = re.compile(r"[^\W_]+(?:[-.+][^\W_]+)*\+*")


class Names:
    """The names of all papers, with those left out that say little in a question about other papers."""

    def __init__(self, rows: Iterable[NameRow]) -> None:
        rows = list(rows)
        self.papers = len(rows)
        mentions = Counter(word for row in rows for word in set(_WORDS.findall(f"{row[3]} {row[4]} {row[5]}")))
        self._owners: dict[int, int | None] = {}
        self._names: dict[str, set[int]] = {}
        for pk, owner, key, title, model_name, _ in rows:
            self._owners[pk] = owner
            for name in (key, title, *_short_names(model_name)):
                if mentions[name] <= COMMON:
                    self._names.setdefault(name, set()).add(pk)
        self._folded: dict[str, set[int]] = {}
        for name, papers in self._names.items():
            if _is_distinctive(name):
                self._folded.setdefault(name.casefold(), set()).update(papers)
        self._longest = max((len(name.split()) for name in self._names), default=1)

    def named_in(self, query: str, reader: int | None) -> set[int]:
        """Primary keys of the papers that the question names, among those that this reader may see.

        Short plain names ("KAD", "MaCo", "FLAIR") count only as their authors write them, others in any case.
        """
        spans = [match.span() for match in _WORDS.finditer(query)]
        found: set[int] = set()
        for i, (start, _) in enumerate(spans):
            for _, end in spans[i : i + self._longest]:
                text = query[start:end]
                found |= self._names.get(text, set()) | self._folded.get(text.casefold(), set())
        return {paper for paper in found if self._owners[paper] in (None, reader)}


def _short_names(model_name: str) -> Iterable[str]:
    """The name without its remark, and a name in the remark: "SurgicalGPT (LV-GPT)" gives both."""
    before, _, remark = model_name.partition(" (")
    if before:
        yield before
    if remark.endswith(")") and " " not in remark and any(letter.isupper() for letter in remark):
        yield remark.removesuffix(")")


def _is_distinctive(name: str) -> bool:
    """True when the name is no English word or acronym of another thing, however it is written."""
    return len(name) > 6 or (len(name) > 4 and ("-" in name or any(letter.isdigit() for letter in name)))


def called(name: str, rows: Iterable[NameRow]) -> list[int]:
    """Primary keys of the papers that people call so, as far as these rows tell.

    By citation key, title or method as it is written; else in any case, spacing and hyphenation ("med clip"); else by
    the names that the words hold; else by a part of a title. Of several libraries' papers with one key, the reader's
    own. More than one: the name is ambiguous. None: there is no such paper.
    """
    rows = [row for row in rows if row[2]]
    names = {row[0]: [row[2], row[3], *_short_names(row[4])] for row in rows}
    folded = _folded(name)
    owner = next((row[1] for row in rows if row[1] is not None), None)  # of what is not everyone's: one reader's rows
    ways: tuple[Callable[[], set[int]], ...] = (
        lambda: {pk for pk, known in names.items() if name in known},
        lambda: {pk for pk, known in names.items() if folded and folded in map(_folded, known)},
        lambda: Names(rows).named_in(name, owner),
        lambda: {row[0] for row in rows if len(name.split()) > 2 and folded in _folded(row[3])},
    )
    found: set[int] = next((papers for way in ways if (papers := way())), set())
    by_key: dict[str, NameRow] = {}
    for row in rows:
        if row[0] in found and (row[2] not in by_key or row[1] is not None):
            by_key[row[2]] = row
    return [row[0] for row in by_key.values()]


def near(name: str, rows: Iterable[NameRow]) -> list[str]:
    """The names most like one that is not there: at most three, as their papers write them."""
    known = {_folded(short): short for row in rows for short in (*_short_names(row[4]), row[2]) if short}
    return [known[like] for like in difflib.get_close_matches(_folded(name), known, n=3, cutoff=0.75)]


def _folded(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
