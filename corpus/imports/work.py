"""Carrying an Import row from a file to papers, in steps that any process may lose.

submit    keeps the file, makes the row, enqueues the first step
claim     by conditional UPDATE, with a lease and an attempt number; every later write names the attempt
advance   one step: some batches of records, each written with its part of the report in one transaction. A step that is
          killed loses the batch in hand and no more, for the next one goes on at `done`; nothing is written twice
cancel    ends it at once; what was written stays
sweep     puts back what went silent, and gives up what ends its worker twice at the same record

The Celery task and the heartbeat stand in `assistant.imports`; the command does the same in the foreground.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, PermissionsMixin
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import DataError, IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from corpus.imports import doctor, formats, lookups, queue, report
from corpus.imports.decoding import decode
from corpus.imports.identity import arxiv_of, doi_of
from corpus.imports.lookups import Asking, Unreachable
from corpus.imports.records import MAX_BYTES, Entry, Record, Refused, storable
from corpus.imports.shelve import REFUSED, Shelf, Shelved
from corpus.models import Import
from inference.errors import BadInput, Unavailable

log = logging.getLogger("lightbox.imports")

STEP = 60.0  # seconds after which a step lets other imports have their turn
BATCH = 25  # records written at once, or a hundredth of the file: what a killed worker does again
INDEXED = 200  # papers after which the index is brought up to date
RETRY_ENQUEUE = 15.0  # seconds after which the sweep enqueues a waiting step again
ACTIVE = (Import.QUEUED, Import.RUNNING)


class Superseded(Exception):
    """Somebody else has taken the import over, or its owner stopped it: leave without a trace."""


class Refusal(Exception):
    """The import cannot be begun; the text is one line for the user."""


Say = Callable[[Import], None]
Person = AbstractBaseUser | PermissionsMixin


def submit(owner: Any, data: bytes, name: str, form: str = "", *, shared: bool = False, enqueue: bool = True) -> Import:
    """Keeps what was sent and begins its import. `form` is a key of `formats.PARSERS`, or empty to be recognised.

    Raises Refusal on an empty or too large file, on a format that there is not, and where somebody who is not staff
    wants to share; then nothing is kept.
    """
    if not data.strip():
        raise Refusal("There is nothing to import: choose a file, or paste references or identifiers.")
    if len(data) > MAX_BYTES:
        raise Refusal(f"This is larger than the limit of {MAX_BYTES // 1024**2} MB. Split it.")
    if form and form not in formats.PARSERS:
        raise Refusal("There is no such format.")
    if shared and not owner.is_staff:
        raise Refusal("Only staff can share an import with everyone.")
    name = storable(PurePath(name.replace("\\", "/")).name)[:200] or "import"
    row = Import(owner=owner, shared=shared, name=name, format=form, lease_until=_lease(RETRY_ENQUEUE))
    row.line = "Waits for its turn."
    row.file.save(f"{row.pk}.txt", ContentFile(data), save=False)
    with transaction.atomic():
        row.save(force_insert=True)
        if enqueue:
            queue.enqueue(queue.IMPORT, str(row.pk))
    return row


@transaction.atomic
def claim(pk: uuid.UUID | str) -> Import | None:
    """The import, taken for this process; None when somebody else has it or it is over."""
    taken = Import.objects.filter(pk=pk, state=Import.QUEUED).update(
        state=Import.RUNNING, attempt=F("attempt") + 1, lease_until=_lease(settings.RUN_LEASE)
    )
    return Import.objects.select_related("owner").get(pk=pk) if taken else None


def renew(row: Import) -> bool:
    """Holds the lease for another while; False when the import is no longer ours."""
    return bool(_mine(row).update(lease_until=_lease(settings.RUN_LEASE)))


def advance(row: Import, seconds: float = STEP, say: Say = lambda row: None) -> None:
    """One step of a claimed import, of about so many seconds; `say` is called after each batch."""
    fresh = _perhaps_not_indexed(row) if row.attempt > 1 else []
    try:
        _carry_on(row, seconds, say, fresh)
    except Superseded:
        log.info("%s was stopped or taken over", row)
        _index(fresh)
    except BadInput as error:
        _end(row, Import.FAILED, str(error), fresh)
    except Exception:  # the worker's boundary: whatever went wrong, its owner must not wait for ever
        log.exception("%s failed", row)
        _end(row, Import.FAILED, "The import failed by a fault of Lightbox; the worker's log says more.", fresh)


def cancel(row: Import) -> bool:
    """Stops an import, whoever works on it; what was added stays. False when it was over already."""
    line = f"Stopped after {row.done} of {row.total or 'an unknown number of'} records. What was added is kept."
    stopped = Import.objects.filter(pk=row.pk, state__in=ACTIVE).update(
        state=Import.CANCELLED, line=line, finished_at=timezone.now(), lease_until=None
    )
    if stopped:
        queue.enqueue(queue.IMPORT, str(row.pk))  # to index what was written last, and to delete the file
    return bool(stopped)


def tidy(pk: uuid.UUID | str) -> None:
    """After a stop: indexes what was written last and deletes the file. Does nothing to other imports."""
    row = Import.objects.filter(pk=pk, state=Import.CANCELLED).first()
    if row is not None:
        _index(_perhaps_not_indexed(row))
        _forget_file(row)


def sweep() -> None:
    """Enqueues again what was lost, or went silent past its lease; run every few seconds."""
    for row in Import.objects.filter(lease_until__lt=timezone.now(), state__in=ACTIVE):
        same = Import.objects.filter(pk=row.pk, state=row.state, attempt=row.attempt)
        died = f"Its worker ended after {row.done} records; tried again."
        if row.state == Import.RUNNING and row.line == died:
            line = f"Given up: its worker ended twice after {row.done} records. What was added is kept."
            same.update(state=Import.FAILED, line=line, finished_at=timezone.now(), lease_until=None)
            continue
        line = died if row.state == Import.RUNNING else row.line
        if same.update(state=Import.QUEUED, line=line, lease_until=_lease(RETRY_ENQUEUE)):
            queue.enqueue(queue.IMPORT, str(row.pk))


def _carry_on(row: Import, seconds: float, say: Say, fresh: list[int]) -> None:
    begun = time.monotonic()
    text = _text(row)
    row.format = row.format or formats.recognise(text)
    entries = formats.read(text, row.format)
    row.total = len(entries)
    shelf = Shelf(None if row.shared else row.owner_id, row.name)
    size = max(BATCH, len(entries) // 100)
    with Asking() as asking:
        for start in range(row.done, len(entries), size):
            if time.monotonic() - begun > seconds:
                _leave(row, fresh)
                return
            fresh += _write(row, shelf, _looked_up(asking, entries[start : start + size]))
            say(row)
            if len(fresh) >= INDEXED:
                _index(fresh)
                fresh.clear()
    if row.format == formats.LIST:
        _examine(row, text)
    unindexed = _index(fresh)
    fresh.clear()
    _end(row, Import.DONE, f"{report.summary(row.report)}{unindexed}", [])


def _text(row: Import) -> str:
    try:
        with row.file.open("rb") as file:
            return decode(file.read(MAX_BYTES + 1))
    except (OSError, ValueError) as error:
        raise BadInput("The file of this import is gone. Import it again.") from error


def _looked_up(asking: Asking, batch: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """The entries, those that are only an identifier completed; each with what must be said of that."""
    bare = [entry.csl for entry in batch if isinstance(entry, Record) and not entry.csl.get("title")]
    try:
        lookups.prepare(asking, bare)
    except Unreachable:
        pass  # said of each record below
    return [_completed(asking, entry) for entry in batch]


def _completed(asking: Asking, entry: Entry) -> tuple[Entry, str]:
    if isinstance(entry, Refused) or entry.csl.get("title"):
        return entry, ""
    if not (doi_of(entry.csl) or arxiv_of(entry.csl)):
        return Refused(entry.line, entry.what, "The record has no title, and its identifier is none."), ""
    try:
        found = lookups.complete(asking, entry.csl)
    except Unreachable as error:
        return entry, f"{error}; only the identifier is kept. Import it again later."
    if not found or not found.get("title"):
        where = "arXiv" if entry.csl.get("archive_location") else "Crossref and OpenAlex"
        know = "does not know" if where == "arXiv" else "do not know"
        return Refused(entry.line, entry.what, f"{where} {know} this identifier."), ""
    return Record(entry.line, {**entry.csl, **{k: v for k, v in found.items() if v}}, entry.sections), ""


def _write(row: Import, shelf: Shelf, batch: Sequence[tuple[Entry, str]]) -> list[int]:
    """Writes a batch and its part of the report at once; the keys of the papers that were written."""
    with transaction.atomic():
        if not renew(row):  # first: it also keeps other writers of this row out until the end
            raise Superseded
        lines = [_put(shelf, entry, said) for entry, said in batch]
        row.report = [*row.report, *lines]
        row.done += len(batch)
        row.line = f"{row.done} of {row.total} records read."
        _save(row, report=row.report, done=row.done, total=row.total, line=row.line, format=row.format)
    return [line["paper"] for line in lines if line.get("paper")]


def _put(shelf: Shelf, entry: Entry, said: str) -> dict[str, Any]:
    """The line of the report about an entry, once it is written."""
    if isinstance(entry, Refused):
        return report.line(entry.line, entry.what, Shelved(REFUSED, entry.reason))
    try:
        done = _shelved(shelf, entry)
    except (DataError, IntegrityError, ValueError, TypeError) as error:
        log.warning("a record could not be stored: %s", error)
        done = Shelved(REFUSED, "The record could not be stored.")
    return report.line(entry.line, entry.what, done, said)


def _shelved(shelf: Shelf, record: Record) -> Shelved:
    try:
        with transaction.atomic():
            return shelf.put(record)
    except IntegrityError:  # another import wrote this key meanwhile
        shelf.reload()
        with transaction.atomic():
            return shelf.put(record)


def _examine(row: Import, text: str) -> None:
    """The list doctor's findings, after the records; and the better list, as a file beside."""
    found = doctor.examine(text)
    row.report = [*row.report, *(report.finding(finding) for finding in found.findings)]
    place = repaired_list(row)
    default_storage.delete(place)
    default_storage.save(place, ContentFile(found.text.encode()))


