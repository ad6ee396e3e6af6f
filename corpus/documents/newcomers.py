"""A paper of which there is nothing but its PDF: its entry in the library of whoever uploads it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from threading import BoundedSemaphore

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction

from corpus.documents import shelf
from corpus.documents.document import Details
from corpus.documents.extract import peek
from corpus.documents.references import folded
from corpus.models import Paper, PaperFile
from inference.errors import Unavailable

ORIGIN = "PDF"
LITTLE_WORDS = frozenset(
    {"a", "an", "the", "on", "of", "in", "for", "to", "from", "with", "and", "towards", "at", "by"}
)

_slots = BoundedSemaphore(2)  # each reader may use its full memory limit


def add(owner: int, upload: UploadedFile[bytes]) -> PaperFile:
    """The new private paper's file. Raises shelf.TooLarge, or an InferenceError whose text is one line for the user."""
    shelf.check(upload)
    details = _first_pages(upload)
    with transaction.atomic():
        paper = Paper.objects.create(
            owner_id=owner,
            key=key_for(details, owner),
            title=shelf.storable(details.title) or _title_of(upload.name),
            authors=[shelf.storable(name) for name in details.authors],
            year=details.year,
            doi=details.doi[:200],
            arxiv_id=details.arxiv_id,
            origin=ORIGIN,
        )
        return shelf.add(paper, owner, upload)


def _first_pages(upload: UploadedFile[bytes]) -> Details:
    """What the first pages say, read in a disposable process."""
    if not _slots.acquire(timeout=30):
        raise Unavailable("Too many PDFs are being read at the moment. Try again in a minute.")
    try:
        with tempfile.NamedTemporaryFile(prefix="lightbox-paper-", suffix=".pdf") as copy:
            for chunk in upload.chunks():
                copy.write(chunk)
            copy.flush()
            return peek(Path(copy.name)).details
    finally:
        _slots.release()


def _title_of(name: str | None) -> str:
    """The file's name, made readable; a user may correct it."""
    stem = Path((name or "").replace("\\", "/")).stem
    return shelf.storable(" ".join(stem.replace("_", " ").split()))[:500] or "Untitled PDF"


def key_for(details: Details, owner: int) -> str:
    """A citation key in the manner of the collection (li2023lvit), free among all that the owner sees."""
    surname = folded(details.authors[0]).split()[-1:] if details.authors else []
    words = [word for word in folded(details.title).split() if word not in LITTLE_WORDS]
    stem = f"{''.join(surname) or 'anon'}{details.year or ''}{''.join(words[:1])}"[:70]
    taken = set(Paper.objects.visible_to(owner).filter(key__startswith=stem).values_list("key", flat=True))
    names = (stem if n == 1 else f"{stem}-{n}" for n in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)
