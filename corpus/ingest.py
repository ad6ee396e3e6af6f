"""From a file of entries to rows: loading twice changes nothing, and what old answers cite keeps its key."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from corpus.models import Label, Paper, Passage, content_hash
from corpus.results import LABEL_FACETS
from corpus.sentences import windows

SEED = Path(__file__).parent / "data" / "literature.jsonl"
ASKED = SEED.with_name("asked.jsonl")
READING_LIST = "reading list"
ANNOTATOR = "annotator"

_LISTS = ("authors", "list_sections", "backbones", "datasets", "results", "asked")
_TEXTS = (
    "title",
    "model_name",
    "venue",
    "doi",
    "arxiv_id",
    "pmcid",
    "url",
    "code_url",
    "source_url",
    "annotation",
    "evidence",
    "natural_or_medical",
)

# What is cut from the entries; abstracts and full texts come from elsewhere and are left alone.
_OURS = (Passage.Kind.ANNOTATION, Passage.Kind.RESULTS)

Progress = Callable[[Iterable[dict[str, Any]]], Iterable[dict[str, Any]]]
Labels = set[tuple[str, str, str]]  # (facet, value, source)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did: papers in the file, and how many rows it had to write."""

    papers: int
    changed: int


def read_entries(path: Path = SEED) -> list[dict[str, Any]]:
    """The entries of a JSON-lines file. Raises ValueError naming the line that is not an entry."""
    entries = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            missing = {"key", "title", "year", "annotation", "evidence"} - entry.keys()
        except (json.JSONDecodeError, AttributeError) as error:
            raise ValueError(f"{path.name}, line {number}: not a JSON object ({error})") from error
        if missing:
            raise ValueError(f"{path.name}, line {number}: without {', '.join(sorted(missing))}")
        entries.append(entry)
    return entries


def seed_entries() -> list[dict[str, Any]]:
    """The bundled corpus, each entry with what people ask who look for it. Raises ValueError as `read_entries`."""
    asked = {row["key"]: row["asked"] for row in map(json.loads, ASKED.read_text(encoding="utf-8").splitlines())}
    return [entry | {"asked": asked.get(entry["key"], [])} for entry in read_entries()]


@transaction.atomic
def load(entries: list[dict[str, Any]], progress: Progress = iter) -> Loaded:
    """Makes the rows of these papers equal to the entries; touches no other paper.

    `progress` wraps the entries while rows are written, and is not called when there is nothing to write.
    """
    shipped = Paper.objects.filter(owner=None)
    known = {paper.key: paper for paper in shipped.prefetch_related("labels", "passages")}
    stale = [entry for entry in entries if not _is_up_to_date(known.get(entry["key"]), entry)]
    for entry in progress(stale) if stale else ():
        _save(entry, known.get(entry["key"]))
    if stale:
        count()
    return Loaded(papers=len(entries), changed=len(stale))


def count() -> None:
    """Has PostgreSQL count the rows of the literature. It plans by its last count, which it takes a minute later or so:
    planned for empty tables, a paper's page took a second instead of a twentieth."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for model in (Paper, Label, Passage):
                cursor.execute(f"ANALYZE {connection.ops.quote_name(model._meta.db_table)}")


def _fields(entry: dict[str, Any]) -> dict[str, Any]:
    texts = {name: entry.get(name, "") for name in _TEXTS}
    lists = {name: entry.get(name, []) for name in _LISTS}
    return texts | lists | {"year": entry["year"], "authors_complete": entry.get("authors_complete", True)}


def _labels(entry: dict[str, Any]) -> Labels:
    """A task that is also a heading of the reading list is the list's label; all others were annotated."""
    sections = set(entry.get("list_sections", []))
    return {
        (facet, value, READING_LIST if facet == "task" and value in sections else ANNOTATOR)
        for name, facet in LABEL_FACETS.items()
        for value in entry.get(name, [])
    }


def _cut(paper: Paper) -> Iterator[Passage]:
    """The passages of a paper, unsaved. The reported results stay together in one."""
    pieces = [(Passage.Kind.ANNOTATION, span) for span in windows(paper.annotation)]
    if facts := paper.facts():
        pieces.append((Passage.Kind.RESULTS, (0, len(facts))))
    for ordinal, (kind, (start, end)) in enumerate(pieces):
        text = paper.text_of(kind)[start:end]
        digest = content_hash(text)
        yield Passage(paper=paper, kind=kind, ordinal=ordinal, text=text, start=start, end=end, content_hash=digest)


def _place(passage: Passage) -> tuple[str, str, int, int, int]:
    return passage.kind, passage.content_hash, passage.ordinal, passage.start, passage.end


def _is_up_to_date(paper: Paper | None, entry: dict[str, Any]) -> bool:
    if paper is None or any(getattr(paper, name) != value for name, value in _fields(entry).items()):
        return False
    have = {(label.facet, label.value, label.source) for label in paper.labels.all() if _is_ours(label)}
    passages = {_place(passage) for passage in paper.passages.all() if passage.current and passage.kind in _OURS}
    return have == _labels(entry) and passages == {_place(passage) for passage in _cut(paper)}


def _is_ours(label: Label) -> bool:
    """Labels from other sources (a person, a later model) are not this loader's to remove."""
    return label.owner_id is None and label.source in (READING_LIST, ANNOTATOR)


def _save(entry: dict[str, Any], paper: Paper | None) -> None:
    paper = paper or Paper(key=entry["key"])
    for name, value in _fields(entry).items():
        setattr(paper, name, value)
    paper.save()
    _save_labels(paper, _labels(entry))
    _save_passages(paper)


def _save_labels(paper: Paper, wanted: Labels) -> None:
    for label in paper.labels.all():
        place = (label.facet, label.value, label.source)
        if place in wanted:
            wanted.remove(place)
        elif _is_ours(label):
            label.delete()
    Label.objects.bulk_create(
        Label(paper=paper, facet=facet, value=value, source=source) for facet, value, source in sorted(wanted)
    )


def _save_passages(paper: Paper) -> None:
    """Unchanged text keeps its row (and key), text that is gone is retired, new text gets a new row."""
    ours = paper.passages.filter(kind__in=_OURS)
    have = {(passage.kind, passage.content_hash): passage for passage in ours}
    for wanted in _cut(paper):
        row = have.pop((wanted.kind, wanted.content_hash), wanted)
        row.ordinal, row.start, row.end, row.current = wanted.ordinal, wanted.start, wanted.end, True
        row.save()
    for gone in have.values():
        gone.current = False
        gone.save()
