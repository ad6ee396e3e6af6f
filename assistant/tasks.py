"""Celery's door to the work: tasks take ids and hold no logic. What they need is imported when they run."""

import logging
import uuid
from typing import Any

from celery import Task, shared_task
from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger("lightbox.tasks")


@shared_task(name="assistant.advance_run")
def advance_run(run_id: str) -> None:
    from assistant import runs

    runs.advance(run_id)


@shared_task(name="assistant.call_tool")
def call_tool(call_id: str) -> None:
    from assistant import runs

    runs.call_tool(call_id)


@shared_task(name="assistant.sweep")
def sweep() -> None:
    from assistant import runs

    runs.sweep()


@shared_task(name="assistant.forget_checkpoint")
def forget_checkpoint(run_id: str) -> None:
    """The rows of a run that is over say all that its checkpoint knows; its images need not be kept twice."""
    from assistant import checkpoints

    checkpoints.forget(run_id)


def enqueue(task: "Task[Any, Any]", pk: uuid.UUID, queue: str = "agent") -> None:
    """Send a task once the row it is about is committed. A broker that is down costs a delay, not the run: the sweep
    sends it again."""

    def send() -> None:
        try:
            task.apply_async((str(pk),), queue=queue, retry=False)
        except OperationalError as error:
            log.warning("%s could not be enqueued, the sweep will try again: %s", task.name, error)

    transaction.on_commit(send)
