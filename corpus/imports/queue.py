"""Sending work to the library worker, by the names of its tasks: a web process must not import what they import."""

from __future__ import annotations

import logging
from typing import Any

from celery import current_app
from django.db import transaction
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

QUEUE = "library"
IMPORT = "assistant.import_literature"  # (the primary key of an Import)
REFRESH = "assistant.refresh_literature"  # (a list of primary keys of papers)

log = logging.getLogger("lightbox.imports")


def enqueue(task: str, argument: Any) -> None:
    """Sends a task once the transaction is committed. A broker that is down costs a delay: the sweep sends it again."""

    def send() -> None:
        try:
            current_app.signature(task, args=[argument]).apply_async(queue=QUEUE, retry=False)
        except (KombuError, RedisError, OSError) as error:
            log.warning("%s could not be enqueued: %s", task, error)

    transaction.on_commit(send)
