"""The words of a PDF are found by whose it is, and by nobody else: through the task, the index and the search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile

from corpus import retrieve, tasks
from corpus.documents import shelf
from corpus.models import Paper, Passage
from tests.corpus.documents import papers, typeset

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]
QUESTION = "zero-shot accuracy with an atlas replaced by random rectangles of the same area"


@pytest.fixture
def collection(db: None, settings: Any, tmp_path: Path) -> Paper:
    """Two shared papers, with an index of their own."""
    settings.DATA_DIR = tmp_path
    Paper.objects.create(
        key="x2020y", title="Report generation by retrieval", year=2020, annotation="Words on reports."
    )
    return Paper.objects.create(key="a2024b", title="A paper for everyone", year=2024, annotation="Words about lungs.")


def words_found(reader: int | None) -> str:
    hits = retrieve.passages(QUESTION, limit=10, reader=reader)
    return " ".join(hit.passage.text for hit in hits)


def test_the_words_of_a_pdf_are_found_by_its_owner_alone_until_it_is_removed(collection: Paper, alice: User, bob: User):
    upload = SimpleUploadedFile("a.pdf", typeset.pdf(papers.paper()))
    file = shelf.add(collection, alice.pk, upload)
    tasks.read_file(str(file.pk))
    assert "random rectangles" in words_found(alice.pk)
    assert "random rectangles" not in words_found(bob.pk)
    assert "random rectangles" not in words_found(None)
    hit = next(h for h in retrieve.passages(QUESTION, limit=10, reader=alice.pk) if "rectangles" in h.passage.text)
    assert hit.best_sentence in hit.passage.text
    assert hit.passage.kind == Passage.Kind.FULL_TEXT
    shelf.remove(file)
    tasks.refresh_papers([collection.pk])
    assert "random rectangles" not in words_found(alice.pk)
