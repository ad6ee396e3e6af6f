"""Deleting papers from a library: rows, files, and, by the library worker, what the search index has of them."""

from __future__ import annotations

from django.db import transaction
from django.db.models.fields.files import FieldFile

from corpus.imports import queue
from corpus.models import Paper, PaperFile, PaperQuerySet


def removable(user_pk: int, *, everyones: bool) -> PaperQuerySet:
    """The papers of a user; or, for staff, those that staff has shared. What is bundled cannot be deleted."""
    return Paper.objects.filter(owner=None).exclude(origin="") if everyones else Paper.objects.filter(owner=user_pk)


@transaction.atomic
def remove(papers: PaperQuerySet) -> int:
    """Deletes these papers with their labels, passages and files, from every selection too; how many there were.

    A search meanwhile may still find them in the index, and then leaves them out since their rows are gone.
    """
    keys = list(papers.values_list("pk", flat=True))
    files = [file.file for file in PaperFile.objects.filter(paper__in=keys)]
    Paper.objects.filter(pk__in=keys).delete()
    transaction.on_commit(lambda: _delete_files(files))
    if keys:
        queue.enqueue(queue.REFRESH, keys)
    return len(keys)


def _delete_files(files: list[FieldFile]) -> None:
    for file in files:
        file.delete(save=False)
