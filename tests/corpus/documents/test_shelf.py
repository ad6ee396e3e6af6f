"""PDFs in the database: what reading one saves, what reading it again changes, and what removing it leaves."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as lightbox
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from corpus import reload, tasks
from corpus.documents import extract, reader, shelf
from corpus.models import Citation, Paper, PaperFile, Passage
from corpus.quotes import stands_in
from inference import disposable
from inference.errors import BadInput, Unavailable
from tests.corpus.documents import papers, typeset
from tests.corpus.documents.test_malformed import encrypted, scan

pytestmark = pytest.mark.django_db
PDF = typeset.pdf(papers.paper())


@pytest.fixture
def paper(db: None) -> Paper:
    return Paper.objects.create(key="lindqvist2024sentences", title=papers.TITLE, year=2024, annotation="Words.")


@pytest.fixture
def medclip(db: None) -> Paper:
    return Paper.objects.create(key="wang2022medclip", title="MedCLIP", doi="10.18653/v1/2022.emnlp-main.256")


@pytest.fixture(autouse=True)
def refreshed(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The papers whose index entries were brought up to date; the index itself has tests of its own."""
    calls: list[list[int]] = []
    monkeypatch.setattr(reload, "refresh", lambda pks: calls.append(list(pks)))
    return calls


def upload(content: bytes = PDF, name: str = "paper.pdf") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def added(paper: Paper, owner: User | None, content: bytes = PDF) -> PaperFile:
    """Uploaded and read, as the worker does it."""
    file = shelf.add(paper, owner.pk if owner else None, upload(content))
    tasks.read_file(str(file.pk))
    file.refresh_from_db()
    return file


def passages(file: PaperFile) -> list[Passage]:
    return list(Passage.objects.filter(file=file).order_by("ordinal"))


def test_a_pdf_becomes_passages_that_stand_in_its_text(paper: Paper, alice: User, refreshed: list[list[int]]):
    file = added(paper, alice)
    found = passages(file)
    assert (file.pages, file.note, len(file.page_starts)) == (2, "", 2)
    assert len(found) > 5
    for passage in found:
        assert passage.text == file.text[passage.start : passage.end]
        assert (passage.kind, passage.owner, passage.current) == (Passage.Kind.FULL_TEXT, alice, True)
        assert passage.section
        assert passage.page in (1, 2)
        assert passage.basis == f"full text, page {passage.page}"
    quoted = next(passage for passage in found if passage.section == "3 Results")
    assert stands_in("zero-shot accuracy from 61.2 to 66.8 per cent", quoted.text)
    assert quoted.get_absolute_url() == f"/literature/files/{file.pk}/?page={quoted.page}&passage={quoted.pk}"
    assert refreshed == [[paper.pk]]


def test_reading_again_changes_no_row(paper: Paper, medclip: Paper, alice: User):
    """A worker that was killed after it had saved is asked again; so is one whose message came twice."""
    file = added(paper, alice)
    before = list(Passage.objects.order_by("pk").values()), list(Citation.objects.order_by("pk").values())
    shelf.save(file, extract.read(Path(file.file.path)))
    tasks.read_file(str(file.pk))
    assert (list(Passage.objects.order_by("pk").values()), list(Citation.objects.order_by("pk").values())) == before


