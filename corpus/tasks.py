"""What the corpus worker does. The arguments and the answer are JSON; the work is in `corpus.retrieve`."""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery import current_app, shared_task
from celery.signals import worker_process_init, worker_ready
from django.db import close_old_connections

from corpus.client import QUEUE, TASK
from corpus.results import Facets
from inference.errors import InferenceError

log = logging.getLogger("lightbox.corpus")


@shared_task(name=TASK, ignore_result=False)
def search(
    query: str, facets: dict[str, Any], limit: int, read: bool = True, reader: int | None = None
) -> dict[str, Any]:
    """`corpus.retrieve.search` as JSON. Its InferenceErrors reach the caller as they are."""
    from corpus import retrieve  # loads nothing heavy itself, but only this worker should hold it

    return retrieve.search(query, Facets.from_dict(facets), limit, read=read, reader=reader).as_dict()


@worker_ready.connect
@worker_process_init.connect
def warm(**_: Any) -> None:
    """Loads model and index while the worker already listens; only where the queue of this work is consumed."""
    if QUEUE in current_app.amqp.queues.consume_from:
        threading.Thread(target=_warm, name="warm-corpus", daemon=True).start()


def _warm() -> None:
    from corpus import retrieve

    try:
        retrieve.warm()
        log.info("literature search is ready")
    except InferenceError as error:
        log.warning("literature search: %s", error)
    finally:
        close_old_connections()
