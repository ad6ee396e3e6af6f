"""Real workers over a real queue, killed and frozen in the middle of their work: the reader still gets one answer."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import psutil
import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from assistant import runs
from assistant.models import Conversation, Image, Message, Run, ToolCall
from inference.fake import Reply
from tests.assistant.test_runs import radiograph
from tests.assistant.test_served_model import served
from tests.conftest import ROOT, Workers, database_url

__all__ = ["radiograph", "served"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]
PATIENCE = 120.0  # seconds; a busy machine is slow to start a worker again


@pytest.fixture(scope="module")
def short_leases() -> Iterator[None]:
    """In the environment of the workers: what goes silent is missed after seconds."""
    values = {"LIGHTBOX_RUN_LEASE": "3", "LIGHTBOX_TOOL_LEASE": "3", "LIGHTBOX_SWEEP_EVERY": "0.5"}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    yield
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture
def workers(short_leases: None, celery_workers: Workers) -> Iterator[Workers]:
    yield celery_workers
    for run in Run.objects.active():
        runs.cancel(run)


@pytest.fixture
def conversation(alice: User) -> Conversation:
    return Conversation.objects.create(owner=alice)


def until(condition: Callable[[], object], seconds: float = PATIENCE, every: float = 0.02) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        threading.Event().wait(every)


def finished(run: Run) -> Run:
    def over() -> bool:
        run.refresh_from_db()
        return not run.is_active

    until(over)
    return run


def assert_told_once(run: Run) -> None:
    """One answer, every call finished once, numbers without a gap: what any reader of the events sees."""
    assert run.conversation.messages.filter(role=Message.ASSISTANT, answered_run=run).count() == 1
    rows = list(run.events.values_list("seq", "kind", "payload"))
    assert [seq for seq, _, _ in rows] == list(range(1, run.last_seq + 1))
    assert rows[-1][1] == "answered"
    ends = [payload["number"] for _, kind, payload in rows if kind == "finished"]
    assert sorted(ends) == sorted(call.number for call in run.tool_calls.all())
    assert run.transcript().text == run.answer.text


def test_a_question_goes_through_the_queues(workers: Workers, conversation: Conversation, radiograph: Image) -> None:
    run = runs.ask(conversation, "Describe this image and segment the lungs", [radiograph])
    finished(run)
    assert run.state == Run.DONE
    assert_told_once(run)
    assert {call.name: call.state for call in run.tool_calls.all()} == {"describe_image": "done", "segment": "done"}
    assert "1841 x 1955" in run.answer.text
    assert "was outlined" in run.answer.text
    for call in run.tool_calls.all():
        assert call.created_at <= call.started_at <= call.finished_at


def test_questions_of_many_people_do_not_mix(
    workers: Workers, alice: User, bob: User, radiograph: Image, served: Any
) -> None:
    asked = []
    for number, owner in enumerate([alice, bob, alice, bob, alice]):
        conversation = Conversation.objects.create(owner=owner)
        text = f"Describe this image {number}" if owner == alice else "Segment the lungs"
        asked.append((runs.ask(conversation, text, [radiograph] if owner == alice else []), owner))
    for run, owner in asked:
        finished(run)
        assert run.state == Run.DONE
        assert_told_once(run)
        assert ("1841 x 1955" in run.answer.text) == (owner == alice)
        assert all(call.run.conversation.owner == owner for call in run.tool_calls.all())


# Killed


def child_of(workers: Workers) -> psutil.Process:
    """The process of the vision worker's pool that carries out the tools."""
    until(lambda: psutil.Process(workers.pid("vision")).children())
    return psutil.Process(workers.pid("vision")).children()[0]


def stopped_in_a_tool(workers: Workers, conversation: Conversation, image: Image) -> tuple[Run, ToolCall]:
    """Ask, and freeze the child of the vision worker while it carries out the tool."""
    for _ in range(5):
        child = child_of(workers)
        run = runs.ask(conversation, "Segment the lungs", [image])
        until(lambda run=run: run.tool_calls.exclude(state=ToolCall.REQUESTED).exists(), every=0.002)
        child.suspend()
        call = run.tool_calls.get()
        if call.state == ToolCall.RUNNING:
            return run, call
        child.resume()
        finished(run)
    pytest.fail("the tool was always faster than the test")


def test_a_child_killed_in_the_middle_of_a_tool_costs_nothing_but_time(
    workers: Workers, conversation: Conversation, radiograph: Image
) -> None:
    run, call = stopped_in_a_tool(workers, conversation, radiograph)
    child_of(workers).send_signal(signal.SIGKILL)
    finished(run)
    assert run.state == Run.DONE
    assert_told_once(run)
    call.refresh_from_db()
    assert (call.state, call.artifacts.count()) == (ToolCall.DONE, 2)
    assert call.attempt >= 2


