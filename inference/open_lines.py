"""Connections to model servers that another thread can cut, so that a server stops working for who has left."""

from __future__ import annotations

import contextlib
import socket
import threading
from contextvars import ContextVar, Token
from typing import Any


class OpenLines:
    """Lets another thread close the connections that are opened within the `with` block and its copied contexts."""

    def __init__(self) -> None:
        self.gone = threading.Event()
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._token: Token[OpenLines | None] | None = None

    def __enter__(self) -> OpenLines:
        self._token = _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _current.reset(self._token)

    @staticmethod
    def current() -> OpenLines:
        """Those of the block that this code runs in, or new ones that nobody cuts."""
        return _current.get() or OpenLines()

    def cut(self) -> None:
        """Close what is open now, and whatever is opened later at once."""
        self.gone.set()
        with self._lock:
            for opened in self._sockets:
                _shut(opened)

    def opened(self, event: str, info: dict[str, Any]) -> None:
        """httpcore's trace: remembers the socket of each new connection, and the one that TLS puts in its place."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            found = info["return_value"].get_extra_info("socket")
            with self._lock:
                self._sockets = [one for one in self._sockets if one.fileno() >= 0] + [found]
                if self.gone.is_set():
                    _shut(found)


def _shut(opened: socket.socket) -> None:
    with contextlib.suppress(OSError):  # closed already
        socket.socket.shutdown(opened, socket.SHUT_RDWR)  # not SSLSocket's, which would drop what the reader is using


_current: ContextVar[OpenLines | None] = ContextVar("lines", default=None)
