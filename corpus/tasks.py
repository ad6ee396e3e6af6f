"""What the workers of the literature do. Arguments and answers are JSON; the work is in `corpus.retrieve`,
`corpus.documents` and `corpus.reload`."""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery import current_app, shared_task
from celery.signals import worker_process_init, worker_ready
from django.db import close_old_connections

from corpus.client import QUEUE, TASK
from corpus.documents.queue import LIBRARY, READ_FILE, READ_WAITING, REFRESH
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


# Late acknowledgement: a worker that is killed while it reads a PDF has not done so, and another one begins anew.
@shared_task(name=READ_FILE, acks_late=True, reject_on_worker_lost=True)
def read_file(pk: str) -> None:
    """Reads an uploaded PDF, then brings the index up to date."""
    from corpus.documents import shelf

    paper = shelf.read_file(pk)
    if paper is not None:
        refresh_papers([paper.pk])


@shared_task(name=READ_WAITING)
def read_waiting() -> None:
    """Sends the PDFs again whose reading was lost on the way."""
    from corpus.documents import shelf

    for pk in shelf.waiting():  # a queue that is only behind lets these expire, and comes to the first ones
        read_file.apply_async((pk,), queue=LIBRARY, expires=50)


@shared_task(name=REFRESH)
def refresh_papers(papers: list[int]) -> None:
    """Brings the index up to date after these papers changed."""
    from corpus import reload

    try:
        reload.refresh(papers)
    except InferenceError as error:
        log.warning("the index is not up to date: %s", error)


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