def repaired_list(row: Import) -> str:
    """The name in the storage of the list doctor's better list."""
    return f"imports/{row.pk}-repaired.md"


def _index(papers: Sequence[int]) -> str:
    """Brings the index up to date; what must be said where that failed."""
    from corpus.reload import refresh

    try:
        refresh(papers)
    except (Unavailable, OSError, RuntimeError) as error:
        log.warning("the index was not brought up to date: %s", error)
        return f" The search index could not be brought up to date ({error})"
    return ""


def _perhaps_not_indexed(row: Import) -> list[int]:
    """The papers written last, which a step that ended early may have left out of the index."""
    size = max(BATCH, row.total // 100)
    return [line["paper"] for line in row.report[-(INDEXED + 2 * size) :] if line.get("paper")]


def _leave(row: Import, fresh: Sequence[int]) -> None:
    """Lets others have their turn; goes on with the next step."""
    _index(fresh)
    with transaction.atomic():
        _save(row, state=Import.QUEUED, lease_until=_lease(RETRY_ENQUEUE))
        queue.enqueue(queue.IMPORT, str(row.pk))


def _end(row: Import, state: str, line: str, fresh: Sequence[int]) -> None:
    """Ends an import that is still ours, and deletes its file."""
    _index(fresh)
    row.state, row.line, row.finished_at = state, line[:300], timezone.now()
    try:
        changed = {name: getattr(row, name) for name in ("state", "line", "finished_at", "report", "total", "format")}
        _save(row, lease_until=None, **changed)
    except Superseded:
        log.info("%s was stopped or taken over", row)
        return
    _forget_file(row)


def _forget_file(row: Import) -> None:
    """What was sent is needed no more, and may hold more than the papers made of it."""
    row.file.delete(save=False)
    Import.objects.filter(pk=row.pk).update(file="")


def _save(row: Import, **fields: Any) -> None:
    """Writes these columns while the import is ours, or raises Superseded."""
    if not _mine(row).update(**fields):
        raise Superseded


def _mine(row: Import) -> Any:
    return Import.objects.filter(pk=row.pk, state=Import.RUNNING, attempt=row.attempt)


def _lease(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)
