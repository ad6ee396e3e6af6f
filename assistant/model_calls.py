"""A tool's call of a checkpoint: in this worker for a baseline, else by the worker of the checkpoint's environment.

Whoever calls waits, in a thread of the worker of the queue `expert`, which holds nothing else. The run does not wait.
The call travels as `inference.jobs.Job`, its images as files named by signed references. A call that was carried out
already by an earlier attempt of the same tool call is read and not done again.
"""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from celery import current_app
from django.conf import settings

from assistant.tools.base import Context, Declined
from inference import jobs, references
from inference import perform as here
from inference.checkpoints import Checkpoint
from inference.errors import BadInput, Exhausted, Unavailable
from inference.jobs import Job, Record
from inference.references import Reference
from inference.types import Image, Result, Volume

log = logging.getLogger("lightbox.models")

Given = Sequence[Image | Volume]
INTERACTIVE, BATCH = 0, 9  # priorities of the broker, first served first
ERRORS = {kind.__name__: kind for kind in (Unavailable, BadInput, Exhausted)}
NO_WORKER = (
    "No worker for {name} is running (environment {environment}). Lightbox starts one when it starts "
    "(manage.py serve); its log says why there is none."
)
STOPPED = "Stopped before {name} had finished."
NO_BROKER = "The broker does not answer, so {name} cannot be asked. Try again in a minute."
LATE = "{name} did not answer within {seconds} s."
REFERENCES_LAST = 24 * 3600
WORKER_LATEST = 20.0  # seconds until a worker must be there
LOOK_EVERY = 1.0  # seconds between two looks at whether the call is still wanted


@dataclass(frozen=True, slots=True)
class Performed:
    """What came back, and what its worker recorded."""

    result: Result
    record: Record


def perform(
    context: Context,
    found: Checkpoint,
    task: str,
    images: Given,
    options: Mapping[str, Any] | None = None,
) -> Performed:
    """Carry out one task of a checkpoint for a tool call. Raises any InferenceError; Declined once it is stopped."""
    told = json.dumps([found.key, task, options or {}], sort_keys=True, default=str)
    name = hashlib.sha256(told.encode() + b"".join(_marks(images))).hexdigest()[:16]
    wanted = context.call.still_mine().exists
    return carry_out(found, task, images, options or {}, name=f"{context.call.pk.hex}-{name}", wanted=wanted)


def carry_out(
    found: Checkpoint,
    task: str,
    images: Given,
    options: Mapping[str, Any],
    *,
    name: str,
    wanted: Callable[[], bool] = lambda: True,
    batch: bool = False,
) -> Performed:
    """The same for other work: `name` is of this call alone, a batch lets the calls of people pass, and it is stopped
    once it is no longer `wanted`."""
    if found.built_in or current_app.conf.task_always_eager:
        return Performed(*here.perform(found, found.folder(settings.MODELS_DIR), task, images, options))
    folder = settings.EXCHANGE_DIR / name
    try:
        if (kept := _kept(folder)) is None:
            kept = _ask(found, task, images, options, folder, wanted, BATCH if batch else INTERACTIVE)
    except redis.RedisError as error:
        raise Unavailable(NO_BROKER.format(name=found.name)) from error
    shutil.rmtree(folder, ignore_errors=True)
    return kept


def _marks(images: Given) -> list[bytes]:
    return [hashlib.sha256(image.pixels.tobytes()).digest() for image in images]


def _kept(folder: Path) -> Performed | None:
    """What an earlier attempt had been answered, if it was."""
    record, out = folder / "record.json", folder / "out.npz"
    if not (record.exists() and out.exists()):
        return None
    return Performed(jobs.read_result(out), Record(**json.loads(record.read_text(encoding="utf-8"))))


def _ask(
    found: Checkpoint,
    task: str,
    images: Given,
    options: Mapping[str, Any],
    folder: Path,
    wanted: Callable[[], bool],
    priority: int,
) -> Performed:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for number, image in enumerate(images):
        jobs.write_input(folder / f"in-{number}.npz", image)
    job = Job(
        id=folder.name,
        checkpoint=found.key,
        task=task,
        inputs=tuple(_reference(folder, f"in-{number}.npz") for number in range(len(images))),
        output=_reference(folder, "out.npz", write=True),
        reply_to=f"lightbox:reply:{folder.name}:{time.time_ns():x}",
        options=dict(options),
    )
    sent = current_app.send_task(
        "inference.perform", args=[job.as_dict()], queue=found.queue, priority=priority, expires=settings.TOOL_TIMEOUT
    )
    try:
        record = _answer(job, found, wanted)
    except (Declined, Unavailable) as error:
        current_app.control.revoke(sent.id, terminate=True, signal="SIGKILL")
        raise error
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    return Performed(jobs.read_result(folder / "out.npz"), Record(**record))


def _answer(job: Job, found: Checkpoint, wanted: Callable[[], bool]) -> dict[str, Any]:
    """The record of a call once it is done. Raises the InferenceError that its worker names."""
    begun, started = time.monotonic(), False
    with redis.Redis.from_url(settings.REDIS_URL) as broker:
        while time.monotonic() - begun < settings.TOOL_TIMEOUT:
            if message := broker.blpop([job.reply_to], timeout=LOOK_EVERY):
                said = json.loads(message[1])
                if said["kind"] == "done":
                    record: dict[str, Any] = said["record"]
                    return record
                if said["kind"] == "failed":
                    raise ERRORS.get(said["error"], Unavailable)(said["line"])
                started = True
            if not wanted():
                raise Declined(STOPPED.format(name=found.name))
            if not started and time.monotonic() - begun > WORKER_LATEST and not has_worker(broker, found.queue):
                raise Unavailable(NO_WORKER.format(name=found.name, environment=found.environment))
    raise Unavailable(LATE.format(name=found.name, seconds=settings.TOOL_TIMEOUT))


def has_worker(broker: redis.Redis, queue: str) -> bool:
    """Whether a worker said lately that it serves this queue (`inference.worker.ALIVE`)."""
    return bool(broker.exists(f"lightbox:alive:{queue}"))


def _reference(folder: Path, name: str, write: bool = False) -> str:
    reference = Reference(f"{folder.name}/{name}", time.time() + REFERENCES_LAST, write)
    return references.sign(settings.EXCHANGE_KEY, reference)


def tidy() -> None:
    """Remove the files of calls that nobody came back for."""
    if not settings.EXCHANGE_DIR.is_dir():
        return
    for folder in settings.EXCHANGE_DIR.iterdir():
        try:
            if time.time() - folder.stat().st_mtime > REFERENCES_LAST:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError as error:
            log.warning("%s could not be looked at: %s", folder.name, error)
