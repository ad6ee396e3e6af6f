"""Papers named in a question: by citation key, by title, or by the name of their method."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

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
