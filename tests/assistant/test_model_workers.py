"""The worker of models: a process of its own without Django, that answers, fails with a reason, and lives on."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from django.conf import settings as lightbox

from assistant import checkpoints_in_use, model_calls
from assistant.model_workers import model_env, model_workers
from assistant.tools.base import Declined
from inference import environments
from inference.checkpoints import Checkpoint
from inference.errors import BadInput, Exhausted, Unavailable
from inference.types import Image
from tests.inference.greedy_worker import CATALOGUE
from tests.model_worker import running, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    (folder / "weights").mkdir()
    (folder / "weights" / "config.json").write_text("{}")
    path = folder / "catalogue.toml"
    path.write_text(CATALOGUE.format(folder=folder / "weights"))
    return path


@pytest.fixture(scope="module")
def worker(catalogue: Path) -> Iterator[None]:
    app, limit = "tests.inference.greedy_worker", {"LIGHTBOX_WORKER_MEMORY_MB": "3000"}
    with running("main", sys.executable, app, LIGHTBOX_CATALOGUE=str(catalogue), **limit):
        yield


@pytest.fixture
def greedy(worker: object, catalogue: Path, settings: Any) -> Checkpoint:
    settings.CATALOGUES = [str(catalogue)]
    return checkpoints_in_use.catalogue()["greedy"]


@pytest.fixture
def call(greedy: Checkpoint, request: pytest.FixtureRequest) -> Callable[..., model_calls.Performed]:
    count = iter(range(100))

    def call(wanted: Callable[[], bool] = lambda: True, batch: bool = False, **options: Any) -> model_calls.Performed:
        image = Image(np.full((4, 5), 7, np.uint8))
        name = f"{request.node.name}-{options.pop('name', next(count))}".replace("[", "").replace("]", "")
        return model_calls.carry_out(greedy, "classify", [image], options, name=name, wanted=wanted, batch=batch)

    return call


def test_a_call_is_carried_out_elsewhere_and_its_worker_records_what_it_used(call, worker):
    begun = time.time()
    done = call()
    assert [(s.label, s.value) for s in done.result.scores] == [("mean", 7.0)]
    assert done.result.text == "knows []"
    record = done.record
    assert (record.checkpoint, record.name, record.revision, record.licence) == ("greedy", "Greedy", "r1", "MIT")
    assert record.device in ("cpu", "cuda")
    assert begun <= record.started <= record.ended <= time.time()
    assert record.versions["numpy"] == np.__version__


def test_what_a_model_raises_is_one_line_and_the_next_call_works(call):
    with pytest.raises(BadInput, match="Greedy failed on this image: RuntimeError: a fault inside"):
        call(do="raise")
    assert call().result.scores


def test_a_call_that_wants_more_memory_than_there_is_fails_with_the_reason_and_the_worker_lives_on(call):
    with pytest.raises(Exhausted, match="Greedy ran out of memory"):
        call(do="hoard", bytes=8_000_000_000)
    assert call().result.scores


def test_a_model_that_takes_its_process_with_it_is_one_failed_call(call):
    with pytest.raises(Exhausted, match="ended while it worked on this"):
        call(do="die")
    assert call().result.scores


def test_a_call_that_nobody_wants_any_more_is_ended(call):
    begun = time.monotonic()
    with pytest.raises(Declined, match="Stopped before Greedy had finished"):
        call(do="wait", wanted=lambda: time.monotonic() - begun < 1)
    assert call().result.scores  # at once, and not after the minute that the other would have taken
    assert time.monotonic() - begun < 30


def test_a_person_passes_a_batch(call, tmp_path):
    log, go = tmp_path / "log", threading.Event()
    log.touch()

    def hold() -> None:
        with pytest.raises(Declined):
            call(do="wait", log=str(log), who="first", wanted=lambda: not go.is_set())

    def waiting() -> int:
        return sum(broker.llen(key) for key in broker.keys("models.main*"))

    callers = [threading.Thread(target=hold)]
    callers += [threading.Thread(target=call, kwargs={"batch": True, "log": str(log), "who": "batch"}) for _ in "123"]
    callers += [threading.Thread(target=call, kwargs={"log": str(log), "who": "person"})]
    with redis.Redis.from_url(lightbox.REDIS_URL) as broker:
        callers[0].start()
        wait_for(lambda: log.read_text() == "first\n")
        for number, caller in enumerate(callers[1:], 1):
            caller.start()
            wait_for(lambda: waiting() == number)  # noqa: B023 it is waited for at once
    go.set()
    for caller in callers:
        caller.join(timeout=30)
    assert log.read_text().split() == ["first", "person", "batch", "batch", "batch"]


def test_a_call_that_was_answered_before_its_caller_died_is_not_done_again(call, settings, tmp_path, monkeypatch):
    log = tmp_path / "log"
    monkeypatch.setattr(model_calls.shutil, "rmtree", lambda *_, **__: None)  # the caller died before it tidied up
    call(name="same", log=str(log), who="call")
    again = call(name="same", log=str(log), who="call")
    assert again.result.scores
    assert log.read_text().count("call") == 1


def test_without_a_worker_the_call_says_so(greedy, settings, monkeypatch):
    monkeypatch.setattr(model_calls, "WORKER_LATEST", 0.5)
    elsewhere = Checkpoint(**{f: getattr(greedy, f) for f in greedy.__slots__} | {"environment": "nowhere"})
    with pytest.raises(Unavailable, match="No worker for Greedy is running"):
        model_calls.carry_out(elsewhere, "classify", [Image(np.zeros((2, 2), np.uint8))], {}, name="nobody")


def test_a_worker_of_models_is_told_no_secret(settings):
    given = {"SECRET_KEY": "s", "DATABASE_URL": "postgres://x", "LIGHTBOX_CHAT_API_KEY": "k"}
    given |= {"LIGHTBOX_SERVER_KEYS": "http://a/v1=k", "DJANGO_SETTINGS_MODULE": "assistant.settings"}
    told = model_env(given | {"PATH": "/bin"})
    assert told["PATH"] == "/bin"
    assert not given.keys() & told.keys()
    assert settings.SECRET_KEY not in told.values()


def test_each_environment_that_was_built_has_a_worker_of_its_own(settings, tmp_path):
    settings.ENVIRONMENTS_DIR = tmp_path
    assert list(model_workers()) == ["models"]
    (tmp_path / "example").mkdir()
    (tmp_path / "example" / environments.STAMP).touch()
    line = model_workers()["models-example"]
    assert line[0] == str(tmp_path / "example" / "bin" / "python")
    assert line[line.index("-Q") + 1] == "models.example"
