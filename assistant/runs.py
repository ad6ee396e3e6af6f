"""Carrying a run from question to answer in short steps over rows, so that any process may die at any point.

ask      saves the question and a queued run, and enqueues `advance`
call     saves a tool call that a person has made as a turn of the chat, and a run that waits for its result
advance  one step: the agent writes, until it has answered or asks for tools; then the run waits and no worker does
call_tool  one tool call; the last one to finish queues the run again
cancel   ends the run at once, keeping what was said
sweep    puts back what went silent, and gives up what fails again and again
"""

import logging
import time
from collections.abc import Generator
from contextlib import closing
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from assistant import events, model_servers, served, tasks, tools
from assistant.chat_setting import ChatSetting
from assistant.evidence import references
from assistant.heartbeat import Heartbeat, Lookout
from assistant.models import Conversation, Image, Message, Run, Superseded, ToolCall
from assistant.models.runs import lease
from assistant.results import keep_artifacts
from assistant.support import support
from inference.open_lines import OpenLines

log = logging.getLogger("lightbox.runs")

RETRY_ENQUEUE = 15.0  # seconds after which the sweep enqueues a waiting step again
FLUSH_SECONDS = 0.04  # words are written this often: a row for every token would slow a fast model
MODEL_SILENCE = 270.0  # seconds a step may write nothing; longer than the chat model's own time-out with its retry
EMPTY = "The chat model gave an empty answer. Ask again, in other words."
GIVEN_UP = "{line} This is the second such call of {name} in this answer: it is declined. Go on without it."
STOPPED = "Stopped. What had been said by then is kept."


class Busy(Exception):
    """The conversation is still answering an earlier question."""

    def __init__(self) -> None:
        super().__init__("The last question is still being answered. Wait for it, or stop it first.")


class Refused(Exception):
    """The question cannot be taken; the text says why in one line."""


def ask(conversation: Conversation, text: str, images: list[Image]) -> Run:
    """Save a question with its images and start answering it. Raises Busy or Refused, and then saves nothing."""
    text = text.replace("\x00", "").strip()
    if not text and not images:
        raise Refused("Write a question, or add an image.")
    if len(text) > settings.MESSAGE_LIMIT:
        raise Refused(f"This question is longer than {settings.MESSAGE_LIMIT:,} characters.")
    if len(images) > settings.IMAGES_PER_MESSAGE:
        raise Refused(f"One question can carry at most {settings.IMAGES_PER_MESSAGE} images.")
    return _start(conversation, text, images)


def call(conversation: Conversation, text: str, name: str, arguments: dict[str, Any]) -> Run:
    """Save what a person has asked of a tool, in words and as the call itself; the agent goes on from its result.

    The arguments fit the tool's schema. Raises Busy or Refused, and then saves nothing.
    """
    return _start(conversation, text, [], events.ToolRequested(ToolCall.GIVEN, name, arguments))


def _start(
    conversation: Conversation, text: str, images: list[Image], given: events.ToolRequested | None = None
) -> Run:
    try:
        with transaction.atomic():
            current = Conversation.lock(conversation.pk)  # an answer may have come since the caller read the row
            if current is None:
                raise Refused("This chat has been deleted.")
            message = current.add(Message.USER, text, images)
            state = Run.WAITING if given else Run.QUEUED
            until = lease(RETRY_ENQUEUE)
            model, note = served.chosen(current.chat_model)
            run = current.runs.create(
                message=message, chat_model=model.value, note=note, state=state, lease_until=until
            )
            if given:
                made = _new_call(run, given, by_person=True)
                run.append(events.ToolRequested(made.call_id, made.name, made.arguments, made.number))
                tasks.enqueue(tasks.call_tool, made.pk, queue=made.queue)
            else:
                tasks.enqueue(tasks.advance_run, run.pk)
    except IntegrityError as error:
        raise Busy from error
    return run


