"""One command's worth of processes: start them, read their logs, restart what dies, and leave nothing behind.

`manage.py serve` describes the processes and hands them to `Supervisor.run`. The rules:

- Every child leads a session of its own, so a Ctrl-C at the terminal reaches the supervisor alone, which then stops
  its children in order: TERM first, and KILL for whatever is still there, grandchildren included.
- A child that dies is started again, at once the first time and more and more slowly after that.
- The guard is a second, tiny process that holds one end of a pipe. When the supervisor ends in whatever way, kill -9
  included, the pipe closes, and the guard ends the children that are left. (PR_SET_PDEATHSIG would reach the direct
  children only, and would need code between fork and exec in a process that has threads.)

This module imports neither Django nor anything of ours: the guard runs this very file as a script.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import logging
import logging.handlers
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, TextIO

import psutil

STOP_SECONDS = 5.0  # from TERM to KILL; the whole stop must fit in ten seconds
PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
FAST_DEATH = 10.0  # a child that lived shorter than this did not really start
FAST_DEATHS_BEFORE_ADVICE = 4
DELAYS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # before the n-th restart in a row, seconds
ROOT_WARNING = "ignore:You're running the worker with superuser privileges"
COLOURS = {"valkey": 31, "web": 32, "agent": 36, "vision": 35, "corpus": 34, "library": 96, "beat": 33, "lightbox": 1}


@dataclass(frozen=True)
class Program:
    """A process to keep alive. `last` ones are stopped only after the others, which still need them.

    Lines with `hide` in them go to the log file only: warnings that the user of a laptop can do nothing about.
    """

    name: str
    argv: list[str]
    env: Mapping[str, str]
    cwd: Path
    last: bool = False
    hide: str = ""


def worker_argv(name: str, queues: str, pool: str, processes: int, python: str = sys.executable) -> list[str]:
    """The start line of a Celery worker."""
    line = f"-m celery --quiet -A assistant worker -n {name}@%h -Q {queues} -P {pool} -c {processes}"
    level = os.environ.get("LIGHTBOX_LOG", "WARNING")
    # Celery warns a root user for four lines, each start: containers and classrooms know.
    return [python, "-W", ROOT_WARNING, *line.split(), "--without-gossip", "--without-mingle", "--loglevel", level]


def models_argv(environment: str, python: str) -> list[str]:
    """The start line of the worker of an environment of models; it knows no Django (inference/worker.py)."""
    line = f"-m celery --quiet -A inference.worker worker -n models-{environment}@%h -Q models.{environment}"
    level = os.environ.get("LIGHTBOX_LOG", "WARNING")
    more = "-P prefork -c 1 --disable-prefetch --without-gossip --without-mingle --loglevel"
    return [python, "-W", ROOT_WARNING, *line.split(), *more.split(), level]


def start_lines(bind: str, port: int, data: Path, python: str = sys.executable) -> dict[str, list[str]]:
    """The start line of each of our processes by name. docker/ runs the same ones through `manage.py serve NAME`."""
    level = os.environ.get("LIGHTBOX_LOG", "WARNING")
    web = f"-m uvicorn assistant.asgi:application --host {bind} --port {port} --lifespan off --no-access-log"
    proxies = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")
    return {
        "web": [
            *(python, *web.split(), "--log-level", level.lower(), "--timeout-graceful-shutdown", "2"),
            *("--proxy-headers", "--forwarded-allow-ips", proxies),
        ],
        # Steps of runs mostly wait for a chat model: threads. Each holds one step, never a whole run.
        "agent": worker_argv("agent", "agent", "threads", 8, python),
        # One at a time, in a child that may be lost: native decoders and models crash whole processes.
        "vision": worker_argv("vision", "vision,decode", "prefork", 1, python),
        # Calls that wait for the worker of a model: threads, which hold nothing else.
        "expert": worker_argv("expert", "expert", "threads", 8, python),
        # Keeps the embedder and the index in memory, shared by its threads.
        "corpus": worker_argv("corpus", "corpus", "threads", 2, python),
        # Imports and the index: one at a time, in a child that a hostile file may hang or end.
        "library": worker_argv("library", "library", "prefork", 1, python),
        "beat": [
            *(python, "-m", "celery", "--quiet", "-A", "assistant", "beat"),
            *("--loglevel", level, "--schedule", str(data / "beat-schedule")),
        ],
    }


class Log:
    """Prints one line at a time under a coloured name, and keeps the same lines in a rotated file."""

    def __init__(self, path: Path | None, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.colour = self.stream.isatty() and "NO_COLOR" not in os.environ
        self.lock = threading.Lock()
        self.file: logging.Handler | None = None
        self.silent = False  # true while stopping: what children say then belongs into the file only
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file = logging.handlers.RotatingFileHandler(path, maxBytes=5_000_000, backupCount=3, encoding="utf-8")
            self.file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))

    def write(self, name: str, line: str, hide: bool = False) -> None:
        plain = f"{name:<8} | {line}"
        shown = f"\033[{COLOURS.get(name, 0)}m{name:<8}\033[0m | {line}" if self.colour else plain
        with self.lock:
            # A terminal that went away must not take the site with it.
            with contextlib.suppress(OSError, ValueError):
                if not (hide or self.silent):
                    print(shown, file=self.stream, flush=True)
            if self.file:
                self.file.emit(logging.LogRecord("serve", logging.INFO, "", 0, plain, None, None))

    def follow(self, program: Program, pipe: IO[str]) -> threading.Thread:
        def read() -> None:
            with pipe:
                for line in filter(None, map(str.rstrip, pipe)):
                    self.write(program.name, line, bool(program.hide) and program.hide in line)

        thread = threading.Thread(target=read, name=f"log of {program.name}", daemon=True)
        thread.start()
        return thread


@dataclass
class Child:
    """One program and the process that runs it at the moment."""

    program: Program
    process: subprocess.Popen[str] | None = None
    started: float = 0.0
    fast_deaths: int = 0
    start_after: float = 0.0
    reader: threading.Thread | None = field(default=None, repr=False)

    def start(self, log: Log) -> int:
        program = self.program
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            program.argv,
            env=dict(program.env),
            cwd=program.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.reader = log.follow(program, self.process.stdout)
        return self.process.pid

    def note_death(self, code: int) -> str:
        """Decide when to start again, and say so in one line."""
        name, how = self.program.name, f"signal {-code}" if code < 0 else f"exit {code}"
        if self.process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)  # pool processes that outlived their worker
        self.process = None
        self.fast_deaths = self.fast_deaths + 1 if time.monotonic() - self.started < FAST_DEATH else 0
        delay = DELAYS[min(self.fast_deaths, len(DELAYS) - 1)]
        self.start_after = time.monotonic() + delay
        if not delay:
            return f"{name} died ({how}), restarted"
        again = f"{name} died ({how}), starting again in {delay:g} s"
        if self.fast_deaths >= FAST_DEATHS_BEFORE_ADVICE:
            again += f"; it has failed {self.fast_deaths} times in a row: its lines above say why"
        return again


def family(pids: Iterable[int]) -> list[psutil.Process]:
    """These processes and all their descendants, those in sessions of their own included."""
    found: list[psutil.Process] = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            top = psutil.Process(pid)
            found += [top, *top.children(recursive=True)]
    return found


def is_alive(pid: int) -> bool:
    """Whether this process still runs; one that only waits to be reaped does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def stop_family(pids: Iterable[int], seconds: float = STOP_SECONDS) -> None:
    """TERM to each of these processes; after `seconds`, or once they are gone, KILL for whoever is left of the family.

    psutil remembers start times, so a process id that was given to someone else meanwhile is not touched.
    """
    pids = list(pids)
    everyone = family(pids)
    tops = [process for process in everyone if process.pid in pids]
    for process in tops:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    psutil.wait_procs(tops, timeout=seconds)
    left = {*everyone, *family(pids)}
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(list(left), timeout=2)


