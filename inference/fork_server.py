"""Disposable processes that start in milliseconds: forks of one that has their libraries loaded.

Starting Python and loading what reads an image takes longer than reading most images. So the first request starts a
server, a fresh process without the caller's environment; it loads PRELOADED and then forks one child for each request.
A child is as disposable as one of its own making: its parent never saw a file, and it has its own session, streams,
folder and limits. The server answers only the process that started it, over a socket pair, and ends with it, or when
nobody has asked for IDLE_S.

Linux only: elsewhere a fork of what has loaded native libraries is not safe. `run` raises NoServer, and whoever asks
starts a process (`inference.disposable`).
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NoReturn

PRELOADED = (
    "inference.decode",
    "inference.sorting",
    "inference.gate",
    "inference.readers.raster",
    "inference.readers.dicom.series",
    "inference.readers.nifti",
    "numpy.ma",
    "PIL.ImageSequence",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
)
START_S, CLOSE_S, IDLE_S = 20.0, 5.0, 600.0
OPEN_FILES = 4096  # more than the server ever has open
NUMBER = 8  # bytes of an integer on the line that tells of a child


class NoServer(Exception):
    """There is none here, or it is gone."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended: its exit status, negative for a signal, None when it was killed because its time was over."""

    said: bytes
    complaint: bytes
    code: int | None


class _Server:
    """A server of this process, for one environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=dict(environment),
                cwd="/",
                start_new_session=True,
            )

    def start(self, module: str, folder: Path, streams: list[int]) -> tuple[int, int]:
        """The process id of a new child, and the line on which its end is told. Raises NoServer."""
        told, tell = os.pipe()
        try:
            with self._lock:  # one message at a time is under way, so that no two arrive as one
                socket.send_fds(self._control, [json.dumps([module, str(folder.resolve())]).encode()], [*streams, tell])
                os.close(tell)
                tell = -1
                pid = os.read(told, NUMBER) if select.select([told], [], [], START_S)[0] else b""
        except OSError as error:
            os.close(told)
            raise NoServer from error
        finally:
            if tell >= 0:
                os.close(tell)
        if len(pid) < NUMBER:
            os.close(told)
            raise NoServer
        return int.from_bytes(pid, "little"), told

    def close(self) -> None:
        self._control.close()
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def forget(self) -> None:
        """In a fork of whoever started it: the server is its parent's."""
        self._control.close()


_servers: dict[tuple[tuple[str, str], ...], _Server] = {}
_starting = threading.Lock()


def run(module: str, request: bytes, folder: Path, environment: Mapping[str, str], wall_s: float) -> Ended:
    """What `module`.main() of a new child made of the request on its standard input, in that folder.

    Raises NoServer.
    """
    if sys.platform != "linux":
        raise NoServer
    streams = [os.memfd_create(name, os.MFD_CLOEXEC) for name in ("stdin", "stdout", "stderr")]
    try:
        os.write(streams[0], request)
        os.lseek(streams[0], 0, os.SEEK_SET)
        pid, told = _start(module, folder, streams, environment)
        try:
            code = _end_of(pid, told, wall_s)
        finally:
            os.close(told)
        return Ended(_content(streams[1]), _content(streams[2]), code)
    finally:
        for stream in streams:
            os.close(stream)


def _start(module: str, folder: Path, streams: list[int], environment: Mapping[str, str]) -> tuple[int, int]:
    """A child of the server, or of a new one where that has ended."""
    key = tuple(sorted(environment.items()))
    with _starting:
        server = _servers.get(key)
        if server is not None:
            with suppress(NoServer):
                return server.start(module, folder, streams)
            del _servers[key]
            server.close()
        try:
            server = _servers[key] = _Server(environment)
        except OSError as error:
            raise NoServer from error
    return server.start(module, folder, streams)


def _end_of(pid: int, told: int, wall_s: float) -> int | None:
    """Wait for the end of a child; one that takes longer is killed with all that it started."""
    in_time = bool(select.select([told], [], [], wall_s)[0])
    if not in_time:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    code = os.read(told, NUMBER)
    if len(code) < NUMBER:  # the server died, and nobody knows how the child fares
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        raise NoServer
    return int.from_bytes(code, "little", signed=True) if in_time else None


def _content(stream: int) -> bytes:
    size = os.fstat(stream).st_size
    return os.pread(stream, size, 0)


def stop() -> None:
    """End the servers of this process, and wait until they have."""
    with _starting:
        for server in _servers.values():
            server.close()
        _servers.clear()


def _forget() -> None:
    global _starting
    _starting = threading.Lock()
    for server in _servers.values():
        server.forget()
    _servers.clear()


os.register_at_fork(after_in_child=_forget)


def main() -> None:
    """The server: loads, then forks a child for each message until its caller hangs up."""
    line = int(sys.argv[1])
    control = socket.socket(fileno=line)
    for name in PRELOADED:
        import_module(name)
    gc.freeze()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: dict[int, int] = {}  # the line of each
    while True:
        ready = select.select([line, woken], [], [], IDLE_S)[0]
        if woken in ready:
            os.read(woken, 4096)
            _reap(children)
        if (line in ready and not _admit(control, children)) or not (ready or children):
            break
    for pid in children:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _reap(children: dict[int, int]) -> None:
    """Tell of those that have ended how they did."""
    for pid in list(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            with suppress(BrokenPipeError):
                os.write(children[pid], code.to_bytes(NUMBER, "little", signed=True))
            os.close(children.pop(pid))


def _admit(control: socket.socket, children: dict[int, int]) -> bool:
    """Fork a child for the message that has come. False when the caller has hung up."""
    message, given, _, _ = socket.recv_fds(control, 65536, 4)
    if not message:
        return False
    module, folder = json.loads(message)
    pid = os.fork()
    if pid == 0:
        _become(module, folder, given[:3])
    for stream in given[:3]:
        os.close(stream)
    children[pid] = given[3]
    with suppress(BrokenPipeError):
        os.write(given[3], pid.to_bytes(NUMBER, "little"))
    return True


def _become(module: str, folder: str, streams: list[int]) -> NoReturn:
    """The child: nothing of the server's stays open, and its life is the module's main."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for place, stream in enumerate(streams):
            os.dup2(stream, place)
        os.closerange(len(streams), OPEN_FILES)
        os.chdir(folder)
        import_module(module).main()
    # A process boundary: the child must not go on as a second server.
    except BaseException:
        traceback.print_exc()
    os._exit(1)


if __name__ == "__main__":
    main()
