"""A chat model behind the OpenAI protocol, over real HTTP: streaming, tool calls, images, and its bad days."""

import json
import threading
import time

import pytest
from django.conf import settings as lightbox
from django.contrib.auth.models import User

from assistant import runs
from assistant.models import Conversation, Event, Message, Run, ToolCall
from inference import routing, servers
from inference.fake import FakeOpenAI, Reply
from tests.assistant.test_runs import let_leases_run_out, radiograph

__all__ = ["radiograph"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def conversation(alice: User) -> Conversation:
    return Conversation.objects.create(owner=alice)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    """Nothing is known of any server, and second tries come soon."""
    monkeypatch.setattr(routing, "FIRST_WAIT", 0.001)
    servers.forget()
    yield
    servers.forget()


@pytest.fixture
def served(settings):
    """Starts a server with a script and points LIGHTBOX_CHAT at it; a second one serves the same model beside it."""
    started: list[FakeOpenAI] = []

    def start(script: object, **more: object) -> FakeOpenAI:
        server = FakeOpenAI(script, **more)
        server.__enter__()
        started.append(server)
        line = f"openai:{server.base_url}#{server.model}"
        if len(started) == 1:
            settings.CHAT_MODEL = line
        else:
            settings.SERVERS = f"{settings.SERVERS},{line}"
        return server

    yield start
    for server in started:
        server.__exit__(None, None, None)


def test_a_served_model_calls_tools_and_its_evidence_is_checked(conversation, radiograph, served, eager_celery):
    server = served(
        [
            Reply("Let me look.", tool_calls=[("segment", {"image": "img1"}), ("describe_image", {"image": "img1"})]),
            "The right lung is outlined [[c1.1]]. A dragon is seen [[c9.1]].",
        ]
    )
    run = runs.ask(conversation, "Please look at this film", [radiograph])
    run.refresh_from_db()
    assert run.state == Run.DONE
    assert [r["verified"] for r in run.answer.references] == [True, False]
    assert run.answer.text.startswith("Let me look.")
    first, second = server.requests
    assert {tool["function"]["name"] for tool in first["tools"]} >= {"segment", "search_literature", "draft_report"}
    assert "ask_image" not in {tool["function"]["name"] for tool in first["tools"]}
    _, named, picture = first["messages"][-1]["content"]
    assert named["text"] == "img1, chest radiograph, PA"
    picture = picture["image_url"]["url"]
    assert picture.startswith("data:image/")
    told = [m for m in second["messages"] if m["role"] == "tool"]
    assert len(told) == 2
    assert json.loads(told[0]["content"])["statements"][0]["ref"] == "c1.1"


def test_arguments_that_do_not_fit_go_back_to_the_model(conversation, radiograph, served, eager_celery):
    served(
        [
            Reply(tool_calls=[("segment", {"image": "../etc/passwd"}), ("delete_everything", {})]),
            "I could not do that.",
        ]
    )
    run = runs.ask(conversation, "Segment", [radiograph])
    run.refresh_from_db()
    assert run.state == Run.DONE
    lines = list(run.tool_calls.values_list("state", "text"))
    assert [state for state, _ in lines] == [ToolCall.DECLINED, ToolCall.DECLINED]
    assert "do not fit its schema" in lines[0][1]
    assert "There is no tool" in lines[1][1]


def test_a_tool_whose_arguments_do_not_fit_twice_is_declined_and_the_run_goes_on(
    conversation, radiograph, served, eager_celery
):
    bad = Reply(tool_calls=[("segment", {"picture": "img1"})])
    server = served([bad, bad, Reply(tool_calls=[("describe_image", {"image": "img1"})]), "It is described [[c3]]."])
    run = runs.ask(conversation, "Segment", [radiograph])
    run.refresh_from_db()
    assert run.state == Run.DONE
    first, second, third = run.tool_calls.values_list("state", "text")
    assert (first[0], second[0], third[0]) == (ToolCall.DECLINED, ToolCall.DECLINED, ToolCall.DONE)
    assert "second such call" not in first[1]
    assert second[1].endswith("it is declined. Go on without it.")
    assert [m["content"] for m in server.requests[-1]["messages"] if m["role"] == "tool"][:2] == [first[1], second[1]]


def test_a_model_that_only_asks_for_tools_is_stopped(conversation, radiograph, served, eager_celery):
    server = served(lambda request: Reply(tool_calls=[("describe_image", {"image": "img1"})]))
    run = runs.ask(conversation, "Look", [radiograph])
    run.refresh_from_db()
    assert run.state == Run.DONE
    assert len(server.requests) <= 12
    assert "limit" in run.answer.text.lower()


def test_when_the_served_model_is_down_the_guide_answers_and_says_so(conversation, radiograph, settings, eager_celery):
    settings.CHAT_MODEL = "openai:http://127.0.0.1:9/v1#away"
    run = runs.ask(conversation, "Describe this image", [radiograph])
    run.refresh_from_db()
    assert run.state == Run.DONE
    assert "1841 x 1955" in run.answer.text
    assert run.answer.note == "away did not answer, so the guide wrote this answer."
    assert run.chat_model == "guide"


def test_a_dead_server_is_asked_once_and_then_left_alone(conversation, served, settings, eager_celery):
    settings.CHAT_MODEL = "openai:http://127.0.0.1:9/v1#away"
    runs.ask(conversation, "Which papers adapt CLIP?", [])
    began = time.monotonic()
    conversation.refresh_from_db()
    run = runs.ask(conversation, "And MedSAM?", [])
    run.refresh_from_db()
    assert run.state == Run.DONE
    assert run.chat_model == "guide"
    assert servers.state_of(served_pool(settings)[0]).failures == routing.TRIES, "the second question did not try"
    assert time.monotonic() - began < 5


def served_pool(settings):
    from assistant.served import pool

    return pool(settings.CHAT_MODEL)


def test_a_busy_server_is_asked_again_and_its_tokens_are_counted(conversation, served, eager_celery, alice, client_of):
    server = served([Reply("busy", status=503), "Hello to you."])
    run = runs.ask(conversation, "Hello", [])
    run.refresh_from_db()
    assert (run.state, run.answer.text, run.answer.note) == (Run.DONE, "Hello to you.", "")
    assert len(server.requests) == 2
    assert run.output_tokens == 3
    assert run.input_tokens > 10
    page = client_of(alice).get(f"/chats/{conversation.pk}/").content.decode()
    assert "3 written" in page


def test_another_server_of_the_same_model_answers_when_the_first_is_overloaded(conversation, served, eager_celery):
    busy = served([], load=(5, 3))
    idle = served(["From the second."], load=(0, 0))
    run = runs.ask(conversation, "Hello", [])
    run.refresh_from_db()
    assert run.answer.text == "From the second."
    assert (len(busy.requests), len(idle.requests)) == (0, 1)


def test_too_many_requests_are_answered_by_the_guide(conversation, served, eager_celery):
    served(lambda request: Reply("too many", status=429))
    run = runs.ask(conversation, "Which papers adapt CLIP?", [])
    run.refresh_from_db()
    assert (run.state, run.chat_model) == (Run.DONE, "guide")


def test_a_server_that_dies_while_it_speaks_leaves_no_half_words(conversation, radiograph, served, eager_celery):
    served(lambda request: Reply("Half an answer that never ends well.", drop_after=3))
    run = runs.ask(conversation, "Describe this image", [radiograph])
    run.refresh_from_db()
    assert run.state == Run.DONE
    assert "Half" not in run.answer.text
    assert run.transcript().text == run.answer.text


def test_a_refusal_of_the_server_is_shown_in_one_line(conversation, served, eager_celery):
    served([Reply("model is not loaded", status=404)])
    run = runs.ask(conversation, "Which papers adapt CLIP?", [])
    run.refresh_from_db()
    assert run.state == Run.FAILED
    assert run.answer.note.startswith("The chat model refused the request:")


def test_words_arrive_while_the_model_speaks_and_stop_ends_it_soon(conversation, served):
    server = served([Reply(" ".join(["word"] * 400), delay_s=0.02)])
    run = runs.ask(conversation, "Talk", [])
    worker = threading.Thread(target=_advance_and_close, args=(str(run.pk),))
    worker.start()
    _wait_for(lambda: Event.objects.filter(run=run, kind="text").count() >= 3)
    began = time.monotonic()
    assert runs.cancel(run)
    worker.join(timeout=5)
    assert not worker.is_alive()
    assert time.monotonic() - began < 2
    run.refresh_from_db()
    assert run.state == Run.CANCELLED
    assert 3 <= run.answer.text.count("word") < 400
    assert run.transcript().text == run.answer.text
    _wait_for(lambda: server.disconnects == 1)


def test_stop_reaches_the_server_before_its_first_word(conversation, served):
    server = served([Reply("late", start_s=60)])
    run = runs.ask(conversation, "Talk", [])
    worker = threading.Thread(target=_advance_and_close, args=(str(run.pk),))
    worker.start()
    _wait_for(lambda: len(server.requests) == 1)
    assert runs.cancel(run)
    worker.join(timeout=5)
    assert not worker.is_alive()
    _wait_for(lambda: server.disconnects == 1)
    run.refresh_from_db()
    assert (run.state, run.chat_model) == (Run.CANCELLED, f"openai:{server.base_url}#{server.model}")
    assert servers.state_of(servers.Server.parse(run.chat_model)).failures == 0


def test_stop_reaches_the_server_that_is_asked_about_an_image(conversation, radiograph, served, settings):
    server = served([Reply(tool_calls=[("ask_image", {"image": "img1", "question": "What is this?"})])])
    with FakeOpenAI([Reply("late", start_s=60)]) as seeing:
        settings.VQA_MODEL = f"openai:{seeing.base_url}#{seeing.model}-vl"
        run = runs.ask(conversation, "Look", [radiograph])
        runs.advance(str(run.pk))
        worker = threading.Thread(target=_call_and_close, args=(str(run.tool_calls.get().pk),))
        worker.start()
        _wait_for(lambda: len(seeing.requests) == 1)
        assert runs.cancel(run)
        worker.join(timeout=5)
        assert not worker.is_alive()
        _wait_for(lambda: seeing.disconnects == 1)
    assert len(server.requests) == 1


def test_a_worker_killed_while_the_model_speaks_starts_that_step_again(conversation, served, monkeypatch, eager_celery):
    served(["one two three four five six", "one two three four five six"])
    append, writes = Run.append, 0

    class WorkerDied(BaseException):
        pass

    def dying(self: Run, *new: object) -> None:
        nonlocal writes
        append(self, *new)
        writes += 1
        if writes == 1:
            raise WorkerDied

    monkeypatch.setattr(runs, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(Run, "append", dying)
    with pytest.raises(WorkerDied):
        runs.ask(conversation, "Count", [])
    let_leases_run_out()
    runs.sweep()
    run = Run.objects.get()
    assert run.state == Run.DONE
    assert run.answer.text == "one two three four five six"
    assert run.transcript().text == run.answer.text
    assert conversation.messages.filter(role=Message.ASSISTANT).count() == 1


def _advance_and_close(run_id: str) -> None:
    from django.db import connection

    try:
        runs.advance(run_id)
    finally:
        connection.close()


def _call_and_close(call_id: str) -> None:
    from django.db import connection

    try:
        runs.call_tool(call_id)
    finally:
        connection.close()


def _wait_for(condition: object, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        threading.Event().wait(0.02)


def test_the_settings_name_the_model_and_where_it_runs():
    from assistant.chat_setting import ChatSetting

    assert ChatSetting.parse(lightbox.CHAT_MODEL).is_local
    assert not ChatSetting.parse("openai:https://models.example.org/v1#x").is_local
