"""Papers named in a question: by citation key, by title, or by the name of their method, as people write it.

A name counts as its authors write it. In other spellings ("skingpt 4", "llava med") it counts when it cannot be an
ordinary word or the acronym of something else. A name that many papers mention (CLIP, SAM) is a building block: it asks
for its paper only where it is compared with another.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from corpus.lexicon import is_subject

# (primary key, owner or None, citation key, title, model name, annotation)
NameRow = tuple[int, int | None, str, str, str, str]

COMMON = 6  # a name that more papers than this mention is a building block
_SHORTEST = 4  # letters and digits of a name that counts in any spelling
_LONGEST_HEAD = 4  # words of a title before its colon that are a name ("Ariadne's Thread: ...")
_WORDS = re.compile(r"[^\W_]+(?:[-.+'][^\W_]+)*\+*")
_COMPARES = re.compile(r"\b(?:vs?|versus|compar\w+|differ\w*|against|better than|instead of)\b", re.IGNORECASE)
_BEFORE = re.compile(
    r"(?:\b(?:vs?\.?|versus|against|compare|comparing|between|with|and|or|of|from|than|to)|,)\s*\Z", re.IGNORECASE
)
_AFTER = re.compile(r"\s*(?:,|\b(?:vs?|versus|against|compared|and|or)\b)", re.IGNORECASE)


class Names:
    """The names of all papers."""

    def __init__(self, rows: Iterable[NameRow]) -> None:
        rows = list(rows)
        self.papers = len(rows)
        self._owners = {row[0]: row[1] for row in rows}
        self._written: dict[str, set[int]] = {}
        self._squeezed: dict[str, set[int]] = {}
        self._compared: dict[str, set[int]] = {}
        self._subjects: dict[str, set[int]] = {}
        mentions = Counter(word for row in rows for word in set(_WORDS.findall(f"{row[3]} {row[4]} {row[5]}")))
        ordinary = _plain() | {word for row in rows for word in _WORDS.findall(row[5]) if word.islower()}
        self._common = {name for name, times in mentions.items() if times > COMMON}
        ordinary |= {_squeeze(name) for name in self._common}
        for pk, _, key, title, model_name, _ in rows:
            if is_subject(title):  # "Visual Instruction Tuning": within a question it means the subject
                self._subjects.setdefault(_squeeze(title), set()).add(pk)
            titles = () if is_subject(title) else (title,)
            for name in (key, *titles, *_short_names(title, model_name)):
                self._written.setdefault(name, set()).add(pk)
                squeezed = _squeeze(name)
                self._compared.setdefault(squeezed, set()).add(pk)
                if len(squeezed) >= _SHORTEST and squeezed not in ordinary:
                    self._squeezed.setdefault(squeezed, set()).add(pk)
        self._longest = max((len(name.split()) for name in self._written), default=1)

    def named_in(self, query: str, reader: int | None) -> set[int]:
        """Primary keys of the papers that the question names, among those that this reader may see."""
        return set(self.written_in(query, reader))

    def written_in(self, query: str, reader: int | None) -> dict[int, str]:
        """{paper that the question names: the words by which it does}."""
        whole = self._subjects.get(_squeeze(query), set())
        found = {paper: query for paper in whole if self._owners[paper] in (None, reader)}
        compares = bool(_COMPARES.search(query))
        for start, end in self._stretches(query):
            text = query[start:end]
            papers = set(self._squeezed.get(_squeeze(text), ()))
            if text not in self._common:
                papers |= self._written.get(text, set())
            if compares and (_BEFORE.search(query[:start]) or _AFTER.match(query[end:])):
                papers |= self._compared.get(_squeeze(text), set())
            found |= {paper: text for paper in papers if self._owners[paper] in (None, reader)}
        return found

    def _stretches(self, query: str) -> Iterator[tuple[int, int]]:
        """Where every run of whole words begins and ends that is no longer than a name may be."""
        spans = [match.span() for match in _WORDS.finditer(query)]
        for i, (start, _) in enumerate(spans):
            for _, end in spans[i : i + self._longest + 1]:  # a hyphen that is left out makes one word more
                yield start, end


def _short_names(title: str, model_name: str) -> Iterator[str]:
    """The method's name without its remark, a name in the remark ("SurgicalGPT (LV-GPT)" gives both), and what stands
    before the colon of a title where that is short."""
    before, _, remark = model_name.partition(" (")
    if before:
        yield before
    if remark.endswith(")") and " " not in remark and any(letter.isupper() for letter in remark):
        yield remark.removesuffix(")")
    head, colon, _ = title.partition(":")
    if colon and 2 <= len(head.split()) <= _LONGEST_HEAD:
        yield head


def _squeeze(name: str) -> str:
    """Letters and digits only, in small letters; a plus counts ("Surgical-VQLA++" is another method)."""
    return "".join(letter for letter in name.casefold() if letter.isalnum() or letter == "+")


@cache
def _plain() -> frozenset[str]:
    words = json.loads((Path(__file__).parent / "data" / "words.json").read_text(encoding="utf-8"))
    return frozenset(words["plain"]) | frozenset(words["filler"])
