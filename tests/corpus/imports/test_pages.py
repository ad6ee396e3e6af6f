"""The pages of the library: what its owner sees and does, and what nobody else can."""

import html
import random
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from corpus.imports import queue, work
from corpus.models import Import, Paper, Selected
from tests.corpus.imports.test_formats import FILES, FORMS
from tests.corpus.imports.test_library import JOURNAL, PREPRINT, Bring
from tests.corpus.imports.test_malformed import mutated

pytestmark = pytest.mark.django_db
NEW, LIBRARY = "/literature/library/import/", "/literature/library/"


def text_of(response: Any, status: int = 200) -> str:
    assert response.status_code == status
    return html.unescape(response.content.decode())


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """The tasks that were enqueued, in place of a broker."""
    tasks: list[tuple[str, Any]] = []
    monkeypatch.setattr(queue, "enqueue", lambda task, argument: tasks.append((task, argument)))
    return tasks


@pytest.fixture
def page(alice: User, client_of: Callable[[User], Client], sent: list[Any]) -> Client:
    return client_of(alice)


def test_an_empty_library_says_what_can_be_brought(page: Client) -> None:
    text = text_of(page.get(LIBRARY))
    assert "Nothing here so far" in text
    assert f'href="{NEW}"' in text
    assert "Research use only, not for diagnosis" in text


def test_places_link_what_there_is(page: Client) -> None:
    for address in (LIBRARY, "/literature/"):
        text = text_of(page.get(address))
        assert '<a href="/literature/library/"' in text
        assert '<a href="/literature/"' in text


def test_a_file_begins_an_import_and_its_page_opens(page: Client, sent: list[Any]) -> None:
    file = SimpleUploadedFile("refs.bib", PREPRINT.encode())
    response = page.post(NEW, {"file": file, "format": ""})
    row = Import.objects.get()
    assert response["Location"] == row.get_absolute_url()
    assert sent == [("assistant.import_literature", str(row.pk))]
    text = text_of(page.get(row.get_absolute_url()))
    assert "Waits for its turn" in text
    assert 'hx-trigger="every 1s"' in text
    assert "Stop" in text


def test_what_is_pasted_is_an_import_too(page: Client) -> None:
    page.post(NEW, {"text": "10.5555/films.1", "format": "identifiers"})
    row = Import.objects.get()
    assert (row.name, row.format) == ("pasted text", "identifiers")
    with row.file.open("rb") as file:
        assert file.read() == b"10.5555/films.1"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, "There is nothing to import"),
        ({"text": "10.5555/a", "format": "docx"}, "There is no such format"),
        ({"text": "10.5555/a", "shared": "on"}, "Only staff can share"),
    ],
)
def test_what_cannot_be_begun_is_said_above_the_form(page: Client, form: dict[str, str], said: str) -> None:
    text = text_of(page.post(NEW, form), 422)
    assert said in text
    assert not Import.objects.exists()


def test_a_file_over_the_limit_is_refused_unread(page: Client) -> None:
    file = SimpleUploadedFile("large.bib", b"x" * (10 * 1024**2 + 1))
    assert "larger than the limit of 10 MB" in text_of(page.post(NEW, {"file": file}), 422)


def test_a_text_too_long_to_paste_is_no_fault_of_the_server(page: Client) -> None:
    response = page.post(NEW, {"text": "x" * (2 * 1024**2)})
    assert 400 <= response.status_code < 500


def test_only_staff_sees_the_box_to_share(page: Client, staff: User, client_of: Callable[[User], Client]) -> None:
    assert 'name="shared"' not in text_of(page.get(NEW))
    assert 'name="shared"' in text_of(client_of(staff).get(NEW))


def test_progress_alone_is_sent_while_it_runs_and_a_reload_at_the_end(page: Client, alice: User) -> None:
    row = Import.objects.create(
        owner=alice, name="a", state=Import.RUNNING, total=50, done=25, line="25 of 50 records read."
    )
    response = page.get(row.get_absolute_url(), headers={"HX-Request": "true"})
    assert "HX-Refresh" not in response
    text = text_of(response)
    assert '<progress aria-label="Records read" max="50" value="25">' in text
    assert "<html" not in text
    Import.objects.update(state=Import.DONE)
    assert page.get(row.get_absolute_url(), headers={"HX-Request": "true"})["HX-Refresh"] == "true"


def test_stopping_without_script(page: Client, alice: User, sent: list[Any]) -> None:
    row = Import.objects.create(owner=alice, name="a", state=Import.RUNNING, total=50, done=25)
    response = page.post(f"{row.get_absolute_url()}cancel/")
    assert response["Location"] == row.get_absolute_url()
    assert "Stopped after 25 of 50 records" in text_of(page.get(row.get_absolute_url()))
    assert sent == [("assistant.import_literature", str(row.pk))]


