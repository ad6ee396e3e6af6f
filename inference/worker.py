"""The worker of one environment: loads checkpoints and carries out calls. Knows no Django; the broker is its only door.

    python -m celery -A inference.worker worker -Q models.NAME -P prefork -c 1 --disable-prefetch

One call at a time, in a child of its own: where a model ends the child (memory, a native crash), this process says so
to whoever waits and starts another. What it answers are JSON messages in a list of the broker, in order: started, then
done or failed. It lives on whatever a call does.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import redis
from celery import Celery
from celery.exceptions import TimeLimitExceeded
from celery.signals import task_failure, worker_process_init, worker_ready

from inference import checkpoints, exchange, jobs, perform
from inference.errors import BadInput, Exhausted, InferenceError, Unavailable
from inference.jobs import Job

log = logging.getLogger("lightbox.models")

BROKER = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
REPLIES_LAST = 3600  # seconds that an answer waits for its reader
ALIVE, ALIVE_EVERY, ALIVE_LASTS = "lightbox:alive:{queue}", 4.0, 15
OWN_SHARE = 0.9  # of the memory that is free at the start: beyond it an allocation fails, and not the machine
LOST = "The worker of {name} ended while it worked on this, most likely for want of memory ({why})."
LATE = "{name} took longer than {seconds} s and was ended."
TROUBLE = "{name} failed by a fault of its own; the log of its worker says more."
TIME_LIMIT = int(os.environ.get("LIGHTBOX_TOOL_TIMEOUT", "300"))

app = Celery(
    "lightbox-models",
    broker=BROKER.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host="),
    set_as_current=False,  # whoever only imports this, as tests do, keeps their own; a worker sets it by itself
)
app.conf.update(
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,  # a call of a person passes a batch: nothing is taken before it can be begun
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


@cache
def broker() -> redis.Redis:
    return redis.Redis.from_url(BROKER)


@app.task(name="inference.perform", time_limit=TIME_LIMIT)
def carry_out(told: dict[str, Any]) -> None:
    """One call. Every outcome is a message; nothing is raised."""
    job = Job.from_dict(told)
    found = checkpoints.load_catalogue(*_catalogues(), classifier=os.environ.get("LIGHTBOX_CLASSIFY", "")).get(
        job.checkpoint
    )
    name = found.name if found else job.checkpoint
    try:
        if found is None:
            raise BadInput(checkpoints.NOT_THERE.format(key=job.checkpoint))
        say(job, "started", host=socket.gethostname())
        say(job, "done", record=_carry_out(job, found))
    except InferenceError as error:
        log.warning("%s: %s", job.id, error, exc_info=error.__cause__)
        say(job, "failed", error=type(error).__name__, line=str(error))
    except Exception:  # the process boundary: whoever waits must not wait for ever
        log.exception("%s failed", job.id)
        say(job, "failed", error=Unavailable.__name__, line=TROUBLE.format(name=name))


def _carry_out(job: Job, found: checkpoints.Checkpoint) -> dict[str, Any]:
    folder = found.folder(Path(os.environ.get("LIGHTBOX_MODELS", "models")))
    with exchange.inputs(job.inputs) as paths:
        images = [jobs.read_input(path) for path in paths]
    result, record = perform.perform(found, folder, job.task, images, job.options)
    with exchange.output(job.output) as path:
        jobs.write_result(path, result)
    return record.as_dict()


def say(job: Job, kind: str, **more: Any) -> None:
    """A message to whoever waits for the call."""
    with broker().pipeline() as both:
        both.rpush(job.reply_to, json.dumps({"kind": kind, **more}))
        both.expire(job.reply_to, REPLIES_LAST)
        both.execute()


def _catalogues() -> list[Path]:
    return [Path(path) for path in os.environ.get("LIGHTBOX_CATALOGUE", "").split(",") if path]


@task_failure.connect
def lost(exception: BaseException | None = None, args: Any = (), **_: Any) -> None:
    """The child that worked on a call is gone, and cannot say so itself."""
    if not args or not isinstance(args[0], Mapping):
        return
    job = Job.from_dict(args[0])
    if isinstance(exception, TimeLimitExceeded):
        line = LATE.format(name=job.checkpoint, seconds=TIME_LIMIT)
    else:
        line = LOST.format(name=job.checkpoint, why=" ".join(str(exception).split())[:120])
    say(job, "failed", error=Exhausted.__name__, line=line)


@worker_process_init.connect
def bound(**_: Any) -> None:
    """Beyond its share of memory an allocation of this child fails, which is one failed call. Not with a GPU, whose
    driver maps far more than it uses."""
    if perform.device_here() != "cpu":
        return
    import resource

    limit = int(psutil.virtual_memory().available * OWN_SHARE)
    if given := os.environ.get("LIGHTBOX_WORKER_MEMORY_MB", ""):
        limit = int(float(given) * 1024 * 1024)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


@worker_ready.connect
def alive(sender: Any = None, **_: Any) -> None:
    """Says that this queue has a worker, as long as this process lives."""
    queues = [queue.name for queue in sender.task_consumer.queues] if sender is not None else []
    threading.Thread(target=_stay_alive, args=(queues,), name="alive", daemon=True).start()


def _stay_alive(queues: list[str]) -> None:
    while True:
        try:
            for queue in queues:
                broker().set(ALIVE.format(queue=queue), socket.gethostname(), ex=ALIVE_LASTS)
        except redis.RedisError as error:
            log.warning("the broker does not answer: %s", error)
        threading.Event().wait(ALIVE_EVERY)
