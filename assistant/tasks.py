"""Celery's door to the work: tasks take ids and hold no logic. What they need is imported when they run."""

import contextlib
import logging
import threading
import uuid
from typing import Any

from celery import Task, current_app, shared_task
from celery.signals import worker_process_init, worker_ready
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from kombu.exceptions import OperationalError

from inference.errors import InferenceError

log = logging.getLogger("lightbox.tasks")


@shared_task(name="assistant.advance_run")
def advance_run(run_id: str) -> None:
    from assistant import runs

    runs.advance(run_id)


# The sweep gives up a tool that hangs; then its child is killed too, or the next calls would wait behind it for ever.
@shared_task(name="assistant.call_tool", time_limit=settings.TOOL_TIMEOUT + 2 * settings.TOOL_LEASE)
def call_tool(call_id: str) -> None:
    from assistant import runs

    runs.call_tool(call_id)


@shared_task(name="assistant.propose_facets", ignore_result=False, time_limit=120)
def propose_facets(question: str) -> list[tuple[str, str]]:
    from assistant import proposals

    return proposals.propose(question)


@shared_task(name="assistant.server_health", ignore_result=False, time_limit=30)
def server_health() -> list[dict[str, Any]]:
    from assistant import served

    return served.health()


# Reading a page of text takes a second, a long cine some; a hung one is killed and asked for again by the sweep.
@shared_task(name="assistant.settle_text", time_limit=240)
def settle_text(image_id: str) -> None:
    from assistant import burned_in

    burned_in.settle(image_id)


# Scores image after image, as many as the set has: no limit, but a lease that is renewed with each.
@shared_task(name="assistant.calibrate")
def calibrate(calibration_id: str) -> None:
    from assistant import calibration

    calibration.carry_out(calibration_id)


@shared_task(name="assistant.sweep_calibrations")
def sweep_calibrations() -> None:
    from assistant import calibration

    calibration.sweep()


@shared_task(name="assistant.tidy_exchange")
def tidy_exchange() -> None:
    from assistant import model_calls

    model_calls.tidy()


@shared_task(name="assistant.sweep_text")
def sweep_text() -> None:
    from assistant import burned_in

    burned_in.sweep()


@shared_task(name="assistant.sweep")
def sweep() -> None:
    from assistant import runs

    runs.sweep()


@shared_task(name="assistant.forget_checkpoint")
def forget_checkpoint(run_id: str) -> None:
    """The rows of a run that is over say all that its checkpoint knows; its images need not be kept twice."""
    from assistant import checkpoints

    checkpoints.forget(run_id)


# A step ends by itself after a minute. One that hangs on a file from outside is killed with its child, and the sweep
# gives the import up when that happens twice at the same record.
@shared_task(name="assistant.judge_image", time_limit=120)
def judge_image(image_id: str) -> None:
    from assistant import kinds

    kinds.judge(image_id)


@shared_task(name="assistant.import_literature", time_limit=1800)
def import_literature(import_id: str) -> None:
    from assistant import imports

    imports.carry_out(import_id)


@shared_task(name="assistant.refresh_literature")
def refresh_literature(papers: list[int]) -> None:
    """Brings the index up to date after papers were deleted: only workers may load what that needs."""
    from corpus.reload import refresh

    refresh(papers)


@shared_task(name="assistant.sweep_imports")
def sweep_imports() -> None:
    from corpus.imports import work

    work.sweep()


@worker_ready.connect
@worker_process_init.connect
def warm(**_: Any) -> None:
    """Import what the first task would wait for, while the worker already listens."""
    queues = current_app.amqp.queues.consume_from
    for queue, load in (("agent", _warm_agent), ("vision", _warm_vision)):
        if queue in queues:
            threading.Thread(target=load, name=f"warm-{queue}", daemon=True).start()


def _warm_agent() -> None:
    from assistant import agent, checkpoints, history  # noqa: F401
    from assistant.chat import chat_model

    try:
        chat_model(settings.CHAT_MODEL)
    except (ImproperlyConfigured, InferenceError) as error:
        log.warning("%s", error)


def _warm_vision() -> None:
    import numpy as np

    from inference import classical
    from inference.types import Image

    image = Image(np.zeros((64, 64), np.uint8))
    classical.describe(image)
    with contextlib.suppress(InferenceError):  # no lungs on a black square
        classical.segment_lungs(image)


def enqueue(task: "Task[Any, Any]", pk: uuid.UUID, queue: str = "agent") -> None:
    """Send a task once the row it is about is committed. A broker that is down costs a delay, not the run: the sweep
    sends it again."""

    def send() -> None:
        try:
            task.apply_async((str(pk),), queue=queue, retry=False)
        except OperationalError as error:
            log.warning("%s could not be enqueued, the sweep will try again: %s", task.name, error)

    transaction.on_commit(send)
