"""Whole builds and what changes between them, whatever the engine.

Every build has a folder of its own under the root; its manifest is written last, and then `current.json` is replaced in
one step. Readers follow `current.json`, so a build or refresh that is killed is never seen, and the next one clears it
away. A refresh begins with all that the build before it has, without copying it, and writes only what changed.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from corpus.index.types import (
    FORMAT,
    PAPERS,
    PARTS,
    PASSAGES,
    Engine,
    Entry,
    Ids,
    Index,
    IndexBuild,
    Rows,
    corpus_hash,
    corpus_sum,
)
from corpus.index.version import MANIFEST, POINTER, current
from inference.errors import Unavailable
from inference.types import Embedder, Embedding

BATCH = 64
ENGINE = "engine"

log = logging.getLogger("lightbox.corpus")

Progress = Callable[[Iterable[Any]], Iterable[Any]]


def engine_of(setting: str) -> Engine:
    """The engine that LIGHTBOX_INDEX names: `faiss`, or `milvus:` with an address or a file ending in .db.

    Raises Unavailable when it names none, or when its library is not installed.
    """
    if setting == "faiss":
        from corpus.index.faiss_engine import FaissEngine

        return FaissEngine()
    name, _, place = setting.partition(":")
    if name == "milvus" and (place.startswith(("http://", "https://")) or place.endswith(".db")):
        from corpus.index.milvus_engine import MilvusEngine

        return MilvusEngine(place)
    raise Unavailable(f"LIGHTBOX_INDEX={setting} is neither faiss, nor milvus:http://HOST:19530, nor milvus:FILE.db.")


def open_index(root: Path) -> Index:
    """The build in use. Raises Unavailable when there is none, when it is damaged, or without its engine."""
    for _ in range(5):  # refreshed twice between our reading the pointer and opening the files: look again
        found = current(root)
        if found is None or found[1].format != FORMAT:
            raise Unavailable("The literature index is absent; run manage.py load_corpus.")
        folder, build = found
        engine = engine_of(build.engine)
        try:
            return Index(folder, build, *(engine.open(folder, part) for part in PARTS))
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            failed = error
        if current(root) == found:
            break
    raise Unavailable(
        f"The literature index cannot be read ({failed}); delete {root} and run manage.py load_corpus."
    ) from failed


def build(
    root: Path,
    papers: Sequence[Entry],
    passages: Sequence[Entry],
    embedder: Embedder,
    progress: Progress = iter,
    engine: str = "faiss",
    asked: Sequence[Entry] = (),
) -> IndexBuild:
    """Builds from nothing and switches to the new index. `progress` wraps the batches of texts while they are embedded.

    Raises Unavailable when the engine or the embedder's model is not installed. The caller holds the lock of the root.
    """
    started = time.perf_counter()
    writer = engine_of(engine)  # says what is missing before the long work, not after
    digest = corpus_hash(papers, passages, asked)
    vectors = _embed([entry.text for entry in (*papers, *passages, *asked)], embedder, progress)
    folder = _new_folder(root, digest, engine)
    writer.begin(folder, None, vectors.shape[1])
    start = 0
    for part, entries in zip(PARTS, (papers, passages, asked), strict=True):
        writer.write(folder, part, _none(), entries, vectors[start : start + len(entries)])
        start += len(entries)
    counts = {"papers": len(papers), "passages": len(passages)}
    made = _manifest(folder, engine, embedder.name, vectors.shape[1], counts, digest, started)
    _switch(root, made)
    return made


def update(
    root: Path,
    changed: Collection[int],
    papers: Sequence[Entry],
    passages: Sequence[Entry],
    embedder: Embedder,
    progress: Progress = iter,
    asked: Sequence[Entry] = (),
) -> IndexBuild:
    """Brings what is stored of the `changed` papers (primary keys) to these entries; a paper without entries goes.

    Writes only what differs, and embeds only texts that are new; nothing differing, it writes nothing. Needs a build
    that `can_grow`; raises Unavailable as `build` does. The caller holds the lock of the root.
    """
    started = time.perf_counter()
    found = current(root)
    assert found is not None, "update() without a build"
    before, old = found
    writer = engine_of(old.engine)
    keys = np.array(sorted(changed), np.int64)
    stored = {part: writer.rows(before, part, keys) for part in PARTS}
    wanted = dict(zip(PARTS, (papers, passages, asked), strict=True))
    fresh, gone = _differences(stored, wanted)
    if not any(fresh.values()) and not any(len(rows) for rows in gone.values()):
        return old
    vectors = _vectors(writer, before, stored, fresh, embedder, progress)
    digest = f"{(int(old.corpus, 16) + _sum(fresh) - _sum_of_rows(gone)) % 2**128:032x}"
    folder = _new_folder(root, digest, old.engine)
    writer.begin(folder, before, old.dimension)
    for part in PARTS:
        if len(gone[part]) or fresh[part]:
            writer.write(folder, part, gone[part].ids, fresh[part], vectors[part])
    counts = {part: getattr(old, part) + len(fresh[part]) - len(gone[part]) for part in (PAPERS, PASSAGES)}
    made = _manifest(folder, old.engine, old.embedder, old.dimension, counts, digest, started)
    _switch(root, made)
    return made


def differing(root: Path, papers: Sequence[Entry], passages: Sequence[Entry], asked: Sequence[Entry] = ()) -> set[int]:
    """Primary keys of the papers of which the index does not hold just these entries, given the entries of all."""
    found = current(root)
    assert found is not None, "differing() without a build"
    reader = engine_of(found[1].engine)
    different: set[int] = set()
    for part, entries in zip(PARTS, (papers, passages, asked), strict=True):
        stored, wanted = set(reader.rows(found[0], part, None).marks()), set(Rows.of(entries).marks())
        different |= {paper for _, paper, _, _ in stored ^ wanted}
    return different


def _differences(
    stored: dict[str, Rows], wanted: dict[str, Sequence[Entry]]
) -> tuple[dict[str, list[Entry]], dict[str, Rows]]:
    """By part: the entries that are not stored as they are wanted, and the rows that are not wanted as they are."""
    fresh, gone = {}, {}
    for part, entries in wanted.items():
        have, want = stored[part].marks(), Rows.of(entries).marks()
        known, needed = set(have), set(want)
        fresh[part] = [entry for entry, key in zip(entries, want, strict=True) if key not in known]
        gone[part] = stored[part].take(np.array([key not in needed for key in have], bool))
    return fresh, gone


def _vectors(
    reader: Engine,
    before: Path,
    stored: dict[str, Rows],
    fresh: dict[str, list[Entry]],
    embedder: Embedder,
    progress: Progress,
) -> dict[str, Embedding]:
    """By part (N, D): from the index where these papers had the same text already, else embedded."""
    made: dict[str, Embedding] = {}
    for part, entries in fresh.items():
        at = {digest: key for key, _, _, digest in stored[part].marks()}
        digests = [digest for *_, digest in Rows.of(entries).marks()]
        old = np.array([i for i, digest in enumerate(digests) if digest in at], np.int64)
        new = [i for i, digest in enumerate(digests) if digest not in at]
        embedded = _embed([entries[i].text for i in new], embedder, progress)
        made[part] = np.zeros((len(entries), embedded.shape[1]), np.float32)
        made[part][new] = embedded
        if len(old):
            made[part][old] = reader.vectors(before, part, np.array([at[digests[i]] for i in old], np.int64))
    return made


def _embed(texts: list[str], embedder: Embedder, progress: Progress) -> Embedding:
    """(N, D): embedded in the order of length, since a batch costs as much as its longest text, and put back."""
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    batches = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
    vectors = np.zeros((len(texts), embedder.dimension), np.float32)
    for batch in progress(batches):
        vectors[batch] = embedder.embed([texts[i] for i in batch])
    return vectors


def _none() -> Ids:
    return np.zeros(0, np.int64)


def _sum(entries: dict[str, list[Entry]]) -> int:
    return sum(corpus_sum(part, Rows.of(several)) for part, several in entries.items())


def _sum_of_rows(rows: dict[str, Rows]) -> int:
    return sum(corpus_sum(part, several) for part, several in rows.items())


def _new_folder(root: Path, digest: str, engine: str) -> Path:
    """An empty folder that says which engine writes in it: if it is never finished, its traces can be removed."""
    folder = root / f"{digest[:12]}-{time.time_ns()}"
    folder.mkdir(parents=True)
    (folder / ENGINE).write_text(engine)
    return folder


def _manifest(
    folder: Path, engine: str, embedder: str, dimension: int, counts: dict[str, int], digest: str, started: float
) -> IndexBuild:
    return IndexBuild(
        format=FORMAT,
        version=folder.name,
        engine=engine,
        embedder=embedder,
        dimension=int(dimension),
        papers=counts[PAPERS],
        passages=counts[PASSAGES],
        corpus=digest,
        built_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        seconds=round(time.perf_counter() - started, 3),
    )


def _switch(root: Path, made: IndexBuild) -> None:
    """Makes the new build the one in use, and clears away all but the one before it, which a reader may be opening."""
    before = current(root)
    _settle(root / made.version)
    replace(root / made.version / MANIFEST, asdict(made))
    replace(root / POINTER, {"folder": made.version})
    _sweep(root, {root / made.version, before[0]} if before else {root / made.version})


def replace(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file in one step, and has it on the disk before it is seen."""
    partial = path.with_suffix(".partial")
    with partial.open("w") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _settle(folder: Path) -> None:
    """Has the files of a build on the disk; those that it shares with the build before (other links) already are."""
    for path in folder.rglob("*"):
        if path.is_dir() or path.stat().st_nlink == 1:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _sweep(root: Path, keep: set[Path]) -> None:
    """Removes older and interrupted builds."""
    for folder in root.iterdir():
        if folder.is_dir() and folder not in keep:
            try:
                if (folder / ENGINE).exists():
                    engine_of((folder / ENGINE).read_text()).discard(folder, keep)
                shutil.rmtree(folder, ignore_errors=True)
            except Unavailable as error:  # a Milvus server that is down: the next build tries again
                log.warning("an older index is not cleared away yet: %s", error)
