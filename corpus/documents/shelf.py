"""PDFs in the database: added by a user, read by a worker, removed. Whose a file is, its passages and citations are."""

from __future__ import annotations

import hashlib
import logging
import re
import tempfile
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import IO

from django.core.files import File
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.utils import timezone

from corpus.documents.document import Document
from corpus.documents.extract import read
from corpus.documents.passages import pieces
from corpus.documents.references import Known, Reference, folded, match, references
from corpus.models import Citation, Paper, PaperFile, Passage, content_hash
from inference.errors import BadInput, InferenceError

log = logging.getLogger("lightbox.corpus")

LIMIT = 50 * 1024 * 1024  # bytes of one PDF
FROM_TEXT = "full text"  # the source of a citation
PATIENCE = timedelta(minutes=2)  # after which a file that nobody has read is given to a worker again
GIVE_UP = timedelta(hours=6)  # longer than a queue is behind, short of trying a file for ever that kills its worker
GIVEN_UP = "Reading this PDF was interrupted again and again. Remove it and upload it once more."
UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
EMPTY, NOT_PDF = "This file is empty.", "This is not a PDF file."


class TooLarge(Exception):
    """The file is over the size limit. The text is one line for the user."""

    def __init__(self) -> None:
        super().__init__(f"This PDF is larger than the limit of {LIMIT // 1024**2} MB.")


def check(upload: UploadedFile[bytes]) -> None:
    """What can be said without parsing. Raises TooLarge or BadInput."""
    if (upload.size or 0) > LIMIT:
        raise TooLarge
    if not upload.size:
        raise BadInput(EMPTY)
    upload.seek(0)
    if b"%PDF-" not in upload.read(1024):
        raise BadInput(NOT_PDF)
    upload.seek(0)


def add(paper: Paper, owner: int | None, upload: UploadedFile[bytes]) -> PaperFile:
    """Keeps a PDF beside a paper, to be read by a worker. The same file again gives the row that is there.

    A file that was removed comes back under its old key, and with it what old answers cite. Raises TooLarge, BadInput.
    """
    check(upload)
    digest = hashlib.file_digest(upload, "sha256").hexdigest()
    same = PaperFile.objects.filter(paper=paper, owner=owner, sha256=digest)
    file = same.first() or PaperFile(paper=paper, owner_id=owner, sha256=digest)
    if file.is_there:
        return file
    file.name = storable(Path((upload.name or "").replace("\\", "/")).name)[:200] or "paper.pdf"
    upload.seek(0)
    file.file.save("paper.pdf", File(upload), save=False)
    try:
        with transaction.atomic():
            file.save()
    except IntegrityError:  # the same file came twice at once
        file.file.storage.delete(str(file.file.name))
        return same.get()
    PaperFile.objects.filter(pk=file.pk).update(added_at=timezone.now())  # a removed one begins anew
    return file


def storable(text: str) -> str:
    """Without what PostgreSQL refuses to keep or a page cannot show: NUL, controls, lone halves of pairs."""
    return UNSTORABLE.sub("", text)


def read_file(pk: str) -> Paper | None:
    """Reads the file and saves what is in it; done twice, it changes nothing. The paper whose index entries may have
    changed, or None when there is none (any more)."""
    file = PaperFile.objects.select_related("paper").filter(pk=pk).first()
    if file is None or not file.is_there:
        return None
    if file.is_being_read:
        try:
            with (
                tempfile.NamedTemporaryFile(prefix="lightbox-paper-", suffix=".pdf") as copy,
                file.file.open() as opened,
            ):
                _copy(opened, copy)
                document = read(Path(copy.name))
        except (InferenceError, OSError) as error:
            _refuse(file, error)
            return None
        save(file, document)
    return file.paper


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    """Into a plain file, which the child needs, also where the storage is no file system."""
    while chunk := source.read(1 << 20):
        target.write(chunk)
    target.flush()


