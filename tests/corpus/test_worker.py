"""The way of a question from a web process to the corpus worker and back, over the real queue."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker

from corpus import client, tasks
from corpus.results import Facets
from inference.errors import Unavailable


@pytest.fixture
def corpus_worker(transactional_db: None, literature: None) -> Iterator[Any]:
    from assistant.celery import app

    app.loader.import_default_modules()
    with start_worker(app, pool="solo", queues=["corpus"], perform_ping_check=False, shutdown_timeout=30) as worker:
        yield worker


def test_a_worker_answers_with_the_same_as_a_search_in_process(corpus_worker: Any) -> None:
    from corpus import retrieve

    facets = Facets(tasks=("segmentation",), year_min=2024)
    assert client.search("text-guided lungs", facets, 5, timeout=60, reader=None) == retrieve.search(
        "text-guided lungs", facets, 5
    )


def test_a_worker_without_an_index_says_what_to_do(corpus_worker: Any, settings: Any, tmp_path: Any) -> None:
    settings.DATA_DIR = tmp_path
    with pytest.raises(Unavailable, match="load_corpus"):
        client.search("lungs", timeout=30, reader=None)


def test_nobody_answering_is_one_line_after_the_time_given() -> None:
    started = time.monotonic()
    with pytest.raises(Unavailable, match="did not answer in time"):
        client.search("lungs", timeout=0.5, reader=None)
    assert time.monotonic() - started < 20  # far below Celery's own patience


def test_no_queue_at_all_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = Celery("nowhere", broker="redis://127.0.0.1:1/0", backend="redis://127.0.0.1:1/0", set_as_current=False)
    monkeypatch.setattr(client, "current_app", nowhere)
    started = time.monotonic()
    with pytest.raises(Unavailable, match="cannot be reached"):
        client.search("lungs", timeout=2, reader=None)
    assert time.monotonic() - started < 10


def test_an_eager_application_searches_in_process(literature: None, eager_celery: Any) -> None:
    assert tasks.search.name in eager_celery.tasks
    found = client.search("MedKLIP", limit=1, reader=None)
    assert found.results[0].key == "wu2023medklip"
    json.dumps(found.as_dict())


def test_only_the_worker_of_this_queue_loads_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr(threading.Thread, "start", lambda self: started.append(self.name))
    from assistant.celery import app

    app.amqp.queues.select("agent")
    tasks.warm()
    assert started == []
    app.amqp.queues.select("corpus")
    tasks.warm()
    assert started == ["warm-corpus"]
    app.amqp.queues._consume_from = None
