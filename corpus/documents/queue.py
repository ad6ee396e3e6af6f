"""Sending work on PDFs to the library worker, from processes that must not load what does it."""

from __future__ import annotations

import logging
from typing import Any

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from corpus.models import PaperFile

log = logging.getLogger("lightbox.corpus")

LIBRARY = "library"
READ_FILE, READ_WAITING, REFRESH = "corpus.read_file", "corpus.read_waiting", "corpus.refresh_papers"


def to_be_read(file: PaperFile) -> None:
    """Has a worker read the PDF, once its row is committed. A queue that is down costs a delay: `read_waiting`."""
    _send(READ_FILE, str(file.pk))


def to_be_refreshed(papers: list[int]) -> None:
    """Has a worker bring the index up to date after these papers changed, once the change is committed."""
    _send(REFRESH, papers)


def _send(task: str, argument: Any) -> None:
    def send() -> None:
        try:
            # By name: importing the task would bring its imports into the web process.
            current_app.signature(task, args=[argument]).apply_async(queue=LIBRARY, retry=False)
        except OperationalError as error:
            log.warning("%s could not be enqueued: %s", task, error)

    transaction.on_commit(send)