def _refuse(file: PaperFile, error: Exception) -> None:
    line = str(error) if isinstance(error, InferenceError) else "The PDF is no longer there. Upload it again."
    log.info("%s was not read: %s", file.pk, line)
    PaperFile.objects.filter(pk=file.pk, pages=0).update(note=line[:300])


@transaction.atomic
def save(file: PaperFile, document: Document) -> None:
    """Text, passages and citations of a file, in one step."""
    locked = PaperFile.objects.select_for_update().get(pk=file.pk)
    if not locked.is_there:  # removed meanwhile
        return
    file.pages, file.text = document.pages, document.text
    file.page_starts, file.note = list(document.page_starts), " ".join(document.notes)[:300]
    file.save(update_fields=["pages", "text", "page_starts", "note"])
    _save_passages(file, document)
    save_citations(file.paper, file.owner_id)


def _save_passages(file: PaperFile, document: Document) -> None:
    """The same words at the same place keep their row and its key; words that are gone are retired."""
    have = {(row.content_hash, row.start): row for row in Passage.objects.filter(file=file)}
    for ordinal, piece in enumerate(pieces(document)):
        text = file.text[piece.start : piece.end]
        row = have.pop((content_hash(text), piece.start), None)
        row = row or Passage(
            paper=file.paper, file=file, owner_id=file.owner_id, kind=Passage.Kind.FULL_TEXT, text=text
        )
        row.ordinal, row.start, row.end, row.current = ordinal, piece.start, piece.end, True
        row.page, row.section = piece.page, piece.section
        row.save()
    Passage.objects.filter(pk__in=[row.pk for row in have.values()]).update(current=False)


def save_citations(paper: Paper, owner: int | None) -> None:
    """What the reference lists in this owner's files of the paper say it cites, and nothing else from that source."""
    files = PaperFile.objects.filter(paper=paper, owner=owner)
    entries = [entry for file in files for entry in references(file.text)]
    rows = {_identity(row): row for row in _citations(paper, owner, entries)}
    old = Citation.objects.filter(paper=paper, owner=owner, source=FROM_TEXT)
    for citation in old:
        if rows.pop(_identity(citation), None) is None:
            citation.delete()
    Citation.objects.bulk_create(rows.values())


def _citations(paper: Paper, owner: int | None, entries: Iterable[Reference]) -> Iterable[Citation]:
    visible = Paper.objects.visible_to(owner).exclude(pk=paper.pk).order_by("pk")
    known = [Known(*row) for row in visible.values_list("pk", "title", "doi", "arxiv_id")]
    for entry, cited in match(entries, known):
        yield Citation(
            paper=paper,
            owner_id=owner,
            cited_id=cited,
            title=entry.title[:500],
            year=entry.year,
            doi=entry.doi,
            source=FROM_TEXT,
        )


def _identity(citation: Citation) -> tuple[int | None, str]:
    """What makes two citations of a paper the same one."""
    return (citation.cited_id, "") if citation.cited_id else (None, citation.doi.casefold() or folded(citation.title))


@transaction.atomic
def remove(file: PaperFile) -> None:
    """The PDF and its text go. Its passages are retired, since old answers may cite them; they open without the PDF."""
    stored, storage = str(file.file.name), file.file.storage
    file.file, file.text, file.page_starts, file.pages, file.note = "", "", [], 0, ""
    file.save()
    Passage.objects.filter(file=file).update(current=False)
    save_citations(file.paper, file.owner_id)
    transaction.on_commit(lambda: storage.delete(stored))


def waiting() -> list[str]:
    """The keys of files that should have been read by now: their task was lost with a worker or the queue. One that
    nobody managed to read for hours is given up, and says so."""
    unread = PaperFile.objects.filter(pages=0, note="").exclude(file="")
    unread.filter(added_at__lt=timezone.now() - GIVE_UP).update(note=GIVEN_UP)
    return [str(pk) for pk in unread.filter(added_at__lt=timezone.now() - PATIENCE).values_list("pk", flat=True)]