def advance(run_id: str) -> None:
    """One step of a run. Does nothing when somebody else has the run or it is over."""
    run = Run.objects.claim(run_id)
    if run is None:
        return
    try:
        every = settings.RUN_LEASE / 3
        with (
            OpenLines() as lines,
            Lookout(run.still_mine().exists, lines.cut),
            Heartbeat(lambda: _holds(run), every, limit=MODEL_SILENCE, sign=lambda: run.last_seq),
        ):
            _step(run)
    except Superseded:
        log.info("%s was taken over or stopped", run)


def _holds(run: Run) -> bool:
    try:
        run.hold()
    except Superseded:
        return False
    return True


def _step(run: Run) -> None:
    from assistant import agent  # LangChain: in agent workers only

    try:
        _write(run, _said(run))
    except agent.ModelDown as error:
        _fall_back(run, error)
    except agent.ModelFailed as error:
        _end(run, Run.FAILED, str(error))
    except Superseded:
        raise
    except Exception:  # the worker's boundary: whatever went wrong, the reader must not wait for ever
        log.exception("%s failed", run)
        _end(run, Run.FAILED, "The answer failed by a fault of Lightbox; the log of the agent worker says more.")


def _said(run: Run) -> Generator[events.AgentEvent | events.Spent, None, None]:
    """The agent's events for the next step of this run, from its rows and its checkpoint."""
    from assistant import agent
    from assistant.chat import chat_model
    from assistant.checkpoints import checkpointer
    from assistant.history import history

    shown = run.transcript().parts
    finished = run.tool_calls.exclude(state__in=ToolCall.UNFINISHED)
    usable = [tool for tool in tools.TOOLS.values() if run.chat_model == model_servers.GUIDE or not tool.missing()]
    with checkpointer() as saver:
        yield from agent.advance(
            chat_model(run.chat_model),
            usable,
            history(run, run.chat_model != model_servers.GUIDE, model_servers.longest_side(run.chat_model)),
            dict(finished.values_list("call_id", "text")),
            thread=str(run.pk),
            saver=saver,
            again=bool(shown) and isinstance(shown[-1], events.Text),
        )


def _fall_back(run: Run, error: Exception) -> None:
    """The served model is down: the guide does the step instead, and the answer says so."""
    if run.chat_model == model_servers.GUIDE:
        raise error
    log.warning("%s: %s", run, error, exc_info=error.__cause__)
    name = ChatSetting.parse(run.chat_model).label
    run.chat_model, run.note = model_servers.GUIDE, f"{name[:200]} did not answer, so the guide wrote this answer."
    run.leave(Run.QUEUED, retry_after=RETRY_ENQUEUE)
    tasks.enqueue(tasks.advance_run, run.pk)


def _write(run: Run, said: Generator[events.AgentEvent | events.Spent, None, None]) -> None:
    """Record what the agent says as it says it; then leave the run waiting for tools, or done."""
    words, flushed = "", time.monotonic()
    requested: list[events.ToolRequested] = []
    with closing(said):
        for event in said:
            if isinstance(event, events.TextDelta):
                words += event.text
                if time.monotonic() - flushed < FLUSH_SECONDS:
                    continue
            if words:
                run.record(events.TextDelta(words))
                words, flushed = "", time.monotonic()
            if isinstance(event, events.Spent):
                run.spend(event.input_tokens, event.output_tokens)
            elif isinstance(event, events.ToolRequested):
                requested.append(event)
            elif not isinstance(event, events.TextDelta | events.Answered):
                run.record(event)
    if words:
        run.record(events.TextDelta(words))
    if requested:
        _suspend(run, requested)
    else:
        _answer(run)


def _suspend(run: Run, requested: list[events.ToolRequested]) -> None:
    """Make a row for each call and let go of the run until they are finished."""
    with transaction.atomic():
        run.hold()
        calls = [_new_call(run, request) for request in requested]
        asked = [events.ToolRequested(c.call_id, c.name, c.arguments, c.number) for c in calls]
        refused = [
            events.ToolFinished(c.number, c.state, c.result["summary"], 0.0)
            for c in calls
            if c.state not in ToolCall.UNFINISHED
        ]
        held = [events.ApprovalAsked(c.number) for c in calls if c.state == ToolCall.APPROVAL]
        waiting = any(call.state in ToolCall.UNFINISHED for call in calls)
        state = Run.WAITING if waiting else Run.QUEUED
        run.leave(state, *asked, *refused, *held, retry_after=RETRY_ENQUEUE)
    for call in calls:
        if call.state == ToolCall.REQUESTED:
            tasks.enqueue(tasks.call_tool, call.pk, queue=call.queue)
    if not waiting:
        tasks.enqueue(tasks.advance_run, run.pk)