def adopt_orphans() -> None:
    """Make what a dead child leaves behind our own children (Linux), so that `end_orphans` finds them."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_orphans(known: Iterable[int]) -> None:
    """Kill our children that are not `known`: what a worker that died had started in a session of its own."""
    known = set(known)
    orphans = [process for process in psutil.Process().children() if process.pid not in known]
    for orphan in orphans:
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan.kill()
    psutil.wait_procs(orphans, timeout=2)


class Guard:
    """Ends the children when the supervisor has died without doing so itself (see the module's docstring)."""

    def __init__(self, keep: Iterable[int] = ()) -> None:
        # Run as a file: importing the package would load Celery and Django into it. `keep` are descriptors that
        # stay open in it: the lock of the data folder is free only once the last child is gone.
        self.process = subprocess.Popen(
            [sys.executable, "-E", str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
            pass_fds=tuple(keep),
        )

    def watch(self, pid: int) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            print(pid, file=self.process.stdin, flush=True)

    def close(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(timeout=STOP_SECONDS + 5)


def guard() -> None:
    """The guard's whole life: read process ids until the pipe closes, then end those that still live."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    started: dict[int, psutil.Process] = {}
    for line in sys.stdin:
        with contextlib.suppress(psutil.NoSuchProcess, ValueError):
            started[int(line)] = psutil.Process(int(line))
    stop_family([pid for pid, process in started.items() if process.is_running()], seconds=2)


class Supervisor:
    """Keeps the programs running until a signal, then stops them in order."""

    def __init__(self, log: Log, keep: Iterable[int] = (), *, adopt: bool = False) -> None:
        """`adopt`: this process starts no children but ours (and `others`), so any other one is an orphan to end."""
        self.log = log
        self.adopt = adopt
        self.guard = Guard(keep)
        self.children: list[Child] = []
        self.others: list[int] = []  # processes of the caller that are not orphans
        self.stopping = False  # a plain flag: an Event's lock is not safe to take in a signal handler
        self.signal = ""  # the name of the one that asked to stop
        if adopt:
            adopt_orphans()

    def add(self, program: Program) -> None:
        child = Child(program)
        self.children.append(child)
        self.guard.watch(child.start(self.log))

    def catch_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.stopping = True
        self.signal = signal.Signals(number).name

    def check(self) -> None:
        """Start again what has died and whose time has come."""
        for child in self.children:
            if child.process and (code := child.process.poll()) is not None:
                self.log.write("lightbox", child.note_death(code))
                self._end_orphans()
            if not child.process and time.monotonic() >= child.start_after:
                self.guard.watch(child.start(self.log))

    def _end_orphans(self) -> None:
        if not self.adopt:
            return
        alive = [child.process.pid for child in self.children if child.process]
        end_orphans([*alive, *self.others, self.guard.process.pid])

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> bool:
        """Keep the children alive until `ready()`; False when it took too long or a signal came."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.stopping:
            if ready():
                return True
            self.check()
            time.sleep(0.1)
        return False

    def run(self) -> None:
        while not self.stopping:
            self.check()
            time.sleep(0.3)

    def stop(self) -> None:
        self.stopping = True
        self.log.silent = True
        for last in (False, True):
            mine = [child for child in self.children if child.program.last is last and child.process]
            stop_family([child.process.pid for child in mine if child.process], 2.0 if last else STOP_SECONDS)
            for child in mine:
                if child.process:
                    child.process.wait()
                    child.process = None
                if child.reader:
                    child.reader.join(timeout=1)
        self._end_orphans()
        self.guard.close()


class AlreadyRunning(Exception):
    """Another supervisor holds the lock of this data folder; the message says which."""


def lock_data_folder(data: Path, patience: float = 8.0) -> IO[str]:
    """Take the data folder for this process, or raise AlreadyRunning with one line to show.

    A supervisor that was killed leaves the lock to its guard for the seconds that ending its children takes: that is
    worth waiting for; a living one is not.
    """
    file = (data / "serve.lock").open("a+")
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            pid = holder.split(" ")[0]
            if (pid.isdigit() and is_alive(int(pid))) or time.monotonic() > end:
                file.close()
                raise AlreadyRunning(
                    f"Lightbox already runs on the data folder {data} (process {holder or 'unknown'}): "
                    "stop it first, or set LIGHTBOX_DATA to another folder."
                ) from None
            time.sleep(0.2)
        else:
            file.truncate(0)
            return file


if __name__ == "__main__":
    guard()
