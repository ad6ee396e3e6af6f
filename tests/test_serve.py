"""`manage.py serve` as someone at a terminal meets it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from assistant.management.commands.serve import page_host
from bench.site import ROOT, Site, start_site

pytestmark = pytest.mark.timeout(300)


def serve(data: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"REDIS_URL", "DATABASE_URL"}}
    line = [sys.executable, str(ROOT / "manage.py"), "serve", *arguments]
    env = {**kept, "LIGHTBOX_DATA": str(data), **settings}
    return subprocess.run(line, env=env, cwd=data, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def wait_for(condition: Callable[[], object], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.2)
    return False


def test_the_whole_site_starts_mends_itself_and_stops(tmp_path: Path) -> None:
    data = tmp_path / "data folder"
    site = start_site(data)
    try:
        family = psutil.Process(site.process.pid).children(recursive=True)
        assert urllib.request.urlopen(site.url + "/healthz").status == 200
        with urllib.request.urlopen(site.sign_in_link) as page:
            assert "not for diagnosis" in page.read().decode()
        refused_a_second_one(data, site)
        restarts_a_killed_worker(data, site)
    finally:
        begun = time.monotonic()
        site.stop()
    assert time.monotonic() - begun < 10
    assert site.process.returncode == 0
    assert wait_for(lambda: not [child for child in family if child.is_running()], 2)


def refused_a_second_one(data: Path, site: Site) -> None:
    second = serve(data)
    assert second.returncode == 1
    assert f"already runs on the data folder {data} (process {site.process.pid} {site.url})" in second.stderr
    assert second.stderr.count("\n") == 1


def restarts_a_killed_worker(data: Path, site: Site) -> None:
    def vision() -> list[psutil.Process]:
        workers = psutil.Process(site.process.pid).children()
        return [child for child in workers if "vision,decode" in " ".join(child.cmdline())]

    assert wait_for(lambda: vision()[0].children()), "the worker has no pool"
    killed = vision()[0]
    killed.kill()
    log = data / "serve-output.log"
    assert wait_for(lambda: log.exists() and "vision died (signal 9)" in log.read_text())
    assert wait_for(lambda: [worker for worker in vision() if worker.pid != killed.pid])


def test_a_port_that_was_asked_for_and_is_taken_is_an_error_of_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = serve(tmp_path, PORT=str(port))
    assert answer.returncode == 1
    assert answer.stderr == f"CommandError: Port {port} is taken: stop what uses it, or set PORT to another.\n"


def test_a_site_without_accounts_is_never_shown_to_the_network(tmp_path: Path) -> None:
    answer = serve(tmp_path, "web", LIGHTBOX_BIND="0.0.0.0")
    assert answer.returncode == 1
    assert "set LIGHTBOX_MULTI_USER=1 too" in answer.stderr


def test_a_chat_model_that_is_misspelt_is_an_error_of_one_line(tmp_path: Path) -> None:
    answer = serve(tmp_path, LIGHTBOX_CHAT="gpt")
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert "guide" in answer.stderr


def test_a_redis_that_does_not_answer_is_an_error_of_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    answer = serve(tmp_path, REDIS_URL=f"redis://127.0.0.1:{port}/0")
    assert answer.returncode == 1
    assert "REDIS_URL (127.0.0.1) does not answer" in answer.stderr


@pytest.mark.parametrize(
    ("bind", "host"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("::", "[::1]")]
)
def test_links_name_a_host_that_a_browser_can_open(bind: str, host: str) -> None:
    assert page_host(bind) == host
