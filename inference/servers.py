"""Model servers that speak the OpenAI protocol: which there are, which is least busy, and which is not worth asking.

What is known of a server is kept for each process, by its address: requests of ours under way, its own count of
requests (vLLM's metrics), and a circuit breaker. A breaker opens after FAILURES failures in a row; the server is then
not asked for COOL_DOWN seconds, after which one request may try it again. Servers without such metrics (Ollama,
LM Studio, llama.cpp without --metrics) are ranked by our own requests under way.

`inference.routing` sends requests by this; `inference.server_health` says it to people.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from inference.errors import BadInput

FAILURES = 3  # in a row, until a server is left alone
COOL_DOWN = 15.0  # seconds it is left alone
FRESH = 1.0  # seconds that a reading of the metrics counts
WITHOUT = 60.0  # seconds until a server without metrics is asked for them again
READING = 0.5  # seconds: a server that cannot count its requests that soon is ranked without

NOT_UNDERSTOOD = (
    "{text!r} is no model server: write openai:<base_url>#<model>, such as "
    "openai:http://127.0.0.1:8001/v1#Qwen/Qwen3-VL-8B-Instruct"
)
# As vLLM names them (docs.vllm.ai, "Production Metrics"; the second name of the cache is an older one), and llama.cpp's
# server when it is started with --metrics.
RUNNING = ("vllm:num_requests_running", "llamacpp:requests_processing")
WAITING = ("vllm:num_requests_waiting", "llamacpp:requests_deferred")
CACHE = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{.*\})?\s+(?P<value>[-+\w.]+)(?:\s+-?\d+)?$", re.ASCII)

BreakerState = Literal["closed", "open", "half-open"]


@dataclass(frozen=True, slots=True)
class Server:
    """One model on one server. `base_url` ends in /v1, without a slash behind it."""

    base_url: str
    model: str
    kind: str = "openai"
    api_key: str = field(default="", repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, api_key: str = "") -> Server:
        """`openai:<base_url>#<model>`. Raises BadInput with the line that mends it."""
        kind, _, rest = text.strip().partition(":")
        base_url, _, model = rest.partition("#")
        if kind != "openai" or not model or not _plain(base_url):
            raise BadInput(NOT_UNDERSTOOD.format(text=text))
        return cls(base_url.rstrip("/"), model, kind, api_key)

    @property
    def where(self) -> str:
        """host:port, as messages name it."""
        return urlsplit(self.base_url).netloc

    @property
    def root(self) -> str:
        """The address without its /v1: vLLM's metrics, version and health stand there."""
        return self.base_url.removesuffix("/v1")

    def __str__(self) -> str:
        return f"{self.kind}:{self.base_url}#{self.model}"


def _plain(address: str) -> bool:
    """http(s) with a host, and without a name and password, which pages and logs would show."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None


def parse_list(text: str) -> list[Server]:
    """Servers from a comma-separated list, each once. Raises BadInput."""
    return list(dict.fromkeys(Server.parse(part) for part in text.split(",") if part.strip()))


@dataclass(frozen=True, slots=True)
class Load:
    """What a server counts itself: requests running and waiting, and the part of its key-value cache in use, 0..1."""

    running: int
    waiting: int
    cache: float | None = None


def read_metrics(text: str) -> Load | None:
    """The load in a Prometheus text; None where it says nothing of it. Counts of several engines are added."""
    found: dict[str, list[float]] = {}
    for line in text.splitlines():
        if line.startswith(("vllm:", "llamacpp:")) and (sample := SAMPLE.match(line)):
            try:
                found.setdefault(sample["name"], []).append(float(sample["value"]))
            except ValueError:
                continue
    running, waiting, cache = (
        [v for name in names for v in found.get(name, [])] for names in (RUNNING, WAITING, CACHE)
    )
    if not running or not all(0 <= value < 1e9 for value in running + waiting):
        return None
    return Load(int(sum(running)), int(sum(waiting)), max((v for v in cache if 0 <= v <= 1), default=None))


class State:
    """What this process knows of one address. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.in_flight = 0
        self.failures = 0
        self.last_error = ""
        self._opened_at: float | None = None
        self._probing = False
        self._load: Load | None = None
        self._counted_then = 0  # requests of ours under way when the load was read
        self._read_again_at = 0.0

    @property
    def breaker(self) -> BreakerState:
        """closed: asked as usual; open: left alone; half-open: the next request tries it."""
        if self._opened_at is None:
            return "closed"
        return "open" if time.monotonic() - self._opened_at < COOL_DOWN else "half-open"

    def admit(self) -> bool:
        """Whether a request may go there now; it then counts as under way until `leave`.

        Of a server that failed, one request at a time finds out whether it is back.
        """
        with self._lock:
            if self.breaker == "open" or (self.breaker == "half-open" and self._probing):
                return False
            self._probing = self.breaker == "half-open"
            self.in_flight += 1
            return True

    def leave(self) -> None:
        """A request is over, however it ended."""
        with self._lock:
            self.in_flight -= 1
            self._probing = False

    def worked(self) -> None:
        """The server answered."""
        with self._lock:
            self.failures, self._opened_at, self.last_error = 0, None, ""

    def failed(self, why: str) -> None:
        """The server did not answer, or is failing; `why` is one line."""
        with self._lock:
            self.failures += 1
            self.last_error = " ".join(why.split())[:200]
            if self.failures >= FAILURES:
                self._opened_at = time.monotonic()

    def load(self, server: Server) -> int:
        """Requests there as far as we know: its own count, moved on by ours since it was read, and at least ours."""
        now = time.monotonic()
        if now >= self._read_again_at:
            self._load, self._counted_then = ask_load(server), self.in_flight
            self._read_again_at = now + (FRESH if self._load else WITHOUT)
        if self._load is None:
            return self.in_flight
        counted = self._load.running + self._load.waiting
        return max(self.in_flight, counted + self.in_flight - self._counted_then)


def ask_load(server: Server) -> Load | None:
    """vLLM's own count of its requests, by GET /metrics; None where the server has none or does not answer."""
    import httpx  # on first use: web processes read the list of servers, and ask none

    try:
        with httpx.Client(timeout=READING, trust_env=False) as client:
            answer = client.get(f"{server.root}/metrics", headers=headers_for(server))
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
    return read_metrics(answer.text) if answer.status_code == 200 else None


def headers_for(server: Server) -> dict[str, str]:
    """The key of this server and of no other."""
    return {"Authorization": f"Bearer {server.api_key}"} if server.api_key else {}


_states: dict[str, State] = {}
_states_lock = threading.Lock()


def state_of(server: Server) -> State:
    """What this process knows of the server: models at one address share it."""
    with _states_lock:
        return _states.setdefault(server.base_url, State())


def forget() -> None:
    """Start as a new process does: nothing is known of any server."""
    with _states_lock:
        _states.clear()


def least_busy(servers: Sequence[Server]) -> list[Server]:
    """The servers that may be asked, least busy first; equals stay in the order given. Open breakers are left out, and
    a server whose last request failed comes behind those that work.

    A single one is not asked how busy it is: that would delay every answer for nothing.
    """
    able = [server for server in servers if state_of(server).breaker != "open"]
    if len(able) < 2:
        return able
    return sorted(able, key=lambda server: (state_of(server).failures > 0, state_of(server).load(server)))
