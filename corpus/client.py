"""Search for those who may not load a model: asks the corpus worker through the queue and waits for its answer."""

from __future__ import annotations

from typing import Any

from celery import current_app
from celery.exceptions import CeleryError
from celery.exceptions import TimeoutError as NoAnswerError
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from corpus.results import Facets, SearchResult
from inference.errors import InferenceError, Unavailable

TASK = "corpus.search"
QUEUE = "corpus"


def search(
    query: str,
    facets: Facets | None = None,
    limit: int = 10,
    timeout: float = 5.0,
    *,
    reader: int | None,
    read: bool = True,
) -> SearchResult:
    """`corpus.retrieve.search`, carried out by the corpus worker; waits at most `timeout` seconds for it.

    Raises inference.errors.Unavailable when no worker answers in time, when the queue cannot be reached, or when the
    worker has no index. Never call it from a task of the corpus worker: it would wait for itself.
    """
    arguments = [query, (facets or Facets()).as_dict(), limit, read, reader]
    answer: dict[str, Any] = ask(TASK, arguments, QUEUE, timeout)
    return SearchResult.from_dict(answer)


def ask(task: str, arguments: list[Any], queue: str, timeout: float, who: str = "The literature worker") -> Any:
    """What the task of this name returns, carried out by a worker of the queue. Raises Unavailable, naming `who`."""
    try:
        _knock()
        # By name: importing the task would bring its imports into the web process.
        asked = current_app.signature(task, args=arguments).apply_async(
            queue=queue, expires=timeout, ignore_result=False, retry=False
        )
        return asked.get(timeout=timeout, interval=0.02, disable_sync_subtasks=False)
    except InferenceError:
        raise
    except NoAnswerError as error:
        raise Unavailable(f"{who} did not answer in time; try again in a moment.") from error
    except (CeleryError, KombuError, RedisError, OSError, RuntimeError) as error:
        raise Unavailable(f"{who} cannot be reached; is the queue running?") from error


def _knock() -> None:
    """Fails at once when the queue is down: Celery's result backend would try again for twenty seconds."""
    with current_app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=1)
