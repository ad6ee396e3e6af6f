"""A real worker of models for a test: a process of its own on the test's Valkey."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator

import psutil
import redis
from django.conf import settings

from assistant import model_calls
from assistant.model_workers import model_env
from assistant.supervisor import models_argv
from bench.site import ROOT


def wait_for(true: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


@contextlib.contextmanager
def running(environment: str, python: str, app: str = "inference.worker", **more: str) -> Iterator[None]:
    """The worker of an environment, from when it listens until the block ends. `more` are environment variables."""
    queue = f"models.{environment}"
    line = [app if part == "inference.worker" else part for part in models_argv(environment, python)]
    with redis.Redis.from_url(settings.REDIS_URL) as broker:
        broker.delete(queue, f"lightbox:alive:{queue}")
        process = subprocess.Popen(line, env=model_env(dict(os.environ)) | more, cwd=ROOT)
        try:
            wait_for(lambda: model_calls.has_worker(broker, queue))
            yield
        finally:
            for one in [*psutil.Process(process.pid).children(recursive=True), process]:
                one.kill()
            process.wait()