def test_the_report_can_be_narrowed_and_saved(page: Client, bring: Bring, alice: User) -> None:
    row = bring(alice, (FILES / "reading-list.md").read_bytes(), name="awesome | list.md")
    text = text_of(page.get(row.get_absolute_url()))
    assert "Sentence planning for chest film reports" in text
    assert "expired on 5 March 2024" in text
    only = text_of(page.get(f"{row.get_absolute_url()}?outcome=refused"))
    assert "There is a link but no title." in only
    assert "expired on 5 March 2024" not in only
    assert text_of(page.get(f"{row.get_absolute_url()}?outcome=<b>&page=x"))
    report = page.get(f"{row.get_absolute_url()}report.md")
    assert report["Content-Disposition"].startswith("attachment")
    assert report.content.decode().startswith("# Import of awesome \\| list.md")
    assert b"X-Amz-Signature" not in page.get(f"{row.get_absolute_url()}repaired.md").content


def test_what_is_no_reading_list_has_no_repaired_one(page: Client, bring: Bring, alice: User) -> None:
    row = bring(alice, JOURNAL)
    assert page.get(f"{row.get_absolute_url()}repaired.md").status_code == 404


def test_titles_are_never_markup(page: Client, bring: Bring, alice: User) -> None:
    row = bring(
        alice, '[{"title": "A & <b>x</b> <script>alert(1)</script><", "URL": "javascript:alert(1)"}]', name="<i>.json"
    )
    for address in (LIBRARY, row.get_absolute_url(), Paper.objects.get().get_absolute_url()):
        body = page.get(address).content
        assert b"<script>alert" not in body
        assert b"javascript:" not in body
        assert b"<i>.json" not in body


def test_papers_are_listed_searched_and_deleted(page: Client, bring: Bring, alice: User, sent: list[Any]) -> None:
    bring(alice, (FILES / "zotero.bib").read_bytes())
    text = text_of(page.get(LIBRARY))
    assert "Low-rank adapters for echocardiography reports" in text
    assert "no abstract: found by its title" in text
    assert "Questions about films" not in text_of(page.get(f"{LIBRARY}?q=echocardiography"))
    chosen = list(Paper.objects.values_list("pk", flat=True)[:2])
    Selected.objects.create(owner=alice, paper_id=chosen[0])
    response = page.post(f"{LIBRARY}delete/", {"paper": chosen})
    assert "2 papers deleted" in text_of(page.get(response["Location"]))
    assert not Paper.objects.filter(pk__in=chosen).exists()
    assert not Selected.objects.exists()
    assert Paper.objects.count() == 1
    ((task, keys),) = sent
    assert (task, sorted(keys)) == ("assistant.refresh_literature", sorted(chosen))


def test_nobody_deletes_what_is_not_theirs(
    page: Client, bring: Bring, bob: User, staff: User, client_of: Callable[[User], Client]
) -> None:
    bring(bob, PREPRINT)
    bring(staff, JOURNAL.replace("Liver", "Spleen").replace("masks.1", "masks.3"), shared=True)
    bundled = Paper.objects.create(key="a2020b", title="Bundled", annotation="Ours.")
    everything = [*Paper.objects.values_list("pk", flat=True), "x", "-1", "9" * 30, "\u0663"]
    for more in ({}, {"of": "everyone"}):
        page.post(f"{LIBRARY}delete/", {"paper": everything, **more})
    assert Paper.objects.count() == 3
    response = client_of(staff).post(f"{LIBRARY}delete/", {"paper": everything, "of": "everyone"})
    assert "Shared by staff" in text_of(client_of(staff).get(response["Location"]))
    assert {paper.owner for paper in Paper.objects.all()} == {bob, None}
    assert Paper.objects.get(owner=None) == bundled
    assert "Shared by staff" not in text_of(page.get(f"{LIBRARY}?of=everyone"))


def test_another_users_import_is_not_there(
    page: Client, bring: Bring, bob: User, client_of: Callable[[User], Client]
) -> None:
    row = bring(bob, PREPRINT)
    for end in ("", "report.md", "repaired.md"):
        assert page.get(f"{row.get_absolute_url()}{end}").status_code == 404
    assert page.post(f"{row.get_absolute_url()}cancel/").status_code == 404
    assert row.name not in text_of(page.get(LIBRARY))
    assert row.name in text_of(client_of(bob).get(LIBRARY))


@pytest.mark.usefixtures("indexed", "nobody")
def test_no_broken_upload_is_ever_a_fault_of_the_server(page: Client) -> None:
    chance = random.Random(11)
    for name in FORMS:
        for _ in range(6):
            data = mutated((FILES / name).read_bytes(), chance)
            response = page.post(NEW, {"file": SimpleUploadedFile(f"{chance.random()}\0{name}", data)})
            assert response.status_code in (302, 422)
    for row in Import.objects.all():
        claimed = work.claim(row.pk)
        assert claimed is not None
        work.advance(claimed, float("inf"))
        row.refresh_from_db()
        assert row.state in (Import.DONE, Import.FAILED)
        assert "fault of Lightbox" not in row.line
        assert page.get(row.get_absolute_url()).status_code == 200
        assert page.get(f"{row.get_absolute_url()}report.md").status_code == 200
    assert page.get(LIBRARY).status_code == 200
