"""From a record to a row: one paper for one work, its labels and passages, and what becomes of a second version.

    alone in its library and in everyone's   a new paper ("added")
    in the literature of everyone already    nothing is written ("unchanged")
    a further version, or more is known      the one paper is completed ("merged"); the published version leads
    nothing new                              nothing is written ("unchanged")

A library is that of one user, or everyone's (`owner` None, for staff). What is bundled with Lightbox is never changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Q

from corpus.imports.identity import Work, Works, family, fold, work_of
from corpus.imports.merge import fields_of, join, state, web_address, works_of
from corpus.imports.records import Record
from corpus.imports.topics import of_keywords, tasks_of
from corpus.ingest import READING_LIST
from corpus.models import Label, Paper, Passage, content_hash
from corpus.sentences import windows

ADDED, MERGED, UNCHANGED, REFUSED = "added", "merged", "unchanged", "refused"
RULE = "rule"
_SMALL = frozenset(
    word
    for words in (
        "a an the of on in for to and with from by at as is are",
        "can do does how what when why via using toward towards",
    )
    for word in words.split()
)


@dataclass(frozen=True, slots=True)
class Shelved:
    """What became of a record: the outcome, why in one sentence, and the paper where one was written."""

    outcome: str
    reason: str = ""
    paper: int | None = None
    key: str = ""


class Shelf:
    """A library being filled. Knows its works and keys, so that a file with twenty thousand records is read once."""

    def __init__(self, owner: int | None, origin: str) -> None:
        self.owner, self.origin = owner, origin[:200]
        self.reload()

    def reload(self) -> None:
        """Reads what is there: at first, and when another process has written to the library meanwhile."""
        rows = list(Paper.objects.visible_to(self.owner).defer("annotation", "abstract", "results").order_by("pk"))
        mine = [paper for paper in rows if paper.owner_id == self.owner and _may_change(paper)]
        own = {paper.pk for paper in mine}
        self._keys = {paper.key for paper in rows}
        self._own = Works((paper.pk, work) for paper in mine for work in works_of(paper))
        self._others = Works((paper.pk, work) for paper in rows if paper.pk not in own for work in works_of(paper))

    def put(self, record: Record) -> Shelved:
        """Writes one record. The caller holds a transaction."""
        work = work_of(record.csl)
        if (pk := self._others.find(work)) is not None:
            key = Paper.objects.values_list("key", flat=True).get(pk=pk)
            return Shelved(UNCHANGED, f"Already in the literature as {key}.", key=key)
        if (pk := self._own.find(work)) is not None:
            return self._join(Paper.objects.get(pk=pk), record, work)
        paper = self._new(record)
        self._own.add(paper.pk, work)
        return Shelved(ADDED, record.remark, paper.pk, paper.key)

    def _new(self, record: Record) -> Paper:
        paper = Paper(owner_id=self.owner, origin=self.origin, code_url=web_address(record.code_url), csl=record.csl)
        for name, value in fields_of(record.csl).items():
            setattr(paper, name, value)
        paper.key = self._key(paper)
        paper.list_sections = list(record.sections)
        paper.save()
        _label(paper, record)
        save_abstract(paper)
        return paper

    def _join(self, paper: Paper, record: Record, work: Work) -> Shelved:
        """Completes the paper by the record, or finds that it says nothing new."""
        before = state(paper)
        two_kinds = join(paper, record, work)
        paper.save()
        labelled = _label(paper, record)
        save_abstract(paper)
        self._own.add(paper.pk, work)
        if state(paper) == before and not labelled:
            return Shelved(UNCHANGED, f"Already in this library as {paper.key}.", key=paper.key)
        said = "Preprint and published version are one paper" if two_kinds else "Completes what was there"
        return Shelved(MERGED, f"{said}: {paper.key}.", paper.pk, paper.key)

    def _key(self, paper: Paper) -> str:
        """Family name, year and first telling word of the title, as in the bundled literature; unique for a reader."""
        author = family(str(paper.authors[0])) if paper.authors else "anon"
        words = [fold(word) for word in re.split(r"[\s:\u2013\u2014/,]+", paper.title)]
        word = next((w for w in words if w and w.isascii() and w not in _SMALL), "untitled")
        stem = f"{_ascii(author) or 'anon'}{paper.year or 'nd'}{word}"[:70]
        key = next(name for name in _numbered(stem) if name not in self._keys)
        self._keys.add(key)
        return key


def save_abstract(paper: Paper) -> None:
    """Cuts the abstract into passages. Text that is gone is retired, not deleted: old answers may cite it."""
    have = {row.content_hash: row for row in paper.passages.filter(kind=Passage.Kind.ABSTRACT)}
    for ordinal, (start, end) in enumerate(windows(paper.abstract)):
        text = paper.abstract[start:end]
        row = have.pop(content_hash(text), None) or Passage(paper=paper, kind=Passage.Kind.ABSTRACT, text=text)
        row.owner_id, row.ordinal, row.start, row.end, row.current = paper.owner_id, ordinal, start, end, True
        row.save()
    for gone in have.values():
        gone.current = False
        gone.save()


def _may_change(paper: Paper) -> bool:
    """What is bundled has no origin, and belongs to its file."""
    return paper.owner_id is not None or bool(paper.origin)


def _label(paper: Paper, record: Record) -> int:
    """Labels by keywords and by the headings of a reading list; how many are new."""
    wanted = {(facet, value, RULE) for facet, value in of_keywords(record.csl)}
    wanted |= {
        (Label.Facet.TASK.value, task, READING_LIST) for heading in record.sections for task in tasks_of(heading)
    }
    have = set(paper.labels.filter(Q(owner=None)).values_list("facet", "value", "source"))
    new = sorted(wanted - have)
    Label.objects.bulk_create(
        Label(paper=paper, facet=facet, value=value, source=source) for facet, value, source in new
    )
    return len(new)


def _ascii(text: str) -> str:
    return "".join(letter for letter in text if letter.isascii() and letter.isalnum())


def _numbered(stem: str) -> Iterator[str]:
    """The stem, then with a, b, c ... z, then with numbers."""
    yield stem
    yield from (f"{stem}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")
    number = 27
    while True:
        yield f"{stem}{number}"
        number += 1
