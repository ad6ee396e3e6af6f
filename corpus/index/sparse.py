"""Words on this machine: BM25 by tantivy, in segments with deletes, memory-mapped.

tantivy counts the deleted texts, and everybody's, when it judges how rare a word is. Here each word's part of a score
is scaled so that only the texts which the reader may see count: what others keep to themselves changes nobody's
ranking, and an index after adds and deletes ranks like one built afresh. The average length of a text is tantivy's own.
k1 = 1.2 and b = 0.75, as in Lucene; lengths are rounded to a byte, as there.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from corpus.index.types import Entry, Found, Ids, Scope
from corpus.index.words import tokens

HEAP = 64_000_000  # bytes that a writer fills before it writes a segment
TOKENISED_AT_ONCE = 10_000

not_shared = shutil.ignore_patterns("*.lock")  # a lock on one link would be a lock on all


def _schema() -> Any:
    import tantivy

    fields = tantivy.SchemaBuilder()
    fields.add_text_field("stems", tokenizer_name="whitespace", index_option="freq")
    fields.add_unsigned_field("id", indexed=True, fast=True)
    fields.add_unsigned_field("paper", indexed=True, fast=True)
    fields.add_unsigned_field("owner", indexed=True)
    fields.add_unsigned_field("every", indexed=True)  # 1 in each: counts them as tantivy's own statistics do
    return fields.build()


def create(folder: Path) -> None:
    """A part without texts."""
    import tantivy

    folder.mkdir(parents=True)
    tantivy.Index(_schema(), path=str(folder))


def change(folder: Path, gone: Ids, entries: Sequence[Entry]) -> None:
    """Removes the texts with the ids `gone`, then adds these; tantivy merges small segments."""
    import tantivy

    index = tantivy.Index.open(str(folder))
    writer = index.writer(heap_size=HEAP, num_threads=1)
    if len(gone):  # by a query: delete_documents_by_term takes numbers for signed ones, and finds none
        writer.delete_documents_by_query(tantivy.Query.term_set_query(index.schema, "id", gone.tolist()))
    for start in range(0, len(entries), TOKENISED_AT_ONCE):
        several = entries[start : start + TOKENISED_AT_ONCE]
        for entry, stems in zip(several, tokens([entry.text for entry in several]), strict=True):
            writer.add_document(_document(entry, [*stems, *entry.words]))
    writer.commit()
    writer.wait_merging_threads()


def _document(entry: Entry, stems: Iterable[str]) -> Any:
    import tantivy

    document = tantivy.Document()
    document.add_text("stems", " ".join(stems))
    for name, value in (("id", entry.id), ("paper", entry.paper), ("owner", entry.owner), ("every", 1)):
        document.add_unsigned(name, value)
    return document


class Sparse:
    """The words of a part, opened."""

    def __init__(self, folder: Path) -> None:
        import tantivy

        if not tantivy.Index.exists(str(folder)):
            raise ValueError(f"{folder} holds no index of words")
        index = tantivy.Index.open(str(folder))
        self._searcher: Any = index.searcher()
        self._schema = index.schema
        self._query, self._occur = tantivy.Query, tantivy.Occur
        self._counted = lru_cache(100_000)(self._count)

    def search(self, words: Mapping[str, float], limit: int, scope: Scope) -> Found:
        """The texts with the highest BM25 score above zero."""
        weighted = {stem: weight * self._scale(stem, scope) for stem, weight in words.items() if weight > 0}
        parts = [
            (self._occur.Should, self._query.boost_query(self._term("stems", stem), weight))
            for stem, weight in weighted.items()
            if weight > 0
        ]
        if not parts or limit < 1:
            return Found.nothing()
        hits = self._hits(self._query.boolean_query(parts), limit, scope)
        places = [place for _, place in hits]
        ids = np.array(self._searcher.fast_field_values("id", places), np.int64)
        papers = np.array(self._searcher.fast_field_values("paper", places), np.int64)
        return Found.best(ids, papers, np.array([score for score, _ in hits], np.float32), limit)

    def occurs(self, word: str, scope: Scope) -> bool:
        """True when any text in scope contains this stem."""
        return bool(self._hits(self._term("stems", word), 1, scope))

    def _hits(self, query: Any, limit: int, scope: Scope) -> list[tuple[float, Any]]:
        must = [query, self._unscored(self._owned(scope.owners))]
        if scope.papers is not None:
            papers = self._query.term_set_query(self._schema, "paper", list(scope.papers))
            must.append(self._unscored(papers))
        both = self._query.boolean_query([(self._occur.Must, part) for part in must])
        hits: list[tuple[float, Any]] = self._searcher.search(both, limit, count=False).hits
        return hits

    def _scale(self, stem: str, scope: Scope) -> float:
        """The word's inverse document frequency among the reader's texts, over the one that tantivy reckons with; 0
        where the reader has none."""
        frequency = sum(self._counted(stem, owner) for owner in scope.owners)
        if frequency == 0:
            return 0.0
        texts = sum(self._counted(None, owner) for owner in scope.owners)
        every = self._searcher.doc_freq("every", 1)
        return _rarity(frequency, texts) / _rarity(self._searcher.doc_freq("stems", stem), every)

    def _count(self, stem: str | None, owner: int) -> int:
        """How many texts this owner has, or how many with this word."""
        query = self._owned((owner,))
        if stem is not None:
            query = self._query.boolean_query([(self._occur.Must, part) for part in (query, self._term("stems", stem))])
        return int(self._searcher.search(query, 1, count=True).count)

    def _term(self, field: str, value: str | int) -> Any:
        return self._query.term_query(self._schema, field, value, "freq" if field == "stems" else "basic")

    def _owned(self, owners: tuple[int, ...]) -> Any:
        return self._query.boolean_query([(self._occur.Should, self._term("owner", owner)) for owner in owners])

    def _unscored(self, query: Any) -> Any:
        return self._query.const_score_query(query, 0.0)


def _rarity(frequency: int, texts: int) -> float:
    """The inverse document frequency of Lucene's BM25."""
    return math.log(1 + (texts - frequency + 0.5) / (frequency + 0.5))
