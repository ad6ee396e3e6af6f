"""Notes on papers: one's own and shared ones, who sees them, who may delete them, and that they stay plain text."""

import html
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from corpus.models import Note, Paper

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
Visit = Callable[[User], Client]


@pytest.fixture
def paper(db: None) -> Paper:
    return Paper.objects.create(key="lee2024scan", title="On scans", year=2024)


def write(client: Client, text: str, shared: bool = False, key: str = "lee2024scan", **headers: str) -> Any:
    data = {"text": text} | ({"shared": "1"} if shared else {})
    return client.post(f"/literature/{key}/notes/", data, headers=headers)


def delete(client: Client, note: Note) -> int:
    status: int = client.post(f"/literature/{note.paper.key}/notes/{note.pk}/delete/").status_code
    return status


def page(client: Client, key: str = "lee2024scan") -> str:
    return html.unescape(client.get(f"/literature/{key}/").content.decode())


def test_a_note_of_ones_own_is_seen_by_nobody_else(
    paper: Paper, alice: User, bob: User, staff: User, client_of: Visit
) -> None:
    assert write(client_of(alice), "Weak baseline").status_code == 302
    assert "Weak baseline" in page(client_of(alice))
    assert "only you" in page(client_of(alice))
    for other in (bob, staff):
        assert "Weak baseline" not in page(client_of(other))


def test_a_shared_note_shows_its_author_and_date_to_everyone(
    paper: Paper, alice: User, bob: User, client_of: Visit
) -> None:
    write(client_of(alice), "Read this first", shared=True)
    text = page(client_of(bob))
    assert "Read this first" in text
    assert "<strong>alice</strong>" in text
    assert Note.objects.get().written_at.strftime("%Y") in text
    assert "/delete/" not in text
    assert "<strong>You</strong>" in page(client_of(alice))


def test_authors_delete_their_notes_and_staff_shared_ones(
    paper: Paper, alice: User, bob: User, staff: User, client_of: Visit
) -> None:
    for shared in (True, True, False):
        write(client_of(alice), f"note {shared}", shared=shared)
    first, second, private = Note.objects.all()
    assert delete(client_of(bob), first) == 404
    assert delete(client_of(bob), private) == 404
    assert delete(client_of(staff), private) == 404
    assert delete(client_of(staff), first) == 302
    assert delete(client_of(alice), second) == 302
    assert delete(client_of(alice), private) == 302
    assert not Note.objects.exists()


def test_notes_on_a_private_paper_are_only_its_owners(alice: User, bob: User, staff: User, client_of: Visit) -> None:
    Paper.objects.create(key="own", title="Mine", owner=alice)
    write(client_of(alice), "Between us", shared=True, key="own")
    note = Note.objects.get()
    assert not note.shared
    assert "Share with everyone" not in page(client_of(alice), "own")
    for other in (bob, staff):
        assert write(client_of(other), "hello", key="own").status_code == 404
        assert delete(client_of(other), note) == 404
        assert "Between us" not in page(client_of(other), "own")


def test_a_note_belongs_to_the_paper_in_the_address(paper: Paper, alice: User, client_of: Visit) -> None:
    Paper.objects.create(key="other", title="Another")
    write(client_of(alice), "Here")
    assert client_of(alice).post(f"/literature/other/notes/{Note.objects.get().pk}/delete/").status_code == 404


def test_a_note_is_plain_text_with_its_lines(paper: Paper, alice: User, client_of: Visit) -> None:
    write(client_of(alice), "<b>bold</b>\r\nsecond & last\0\r\n")
    assert Note.objects.get().text == "<b>bold</b>\nsecond & last"
    raw = client_of(alice).get("/literature/lee2024scan/").content.decode()
    assert "&lt;b&gt;bold&lt;/b&gt;\nsecond &amp; last" in raw
    assert "<b>bold" not in raw


@pytest.mark.parametrize(("text", "line"), [(" \n ", "Write something first."), ("x" * 5001, "this one has 5,001.")])
def test_a_refused_note_says_why_and_keeps_what_was_written(
    text: str, line: str, paper: Paper, alice: User, client_of: Visit
) -> None:
    answer = write(client_of(alice), text, **HTMX)
    assert answer.status_code == 422
    assert answer.content.decode().endswith(line)
    plain = write(client_of(alice), text, shared=True)
    assert plain.status_code == 422
    shown = html.unescape(plain.content.decode())
    assert line in shown
    assert text.strip() in shown
    assert not Note.objects.exists()


def test_five_thousand_characters_are_a_note(paper: Paper, alice: User, client_of: Visit) -> None:
    assert write(client_of(alice), "\r\n".join(["x" * 999] * 5)).status_code == 302


def test_htmx_gets_the_section(paper: Paper, alice: User, client_of: Visit) -> None:
    text = write(client_of(alice), "Here", **HTMX).content.decode()
    assert text.startswith('<h2 id="lit-notes-title">')
    assert "<html" not in text
    note = Note.objects.get()
    gone = client_of(alice).post(f"/literature/lee2024scan/notes/{note.pk}/delete/", headers=HTMX)
    assert "No notes yet" in gone.content.decode()