def test_a_worker_killed_before_it_saved_leaves_nothing_and_the_next_one_begins_anew(
    paper: Paper, alice: User, monkeypatch: pytest.MonkeyPatch
):
    file = shelf.add(paper, alice.pk, upload())

    def killed(*_: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(shelf, "save_citations", killed)
        with pytest.raises(SystemExit):
            tasks.read_file(str(file.pk))
    file.refresh_from_db()
    assert file.is_being_read
    assert not Passage.objects.exists()
    tasks.read_file(str(file.pk))
    assert Passage.objects.filter(file=file).exists()


def test_words_that_a_better_reader_no_longer_finds_are_retired_and_the_others_keep_their_keys(
    paper: Paper, alice: User
):
    file = added(paper, alice)
    keys = {passage.start: passage.pk for passage in passages(file)}
    document = extract.read(Path(file.file.path))
    shelf.save(file, type(document)(**{**_fields(document), "sections": document.sections[:3]}))
    kept = Passage.objects.filter(file=file, current=True)
    assert 0 < kept.count() < len(keys)
    assert all(keys[passage.start] == passage.pk for passage in kept)
    assert Passage.objects.filter(file=file).count() == len(keys)


def _fields(document: Any) -> dict[str, Any]:
    return {name: getattr(document, name) for name in type(document).__slots__}


def test_references_become_citations_of_the_collection_and_of_the_rest(paper: Paper, medclip: Paper, alice: User):
    added(paper, alice)
    found = Citation.objects.filter(paper=paper)
    assert {citation.owner for citation in found} == {alice}
    assert {citation.source for citation in found} == {"full text"}
    assert [citation.cited for citation in found if citation.cited] == [medclip]
    assert "A report that is in no collection at all" in [citation.title for citation in found]
    assert found.count() == 5


def test_references_are_matched_within_what_the_owner_may_see(paper: Paper, alice: User, bob: User):
    title = "A report that is in no collection at all"
    secret = Paper.objects.create(owner=bob, key="nobody2019report", title=title)
    added(paper, alice)
    assert not Citation.objects.filter(cited=secret).exists()
    added(paper, bob)
    assert Citation.objects.get(cited=secret).owner == bob


def test_two_files_of_a_paper_cite_together_and_what_one_alone_cited_goes_with_it(paper: Paper, alice: User):
    added(paper, alice)
    other = papers.paper(references=["[1] A. Nobody, “A second invented report of some length,” 2018.", "[2] B. Else, "
                                     "“A third invented report of some length,” 2017."])  # fmt: skip
    second = added(paper, alice, typeset.pdf(other))
    assert Citation.objects.count() == 7
    shelf.remove(second)
    assert Citation.objects.count() == 5


def test_a_scan_is_kept_and_says_so(paper: Paper, alice: User):
    file = added(paper, alice, scan())
    assert (file.pages, file.note, file.text) == (2, reader.SCANNED, "")
    assert not file.is_being_read
    assert not passages(file)


@pytest.mark.parametrize(
    ("content", "line"),
    [(encrypted("secret"), reader.LOCKED), (PDF[:3000], reader.DAMAGED)],
    ids=["password", "damaged"],
)
def test_a_file_that_cannot_be_read_is_one_failed_file_with_a_line(
    paper: Paper, alice: User, content: bytes, line: str, refreshed: list[list[int]]
):
    file = added(paper, alice, content)
    assert (file.pages, file.note) == (0, line)
    assert refreshed == []
    assert added(paper, alice).pages == 2


def test_a_crash_of_the_reader_is_one_failed_file_too(
    paper: Paper, alice: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    folder = tmp_path / "corpus" / "documents"
    folder.mkdir(parents=True)
    (folder / "reader.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    with monkeypatch.context() as patch:
        patch.setattr(disposable, "ROOT", tmp_path)
        file = added(paper, alice)
    assert "crash" in file.note
    assert not file.is_being_read


def test_without_an_index_the_text_is_kept_all_the_same(paper: Paper, alice: User, monkeypatch: pytest.MonkeyPatch):
    def unavailable(_: Any) -> None:
        raise Unavailable("faiss is not installed")

    monkeypatch.setattr(reload, "refresh", unavailable)
    assert passages(added(paper, alice))


def test_the_same_file_again_is_the_same_row(paper: Paper, alice: User, bob: User):
    file = added(paper, alice)
    assert shelf.add(paper, alice.pk, upload(name="other.pdf")) == file
    assert shelf.add(paper, bob.pk, upload()) != file
    assert PaperFile.objects.count() == 2


def test_a_removed_pdf_is_gone_and_what_was_cited_stays(
    paper: Paper, alice: User, django_capture_on_commit_callbacks: Any
):
    file = added(paper, alice)
    place, keys = Path(file.file.path), [passage.pk for passage in passages(file)]
    with django_capture_on_commit_callbacks(execute=True):
        shelf.remove(file)
    file.refresh_from_db()
    assert not place.exists()
    assert (file.is_there, file.text, file.pages) == (False, "", 0)
    assert [passage.pk for passage in passages(file)] == keys
    assert not Passage.objects.filter(file=file, current=True).exists()
    assert not Citation.objects.exists()
    assert shelf.waiting() == []


def test_a_removed_pdf_that_comes_back_has_its_passages_under_their_old_keys(paper: Paper, alice: User):
    file = added(paper, alice)
    keys = [passage.pk for passage in passages(file)]
    shelf.remove(file)
    again = added(paper, alice)
    assert again.pk == file.pk
    assert again.pages == 2
    assert [passage.pk for passage in passages(again) if passage.current] == keys


def test_a_paper_that_is_deleted_takes_its_pdfs_from_the_disk(
    paper: Paper, alice: User, django_capture_on_commit_callbacks: Any
):
    place = Path(added(paper, alice).file.path)
    with django_capture_on_commit_callbacks(execute=True):
        paper.delete()
    assert not place.exists()


def test_a_file_removed_while_it_is_read_stays_removed(paper: Paper, alice: User):
    file = shelf.add(paper, alice.pk, upload())
    document = extract.read(Path(file.file.path))
    stale = PaperFile.objects.get(pk=file.pk)
    shelf.remove(file)
    shelf.save(stale, document)
    assert not PaperFile.objects.get(pk=file.pk).is_there
    assert not passages(file)


def test_files_whose_task_was_lost_are_sent_again_and_given_up_after_hours(paper: Paper, alice: User, bob: User):
    file, late = shelf.add(paper, alice.pk, upload()), shelf.add(paper, bob.pk, upload())
    assert shelf.waiting() == []
    now = timezone.now()
    PaperFile.objects.filter(pk=file.pk).update(added_at=now - timedelta(minutes=5))
    PaperFile.objects.filter(pk=late.pk).update(added_at=now - timedelta(hours=7))
    assert shelf.waiting() == [str(file.pk)]
    late.refresh_from_db()
    assert late.note == shelf.GIVEN_UP


@pytest.mark.parametrize(
    ("content", "error", "line"),
    [
        (b"", BadInput, "This file is empty."),
        (b"GIF89a" + bytes(100), BadInput, "This is not a PDF file."),
    ],
    ids=["empty", "picture"],
)
def test_what_is_no_pdf_is_refused_before_anything_is_kept(
    paper: Paper, alice: User, content: bytes, error: type[Exception], line: str
):
    with pytest.raises(error, match=line):
        shelf.add(paper, alice.pk, upload(content))
    assert not PaperFile.objects.exists()


def test_a_pdf_over_the_limit_is_refused(paper: Paper, alice: User, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shelf, "LIMIT", 1024 * 1024)
    with pytest.raises(shelf.TooLarge, match="larger than the limit of 1 MB"):
        shelf.add(paper, alice.pk, upload(b"%PDF-" + bytes(1024 * 1024)))


@pytest.mark.parametrize(
    ("name", "kept"),
    [("../../etc/passwd.pdf", "passwd.pdf"), ("c:\\x\\a.pdf", "a.pdf"), ("", "paper.pdf"), ("a\0b.pdf", "ab.pdf")],
)
def test_a_name_is_shown_and_never_used(paper: Paper, alice: User, name: str, kept: str):
    file = upload()
    file._name = name  # SimpleUploadedFile cleans names; not every client does
    kept_file = shelf.add(paper, alice.pk, file)
    assert kept_file.name == kept
    place = Path(kept_file.file.path).resolve()
    assert place == (lightbox.DATA_DIR / "files" / "papers" / f"{kept_file.pk}.pdf").resolve()
    assert place.stat().st_mode & 0o077 == 0
