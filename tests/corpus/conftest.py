"""The bundled literature, loaded and indexed with the real embedder, once for all tests.

`literature` may be used by the tests of other folders too: `from tests.corpus.conftest import *`.
"""

import fcntl
import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from pytest_django.plugin import DjangoDbBlocker

__all__ = ["literature", "loaded_literature"]

SOURCES = (
    "corpus/index/types.py",
    "corpus/index/words.py",
    "corpus/index/store.py",
    "corpus/index/dense.py",
    "corpus/index/sparse.py",
    "corpus/sentences.py",
    "corpus/reload.py",
    "corpus/models/papers.py",
    "corpus/ingest.py",
    "corpus/thesaurus.py",
    "corpus/data/asked.jsonl",
    "corpus/data/thesaurus.json",
    "corpus/data/vectors.npz",
)
Rows = tuple[list[Any], ...]  # papers, labels, passages; the models cannot be imported before Django is set up


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test that needs the literature waits while it is embedded, minutes on a busy machine."""
    for item in items:
        if "loaded_literature" in getattr(item, "fixturenames", ()) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(600))


def _kept_index(config: pytest.Config) -> Path:
    """Where the index is kept between test runs: embedding takes half a minute. Other code, another place."""
    code = b"".join((settings.BASE_DIR / source).read_bytes() for source in SOURCES)
    assert config.cache is not None
    return config.cache.mkdir("literature") / hashlib.sha256(code).hexdigest()[:16]


@pytest.fixture(scope="session")
def loaded_literature(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, request: pytest.FixtureRequest
) -> Rows:
    """The rows as loaded; the index stands in the data folder of the test run, where worker processes find it too."""
    kept, used = _kept_index(request.config), settings.DATA_DIR / "index"
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several test processes one embeds, the others copy
        return _load(kept, used, django_db_blocker)


def _load(kept: Path, used: Path, django_db_blocker: DjangoDbBlocker) -> Rows:
    from corpus.index import current
    from corpus.models import Label, Paper, Passage

    if kept.is_dir() and not used.exists():
        shutil.copytree(kept, used)
    with django_db_blocker.unblock(), transaction.atomic():
        call_command("load_corpus", verbosity=0)  # checks the kept index by its hash, and builds where it differs
        rows = (list(Paper.objects.all()), list(Label.objects.all()), list(Passage.objects.all()))
        transaction.set_rollback(True)  # the tests of other parts find the tables empty
    found = current(used)
    assert found is not None
    if not kept.exists():
        partial = kept.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(used, partial)
        partial.rename(kept)
    return rows


@pytest.fixture
def literature(db: None, loaded_literature: Rows) -> None:
    """All papers in the database of the test, under the keys that the index knows."""
    from corpus import engine, ingest

    for rows in loaded_literature:
        type(rows[0]).objects.bulk_create(rows)
    ingest.count()
    if engine._engine is not None and engine._engine.names.papers != len(loaded_literature[0]):
        # A test without papers opened the index before, and the names of its papers are none.
        engine._engine = None
