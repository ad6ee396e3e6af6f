"""`make services-test`: the suite runs on PostgreSQL and Redis, and this says so loudly when it did not."""

import os

import pytest
import redis
from django.conf import settings
from django.db import connection

from tests.conftest import Workers, missing


@pytest.fixture(autouse=True)
def services() -> None:
    if not os.environ.get("DATABASE_URL", "").startswith("postgres") or "LIGHTBOX_TEST_VALKEY" in os.environ:
        missing("DATABASE_URL and REDIS_URL name no PostgreSQL and Redis: run make services-test.")


@pytest.mark.django_db
def test_the_database_is_postgresql() -> None:
    assert connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute("select 1")
        assert cursor.fetchone() == (1,)


def test_the_broker_is_the_server_that_was_given() -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as broker:
        assert broker.ping()
        assert settings.REDIS_URL.startswith("redis://")
        assert os.environ["REDIS_URL"] == settings.REDIS_URL


@pytest.mark.django_db(transaction=True)
def test_workers_answer_there(celery_workers: Workers) -> None:
    from assistant.celery import app

    names = {name.split("@")[0] for reply in app.control.ping(timeout=3) for name in reply}
    assert names == {"agent", "vision", "corpus", "library"}
