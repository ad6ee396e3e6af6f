"""The index in files on this machine: FAISS for the vectors, tantivy for the words.

A build's folder holds, for each part, `dense/` (dense.py) and `sparse/` (sparse.py). All files are written once and
never changed, so the next build shares them by hard links and adds its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from corpus.index import dense, sparse
from corpus.index.types import PARTS, Entry, Found, Ids, Rows, Scope
from inference.types import Embedding


class FaissEngine:
    """`types.Engine` over the folders. Raises Unavailable when FAISS is not installed."""

    def __init__(self) -> None:
        dense.faiss()

    def begin(self, folder: Path, before: Path | None, dimension: int) -> None:
        """As in `types.Engine`."""
        for part in PARTS:
            if before:
                shutil.copytree(before / part, folder / part, copy_function=_link, ignore=sparse.not_shared)
            else:
                dense.create(folder / part / "dense")
                sparse.create(folder / part / "sparse")

    def write(self, folder: Path, part: str, gone: Ids, entries: Sequence[Entry], vectors: Embedding) -> None:
        """As in `types.Engine`."""
        dense.change(folder / part / "dense", folder.name, gone, Rows.of(entries), vectors)
        sparse.change(folder / part / "sparse", gone, entries)

    def rows(self, folder: Path, part: str, papers: Ids | None) -> Rows:
        """As in `types.Engine`."""
        return dense.Dense(folder / part / "dense").rows(papers)

    def vectors(self, folder: Path, part: str, ids: Ids) -> Embedding:
        """As in `types.Engine`."""
        return dense.Dense(folder / part / "dense").vectors(ids)

    def open(self, folder: Path, part: str) -> FileField:
        """As in `types.Engine`."""
        return FileField(dense.Dense(folder / part / "dense"), sparse.Sparse(folder / part / "sparse"))

    def discard(self, folder: Path, keep: set[Path]) -> None:
        """Nothing is kept outside the folder."""


class FileField:
    """`types.Field` over one part's two halves."""

    def __init__(self, vectors: dense.Dense, words: sparse.Sparse) -> None:
        self._vectors = vectors
        self._words = words

    def dense(self, vector: Embedding, limit: int, scope: Scope) -> Found:
        """As in `types.Field`."""
        return self._vectors.search(vector, limit, scope)

    def sparse(self, words: Mapping[str, float], limit: int, scope: Scope) -> Found:
        """As in `types.Field`."""
        return self._words.search(words, limit, scope)

    def occurs(self, word: str, scope: Scope) -> bool:
        """As in `types.Field`."""
        return self._words.occurs(word, scope)


def _link(source: str, target: str) -> None:
    """The same file under another name; a copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
