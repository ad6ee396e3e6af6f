"""An httpx transport that sends each request to the least busy server of its model, and can be cut off.

Tried again, with exponential backoff and jitter and on another server where there is one: connections that fail before
an answer begins, and the statuses 429 and 503. Never tried again: anything after the answer has begun, and time-outs of
a server that has taken the request. What cannot be sent anywhere ends at once (`AllResting`), so that the caller may
turn to something else.

    client = httpx.Client(transport=Routed(lambda: servers), base_url=ROUTED)
    with OpenLines() as lines:            # in the thread that asks
        client.post("/chat/completions", json=...)
    lines.cut()                           # from any other: the server sees the connection close, and stops working
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx

from inference.open_lines import OpenLines
from inference.servers import Server, headers_for, least_busy, state_of

log = logging.getLogger("lightbox.models")

ROUTED = "http://routed.invalid/v1"  # the base_url of clients with this transport; nothing is ever sent there
TRIES = 3
FIRST_WAIT, LONGEST_WAIT = 0.25, 4.0  # seconds before the second try, and at most
AGAIN = (429, 503)
DEAD = (500, 502, 503, 504)  # statuses of a server that is failing
LEFT = "whoever asked has hung up"
ALL_RESTING = "every server of this model failed a moment ago and is left alone for some seconds; the last said: {why}"


class AllResting(httpx.ConnectError):
    """No server may be asked now: the breaker of each is open."""


class Cut(httpx.ReadError):
    """Whoever waited for the answer has hung up."""


class Routed(httpx.BaseTransport):
    """For clients with the `base_url` ROUTED. `servers` is asked anew for each request."""

    def __init__(self, servers: Callable[[], Sequence[Server]]) -> None:
        self._servers = servers
        # One connection for each request: of a connection that is kept, its socket could not be told, nor cut.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._inner = httpx.HTTPTransport(trust_env=False, limits=limits, retries=0)

    def close(self) -> None:
        """Close what is open."""
        self._inner.close()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it to the least busy server. Raises httpx's exceptions, AllResting and Cut among them."""
        request.read()
        lines, servers = OpenLines.current(), self._servers()
        tried: list[Server] = []
        for attempt in range(1, TRIES):
            tried.append(_admitted(servers, tried))
            wait = _backoff(attempt)
            try:
                response = self._send(tried[-1], request, lines)
            except Cut:
                raise
            except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
                log.info("%s, try %d: %r", tried[-1].where, attempt, error)
            else:
                wait = _asked(response, wait)
                if response.status_code not in AGAIN or wait > LONGEST_WAIT or not least_busy(servers):
                    return response
                response.close()
            if lines.gone.wait(wait if set(tried) >= set(least_busy(servers)) else 0.0):
                raise Cut(LEFT)
        return self._send(_admitted(servers, tried), request, lines)

    def _send(self, server: Server, request: httpx.Request, lines: OpenLines) -> httpx.Response:
        """One try at a server that has admitted it."""
        state = state_of(server)
        try:
            if lines.gone.is_set():
                raise Cut(LEFT)
            response = self._inner.handle_request(_readdressed(request, server, lines))
        except httpx.HTTPError as error:
            state.leave()
            if lines.gone.is_set():
                raise Cut(LEFT) from error
            state.failed(f"{type(error).__name__}: {error}")
            raise
        except BaseException:
            state.leave()
            raise
        if response.status_code in DEAD:
            state.failed(f"status {response.status_code}")
        elif response.status_code >= 400:
            state.worked()  # it answers; what it says is the caller's business
        stream = _Counted(response.stream, server, lines, response.status_code < 400)
        return httpx.Response(
            response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
        )


def _admitted(servers: Sequence[Server], tried: Sequence[Server]) -> Server:
    """The server to ask: of those that this request has not tried, if there is one."""
    for server in sorted(least_busy(servers), key=lambda server: server in tried):
        if state_of(server).admit():
            return server
    why = next((line for server in servers if (line := state_of(server).last_error)), "nothing")
    raise AllResting(ALL_RESTING.format(why=why))


def _readdressed(request: httpx.Request, server: Server, lines: OpenLines) -> httpx.Request:
    """The same request to this server, with its key and no other."""
    url = server.base_url + str(request.url).removeprefix(ROUTED)
    headers = [(k, v) for k, v in request.headers.multi_items() if k.lower() not in ("host", "authorization")]
    headers += list(headers_for(server).items())
    extensions = {**request.extensions, "trace": lines.opened}
    return httpx.Request(request.method, url, headers=headers, content=request.content, extensions=extensions)


def _backoff(attempt: int) -> float:
    longest = min(FIRST_WAIT * 2.0 ** (attempt - 1), LONGEST_WAIT)
    return random.uniform(longest / 2, longest)  # noqa: S311 - so that waiting requests do not come back all at once


def _asked(response: httpx.Response, wait: float) -> float:
    """The seconds that the server asks for, if it does; else `wait`."""
    asked = response.headers.get("Retry-After", "")
    return max(wait, float(asked)) if asked.isascii() and asked.isdecimal() else wait


class _Counted(httpx.SyncByteStream):
    """The answer's bytes. Counts as under way until it is closed; a first byte shows that the server works."""

    def __init__(self, inner: Any, server: Server, lines: OpenLines, good: bool) -> None:
        self._inner, self._server, self._lines, self._good = inner, server, lines, good
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        state, began = state_of(self._server), False
        try:
            for piece in self._inner:
                if self._good and not began:
                    began = True
                    state.worked()
                yield piece
        except httpx.HTTPError as error:
            if self._lines.gone.is_set():
                raise Cut(LEFT) from error
            state.failed(f"{type(error).__name__}: {error}")
            raise
        if self._lines.gone.is_set():  # an answer without a length ends like that too
            raise Cut(LEFT)

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            if self._open:
                self._open = False
                state_of(self._server).leave()