def _new_call(run: Run, request: events.ToolRequested, by_person: bool = False) -> ToolCall:
    """Nobody need approve what a person has asked for."""
    last = ToolCall.objects.filter(run__conversation=run.conversation_id).aggregate(last=Max("number"))["last"] or 0
    call = ToolCall(
        run=run,
        number=last + 1,
        call_id=events.storable(request.call_id),
        name=events.storable(request.name)[:60],
        arguments=events.storable(request.arguments),
        lease_until=lease(RETRY_ENQUEUE),
    )
    if line := tools.check_arguments(request.name, request.arguments):
        again = run.tool_calls.filter(name=call.name, result__misfit=True).exists()
        line = GIVEN_UP.format(name=call.name, line=line) if again else line
        call.state, call.text, call.result = ToolCall.DECLINED, line, {"summary": line, "misfit": True}
        call.started_at = call.finished_at = timezone.now()
    else:
        call.queue = tools.queue_of(request.name, request.arguments, run.conversation)
        held = request.name in settings.APPROVE and not by_person
        call.state = ToolCall.APPROVAL if held else ToolCall.REQUESTED
    call.save(force_insert=True)
    return call


def _answer(run: Run) -> None:
    text = run.transcript().text
    with transaction.atomic():
        Conversation.lock(run.conversation_id)
        run.hold()
        run.answer = _message(run, text, note=run.note or ("" if text else EMPTY))
        run.leave(Run.DONE, events.Answered(text))
    tasks.enqueue(tasks.forget_checkpoint, run.pk)


def _message(run: Run, text: str, note: str = "") -> Message:
    found = references(text, run.conversation)
    counted = support(text, found, run)
    conversation = Conversation.objects.get(pk=run.conversation_id)
    return conversation.add(Message.ASSISTANT, text, references=found, support=counted, note=note)


def _end(run: Run, state: str, line: str) -> None:
    """End a run that we hold without an answer; what was said stays."""
    with transaction.atomic():
        Conversation.lock(run.conversation_id)
        run.hold()
        run.answer = _message(run, run.transcript().text, note=line)
        run.tool_calls.unfinished().update(state=ToolCall.CANCELLED, finished_at=timezone.now())
        run.leave(state, events.Stopped(state, line))
    tasks.enqueue(tasks.forget_checkpoint, run.pk)


def cancel(run: Run) -> bool:
    """Stop a run now, whoever holds it: their next write is refused. False when it was over already."""
    return _end_from_outside(run, Run.CANCELLED, STOPPED)


def _end_from_outside(run: Run, state: str, line: str) -> bool:
    with transaction.atomic():
        Conversation.lock(run.conversation_id)
        seized = Run.objects.seize(run.pk)
        if seized is None:
            return False
        _end(seized, state, line)
    run.refresh_from_db()
    return True


def decide(call: ToolCall, allowed: bool) -> bool:
    """A person's answer to `ApprovalAsked`. False when the call no longer waits for one."""
    with transaction.atomic():
        run = Run.lock(call.run_id)
        state = ToolCall.REQUESTED if allowed else ToolCall.DECLINED
        text = "" if allowed else "This call was not allowed."
        asking = ToolCall.objects.filter(pk=call.pk, state=ToolCall.APPROVAL, run__in=Run.objects.active())
        if not asking.update(state=state, text=text, result={"summary": text}, lease_until=lease(RETRY_ENQUEUE)):
            return False
        if not allowed:
            run.append(events.ToolFinished(call.number, state, text, 0.0))
        resumed = _resume(run)
    if allowed:
        tasks.enqueue(tasks.call_tool, call.pk, queue=call.queue)
    if resumed:
        tasks.enqueue(tasks.advance_run, run.pk)
    return True


