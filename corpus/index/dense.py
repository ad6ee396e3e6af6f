"""Vectors on this machine: FAISS indexes in segments that are written once.

A segment holds texts ordered by paper: `rows.npy` (5, N) int64, memory-mapped (id, paper, owner and the two halves of
the text's digest), and `vectors.faiss`, memory-mapped too. A change adds one segment. What it removes is listed beside
the segments that hold it, in `gone.npy` (positions), which is replaced, never edited. As in a log-structured merge
tree, the new segment takes in the smaller ones before it: each vector is rewritten about log2(N) times in its life,
and a large segment stays where it is until the newer ones have grown to half its size.

The index type follows the size of the segment (measurements: docs/index.md):

    up to FLAT_UP_TO   flat: exact, 5 ms at 50,000 vectors of 384 dimensions on one core
    above              IVF-Flat with about 4 * sqrt(N) lists, one in 12 of them searched: recall@10 0.990 and 12 ms at
                       1,000,000, where it is built in a minute. HNSW was quicker but found 0.92 of real questions' ten
                       nearest among 100,000 at efSearch 256: questions lie outside the cloud of passages.

A search restricted to at most FLAT_UP_TO texts is exact at every size: it visits all lists, and computes only what is
in scope. One restricted to more texts visits more lists in proportion.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.index.types import EVERYONE, Found, Ids, Rows, Scope, Scores
from inference.errors import Unavailable
from inference.types import Embedding

FLAT_UP_TO = 50_000
PROBED = 12  # one list in so many is searched
TRAINED_ON = 64  # vectors for each list
ADDED_AT_ONCE = 100_000  # vectors: bounds the memory of a build
GPU_LIMIT = 2048  # the most results FAISS gives on a GPU

SEGMENTS = "segments.json"
Mask = NDArray[np.bool_]


def faiss() -> Any:
    """The library. Raises Unavailable with the line that installs it."""
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise Unavailable(
            "faiss is not installed; install Lightbox with the extra cpu or gpu, for example "
            'pip install ".[cpu]" (one of them, never both).'
        ) from error


def create(folder: Path) -> None:
    """A part without vectors."""
    folder.mkdir(parents=True)
    (folder / SEGMENTS).write_text("[]")


def change(folder: Path, name: str, gone: Ids, rows: Rows, vectors: Embedding) -> None:
    """Removes the texts with the ids `gone`, then adds these in a segment called `name`, with the smaller ones."""
    segments = Dense(folder, on_gpu=False).segments
    for segment in segments:
        segment.remove(gone)
    kept, merged = _merging(segments, len(rows))
    rows = Rows.joined([*(segment.rows(segment.alive) for segment in merged), rows])
    if len(rows):
        stacks = [segment.vectors(np.flatnonzero(segment.alive)) for segment in merged]
        _write_segment(folder / name, rows, np.concatenate([*stacks, vectors]) if stacks else vectors)
    names = [segment.folder.name for segment in kept] + ([name] if len(rows) else [])
    partial = folder / f"{SEGMENTS}.partial"
    partial.write_text(json.dumps(names))
    partial.replace(folder / SEGMENTS)
    for segment in merged:
        for file in segment.folder.iterdir():
            file.unlink()
        segment.folder.rmdir()


def _merging(segments: list[Segment], new: int) -> tuple[list[Segment], list[Segment]]:
    """The segments that stay, and those that the new one takes in: the most recent ones while it would be at least half
    as large as they are, and those that are mostly removed."""
    kept, merged, total = list(segments), [], new
    while kept and kept[-1].count < 2 * total:
        merged.append(kept.pop())
        total += merged[-1].count
    hollow = [segment for segment in kept if 2 * segment.count <= len(segment.alive)]
    return [segment for segment in kept if segment not in hollow], [*hollow, *merged]


def _write_segment(folder: Path, rows: Rows, vectors: Embedding) -> None:
    folder.mkdir()
    order = np.lexsort((rows.ids, rows.papers))
    np.save(folder / "rows.npy", np.vstack([rows.ids, rows.papers, rows.owners, rows.digests.T])[:, order])
    faiss().write_index(_indexed(vectors, order), str(folder / "vectors.faiss"))


def _indexed(vectors: Embedding, order: Ids) -> Any:
    """The vectors in this order, in an index whose type their number decides."""
    lib, (count, dimension) = faiss(), vectors.shape
    index = lib.IndexFlatIP(dimension)
    if count > FLAT_UP_TO:
        lists = 2 ** round(np.log2(4 * np.sqrt(count)))
        index = lib.IndexIVFFlat(index, dimension, lists, lib.METRIC_INNER_PRODUCT)
        index.cp.niter, index.cp.spherical = 8, True
        sample = np.random.default_rng(0).choice(count, min(count, TRAINED_ON * lists), replace=False)
        index.train(vectors[sample])
    for start in range(0, count, ADDED_AT_ONCE):
        index.add(vectors[order[start : start + ADDED_AT_ONCE]])
    return index


class Segment:
    """An opened segment. Positions count its texts; `alive` (N,) says which have not been removed."""

    def __init__(self, folder: Path, on_gpu: bool) -> None:
        lib = faiss()
        self.folder = folder
        self._rows = np.load(folder / "rows.npy", mmap_mode="r")
        self.ids, self.papers, self.owners = (np.asarray(column) for column in self._rows[:3])
        self.alive: Mask = np.ones(len(self.ids), np.bool_)
        if (folder / "gone.npy").exists():
            self.alive[np.load(folder / "gone.npy")] = False
        self._index = lib.read_index(str(folder / "vectors.faiss"), lib.IO_FLAG_MMAP_IFC)
        self._lists: int = getattr(self._index, "nlist", 0)  # 0: flat
        self._on_gpu = _on_gpu(self._index) if on_gpu else None
        self._in_sight = lru_cache(8)(self._seen_by)

    @property
    def count(self) -> int:
        """How many of its texts have not been removed."""
        return int(np.count_nonzero(self.alive))

    def remove(self, ids: Ids) -> None:
        """Removes these texts, in memory and on the disk; unknown ids are passed over."""
        hit = self.alive & np.isin(self.ids, ids) if len(ids) else np.zeros_like(self.alive)
        if hit.any():
            self.alive &= ~hit
            partial = self.folder / "gone.partial.npy"
            np.save(partial, np.flatnonzero(~self.alive).astype(np.int64))
            partial.replace(self.folder / "gone.npy")

    def rows(self, places: Ids | Mask) -> Rows:
        """What is known of the texts at these positions."""
        return Rows(self.ids, self.papers, self.owners, self._rows[3:].T).take(places)

    def vectors(self, places: Ids) -> Embedding:
        """(N, D): the vectors at these positions."""
        if self._lists:
            self._index.make_direct_map()
        vectors: Embedding = self._index.reconstruct_batch(places)
        return vectors

    def of_papers(self, papers: Ids) -> Ids:
        """The positions of what is left of these papers (sorted, each once)."""
        starts = np.searchsorted(self.papers, papers, "left")
        ends = np.searchsorted(self.papers, papers, "right")
        lengths = ends - starts
        before = np.cumsum(lengths) - lengths  # of each paper: how many places the papers before it have
        places: Ids = np.repeat(starts - before, lengths) + np.arange(lengths.sum())
        return places[self.alive[places]]

    def search(self, vector: Embedding, limit: int, scope: Scope) -> tuple[Ids, Scores]:
        """Positions and cosines of the texts in scope that are nearest to `vector` (D,)."""
        within = self._within(scope)
        allowed = int(np.count_nonzero(within))
        count = min(limit, allowed)
        if count == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        if self._on_gpu is not None and allowed == len(within) and count <= GPU_LIMIT:
            scores, places = self._on_gpu.search(vector[None, :], count)
        else:
            scores, places = self._search_within(vector, count, within, self._probes(allowed))
        found = places[0] >= 0
        return places[0][found], scores[0][found]

    def _search_within(self, vector: Embedding, count: int, within: Mask, probes: int) -> tuple[Any, Any]:
        lib = faiss()
        bits = np.packbits(within, bitorder="little")
        selector = lib.IDSelectorBitmap(bits)
        if not self._lists:
            return tuple(self._index.search(vector[None, :], count, params=lib.SearchParameters(sel=selector)))
        options = lib.SearchParametersIVF(sel=selector, nprobe=probes)
        scores, places = self._index.search(vector[None, :], count, params=options)
        if probes < self._lists and places[0, -1] < 0:  # what is in scope lies in other lists
            return self._search_within(vector, count, within, self._lists)
        return scores, places

    def _probes(self, allowed: int) -> int:
        """How many lists to search: all where few texts are allowed, and of the rest a number that meets as many
        allowed texts as an unrestricted search would."""
        if allowed <= FLAT_UP_TO:
            return self._lists
        return min(self._lists, -(-self._lists * len(self.alive) // (PROBED * allowed)))

    def _within(self, scope: Scope) -> Mask:
        seen = self._in_sight(scope.reader)
        if scope.papers is None:
            return seen
        within = np.zeros_like(seen)
        wanted = np.fromiter(scope.papers, np.int64, len(scope.papers))
        wanted.sort()
        places = self.of_papers(wanted)
        within[places] = seen[places]
        return within

    def _seen_by(self, reader: int | None) -> Mask:
        everyones: Mask = self.owners == EVERYONE
        return self.alive & (everyones if reader is None else everyones | (self.owners == reader))


class Dense:
    """The segments of a part, opened."""

    def __init__(self, folder: Path, on_gpu: bool = True) -> None:
        names: Sequence[str] = json.loads((folder / SEGMENTS).read_text())
        self.segments = [Segment(folder / name, on_gpu) for name in names]

    def search(self, vector: Embedding, limit: int, scope: Scope) -> Found:
        """The texts with the highest cosine to `vector` (D,)."""
        ids, papers, cosines = [], [], []
        for segment in self.segments:
            places, scores = segment.search(vector, limit, scope)
            ids.append(segment.ids[places])
            papers.append(segment.papers[places])
            cosines.append(scores)
        if not ids:
            return Found.nothing()
        return Found.best(np.concatenate(ids), np.concatenate(papers), np.concatenate(cosines), limit)

    def rows(self, papers: Ids | None) -> Rows:
        """What is stored of these papers, or of all."""
        return Rows.joined(
            [
                segment.rows(segment.alive if papers is None else segment.of_papers(np.unique(papers)))
                for segment in self.segments
            ]
        )

    def vectors(self, ids: Ids) -> Embedding:
        """(N, D): the vectors of these texts, in the order of `ids`. Raises KeyError on an id that is not stored."""
        found: dict[int, Embedding] = {}
        for segment in self.segments:
            places = np.flatnonzero(segment.alive & np.isin(segment.ids, ids)).astype(np.int64)
            if len(places):
                found |= dict(zip(segment.ids[places].tolist(), segment.vectors(places), strict=True))
        return np.stack([found[key] for key in ids.tolist()])


def _on_gpu(index: Any) -> Any:
    """A copy of the index on the first GPU, or None: without one, with faiss-cpu, or where it does not fit.

    The GPU's indexes take no selector, so they serve searches in whose scope everything lies.
    """
    lib = faiss()
    if lib.get_num_gpus() == 0:
        return None
    try:
        resources = lib.StandardGpuResources()
        copied = lib.index_cpu_to_gpu(resources, 0, index)
    except RuntimeError:  # out of the GPU's memory
        return None
    copied.resources = resources  # FAISS does not keep it alive
    if hasattr(copied, "nprobe"):
        copied.nprobe = max(1, copied.nlist // PROBED)
    return copied
