"""Rows and index brought up to date together, once, however many processes ask for it."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from corpus import index, ingest
from corpus.index import EVERYONE, Entry, IndexBuild
from corpus.models import Label, Paper, Passage
from corpus.remembered import SHIPPED, Remembering
from inference.local_embedder import open_embedder

Say = Callable[[str], None]
Bar = Callable[[Iterable[Any], str], Iterable[Any]]


def reload(say: Say, bar: Bar, *, rebuild: bool = False, save_vectors: bool = False) -> IndexBuild:
    """Loads the seed corpus and builds the index where either is out of date; says each stage with its time.

    `save_vectors` embeds every text anew and writes `remembered.SHIPPED`, for a maintainer who changed the corpus.
    Waits while another process does the same, and then finds nothing left to do. Raises inference.errors.Unavailable
    when FAISS or the embedder's model is not installed, ValueError on a damaged seed file.
    """
    folder = Path(settings.DATA_DIR) / "index"
    with _alone(Path(settings.DATA_DIR) / "index.lock"):
        started = time.perf_counter()
        loaded = ingest.load(ingest.read_entries(), lambda entries: bar(entries, "papers"))
        what = f"{loaded.changed} of {loaded.papers} papers written" if loaded.changed else "unchanged"
        say(f"literature: {loaded.papers} papers, {what} ({time.perf_counter() - started:.1f} s)")
        started = time.perf_counter()
        build, fresh = _bring_up_to_date(folder, bar, rebuild or save_vectors, save_vectors)
        texts = f"{build.papers} papers and {build.passages} passages"
        done = "built" if fresh else "up to date"
        say(f"index: {texts}, {build.embedder}, {done} ({time.perf_counter() - started:.1f} s)")
        return build


def refresh(papers: Collection[int]) -> None:
    """Brings the index up to date after these papers were added, changed or deleted (by primary key).

    Waits for another process that writes the index. Raises inference.errors.Unavailable as `reload` does.
    """
    if papers:
        with _alone(Path(settings.DATA_DIR) / "index.lock"):
            _bring_up_to_date(
                Path(settings.DATA_DIR) / "index", lambda items, _: items, rebuild=False, save_vectors=False
            )


def _bring_up_to_date(folder: Path, bar: Bar, rebuild: bool, save_vectors: bool) -> tuple[IndexBuild, bool]:
    """The build in use, and whether it was made just now."""
    papers, passages = entries()
    embedder = Remembering(open_embedder(settings.EMBEDDER), None if save_vectors else SHIPPED)
    found = index.current(folder)
    if found and not rebuild and found[1].is_of(index.corpus_hash(papers, passages), embedder.name):
        return found[1], False
    build = index.build(folder, papers, passages, embedder, lambda batches: bar(batches, "embedding"))
    if save_vectors:
        embedder.save(SHIPPED)
    return build, True


def entries() -> tuple[list[Entry], list[Entry]]:
    """The texts that are indexed: of each paper one with all that is known, of each passage one under its title."""
    papers = {paper.pk: paper for paper in Paper.objects.order_by("pk")}
    labels: dict[int, list[str]] = {}
    for pk, value in Label.objects.filter(owner=None).order_by("pk").values_list("paper_id", "value"):
        labels.setdefault(pk, []).append(value.replace("-", " "))
    whole = [
        Entry(pk, pk, _whole_text(paper, labels.get(pk, [])), paper.owner_id or EVERYONE)
        for pk, paper in papers.items()
    ]
    rows = Passage.objects.filter(current=True).order_by("pk").values_list("pk", "paper_id", "text", "owner_id")
    passages = [
        Entry(pk, paper, f"{_heading(papers[paper])} {text}", owner or EVERYONE) for pk, paper, text, owner in rows
    ]
    return whole, passages


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