def call_tool(call_id: str) -> None:
    """Carry out one tool call. Delivered twice, it is done once; killed, it is done again."""
    call = ToolCall.objects.claim(call_id)
    if call is None:
        return
    try:
        with transaction.atomic():
            run = Run.lock(call.run_id)
            if not call.still_mine().exists():
                return  # stopped since the claim: nothing is written after the end
            assert call.started_at is not None
            run.append(events.ToolStarted(call.number, call.started_at.isoformat()))
        with (
            OpenLines() as lines,
            Lookout(call.still_mine().exists, lines.cut),
            Heartbeat(call.renew, every=settings.TOOL_LEASE / 3, limit=settings.TOOL_TIMEOUT),
        ):
            outcome = tools.execute(call)
        _finish(call, outcome)
    except Run.DoesNotExist:
        log.info("%s: its conversation was deleted meanwhile", call)


def _finish(call: ToolCall, outcome: tools.Outcome) -> None:
    """Write the one result of a call, and queue the run if it waited for nothing else."""
    with transaction.atomic():
        run = Run.lock(call.run_id)
        state = outcome.state if run.is_active else ToolCall.CANCELLED
        call.finished_at = timezone.now()
        written = call.still_mine().update(
            state=state,
            text=outcome.text,
            result=outcome.result,
            model=outcome.model,
            finished_at=call.finished_at,
            lease_until=None,
        )
        if not written:
            return
        if run.is_active:
            keep_artifacts(call, run, outcome)
            run.append(events.ToolFinished(call.number, state, outcome.summary, call.seconds or 0.0))
        resumed = _resume(run)
    if resumed:
        tasks.enqueue(tasks.advance_run, run.pk)


def _resume(run: Run) -> bool:
    if run.tool_calls.unfinished().exists():
        return False
    waiting = Run.objects.filter(pk=run.pk, state=Run.WAITING)
    return bool(waiting.update(state=Run.QUEUED, lease_until=lease(RETRY_ENQUEUE)))


def sweep() -> None:
    """Put back what went silent or was never enqueued; run every few seconds by beat."""
    now = timezone.now()
    for call in ToolCall.objects.filter(lease_until__lt=now, state__in=(ToolCall.REQUESTED, ToolCall.RUNNING)):
        _sweep_call(call)
    for run in Run.objects.filter(lease_until__lt=now, state__in=Run.ACTIVE):
        _sweep_run(run)


def _sweep_call(call: ToolCall) -> None:
    same = ToolCall.objects.filter(pk=call.pk, state=call.state, attempt=call.attempt, run__in=Run.objects.active())
    slow = call.started_at and (timezone.now() - call.started_at).total_seconds() > settings.TOOL_TIMEOUT
    if call.state == ToolCall.RUNNING and (slow or call.attempt >= settings.ATTEMPTS):
        why = f"took longer than {settings.TOOL_TIMEOUT} s" if slow else f"ended its worker {call.attempt} times"
        _finish(call, tools.failed(f"{call.name} {why} and was given up."))
    elif same.update(state=ToolCall.REQUESTED, lease_until=lease(RETRY_ENQUEUE)):
        tasks.enqueue(tasks.call_tool, call.pk, queue=call.queue)


def _sweep_run(run: Run) -> None:
    same = Run.objects.filter(pk=run.pk, state=run.state, attempt=run.attempt)
    if run.state == Run.WAITING:
        if run.tool_calls.unfinished().exists():
            same.update(lease_until=lease(RETRY_ENQUEUE))
        elif _resume(run):
            tasks.enqueue(tasks.advance_run, run.pk)
        return
    silent = int(run.state == Run.RUNNING)
    if run.failures + silent >= settings.ATTEMPTS:
        _end_from_outside(run, Run.FAILED, "The answer was given up: its worker ended or hung several times.")
    elif same.update(state=Run.QUEUED, failures=run.failures + silent, lease_until=lease(RETRY_ENQUEUE)):
        tasks.enqueue(tasks.advance_run, run.pk)
