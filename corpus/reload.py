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
from corpus.index import EVERYONE, Entry, IndexBuild, Texts, tokens
from corpus.models import Label, Paper, Passage
from corpus.remembered import SHIPPED, Remembering
from corpus.thesaurus import notions, words_of
from inference.local_embedder import open_embedder

ASKED_PER_PAPER = 100  # questions of one paper that are indexed at most

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
        loaded = ingest.load(ingest.seed_entries(), lambda entries: bar(entries, "papers"))
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
    texts = entries()
    embedder = Remembering(open_embedder(settings.EMBEDDER), None if save_vectors else SHIPPED)
    found = index.current(folder)
    if found and not rebuild and found[1].is_of(texts.digest(), embedder.name):
        return found[1], False
    build = index.build(folder, texts, embedder, lambda batches: bar(batches, "embedding"))
    if save_vectors:
        embedder.embed([notion.text for notion in notions()])
        embedder.save(SHIPPED)
    return build, True


def entries() -> Texts:
    """The texts that are indexed: of each paper one with all that is known and with what people ask when they look for
    it, and under its notions and labels; of each passage one under its title; and each question on its own."""
    papers = {paper.pk: paper for paper in Paper.objects.order_by("pk")}
    labels: dict[int, list[Label]] = {}
    for label in Label.objects.filter(owner=None).order_by("facet", "value", "pk"):
        labels.setdefault(label.paper_id, []).append(label)
    whole = [_whole(paper, labels.get(pk, [])) for pk, paper in papers.items()]
    rows = Passage.objects.filter(current=True).order_by("pk").values_list("pk", "paper_id", "text", "owner_id")
    passages = [
        Entry(pk, paper, f"{_heading(papers[paper])} {text}", owner or EVERYONE) for pk, paper, text, owner in rows
    ]
    # The places of a paper's questions, counted through: they are no rows, and only their paper is of interest.
    asked = [
        Entry(pk * ASKED_PER_PAPER + place, pk, text, paper.owner_id or EVERYONE)
        for pk, paper in papers.items()
        for place, text in enumerate(paper.asked[:ASKED_PER_PAPER])
    ]
    return Texts(whole, passages, asked)


def _heading(paper: Paper) -> str:
    return f"{paper.title} ({paper.model_name})." if paper.model_name else f"{paper.title}."


def _whole(paper: Paper, labels: list[Label]) -> Entry:
    values = [label.value.replace("-", " ") for label in labels]
    known = ", ".join(dict.fromkeys([*values, *paper.backbones, *paper.datasets]))
    text = f"{_heading(paper)} {paper.annotation or paper.abstract} {known}".strip()
    words = [*words_of(text), *dict.fromkeys(f"{label.facet}:{label.value}" for label in labels)]
    asked = [word for words in tokens(list(paper.asked)) for word in words]
    return Entry(paper.pk, paper.pk, text, paper.owner_id or EVERYONE, (*words, *asked))


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Holds the lock file; the system releases it when the process ends, however it ends."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
