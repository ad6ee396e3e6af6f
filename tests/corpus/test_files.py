"""PDFs on the pages: uploading, looking at one, downloading, removing; and who may."""

from __future__ import annotations

import html
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from corpus import reload
from corpus.documents import newcomers, reader, shelf
from corpus.models import Citation, Paper, PaperFile, Passage
from tests.corpus.documents import papers, typeset
from tests.corpus.documents.test_malformed import ACTIVE, encrypted, mutate, scan

pytestmark = pytest.mark.django_db(transaction=True)
PDF = typeset.pdf(papers.paper(watermark="arXiv:2401.01234v2 [cs.CV] 3 Jan 2024"))
HTMX = {"HX-Request": "true"}
ClientOf = Callable[[User], Client]


@pytest.fixture(autouse=True)
def worker(eager_celery: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library worker, at once; the index has tests of its own."""
    eager_celery.loader.import_default_modules()
    monkeypatch.setattr(reload, "refresh", lambda _: None)


@pytest.fixture
def paper(db: None) -> Paper:
    return Paper.objects.create(key="a2024b", title="A paper for everyone", year=2024, annotation="Words.")


def pdf(content: bytes = PDF, name: str = "paper.pdf") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, content_type="application/pdf")


def attach(client: Client, paper: Paper, content: bytes = PDF, **form: Any) -> Any:
    return client.post(f"/literature/{paper.key}/file/", {"file": pdf(content), **form})


def text(response: Any) -> str:
    assert response.status_code == 200, response.status_code
    return html.unescape(response.content.decode())


# Uploading


def test_an_uploaded_pdf_is_read_and_stands_on_the_page(paper: Paper, alice: User, client_of: ClientOf) -> None:
    response = attach(client_of(alice), paper)
    assert (response.status_code, response["Location"]) == (302, "/literature/a2024b/#lit-files")
    file = PaperFile.objects.get()
    assert (file.owner, file.pages) == (alice, 2)
    page = text(client_of(alice).get(paper.get_absolute_url()))
    assert "2 pages, searched and quoted" in page
    assert f"/literature/files/{file.pk}/paper.pdf" in page


def test_with_htmx_the_list_comes_back_and_asks_again_until_the_pdf_is_read(
    paper: Paper, alice: User, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corpus.documents.queue.to_be_read", lambda _: None)  # the worker is busy
    client = client_of(alice)
    section = text(client.post("/literature/a2024b/file/", {"file": pdf()}, headers=HTMX))
    assert "Reading the PDF" in section
    assert 'hx-trigger="every 2s"' in section
    assert "<html" not in section
    file = PaperFile.objects.get()
    shelf.read_file(str(file.pk))
    rows = text(client.get("/literature/a2024b/file/", headers=HTMX))
    assert "2 pages" in rows
    assert "hx-trigger" not in rows
    assert "<form" not in rows.split("</ul>")[1]  # the form is not swapped away from under a choice of file
    assert client.get("/literature/a2024b/file/").status_code == 302


def test_the_pages_say_what_is_wrong_with_a_file(paper: Paper, alice: User, client_of: ClientOf) -> None:
    client = client_of(alice)
    for content, line in ((scan(), reader.SCANNED), (encrypted("x"), reader.LOCKED), (PDF[:2000], reader.DAMAGED)):
        assert attach(client, paper, content).status_code == 302
        assert line in text(client.get(paper.get_absolute_url()))
    attach(client, paper, ACTIVE)
    assert "scripts and attached files" in text(client.get("/literature/a2024b/"))


@pytest.mark.parametrize("way", ["page", "htmx"])
@pytest.mark.parametrize("address", ["/literature/a2024b/file/", "/literature/library/pdf/"])
@pytest.mark.parametrize(
    ("content", "status", "line"),
    [
        (None, 422, "No file came with the request"),
        (b"", 422, "This file is empty."),
        (b"<html>", 422, "This is not a PDF file."),
        (b"%PDF-1.4" + bytes(1024**2), 413, "This PDF is larger than the limit of 1 MB."),
    ],
    ids=["nothing", "empty", "page", "large"],
)
def test_what_cannot_be_kept_is_refused_in_one_line(
    paper: Paper,
    alice: User,
    client_of: ClientOf,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    address: str,
    content: bytes | None,
    status: int,
    line: str,
) -> None:
    monkeypatch.setattr(shelf, "LIMIT", 1024**2)
    form = {} if content is None else {"file": pdf(content)}
    response = client_of(alice).post(address, form, headers=HTMX if way == "htmx" else {})
    assert response.status_code == status
    said = response.content.decode() if way == "htmx" else html.unescape(response.content.decode())
    assert line in said
    assert way == "page" or "\n" not in said
    assert not PaperFile.objects.exists()
    assert Paper.objects.count() == 1


def test_mutated_files_are_kept_or_refused_and_never_an_error_of_the_server(
    paper: Paper, alice: User, client_of: ClientOf
) -> None:
    client = client_of(alice)
    client.raise_request_exception = False
    for seed in range(12):
        content = mutate((PDF, ACTIVE)[seed % 2], 9000 + seed)
        address = ("/literature/a2024b/file/", "/literature/library/pdf/")[seed // 2 % 2]
        assert client.post(address, {"file": pdf(content)}).status_code in (302, 422)
    assert text(client.get("/literature/a2024b/"))
    assert all(not file.is_being_read for file in PaperFile.objects.all())


def test_nothing_may_be_attached_to_a_paper_one_cannot_see(alice: User, bob: User, client_of: ClientOf) -> None:
    mine = Paper.objects.create(owner=alice, key="c2024d", title="Hers")
    assert attach(client_of(bob), mine).status_code == 404
    assert not PaperFile.objects.exists()


# Whose it is


def test_a_pdf_on_a_shared_paper_is_seen_by_its_owner_only(
    paper: Paper, alice: User, bob: User, staff: User, client_of: ClientOf
) -> None:
    Paper.objects.create(key="wang2022medclip", title="MedCLIP", doi="10.18653/v1/2022.emnlp-main.256")
    attach(client_of(alice), paper)
    file = PaperFile.objects.get()
    canary = Passage.objects.filter(file=file).first()
    assert canary is not None
    for stranger in (bob, staff):
        client = client_of(stranger)
        page = text(client.get(paper.get_absolute_url()))
        assert str(file.pk) not in page
        assert canary.text[:40] not in page
        for address in (file.get_absolute_url(), canary.get_absolute_url(), f"/literature/files/{file.pk}/paper.pdf"):
            assert client.get(address).status_code == 404
        assert client.post(f"/literature/files/{file.pk}/remove/").status_code == 404
        assert not Passage.objects.visible_to(stranger.pk).filter(file=file).exists()
        assert not Citation.objects.visible_to(stranger.pk).exists()
    assert Citation.objects.visible_to(alice.pk).exists()


def test_staff_may_share_and_only_staff_may_take_it_back(
    paper: Paper, alice: User, staff: User, client_of: ClientOf
) -> None:
    attach(client_of(alice), paper, shared="1")
    assert PaperFile.objects.get().owner == alice  # asking for it is not enough
    attach(client_of(staff), paper, scan(), shared="1")
    shared = PaperFile.objects.get(owner=None)
    assert "shared with everyone" in text(client_of(alice).get(paper.get_absolute_url()))
    assert client_of(alice).get(f"/literature/files/{shared.pk}/paper.pdf").status_code == 200
    assert client_of(alice).post(f"/literature/files/{shared.pk}/remove/").status_code == 404
    assert client_of(staff).post(f"/literature/files/{shared.pk}/remove/").status_code == 302


def test_a_pdf_of_a_private_paper_is_never_shared(staff: User, client_of: ClientOf) -> None:
    own = Paper.objects.create(owner=staff, key="e2024f", title="Mine")
    attach(client_of(staff), own, shared="1")
    assert PaperFile.objects.get().owner == staff


# A paper from its PDF alone


def test_a_pdf_alone_becomes_a_paper_of_ones_own(alice: User, bob: User, client_of: ClientOf) -> None:
    client = client_of(alice)
    assert "Add a paper from its PDF" in text(client.get("/literature/library/pdf/"))
    response = client.post("/literature/library/pdf/", {"file": pdf()})
    paper = Paper.objects.get()
    assert response["Location"] == f"/literature/{paper.key}/details/"
    assert paper.key == "lindqvist2024sentences"
    assert (paper.owner, paper.title, paper.year, paper.arxiv_id) == (alice, papers.TITLE, 2024, "2401.01234")
    assert paper.authors == ["Ada Lindqvist", "Bruno Okafor", "Chiara de Santis"]
    assert PaperFile.objects.get().pages == 2
    assert papers.TITLE in text(client.get(paper.get_absolute_url()))
    assert client_of(bob).get(paper.get_absolute_url()).status_code == 404


def test_the_same_pdf_twice_is_two_papers_with_keys_of_their_own(alice: User, client_of: ClientOf) -> None:
    for _ in range(2):
        client_of(alice).post("/literature/library/pdf/", {"file": pdf()})
    assert sorted(Paper.objects.values_list("key", flat=True)) == ["lindqvist2024sentences", "lindqvist2024sentences-2"]


def test_a_scan_without_any_words_is_named_after_its_file(alice: User, client_of: ClientOf) -> None:
    client_of(alice).post("/literature/library/pdf/", {"file": pdf(scan(), "Lung_atlas 1987.pdf")})
    assert Paper.objects.get().title == "Lung atlas 1987"


def test_with_htmx_the_browser_is_sent_to_the_form(alice: User, client_of: ClientOf) -> None:
    response = client_of(alice).post("/literature/library/pdf/", {"file": pdf()}, headers=HTMX)
    assert response["HX-Redirect"] == "/literature/lindqvist2024sentences/details/"


@pytest.mark.parametrize("content", [encrypted("secret"), PDF[:2000]], ids=["password", "damaged"])
def test_a_pdf_alone_that_cannot_be_read_makes_no_paper(alice: User, client_of: ClientOf, content: bytes) -> None:
    assert client_of(alice).post("/literature/library/pdf/", {"file": pdf(content)}).status_code == 422
    assert not Paper.objects.exists()


def test_too_many_at_once_are_asked_to_wait(alice: User, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def acquire(self, timeout: float) -> bool:
            return False

    monkeypatch.setattr(newcomers, "_slots", Full())
    response = client_of(alice).post("/literature/library/pdf/", {"file": pdf()}, headers=HTMX)
    assert (response.status_code, response.content.decode()) == (
        503,
        "Too many PDFs are being read at the moment. Try again in a minute.",
    )


@pytest.fixture
def own_paper(alice: User) -> Paper:
    return Paper.objects.create(owner=alice, key="c2024d", title="Wrong title", authors=["A. Wrong"])


CORRECTED = {"title": "Right title", "authors": "Ada Lindqvist\n\n Bruno  Okafor\n", "year": "2023", "venue": "MICCAI"}


def test_what_was_read_can_be_corrected(own_paper: Paper, alice: User, client_of: ClientOf) -> None:
    client = client_of(alice)
    assert 'value="Wrong title"' in text(client.get("/literature/c2024d/details/"))
    form = {**CORRECTED, "doi": "https://doi.org/10.1000/182"}
    assert client.post("/literature/c2024d/details/", form)["Location"] == "/literature/c2024d/"
    own_paper.refresh_from_db()
    assert (own_paper.title, own_paper.year, own_paper.venue) == ("Right title", 2023, "MICCAI")
    assert own_paper.authors == ["Ada Lindqvist", "Bruno Okafor"]
    assert own_paper.doi == "10.1000/182"


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"title": " "}, "This field is required"),
        ({"year": "23000"}, "less than or equal to 2100"),
        ({"doi": "none"}, "A DOI looks like 10.1000/182."),
        ({"title": "a\0b"}, "Null characters are not allowed"),
    ],
    ids=["title", "year", "doi", "nul"],
)
def test_what_cannot_be_right_is_said_beside_its_field(
    own_paper: Paper, alice: User, client_of: ClientOf, wrong: dict[str, str], line: str
) -> None:
    response = client_of(alice).post("/literature/c2024d/details/", {**CORRECTED, **wrong})
    assert response.status_code == 422
    assert line in html.unescape(response.content.decode())
    own_paper.refresh_from_db()
    assert own_paper.title == "Wrong title"


def test_nobody_else_corrects_it_and_nobody_the_shared_ones(
    own_paper: Paper, paper: Paper, bob: User, staff: User, client_of: ClientOf
) -> None:
    for user, key in ((bob, "c2024d"), (staff, "c2024d"), (bob, "a2024b"), (staff, "a2024b")):
        assert client_of(user).post(f"/literature/{key}/details/", CORRECTED).status_code == 404


# The viewer, and the file itself


@pytest.fixture
def file(paper: Paper, alice: User) -> PaperFile:
    file = shelf.add(paper, alice.pk, pdf(name="Müller “final”.pdf"))
    shelf.read_file(str(file.pk))
    file.refresh_from_db()
    return file


def test_a_cited_passage_opens_the_pdf_at_its_page(file: PaperFile, alice: User, client_of: ClientOf) -> None:
    passage = Passage.objects.filter(file=file, page=2).first()
    assert passage is not None
    page = text(client_of(alice).get(passage.get_absolute_url()))
    assert 'data-page="2"' in page
    assert " ".join(passage.text.split())[:60] in page
    assert passage.section in page


@pytest.mark.parametrize(
    ("query", "page"),
    [("", 1), ("?page=2", 2), ("?page=3", 1), ("?page=0", 1), ("?page=-1", 1), ("?page=x", 1), ("?page=%C2%B2", 1),
     ("?page=99999999999", 1), ("?page=2&passage=999999999999", 2), ("?passage=x%00", 1)],
)  # fmt: skip
def test_a_page_that_there_is_not_is_the_first(
    file: PaperFile, alice: User, client_of: ClientOf, query: str, page: int
) -> None:
    assert f'data-page="{page}"' in text(client_of(alice).get(file.get_absolute_url() + query))


def test_without_script_there_is_the_download_and_the_words_of_the_page(
    file: PaperFile, alice: User, client_of: ClientOf
) -> None:
    page = text(client_of(alice).get(file.get_absolute_url() + "?page=2"))
    plain = page.split("pdf-unscripted")[1].split("</section>")[0]
    assert "Download the PDF" in plain
    assert "The study has limitations." in plain
    assert papers.ABSTRACT not in plain


def test_passages_of_another_file_are_not_shown(file: PaperFile, alice: User, client_of: ClientOf) -> None:
    other = Paper.objects.create(key="x2024y", title="Another")
    words = "Words of quite another text."
    foreign = Passage.objects.create(paper=other, kind="abstract", ordinal=0, text=words, start=0, end=5)
    assert words not in text(client_of(alice).get(f"{file.get_absolute_url()}?passage={foreign.pk}"))


def test_the_file_is_served_to_be_saved_and_never_as_a_page(file: PaperFile, alice: User, client_of: ClientOf) -> None:
    response = client_of(alice).get(f"/literature/files/{file.pk}/paper.pdf")
    assert response.content == PDF
    assert response["Content-Type"] == "application/pdf"
    assert response["Content-Disposition"].startswith("attachment; filename")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in response["Content-Security-Policy"]
    assert response["Cache-Control"].startswith("private")


def test_a_removed_pdf_leaves_the_cited_passage(
    file: PaperFile, paper: Paper, alice: User, bob: User, client_of: ClientOf
) -> None:
    passage = Passage.objects.filter(file=file).first()
    assert passage is not None
    client = client_of(alice)
    assert client.post(f"/literature/files/{file.pk}/remove/").status_code == 302
    assert client.get(f"/literature/files/{file.pk}/paper.pdf").status_code == 404
    assert client.get(file.get_absolute_url()).status_code == 404
    page = text(client.get(passage.get_absolute_url()))
    assert "The PDF was removed" in page
    assert " ".join(passage.text.split())[:60] in page
    assert client_of(bob).get(passage.get_absolute_url()).status_code == 404
    assert "Earlier wording" not in text(client.get(paper.get_absolute_url()))


def test_a_pdf_that_the_disk_has_lost_is_not_there(file: PaperFile, alice: User, client_of: ClientOf) -> None:
    file.file.storage.delete(str(file.file.name))
    assert client_of(alice).get(f"/literature/files/{file.pk}/paper.pdf").status_code == 404


def test_a_web_process_does_not_load_pdfium() -> None:
    code = (
        "import assistant.asgi, django.urls as u, sys; u.get_resolver().url_patterns; print('pypdfium2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
