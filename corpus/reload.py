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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import Model, QuerySet

from corpus import index, ingest
from corpus.index import EVERYONE, Entry, IndexBuild, tokens
from corpus.models import Label, Paper, Passage
from corpus.remembered import SHIPPED, Remembering
from corpus.thesaurus import notions, words_of
from inference.local_embedder import open_embedder

Say = Callable[[str], None]
Bar = Callable[[Iterable[Any], str], Iterable[Any]]
Row = TypeVar("Row", bound=Model)

MOST_IN_A_QUERY = 10_000  # keys: SQLite takes 32,766 parameters
ASKED_PER_PAPER = 100  # questions of one paper that are indexed at most


@dataclass(frozen=True, slots=True)
class Texts:
    """What is indexed: of each paper one text with all that is known, under its notions and labels and with the words
    of the questions that it answers; each passage under its title; each question on its own."""

    papers: list[Entry]
    passages: list[Entry]
    asked: list[Entry]

    def digest(self) -> str:
        """What the manifest of an index of just these texts says (`index.corpus_hash`)."""
        return index.corpus_hash(self.papers, self.passages, self.asked)

    def fields(self) -> tuple[list[Entry], list[Entry], list[Entry]]:
        """The parts, in the order of `index.PARTS`."""
        return self.papers, self.passages, self.asked

    def of(self, papers: Collection[int]) -> Texts:
        """Those of these papers."""
        return Texts(*([entry for entry in part if entry.paper in papers] for part in self.fields()))

    @classmethod
    def joined(cls, several: Iterable[Texts]) -> Texts:
        """All of them, one after the other."""
        whole = cls([], [], [])
        for texts in several:
            whole.papers.extend(texts.papers)
            whole.passages.extend(texts.passages)
            whole.asked.extend(texts.asked)
        return whole


def reload(say: Say, bar: Bar, *, rebuild: bool = False, save_vectors: bool = False) -> IndexBuild:
    """Loads the seed corpus and brings the index up to date; says each stage with its time.

    `save_vectors` embeds every text anew and writes `remembered.SHIPPED`, for a maintainer who changed the corpus.
    Waits while another process does the same, and then finds nothing left to do. Raises inference.errors.Unavailable
    when the index's engine or the embedder's model is not installed, ValueError on a damaged seed file.
    """
    with _alone(_lock()):
        started = time.perf_counter()
        loaded = ingest.load(ingest.seed_entries(), lambda entries: bar(entries, "papers"))
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
            texts = entries(changed)
            index.update(_folder(), changed, texts.papers, texts.passages, embedder, asked=texts.asked)
            _done(noted)
        else:
            _bring_up_to_date(lambda items, _: items, rebuild=False, save_vectors=False)


def _bring_up_to_date(bar: Bar, rebuild: bool, save_vectors: bool) -> tuple[IndexBuild, str]:
    """The build in use, and what was done for it."""
    noted = _noted()
    texts = entries()
    embedder = Remembering(open_embedder(settings.EMBEDDER), None if save_vectors else SHIPPED)
    found = index.current(_folder())
    if found is None or rebuild or not found[1].can_grow(embedder.name, settings.INDEX):
        build, done = _build(texts, embedder, bar), "built"
    elif found[1].corpus == texts.digest():
        build, done = found[1], "up to date"
    else:
        build, done = _catch_up(texts, embedder, bar)
    _done(noted)
    if save_vectors:
        embedder.embed([notion.text for notion in notions()])
        embedder.save(SHIPPED)
    return build, done


def _build(texts: Texts, embedder: Remembering, bar: Bar) -> IndexBuild:
    return index.build(
        _folder(),
        texts.papers,
        texts.passages,
        embedder,
        lambda batches: bar(batches, "embedding"),
        settings.INDEX,
        texts.asked,
    )


def _catch_up(texts: Texts, embedder: Remembering, bar: Bar) -> tuple[IndexBuild, str]:
    """Writes the papers that differ; where most do, a new index is sooner made, and better laid out."""
    changed = index.differing(_folder(), texts.papers, texts.passages, texts.asked)
    if 2 * len(changed) > len(texts.papers):
        return _build(texts, embedder, bar), "built"
    some = texts.of(changed)
    build = index.update(
        _folder(),
        changed,
        some.papers,
        some.passages,
        embedder,
        lambda batches: bar(batches, "embedding"),
        some.asked,
    )
    return build, f"{len(changed)} of {len(texts.papers)} papers brought up to date"


def entries(only: Collection[int] | None = None) -> Texts:
    """The texts that are indexed, of these papers or of all."""
    if only is not None and len(only) > MOST_IN_A_QUERY:
        return Texts.joined(entries(some) for some in _cut(sorted(only), MOST_IN_A_QUERY))
    papers = {paper.pk: paper for paper in _of(Paper.objects.all(), "pk", only).order_by("pk")}
    labels: dict[int, list[Label]] = {}
    for label in _of(Label.objects.filter(owner=None), "paper", only).order_by("facet", "value", "pk"):
        labels.setdefault(label.paper_id, []).append(label)
    found = _of(Passage.objects.filter(current=True), "paper", only).order_by("pk")
    passages = [
        Entry(pk, paper, f"{_heading(papers[paper])} {text}", owner or EVERYONE)
        for pk, paper, text, owner in found.values_list("pk", "paper_id", "text", "owner_id")
    ]
    # The places of a paper's questions, counted through: they are no rows, and only their paper is of interest.
    asked = [
        Entry(pk * ASKED_PER_PAPER + place, pk, text, paper.owner_id or EVERYONE)
        for pk, paper in papers.items()
        for place, text in enumerate(paper.asked[:ASKED_PER_PAPER])
    ]
    return Texts([_whole(paper, labels.get(pk, [])) for pk, paper in papers.items()], passages, asked)


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
