"""An import in the hands of real workers: stopped by kill -9, carried on by the sweep, doubled nowhere."""

import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User

from corpus.imports import removal, work
from corpus.models import Import, Paper
from tests.conftest import Workers

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]
RECORDS = 120


@pytest.fixture(autouse=True)
def index_put_back() -> Iterator[None]:
    """Workers index into the data folder of the test run, where the tests of other parts have theirs."""
    index, kept = settings.DATA_DIR / "index", settings.DATA_DIR / "index-kept"
    if index.exists():
        index.rename(kept)
    yield
    shutil.rmtree(index, ignore_errors=True)
    if kept.exists():
        kept.rename(index)


def wait_for(condition: Callable[[], Any], seconds: float = 120) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def ris(number: int) -> str:
    abstract = "Words stand beside films. " * 3
    return f"TY  - JOUR\nTI  - Study number {number} of words and films\nPY  - 2020\nAB  - {abstract}\nER  - \n"


def test_a_killed_worker_doubles_nothing_and_the_index_has_all(celery_workers: Workers, alice: User) -> None:
    row = work.submit(alice, "".join(map(ris, range(RECORDS))).encode(), "study.ris")
    assert wait_for(lambda: Import.objects.get(pk=row.pk).done > 0), Import.objects.get(pk=row.pk).line
    celery_workers.kill("library")
    assert wait_for(lambda: Import.objects.get(pk=row.pk).state not in work.ACTIVE)
    row.refresh_from_db()
    assert (row.state, row.line) == (Import.DONE, f"{RECORDS} added.")
    titles = list(Paper.objects.filter(owner=alice).values_list("title", flat=True))
    assert len(titles) == len(set(titles)) == RECORDS
    assert [line["line"] for line in row.report] == [1 + 5 * n for n in range(RECORDS)]
    assert wait_for(lambda: not Import.objects.get(pk=row.pk).file)


def test_a_deletion_reaches_the_index_by_the_worker(celery_workers: Workers, alice: User) -> None:
    from corpus.index import current

    def indexed() -> int:
        found = current(settings.DATA_DIR / "index")
        return found[1].papers if found else 0

    row = work.submit(alice, (ris(1) + ris(2)).encode(), "study.ris")
    assert wait_for(lambda: Import.objects.get(pk=row.pk).state == Import.DONE)
    assert wait_for(lambda: indexed() == 2)
    removal.remove(removal.removable(alice.pk, everyones=False).filter(title__contains="number 1"))
    assert wait_for(lambda: indexed() == 1)