def test_a_vision_worker_killed_in_the_middle_of_a_tool_costs_nothing_but_time(
    workers: Workers, conversation: Conversation, radiograph: Image
) -> None:
    run, call = stopped_in_a_tool(workers, conversation, radiograph)
    workers.kill("vision")
    finished(run)
    assert run.state == Run.DONE
    assert_told_once(run)
    call.refresh_from_db()
    assert (call.state, call.artifacts.count(), call.attempt) == (ToolCall.DONE, 2, 2)
    assert call.run.answer.text.count("was outlined") == 2


def test_an_agent_worker_killed_while_the_model_speaks_starts_the_step_again(
    workers: Workers, conversation: Conversation, served: Any
) -> None:
    words = " ".join(f"word{number}" for number in range(60))
    server = served(lambda request: Reply(words, delay_s=0.05 if len(server.requests) < 2 else 0.0))
    run = runs.ask(conversation, "Talk", [])
    until(lambda: run.events.filter(kind="text").count() >= 3)
    workers.kill("agent")
    finished(run)
    assert (run.state, run.answer.text, run.answer.note) == (Run.DONE, words, "")
    assert_told_once(run)
    assert len(server.requests) == 2
    assert run.events.filter(kind="restarted").count() == 1


# Frozen, and awake again after somebody else has done its work


def writable(run: Run) -> bool:
    """Whether whoever was frozen holds no lock of the database."""
    if connection.vendor == "sqlite":
        with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=0.2, isolation_level=None)) as database:
            try:
                database.execute("BEGIN IMMEDIATE")
                database.execute("ROLLBACK")
            except sqlite3.OperationalError:
                return False
        return True
    try:
        with transaction.atomic():
            Run.objects.select_for_update(nowait=True).get(pk=run.pk)
            Conversation.objects.select_for_update(nowait=True).get(pk=run.conversation_id)
    except OperationalError:
        return False
    return True


def freeze(process: psutil.Process, run: Run) -> None:
    for _ in range(20):
        process.suspend()
        if writable(run):
            return
        process.resume()
        threading.Event().wait(0.03)
    pytest.fail("the worker was always writing")


def test_a_worker_that_wakes_up_too_late_writes_nothing(
    workers: Workers, conversation: Conversation, served: Any
) -> None:
    slow, quick = " ".join(["slow"] * 200), "The quick answer."
    server = served(lambda request: Reply(slow, delay_s=0.05) if len(server.requests) < 2 else Reply(quick))
    run = runs.ask(conversation, "Talk", [])
    until(lambda: run.events.filter(kind="text").count() >= 3)
    agent = psutil.Process(workers.pid("agent"))
    freeze(agent, run)
    try:
        Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
        runs.sweep()
        runs.advance(str(run.pk))
        run.refresh_from_db()
        assert (run.state, run.answer.text) == (Run.DONE, quick)
        last = run.last_seq
    finally:
        agent.resume()
    until(lambda: server.disconnects >= 1)  # it has noticed, and has hung up on its model
    run.refresh_from_db()
    assert (run.last_seq, run.answer.text) == (last, quick)
    assert_told_once(run)


# The queue is away


ASK = """
import sys, time
import django
django.setup()
from assistant import runs
from assistant.models import Conversation
began = time.monotonic()
runs.ask(Conversation.objects.get(pk=sys.argv[1]), "Segment the lungs", [])
print(time.monotonic() - began)
"""


def test_a_question_asked_while_the_queue_is_away_is_answered_when_it_is_back(
    workers: Workers, conversation: Conversation
) -> None:
    env = {**os.environ, "DATABASE_URL": database_url(), "REDIS_URL": "redis://127.0.0.1:9/0"}
    line = [sys.executable, "-c", ASK, str(conversation.pk)]
    asked = subprocess.run(line, env=env, cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(asked.stdout) < 10
    assert "the sweep will try again" in asked.stderr
    run = Run.objects.get(conversation=conversation)
    assert run.state == Run.QUEUED
    assert run.lease_until < timezone.now() + timedelta(seconds=runs.RETRY_ENQUEUE)
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now())  # the time that a person would wait
    assert finished(run).state == Run.DONE
    assert_told_once(run)


def test_a_question_that_lost_its_place_in_the_queue_is_taken_up(
    workers: Workers, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs.tasks, "enqueue", lambda *_, **__: None)
    run = runs.ask(conversation, "Segment the lungs", [])
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now())
    assert finished(run).state == Run.DONE
