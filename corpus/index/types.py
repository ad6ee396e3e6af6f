"""What goes into an index and what comes out, and what an engine must be able to do. Imports no engine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inference.types import Embedding

FORMAT = 4  # raise it when the files below a build's folder change

EVERYONE = 0  # the owner of what belongs to nobody; primary keys begin at 1
# The parts of an index. Questions that a paper answers are found on their own, and lead to their paper.
PAPERS, PASSAGES, ASKED = "papers", "passages", "asked"
PARTS = (PAPERS, PASSAGES, ASKED)

Ids = NDArray[np.int64]
Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Entry:
    """One text to be found: `id` is the key of the paper or passage, `paper` the key of its paper, `owner` the key of
    the user whose it is, or EVERYONE. `words` are index words beside those of the text (notions, labels): BM25 counts
    them, the vector does not."""

    id: int
    paper: int
    text: str
    owner: int = EVERYONE
    words: tuple[str, ...] = ()

    @property
    def known(self) -> bytes:
        """The first half of a SHA-256 over the text and the words."""
        return hashlib.sha256("\0".join((self.text, *self.words)).encode()).digest()[:16]


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be found at all, decided before anything is ranked: everyone's texts and those of the `reader`, and of
    these only texts of `papers` (None: no restriction)."""

    reader: int | None = None
    papers: frozenset[int] | None = None

    @property
    def owners(self) -> tuple[int, ...]:
        """Whose texts are in scope."""
        return (EVERYONE,) if self.reader is None else (EVERYONE, self.reader)


@dataclass(frozen=True, slots=True)
class Found:
    """Texts, best first: their `ids`, the `papers` they belong to, and their `scores`; all (N,)."""

    ids: Ids
    papers: Ids
    scores: Scores

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def best(cls, ids: Ids, papers: Ids, scores: Scores, limit: int) -> Found:
        """The `limit` highest scores in order; of equal ones the lower id comes first, whatever found them."""
        order = np.lexsort((ids, -scores))[:limit]
        return cls(ids[order], papers[order], scores[order])

    @classmethod
    def nothing(cls) -> Found:
        """No text at all."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))


@dataclass(frozen=True, slots=True)
class IndexBuild:
    """The manifest. `version` changes with every build and refresh and names the folder; `engine` is the setting that
    it was made with; `corpus` is a hash of all ids and texts; `dimension` is D of the vectors."""

    format: int
    version: str
    engine: str
    embedder: str
    dimension: int
    papers: int
    passages: int
    corpus: str
    built_at: str
    seconds: float

    def can_grow(self, embedder: str, engine: str) -> bool:
        """True when texts of this embedder can be added to it with this engine."""
        return (self.format, self.embedder, self.engine) == (FORMAT, embedder, engine)

    def is_of(self, corpus: str, embedder: str, engine: str = "faiss") -> bool:
        """True when this build is what building again would give."""
        return self.can_grow(embedder, engine) and self.corpus == corpus


@dataclass(frozen=True, slots=True)
class Rows:
    """What an engine remembers of texts, to tell later which have changed: `ids`, `papers`, `owners` (N,), and
    `digests` (N, 2), the first half of each text's SHA-256."""

    ids: Ids
    papers: Ids
    owners: Ids
    digests: Ids

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Rows:
        """The rows of these texts, in order."""
        places = np.array([(entry.id, entry.paper, entry.owner) for entry in entries], np.int64).reshape(-1, 3)
        digests = b"".join(entry.known for entry in entries)
        return cls(places[:, 0], places[:, 1], places[:, 2], np.frombuffer(digests, "<i8").reshape(-1, 2))

    @classmethod
    def joined(cls, several: Sequence[Rows]) -> Rows:
        """All of them, one after the other."""
        if not several:
            return cls.of([])
        columns = ("ids", "papers", "owners", "digests")
        return cls(*(np.concatenate([getattr(rows, name) for rows in several]) for name in columns))

    def take(self, places: NDArray[np.int64] | NDArray[np.bool_]) -> Rows:
        """Those at these positions."""
        return Rows(self.ids[places], self.papers[places], self.owners[places], self.digests[places])

    def marks(self) -> list[tuple[int, int, int, bytes]]:
        """(id, paper, owner, digest) of each: equal when nothing about the text has changed."""
        digests = np.ascontiguousarray(self.digests, "<i8")
        places = zip(self.ids.tolist(), self.papers.tolist(), self.owners.tolist(), strict=True)
        return [(*place, digest.tobytes()) for place, digest in zip(places, digests, strict=True)]


def corpus_sum(part: str, rows: Rows) -> int:
    """A hash of a set of texts that can be added to and subtracted from: a sum of hashes modulo 2**128 (Bellare,
    Micciancio 1997), so that adding one text need not read the others. Order makes no difference."""
    total = 0
    for *places, digest in rows.marks():
        known = f"{part}\0{places}\0".encode() + digest
        total += int.from_bytes(hashlib.sha256(known).digest()[:16], "little")
    return total % 2**128


def corpus_hash(papers: Sequence[Entry], passages: Sequence[Entry], asked: Sequence[Entry] = ()) -> str:
    """The hash over all ids and texts, as 32 hexadecimal digits."""
    parts = zip(PARTS, (papers, passages, asked), strict=True)
    return f"{sum(corpus_sum(part, Rows.of(entries)) for part, entries in parts) % 2**128:032x}"


class Field(Protocol):
    """One searchable set of texts. The scope restricts before anything is ranked."""

    def dense(self, vector: Embedding, limit: int, scope: Scope) -> Found:
        """The texts with the highest cosine to `vector` (D,), of length one. `limit` counts only what is in scope."""

    def sparse(self, words: Mapping[str, float], limit: int, scope: Scope) -> Found:
        """The texts with the highest BM25 score above zero; `words` are stems (`tokens`) with their weights.

        How rare a word is, is judged by the texts that the reader may see: nobody else's, and no deleted ones.
        """

    def occurs(self, word: str, scope: Scope) -> bool:
        """True when any text in scope contains this stem."""


@dataclass(frozen=True, slots=True)
class Index:
    """An opened build: `papers` finds whole entries, `passages` the stretches that can be cited, `asked` questions."""

    folder: Path
    build: IndexBuild
    papers: Field
    passages: Field
    asked: Field


class Engine(Protocol):
    """Writes and reads the parts of a build, below its folder or elsewhere. A folder is written once, by one
    process, and only read after that."""

    def begin(self, folder: Path, before: Path | None, dimension: int) -> None:
        """Makes the folder: empty, or (`before`) with all that the build in that folder has, which stays as it is."""

    def write(self, folder: Path, part: str, gone: Ids, entries: Sequence[Entry], vectors: Embedding) -> None:
        """Removes the texts with the ids `gone`, then adds `entries` with their vectors (N, D)."""

    def rows(self, folder: Path, part: str, papers: Ids | None) -> Rows:
        """What is stored of these papers, or of all."""

    def vectors(self, folder: Path, part: str, ids: Ids) -> Embedding:
        """(N, D): the vectors of these texts, in the order of `ids`."""

    def open(self, folder: Path, part: str) -> Field:
        """The part, to be searched."""

    def discard(self, folder: Path, keep: set[Path]) -> None:
        """Removes what belongs to this build, whole or half-written, and to none of those in `keep`."""
