"""Two at once, and chat models on their worst days: nothing is lost, nothing is said after the end."""

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.db import connection

from assistant import chat, evidence, runs, tools
from assistant.events import Stopped, ToolStarted
from assistant.heartbeat import Heartbeat
from assistant.models import Conversation, Event, Message, Report, Run, ToolCall
from inference.fake import Reply
from tests.assistant.test_runs import radiograph
from tests.assistant.test_served_model import served

__all__ = ["radiograph", "served"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def conversation(alice: User) -> Conversation:
    return Conversation.objects.create(owner=alice)


class Aside(threading.Thread):
    """Work on a connection of its own; its result or its exception is kept."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__()
        self.work, self.result, self.error = work, None, None

    def run(self) -> None:
        try:
            self.result = self.work()
        except Exception as error:  # noqa: BLE001  asserted on by the test
            self.error = error
        finally:
            connection.close()


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        threading.Event().wait(0.02)


def someone_waits_for_a_lock() -> bool:
    if connection.vendor != "postgresql":
        return True  # SQLite has one lock for all writers, and so no order to get wrong
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from pg_locks where not granted")
        return cursor.fetchone()[0] > 0


def test_a_question_sent_from_a_page_older_than_the_answer_follows_the_answer(conversation, eager_celery):
    before = Conversation.objects.get(pk=conversation.pk)
    runs.ask(conversation, "Segment the lungs", [])
    runs.ask(before, "Describe the image", [])
    conversation.refresh_from_db()
    assert [message.role for message in conversation.branch()] == [
        Message.USER,
        Message.ASSISTANT,
        Message.USER,
        Message.ASSISTANT,
    ]


def test_a_chat_renamed_while_it_answers_keeps_its_new_name(conversation):
    run = runs.ask(conversation, "Segment the lungs", [])
    stale = Conversation.objects.get(pk=conversation.pk)
    Conversation.objects.filter(pk=conversation.pk).update(title="Mr Doe's chest")
    stale.add(Message.ASSISTANT, "Done.")
    run.conversation.refresh_from_db()
    assert run.conversation.title == "Mr Doe's chest"


def test_a_question_in_a_chat_deleted_meanwhile_is_refused(conversation):
    Conversation.objects.all().delete()
    with pytest.raises(runs.Refused, match="deleted"):
        runs.ask(conversation, "Segment the lungs", [])


def test_the_next_question_and_the_end_of_an_answer_do_not_wait_for_each_other(conversation, monkeypatch):
    run = runs.ask(conversation, "Segment the lungs", [])
    asking = Aside(lambda: runs.ask(conversation, "Describe it", []))

    def slow(*arguments: Any) -> Any:
        asking.start()
        until(someone_waits_for_a_lock)
        return evidence.references(*arguments)

    monkeypatch.setattr(runs, "references", slow)
    runs.advance(str(run.pk))
    asking.join(timeout=30)
    run.refresh_from_db()
    assert run.state == Run.DONE
    assert asking.error is None or isinstance(asking.error, runs.Busy)
    assert conversation.messages.filter(role=Message.ASSISTANT).count() == 1


def test_stop_and_the_end_of_an_answer_leave_one_answer(conversation, monkeypatch):
    run = runs.ask(conversation, "Segment the lungs", [])
    stopping = Aside(lambda: runs.cancel(Run.objects.get(pk=run.pk)))

    def slow(*arguments: Any) -> Any:
        stopping.start()
        until(someone_waits_for_a_lock)
        return evidence.references(*arguments)

    monkeypatch.setattr(runs, "references", slow)
    runs.advance(str(run.pk))
    stopping.join(timeout=30)
    run.refresh_from_db()
    assert stopping.error is None
    assert run.state == (Run.CANCELLED if stopping.result else Run.DONE)
    assert conversation.messages.filter(role=Message.ASSISTANT).count() == 1
    assert run.events.filter(kind__in=("answered", "stopped")).count() == 1


def test_many_clicks_on_send_start_one_answer(conversation):
    asking = [Aside(lambda: runs.ask(conversation, "Segment the lungs", [])) for _ in range(6)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(timeout=30)
    assert [type(thread.error) for thread in asking if thread.error] == [runs.Busy] * 5
    assert conversation.messages.count() == conversation.runs.count() == 1


def test_many_workers_get_a_run_and_a_call_once(conversation, radiograph):
    run = runs.ask(conversation, "Segment the lungs", [radiograph])
    claims = [Aside(lambda: Run.objects.claim(run.pk)) for _ in range(6)]
    for thread in claims:
        thread.start()
    for thread in claims:
        thread.join(timeout=30)
    assert [thread.error for thread in claims] == [None] * 6
    assert sum(thread.result is not None for thread in claims) == 1


def test_a_tool_that_was_taken_just_before_the_stop_says_nothing_after_it(conversation, radiograph, monkeypatch):
    run = runs.ask(conversation, "Segment the lungs", [radiograph])
    runs.advance(str(run.pk))
    lock = Run.lock.__func__

    def stopped_first(run_id: Any) -> Run:
        monkeypatch.setattr(Run, "lock", classmethod(lock))
        assert runs.cancel(Run.objects.get(pk=run_id))
        return Run.lock(run_id)

    monkeypatch.setattr(Run, "lock", stopped_first)
    monkeypatch.setattr(tools, "execute", lambda call: pytest.fail("the tool was carried out"))
    runs.call_tool(str(run.tool_calls.get().pk))
    assert run.events.last().kind == Stopped.kind
    assert not run.events.filter(kind=ToolStarted.kind).exists()


def test_two_tools_that_finish_together_continue_the_run_once(conversation, radiograph):
    run = runs.ask(conversation, "Describe this image and segment the lungs", [radiograph])
    runs.advance(str(run.pk))
    calls = [ToolCall.objects.claim(call.pk) for call in run.tool_calls.all()]
    assert None not in calls
    ends = [Aside(lambda call=call: runs._finish(call, runs.tools.failed("no"))) for call in calls]
    for thread in ends:
        thread.start()
    for thread in ends:
        thread.join(timeout=30)
    run.refresh_from_db()
    assert [thread.error for thread in ends] == [None, None]
    assert run.state == Run.QUEUED
    seqs = list(run.events.values_list("seq", flat=True))
    assert seqs == list(range(1, run.last_seq + 1))


def test_a_chat_deleted_while_a_tool_works_is_gone_with_its_files(conversation, radiograph):
    run = runs.ask(conversation, "Segment the lungs", [radiograph])
    runs.advance(str(run.pk))
    call = ToolCall.objects.claim(run.tool_calls.get().pk)
    assert call is not None
    outcome = tools.execute(call)
    Conversation.objects.get(pk=conversation.pk).delete_with_files()
    with pytest.raises(Run.DoesNotExist):
        runs._finish(call, outcome)
    runs.call_tool(str(call.pk))
    runs.advance(str(run.pk))
    runs.sweep()
    assert not Event.objects.exists()


def test_characters_that_no_database_keeps_are_left_out(conversation, radiograph, served, eager_celery):
    served([Reply("Let me\0 see.", tool_calls=[("seg\0ment", {"im\0age": "\0"})]), "Done\0."])
    run = runs.ask(conversation, "Segment", [radiograph])
    run.refresh_from_db()
    assert (run.state, run.answer.note) == (Run.DONE, "")
    assert run.answer.text.endswith("Done.")
    assert run.tool_calls.get().arguments == {"image": ""}


def test_names_and_titles_of_any_length_fit(conversation, radiograph, served, eager_celery):
    title = "A very long title " * 11
    served(
        [
            Reply(tool_calls=[("describe_image", {"image": "img1"}), ("no_such_tool_" * 20, {})]),
            Reply(tool_calls=[("draft_report", {"title": title})]),
            "Drafted.",
        ]
    )
    run = runs.ask(conversation, "Draft a report", [radiograph])
    run.refresh_from_db()
    assert run.state == Run.DONE
    assert Report.objects.get().title == title
    assert [call.state for call in run.tool_calls.all()] == ["done", "declined", "done"]


def test_an_empty_answer_is_called_one(conversation, served, eager_celery):
    served([Reply("")])
    run = runs.ask(conversation, "Say nothing", [])
    run.refresh_from_db()
    assert (run.state, run.answer.text, run.answer.note) == (Run.DONE, "", runs.EMPTY)


def test_a_server_that_hangs_is_left_for_the_guide(conversation, served, eager_celery, monkeypatch):
    monkeypatch.setattr(chat, "TIMEOUT", httpx.Timeout(0.3))
    served(lambda request: Reply("Too late", delay_s=3))
    run = runs.ask(conversation, "Segment the lungs", [])
    run.refresh_from_db()
    assert run.state == Run.DONE
    assert "the guide wrote this answer" in run.answer.note
    assert runs.MODEL_SILENCE > 2 * 120


def test_a_lease_is_held_as_long_as_there_are_signs_of_life():
    beats = 0

    def renew() -> bool:
        nonlocal beats
        beats += 1
        return True

    with Heartbeat(renew, every=0.01, limit=0.03, sign=lambda: beats):
        until(lambda: beats > 20)
    beats = 0
    with Heartbeat(renew, every=0.01, limit=0.03) as silent:
        silent._thread.join(timeout=5)
    assert not silent._thread.is_alive()
    assert beats <= 4


def test_an_organ_that_cannot_be_outlined_is_declined_by_name(conversation, radiograph, eager_celery):
    run = runs.ask(conversation, "Segment the heart", [radiograph])
    run.refresh_from_db()
    assert run.tool_calls.get().state == ToolCall.DECLINED
    assert run.answer.text.startswith("No model that is configured here outlines: heart. By name: ")
    assert "right lung, left lung" in run.answer.text
    assert run.answer.text.endswith("Mark it with a box, points or a lasso instead.")
