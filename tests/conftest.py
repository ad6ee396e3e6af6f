"""What every test may use. The network is blocked (pyproject.toml); a real Valkey and a real database are not.

The settings are read only after this file has named them, so that a test run has a data folder and a Valkey of its own
(one per xdist process), and never those of the developer. DATABASE_URL and REDIS_URL in the environment are respected:
`make services-test` runs this same suite on PostgreSQL and Redis.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest

from bench.site import ROOT, Site, start_site

if TYPE_CHECKING:
    from celery import Celery
    from django.contrib.auth.models import User
    from django.test import Client

    from assistant.supervisor import Supervisor

CI = os.environ.get("CI") == "true"
OUR_SETTINGS = (
    *("LIGHTBOX_CHAT", "LIGHTBOX_CHAT_API_KEY", "LIGHTBOX_VQA", "LIGHTBOX_CLASSIFY", "LIGHTBOX_EMBEDDER"),
    *("LIGHTBOX_SERVERS", "LIGHTBOX_SERVER_KEYS", "LIGHTBOX_PICTURE_PIXELS"),
    *("LIGHTBOX_GATE", "LIGHTBOX_INDEX", "LIGHTBOX_INDEX_TOKEN"),
    *("LIGHTBOX_MULTI_USER", "LIGHTBOX_BIND", "LIGHTBOX_HTTPS", "LIGHTBOX_LOG", "SECRET_KEY", "DEBUG", "ALLOWED_HOSTS"),
    *("PORT", "NO_COLOR", "FORWARDED_ALLOW_IPS", "LIGHTBOX_UPLOAD_MB"),
    *("LIGHTBOX_OPENALEX_URL", "LIGHTBOX_CROSSREF_URL", "LIGHTBOX_MAILTO"),
    *("LIGHTBOX_LOOKUPS", "LIGHTBOX_MAILTO", "LIGHTBOX_OPENALEX_KEY"),
)


def _own_environment() -> None:
    if __name__ != "tests.conftest":
        raise pytest.UsageError(f"tests/conftest.py was imported as {__name__}: each test folder needs an __init__.py.")
    if "DJANGO_SETTINGS_MODULE" in os.environ:  # pytest-django has read the settings then, with the user's own data
        raise pytest.UsageError("Unset DJANGO_SETTINGS_MODULE: the tests name their settings themselves.")
    for name in OUR_SETTINGS:
        os.environ.pop(name, None)
    data = Path(tempfile.mkdtemp(prefix="lightbox-test-"))
    atexit.register(shutil.rmtree, data, ignore_errors=True)
    (data / "static").mkdir()
    os.environ["LIGHTBOX_DATA"] = str(data)
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["DJANGO_SETTINGS_MODULE"] = "assistant.settings"
    # xdist processes inherit the environment of the first one, so the embedded URL there is not one that was given.
    if (given := os.environ.get("REDIS_URL")) and "LIGHTBOX_TEST_VALKEY" not in os.environ:
        os.environ["REDIS_URL"] = _own_database(given)
    else:
        os.environ["LIGHTBOX_TEST_VALKEY"] = "embedded"
        os.environ["REDIS_URL"] = _start_valkey(data)


def _own_database(url: str) -> str:
    """The given server, with a database number of its own for each xdist process."""
    parts = urlsplit(url)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    first = int(parts.path.strip("/") or 0)
    number = first if not worker else (first + 1 + int(worker.removeprefix("gw"))) % 16
    return parts._replace(path=f"/{number}").geturl()


def _start_valkey(data: Path) -> str:
    from assistant.embedded_valkey import answers, private_folder, valkey_program
    from assistant.supervisor import Guard

    folder = private_folder()
    program, url = valkey_program(folder.__enter__(), data / "valkey", os.environ)
    guard = Guard()  # ends Valkey when pytest is killed
    process = subprocess.Popen(program.argv, cwd=program.cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    guard.watch(process.pid)

    def stop() -> None:
        process.kill()
        process.wait()
        guard.close()
        folder.__exit__(None, None, None)

    atexit.register(stop)
    end = time.monotonic() + 10
    while not answers(url):
        assert time.monotonic() < end, "the embedded Valkey does not start"
        time.sleep(0.02)
    return url


_own_environment()


def pytest_configure(config: pytest.Config) -> None:
    import django

    django.setup()
    if config.getoption("numprocesses", None) and "PYTEST_XDIST_WORKER" not in os.environ:
        # This process only hands out tests; those that run them inherit its environment, and must not find it there.
        del os.environ["DJANGO_SETTINGS_MODULE"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(ROOT / "tests").parts[0] if item.path.is_relative_to(ROOT / "tests") else ""
        if folder in {"browser", "services", "environments"}:
            item.add_marker(folder)
        if folder == "browser" and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(300))


def missing(what: str) -> None:
    """Skip a test that needs what this machine lacks; in CI that is a failure, or nobody would notice."""
    if CI:
        pytest.fail(what)
    pytest.skip(what)


# People


@pytest.fixture
def make_user(db: None) -> "Callable[..., User]":
    from django.contrib.auth.models import User

    def make(name: str, **more: Any) -> User:
        return User.objects.create_user(name, password=name, **more)

    return make


@pytest.fixture
def alice(make_user: "Callable[..., User]") -> "User":
    """The owner."""
    return make_user("alice")


@pytest.fixture
def bob(make_user: "Callable[..., User]") -> "User":
    """The stranger."""
    return make_user("bob")


@pytest.fixture
def staff(make_user: "Callable[..., User]") -> "User":
    return make_user("staff", is_staff=True)


@pytest.fixture
def client_of() -> "Callable[[User], Client]":
    """A signed-in client: client_of(alice).get("/")."""
    from django.test import Client

    def client_of(user: "User") -> Client:
        client = Client()
        client.force_login(user)
        return client

    return client_of


@pytest.fixture(scope="session", autouse=True)
def quick_settings() -> Iterator[None]:
    """Static files by their plain names, since nothing was collected, and a password hash that costs nothing."""
    from django.conf import settings
    from django.test import override_settings

    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    hashers = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    with override_settings(STORAGES={**settings.STORAGES, "staticfiles": plain}, PASSWORD_HASHERS=hashers):
        yield


# Work queues


@pytest.fixture
def eager_celery() -> "Iterator[Celery]":
    """Tasks run at once, in this process. Those enqueued on commit run when the transaction of the test commits: use
    `django_db(transaction=True)`, or `django_capture_on_commit_callbacks(execute=True)`."""
    from assistant.celery import app

    before = app.conf.task_always_eager, app.conf.task_eager_propagates
    app.conf.task_always_eager = app.conf.task_eager_propagates = True
    yield app
    app.conf.task_always_eager, app.conf.task_eager_propagates = before


@dataclass
class Workers:
    """Real Celery workers on the database of the test."""

    boss: "Supervisor"
    done: threading.Event = field(default_factory=threading.Event)

    def pid(self, name: str) -> int:
        """The process of the worker `name`: agent, vision, corpus or beat."""
        process = next(child.process for child in self.boss.children if child.program.name == name)
        assert process is not None
        return process.pid

    def kill(self, name: str) -> None:
        """kill -9 the worker and its pool; it is started again within a second."""
        from assistant.supervisor import family

        for process in family([self.pid(name)]):
            process.kill()

    def keep(self) -> None:
        while not self.done.wait(0.3):
            self.boss.check()


def database_url() -> str:
    """The DATABASE_URL of the test database, for other processes."""
    from django.db import connection

    config = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{config['NAME']}"
    who = ":".join(quote(config[key], safe="") for key in ("USER", "PASSWORD") if config[key])
    where = f"{config['HOST'] or 'localhost'}:{config['PORT'] or 5432}"
    return f"postgres://{who}@{where}/{config['NAME']}"


@pytest.fixture(scope="module")  # longer, and they would carry out what the tests of other modules leave in the queue
def worker_processes(django_db_setup: None, django_db_blocker: Any) -> Iterator[Workers]:
    from django.conf import settings

    from assistant.celery import app
    from assistant.supervisor import Log, Program, Supervisor, start_lines

    with django_db_blocker.unblock():
        env = {**os.environ, "DATABASE_URL": database_url()}
    workers = Workers(Supervisor(Log(settings.DATA_DIR / "logs" / "workers.log", sys.stderr)))
    names = ("agent", "vision", "expert", "corpus", "library", "beat")
    lines = start_lines("127.0.0.1", 1, settings.DATA_DIR)
    for name in names:
        workers.boss.add(Program(name, lines[name], env, ROOT))
    keeper = threading.Thread(target=workers.keep, daemon=True)
    keeper.start()
    end = time.monotonic() + 60
    while len(there := app.control.ping(timeout=1.0)) < len(names) - 1:
        assert time.monotonic() < end, f"the workers do not start: {there}"
    yield workers
    workers.done.set()
    keeper.join()
    workers.boss.stop()


@pytest.fixture
def celery_workers(transactional_db: None, worker_processes: Workers) -> Workers:
    """Real workers and the beat, in processes of their own, on the test's database, Valkey and data folder. They are
    started once per module; each test starts with empty tables and queues."""
    import redis
    from django.conf import settings

    with redis.Redis.from_url(settings.REDIS_URL) as broker:
        for queue in ("agent", "vision", "decode", "expert", "corpus", "library"):
            broker.delete(queue)
    return worker_processes


# A whole running site, for the browser and for the API (bench/site.py)


@pytest.fixture(scope="session")
def live_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for the session, single-user, with workers and the literature, on a free port of the loopback."""
    site = start_site(tmp_path_factory.mktemp("site") / "data folder")
    yield site
    site.stop()


@pytest.fixture(scope="session")
def live_server_url(live_site: Site) -> str:
    return live_site.url


# Chromium

CHROMIUM_ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The machine's Chromium (CHROMIUM names another) under Playwright's synchronous interface."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        missing("Chromium is not installed: apt-get install chromium, or set CHROMIUM to its path.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def signed_in(chromium: Any, live_site: Site) -> Any:
    """The cookies of the local user: the sign-in link works once, so one context opens it for all."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(live_site.sign_in_link)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def chromium_page(chromium: Any, live_site: Site, signed_in: Any) -> Iterator[Any]:
    """A fresh, signed-in Playwright page whose relative addresses are the live site's."""
    context = chromium.new_context(
        base_url=live_site.url, storage_state=signed_in, viewport={"width": 1280, "height": 800}
    )
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()
