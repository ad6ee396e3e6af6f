"""The index on disk: dense vectors and BM25 over whole papers and over passages. The only module with FAISS and bm25s.

Behind the same few functions another engine (Milvus) can stand: `build`, `current`, `open_index`, `Field.dense`,
`Field.sparse`. Nothing of Django in here: rows come in as `Entry` and go out as ids.

A build goes into a folder of its own; its manifest is written last, and then `current.json` is replaced in one step.
Readers follow `current.json`, so an interrupted build is never seen, and a running reader never sees half of one.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import Unavailable
from inference.types import Embedder, Embedding

FORMAT = 3  # raise it when the files below change
POINTER = "current.json"
MANIFEST = "manifest.json"
BATCH = 64

EVERYONE = 0  # the owner of what belongs to nobody; primary keys begin at 1

Ids = NDArray[np.int64]
Scores = NDArray[np.float32]
Progress = Callable[[Iterable[Any]], Iterable[Any]]


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


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be found at all, decided before anything is ranked: everyone's texts and those of the `reader`, and of
    these only texts of `papers` (None: no restriction)."""

    reader: int | None = None
    papers: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Texts, best first: their `ids`, the `papers` they belong to, and their `scores`; all (N,)."""

    ids: Ids
    papers: Ids
    scores: Scores

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class IndexBuild:
    """The manifest. `corpus` is a hash of all ids and texts; `dimension` is D of the vectors."""

    format: int
    embedder: str
    dimension: int
    papers: int
    passages: int
    corpus: str
    built_at: str
    seconds: float

    def is_of(self, corpus: str, embedder: str) -> bool:
        """True when this build is what building again would give."""
        return (self.format, self.corpus, self.embedder) == (FORMAT, corpus, embedder)


@dataclass(frozen=True, slots=True)
class Texts:
    """All that is indexed: of each paper one text with everything known of it, its passages, and what people ask when
    they look for it. The last two are found on their own, and lead to their paper."""

    papers: Sequence[Entry]
    passages: Sequence[Entry]
    asked: Sequence[Entry] = ()

    def fields(self) -> dict[str, Sequence[Entry]]:
        """{name of the field: its entries}."""
        return {"papers": self.papers, "passages": self.passages, "asked": self.asked}

    def digest(self) -> str:
        """SHA-256 over everything, in order."""
        digest = hashlib.sha256()
        for name, entries in self.fields().items():
            digest.update(f"{name}\0".encode())
            for entry in entries:
                digest.update(json.dumps([entry.id, entry.paper, entry.owner, entry.text, entry.words]).encode())
        return digest.hexdigest()


def tokens(texts: list[str]) -> list[list[str]]:
    """Words for BM25: lower case, English stop words removed, stemmed (Snowball); shorter than two letters dropped."""
    import Stemmer

    bm25s = _import("bm25s")
    stemmer = Stemmer.Stemmer("english")
    words: list[list[str]] = bm25s.tokenize(
        texts, stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False
    )
    return words


class Field:
    """One searchable set of texts."""

    def __init__(self, folder: Path) -> None:
        faiss = _import("faiss")
        places = np.load(folder / "ids.npy")
        self._ids: Ids = places[:, 0]
        self._papers: Ids = places[:, 1]
        self._owners: Ids = places[:, 2]
        self._vectors: Any = faiss.read_index(str(folder / "vectors.faiss"), faiss.IO_FLAG_MMAP)
        self._bm25: Any = _import("bm25s").BM25.load(str(folder / "bm25"), mmap=True)

    def dense(self, vector: Embedding, limit: int, scope: Scope) -> Found:
        """The texts with the highest cosine to `vector` (D,). `limit` counts only what is in scope."""
        within = self._within(scope)
        count = min(limit, len(within))
        if count == 0:
            return self._found(np.zeros(0, np.int64), np.zeros(0, np.float32))
        faiss = _import("faiss")
        options = faiss.SearchParameters(sel=faiss.IDSelectorBatch(within))
        scores, places = self._vectors.search(vector[None, :], count, params=options)
        return self._found(places[0], scores[0])

    def sparse(self, words: Mapping[str, float], limit: int, scope: Scope) -> Found:
        """The texts with the highest BM25 score above zero; `words` are stems (`tokens`) with their weights."""
        within = self._within(scope)
        scores = np.zeros(len(self._ids), np.float32)
        for word, weight in words.items():
            if word in self._bm25.vocab_dict:
                scores += weight * self._bm25.get_scores([word])
        places = within[scores[within] > 0]
        best: Ids = places[np.argsort(-scores[places], kind="stable")[:limit]].astype(np.int64)
        return self._found(best, scores[best])

    def occurs(self, word: str, scope: Scope) -> bool:
        """True when any text in scope contains this stem."""
        return len(self.sparse({word: 1.0}, 1, scope)) > 0

    def _within(self, scope: Scope) -> Ids:
        """The positions of the texts in scope."""
        mask = self._owners == EVERYONE
        if scope.reader is not None:
            mask |= self._owners == scope.reader
        if scope.papers is not None:
            mask &= np.isin(self._papers, np.fromiter(scope.papers, np.int64, len(scope.papers)))
        places: Ids = np.flatnonzero(mask).astype(np.int64)
        return places

    def _found(self, places: Ids, scores: Scores) -> Found:
        return Found(self._ids[places], self._papers[places], scores)


class Index:
    """An opened build: `papers` finds whole entries, `passages` the stretches that can be cited."""

    def __init__(self, folder: Path, build: IndexBuild) -> None:
        self.folder = folder
        self.build = build
        self.papers = Field(folder / "papers")
        self.passages = Field(folder / "passages")
        self.asked = Field(folder / "asked")


def current(root: Path) -> tuple[Path, IndexBuild] | None:
    """The folder and manifest of the complete build in use, or None. Cheap: reads two small files."""
    try:
        folder = root / json.loads((root / POINTER).read_text())["folder"]
        return folder, IndexBuild(**json.loads((folder / MANIFEST).read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def open_index(root: Path) -> Index:
    """The build in use. Raises Unavailable when there is none, when it is damaged, or when FAISS is not installed."""
    found = current(root)
    if found is None or found[1].format != FORMAT:
        raise Unavailable("The literature index is absent; run manage.py load_corpus.")
    try:
        return Index(*found)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise Unavailable(
            f"The literature index cannot be read ({error}); delete {root} and run manage.py load_corpus."
        ) from error


def build(
    root: Path,
    texts: Texts,
    embedder: Embedder,
    progress: Progress = iter,
) -> IndexBuild:
    """Builds and switches to the new index. `progress` wraps the batches of texts while they are embedded.

    Raises Unavailable when FAISS or the embedder's model is not installed. The caller holds the lock of the folder.
    """
    started = time.perf_counter()
    for engine in ("faiss", "bm25s"):  # say what is missing before the long work, not after
        _import(engine)
    root.mkdir(parents=True, exist_ok=True)
    digest = texts.digest()
    folder = root / f"{digest[:12]}-{time.time_ns()}"
    before = current(root)
    vectors = _embed([entry.text for entries in texts.fields().values() for entry in entries], embedder, progress)
    start = 0
    for name, entries in texts.fields().items():
        _write_field(folder / name, entries, vectors[start : start + len(entries)])
        start += len(entries)
    manifest = IndexBuild(
        format=FORMAT,
        embedder=embedder.name,
        dimension=int(vectors.shape[1]),
        papers=len(texts.papers),
        passages=len(texts.passages),
        corpus=digest,
        built_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        seconds=round(time.perf_counter() - started, 3),
    )
    _replace(folder / MANIFEST, asdict(manifest))
    _replace(root / POINTER, {"folder": folder.name})
    _sweep(root, keep={folder, before[0]} if before else {folder})
    return manifest


def _embed(texts: list[str], embedder: Embedder, progress: Progress) -> Embedding:
    """(N, D): embedded in the order of length, since a batch costs as much as its longest text, and put back."""
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    batches = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
    vectors = np.zeros((len(texts), embedder.dimension), np.float32)
    for batch in progress(batches):
        vectors[batch] = embedder.embed([texts[i] for i in batch])
    return vectors


def _write_field(folder: Path, entries: Sequence[Entry], vectors: Embedding) -> None:
    faiss, bm25s = _import("faiss"), _import("bm25s")
    folder.mkdir(parents=True)
    np.save(
        folder / "ids.npy",
        np.array([(entry.id, entry.paper, entry.owner) for entry in entries], np.int64).reshape(-1, 3),
    )
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    faiss.write_index(flat, str(folder / "vectors.faiss"))
    sparse = bm25s.BM25()
    words = [[*own, *entry.words] for own, entry in zip(tokens([e.text for e in entries]), entries, strict=True)]
    sparse.index(words or [[""]], show_progress=False)
    sparse.save(str(folder / "bm25"), show_progress=False)


def _replace(path: Path, content: dict[str, Any]) -> None:
    """Writes a small JSON file in one step, and has it on the disk before it is seen."""
    partial = path.with_suffix(".partial")
    with partial.open("w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _sweep(root: Path, keep: set[Path]) -> None:
    """Removes older and interrupted builds. The one just replaced stays: a reader may be about to open it."""
    for folder in root.iterdir():
        if folder.is_dir() and folder not in keep:
            shutil.rmtree(folder, ignore_errors=True)


def _import(name: str) -> Any:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise Unavailable(
            f"{name} is not installed; install Lightbox with the extra cpu or gpu, for example "
            'pip install ".[cpu]" (one of them, never both).'
        ) from error
    if name == "bm25s":  # it sets its logger to DEBUG when it is imported
        logging.getLogger("bm25s").setLevel(logging.WARNING)
    return module
