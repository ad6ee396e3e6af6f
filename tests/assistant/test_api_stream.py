"""A real web process: events that any reader gets once each and in order, and bodies that are too large."""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from asgiref.sync import async_to_sync
from django.conf import settings as lightbox
from django.contrib.auth.models import User
from django.db import connection

from assistant import events, follow, runs, stream
from assistant.models import ApiToken, Conversation, Image, Run
from assistant.supervisor import start_lines
from tests.conftest import ROOT, database_url

pytestmark = pytest.mark.django_db(transaction=True)
LIMIT_MB = 2


@dataclass(frozen=True)
class Web:
    """The web process, as `manage.py serve` starts it, with a small upload limit and a temporary folder of its own."""

    url: str
    temporary: Path


@pytest.fixture(scope="session")
def web(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    temporary = tmp_path_factory.mktemp("web")
    with django_db_blocker.unblock():
        env = {**os.environ, "DATABASE_URL": database_url()}
    env |= {"LIGHTBOX_UPLOAD_MB": str(LIMIT_MB), "TMPDIR": str(temporary)}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = start_lines("127.0.0.1", port, lightbox.DATA_DIR)["web"]
    process = subprocess.Popen(line, env=env, cwd=ROOT, stdin=subprocess.DEVNULL)
    found = Web(f"http://127.0.0.1:{port}", temporary)
    until(lambda: answers(found.url), 60)
    yield found
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        threading.Event().wait(0.02)


@pytest.fixture
def headers(alice: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {ApiToken.issue(alice)}"}


@pytest.fixture
def run(alice: User) -> Run:
    run = runs.ask(Conversation.objects.create(owner=alice), "Segment the lungs", [])
    taken = Run.objects.claim(run.pk)
    assert taken is not None
    return taken


def say(run: Run, *words: str) -> None:
    for word in words:
        run.record(events.TextDelta(word))


Seen = tuple[int, str, dict[str, Any]]


def read(web: Web, run: Run, headers: dict[str, str], at_most: int = 10**9, **query: Any) -> list[Seen]:
    """What a reader gets until the server ends the stream, or until it has had `at_most` events and hangs up."""
    seen: list[Seen] = []
    address = f"{web.url}/api/runs/{run.pk}/events"
    with httpx.stream("GET", address, params=query, headers=headers, timeout=30) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-accel-buffering"] == "no"
        seq, kind = 0, ""
        for line in response.iter_lines():
            if line.startswith("id: "):
                seq = int(line[4:])
            elif line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                seen.append((seq, kind, json.loads(line[6:])))
                if len(seen) == at_most:
                    break
    return seen


def finish(run: Run) -> None:
    run.leave(Run.DONE, events.Answered("done"))


# Events


def test_replay_begins_after_n_and_ends_with_the_last_event(web: Web, run: Run, headers: dict[str, str]) -> None:
    say(run, "one", "two\nlines", "drei, für “alle”")
    finish(run)
    whole = read(web, run, headers)
    assert [seq for seq, _, _ in whole] == [1, 2, 3, 4]
    assert whole[1] == (2, "text", {"text": "two\nlines"})
    assert whole[2][2] == {"text": "drei, für “alle”"}
    assert whole[3][1] == "answered"
    assert read(web, run, headers, after=2) == whole[2:]
    assert read(web, run, headers, after=4) == []
    assert read(web, run, headers, after=10**40) == []
    assert read(web, run, headers, after=-3) == whole


@pytest.mark.parametrize(
    ("last", "after", "first"),
    [("2", 0, 3), ("1", 2, 3), ("x", 1, 2), ("²", 0, 1), ("-1", 0, 1), ("9" * 5000, 0, 1), ("", 3, 4)],
)
def test_a_browser_that_comes_back_says_what_it_had(
    web: Web, run: Run, headers: dict[str, str], last: str, after: int, first: int
) -> None:
    say(run, "one", "two", "three")
    finish(run)
    raw = {**headers, "Last-Event-ID": last.encode("latin-1")}
    assert read(web, run, raw, after=after)[0][0] == first


def test_every_reader_gets_every_event_once_while_a_worker_writes(web: Web, run: Run, headers: dict[str, str]) -> None:
    total = 120
    seen: dict[str, list[Seen]] = {"follower": [], "late": [], "restless": []}

    def restless() -> None:
        """Hangs up again and again, and goes on where it was."""
        while not seen["restless"] or seen["restless"][-1][1] != "answered":
            cursor = seen["restless"][-1][0] if seen["restless"] else 0
            seen["restless"] += read(web, run, {**headers, "Last-Event-ID": str(cursor)}, at_most=17)

    readers = [
        threading.Thread(target=lambda: seen["follower"].extend(read(web, run, headers))),
        threading.Thread(target=restless),
        threading.Thread(target=lambda: seen["late"].extend(read(web, run, headers, after=total // 2))),
    ]
    for reader in readers:
        reader.start()
    for number in range(0, total, 3):
        run.record(*(events.TextDelta(f"{number + i} ") for i in range(3)))
    finish(run)
    for reader in readers:
        reader.join(timeout=60)
        assert not reader.is_alive()
    expected = list(range(1, total + 2))
    assert [seq for seq, _, _ in seen["follower"]] == expected
    assert [seq for seq, _, _ in seen["restless"]] == expected
    assert [seq for seq, _, _ in seen["late"]] == expected[total // 2 :]
    assert "".join(e.get("text", "") for _, kind, e in seen["follower"] if kind == "text") == "".join(
        f"{number} " for number in range(total)
    )


def test_words_reach_a_reader_within_a_second_of_being_written(web: Web, run: Run, headers: dict[str, str]) -> None:
    arrived: dict[str, float] = {}

    def listen() -> None:
        for word in ("one", "two"):
            (event,) = read(web, run, headers, at_most=1, after=len(arrived))
            arrived[event[2]["text"]] = time.monotonic()
            assert event[2]["text"] == word

    reader = threading.Thread(target=listen)
    reader.start()
    written = {}
    for word in ("one", "two"):
        before = len(arrived)
        written[word] = time.monotonic()
        say(run, word)
        until(lambda before=before: len(arrived) > before)
    reader.join(timeout=10)
    assert all(arrived[word] - written[word] < 2.5 for word in written)


def test_a_reader_who_leaves_gives_its_subscription_back(web: Web, run: Run, headers: dict[str, str]) -> None:
    name = stream.channel(run.pk)
    with redis.Redis.from_url(lightbox.REDIS_URL) as valkey:

        def listening() -> int:
            return int(valkey.pubsub_numsub(name)[0][1])

        say(run, "one")
        with httpx.stream("GET", f"{web.url}/api/runs/{run.pk}/events", headers=headers, timeout=30) as response:
            lines = response.iter_lines()  # kept: httpx hangs up when nobody holds it
            assert next(lines) == "id: 1"
            until(lambda: listening() == 1)
        until(lambda: listening() == 0)


def test_a_stream_ends_when_its_chat_is_deleted(web: Web, run: Run, headers: dict[str, str]) -> None:
    say(run, "one")
    with httpx.stream("GET", f"{web.url}/api/runs/{run.pk}/events", headers=headers, timeout=30) as response:
        lines = response.iter_lines()
        assert next(lines) == "id: 1"
        Conversation.objects.get().delete_with_files()
        assert list(lines)[-1] == ""


def test_a_stopped_run_ends_the_stream_of_who_follows(web: Web, run: Run, headers: dict[str, str]) -> None:
    say(run, "one")
    seen: list[Seen] = []
    reader = threading.Thread(target=lambda: seen.extend(read(web, run, headers)))
    reader.start()
    until(lambda: httpx.post(f"{web.url}/api/runs/{run.pk}/cancel", headers=headers).status_code == 200)
    reader.join(timeout=20)
    assert [kind for _, kind, _ in seen] == ["text", "stopped"]


def test_a_quiet_run_keeps_the_line_alive(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "KEEP_ALIVE_SECONDS", 0.05)
    monkeypatch.setattr(stream, "POLL_SECONDS", 0.03)
    say(run, "one")

    async def first(count: int) -> list[Any]:
        rows = []
        async for row in follow.follow(run.pk, 0):
            rows.append(row)
            if len(rows) == count:
                break
        return rows

    got = async_to_sync(first)(3)
    assert got[0][1] == "text"
    assert got[1:] == [None, None]


def test_without_valkey_a_reader_still_gets_everything(
    run: Run, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(stream, "POLL_SECONDS", 0.05)
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    say(run, "one")

    def write() -> None:
        say(run, "two")
        finish(run)
        connection.close()

    async def everything() -> list[int]:
        rows = []
        async for row in follow.follow(run.pk, 0):
            if row is not None:
                rows.append(row[0])
                if len(rows) == 1:
                    writer.start()
        return rows

    writer = threading.Thread(target=write)
    assert async_to_sync(everything)() == [1, 2, 3]
    writer.join()


# Bodies


def nothing_is_left(web: Web) -> bool:
    return not list(web.temporary.iterdir())


def test_a_file_over_the_limit_is_refused_by_its_length(web: Web, headers: dict[str, str]) -> None:
    big = b"\0" * (LIMIT_MB + 2) * 1024**2
    response = httpx.post(f"{web.url}/api/images", files={"file": ("big.dcm", big)}, headers=headers, timeout=30)
    assert response.status_code == 413
    assert response.json() == {"detail": f"This file is larger than the limit of {LIMIT_MB + 1} MB."}
    until(lambda: nothing_is_left(web))
    assert not Image.objects.exists()


def test_a_body_without_a_length_is_refused_when_it_has_become_too_long(web: Web, headers: dict[str, str]) -> None:
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="big.dcm"\r\n\r\n'
        for _ in range(20 * LIMIT_MB):
            sent += 512 * 1024
            yield b"\0" * 512 * 1024
        yield b"\r\n--x--\r\n"

    more = {**headers, "Content-Type": "multipart/form-data; boundary=x"}
    response = httpx.post(f"{web.url}/api/images", content=body(), headers=more, timeout=30)
    assert response.status_code == 413
    assert "larger than the limit" in response.json()["detail"]
    until(lambda: nothing_is_left(web))
    assert not Image.objects.exists()


@pytest.mark.parametrize("length", ["99999999999999999999", "-5", "1e9", "abc"])
def test_a_length_that_is_none_does_not_reach_django(web: Web, length: str) -> None:
    port = int(web.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(f"POST /api/images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n".encode())
        line.shutdown(socket.SHUT_WR)
        status = line.recv(100).split(b" ")[1]
    assert status in (b"400", b"413")


def test_a_file_just_under_the_limit_is_judged_by_its_content(web: Web, headers: dict[str, str]) -> None:
    text = b"a" * (LIMIT_MB * 1024**2)
    response = httpx.post(f"{web.url}/api/images", files={"file": ("a.png", text)}, headers=headers, timeout=30)
    assert response.status_code == 422
    over = httpx.post(f"{web.url}/api/images", files={"file": ("a.png", text + b"a")}, headers=headers, timeout=30)
    assert over.status_code == 413
    assert over.json() == {"detail": f"This file is larger than the limit of {LIMIT_MB} MB."}
    until(lambda: nothing_is_left(web))
