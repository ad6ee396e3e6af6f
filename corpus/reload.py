"""Rows and index brought up to date together, once, however many processes ask for it.

`reload` compares everything, at a start; `refresh` looks at the papers that it is told of.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import Model, QuerySet

from corpus import index, ingest
from corpus.index import EVERYONE, Entry, IndexBuild
from corpus.models import Label, Paper, Passage
from corpus.remembered import SHIPPED, Remembering
from inference.local_embedder import open_embedder

Say = Callable[[str], None]
Bar = Callable[[Iterable[Any], str], Iterable[Any]]
Row = TypeVar("Row", bound=Model)

MOST_IN_A_QUERY = 10_000  # keys: SQLite takes 32,766 parameters


def reload(say: Say, bar: Bar, *, rebuild: bool = False, save_vectors: bool = False) -> IndexBuild:
    """Loads the seed corpus and brings the index up to date; says each stage with its time.

    `save_vectors` embeds every text anew and writes `remembered.SHIPPED`, for a maintainer who changed the corpus.
    Waits while another process does the same, and then finds nothing left to do. Raises inference.errors.Unavailable
    when the index's engine or the embedder's model is not installed, ValueError on a damaged seed file.
    """
    with _alone(_lock()):
        started = time.perf_counter()
        loaded = ingest.load(ingest.read_entries(), lambda entries: bar(entries, "papers"))
        what = f"{loaded.changed} of {loaded.papers} papers written" if loaded.changed else "unchanged"
        say(f"literature: {loaded.papers} papers, {what} ({time.perf_counter() - started:.1f} s)")
        started = time.perf_counter()
        build, done = _bring_up_to_date(bar, rebuild or save_vectors, save_vectors)
        texts = f"{build.papers} papers and {build.passages} passages"
        say(f"index: {texts}, {build.embedder}, {done} ({time.perf_counter() - started:.1f} s)")
        return build


def refresh(papers: Collection[int]) -> None:
    """Brings the index up to date after these papers were added, changed or deleted (by primary key): writes what
    differs, whatever the size of the index. Call it when their rows are committed.

    Waits for another process that writes the index. What it is about to do is noted first, so that the next refresh or
    load makes good for one that was killed. Raises inference.errors.Unavailable as `reload` does.
    """
    if not papers:
        return
    note = _notes() / f"{time.time_ns()}-{os.getpid()}.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    index.replace(note, {"papers": sorted(papers)})
    with _alone(_lock()):
        noted = _noted()
        changed = set(papers).union(*noted.values())
        found, embedder = index.current(_folder()), Remembering(open_embedder(settings.EMBEDDER))
        if found and found[1].can_grow(embedder.name, settings.INDEX):
            index.update(_folder(), changed, *entries(changed), embedder)
            _done(noted)
        else:
            _bring_up_to_date(lambda items, _: items, rebuild=False, save_vectors=False)


def _bring_up_to_date(bar: Bar, rebuild: bool, save_vectors: bool) -> tuple[IndexBuild, str]:
    """The build in use, and what was done for it."""
    noted = _noted()
    papers, passages = entries()
    embedder = Remembering(open_embedder(settings.EMBEDDER), None if save_vectors else SHIPPED)
    found = index.current(_folder())
    if found is None or rebuild or not found[1].can_grow(embedder.name, settings.INDEX):
        build, done = _build(papers, passages, embedder, bar), "built"
    elif found[1].corpus == index.corpus_hash(papers, passages):
        build, done = found[1], "up to date"
    else:
        build, done = _catch_up(papers, passages, embedder, bar)
    _done(noted)
    if save_vectors:
        embedder.save(SHIPPED)
    return build, done


def _build(papers: list[Entry], passages: list[Entry], embedder: Remembering, bar: Bar) -> IndexBuild:
    return index.build(_folder(), papers, passages, embedder, lambda batches: bar(batches, "embedding"), settings.INDEX)


def _catch_up(papers: list[Entry], passages: list[Entry], embedder: Remembering, bar: Bar) -> tuple[IndexBuild, str]:
    """Writes the papers that differ; where most do, a new index is sooner made, and better laid out."""
    changed = index.differing(_folder(), papers, passages)
    if 2 * len(changed) > len(papers):
        return _build(papers, passages, embedder, bar), "built"
    some, parts = ([entry for entry in several if entry.paper in changed] for several in (papers, passages))
    build = index.update(_folder(), changed, some, parts, embedder, lambda batches: bar(batches, "embedding"))
    return build, f"{len(changed)} of {len(papers)} papers brought up to date"


def entries(only: Collection[int] | None = None) -> tuple[list[Entry], list[Entry]]:
    """The texts that are indexed, of these papers or of all: of each paper one with all that is known, of each passage
    one under its title."""
    if only is not None and len(only) > MOST_IN_A_QUERY:
        several = [entries(some) for some in _cut(sorted(only), MOST_IN_A_QUERY)]
        return [entry for whole, _ in several for entry in whole], [entry for _, parts in several for entry in parts]
    rows = Passage.objects.filter(current=True)
    papers = {paper.pk: paper for paper in _of(Paper.objects.all(), "pk", only).order_by("pk")}
    labels: dict[int, list[str]] = {}
    shared = _of(Label.objects.filter(owner=None), "paper", only)
    for pk, value in shared.order_by("pk").values_list("paper_id", "value"):
        labels.setdefault(pk, []).append(value.replace("-", " "))
    whole = [
        Entry(pk, pk, _whole_text(paper, labels.get(pk, [])), paper.owner_id or EVERYONE)
        for pk, paper in papers.items()
    ]
    found = _of(rows, "paper", only).order_by("pk").values_list("pk", "paper_id", "text", "owner_id")
    passages = [
        Entry(pk, paper, f"{_heading(papers[paper])} {text}", owner or EVERYONE) for pk, paper, text, owner in found
    ]
    return whole, passages


def _of(rows: QuerySet[Row], name: str, papers: Collection[int] | None) -> QuerySet[Row]:
    return rows if papers is None else rows.filter(**{f"{name}__in": papers})


def _cut(keys: list[int], size: int) -> list[list[int]]:
    return [keys[i : i + size] for i in range(0, len(keys), size)]


def _noted() -> dict[Path, set[int]]:
    """What was to be refreshed and is not yet, by its note. An unreadable note is one that was never finished."""
    noted: dict[Path, set[int]] = {}
    for path in _notes().glob("*.json"):
        try:
            noted[path] = set(json.loads(path.read_text())["papers"])
        except (OSError, ValueError):
            continue
    return noted


def _done(noted: Iterable[Path]) -> None:
    for path in noted:
        path.unlink(missing_ok=True)


def _folder() -> Path:
    return Path(settings.DATA_DIR) / "index"


def _notes() -> Path:
    return Path(settings.DATA_DIR) / "index.notes"


def _lock() -> Path:
    return Path(settings.DATA_DIR) / "index.lock"


def _heading(paper: Paper) -> str:
    return f"{paper.title} ({paper.model_name})." if paper.model_name else f"{paper.title}."


def _whole_text(paper: Paper, labels: list[str]) -> str:
    known = ", ".join([*labels, *paper.backbones, *paper.datasets])
    return f"{_heading(paper)} {paper.annotation or paper.abstract} {known}".strip()


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Holds the lock file; the system releases it when the process ends, however it ends."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
