"""How model servers are doing, for a page: asked now, all at once, none of them for longer than PATIENCE."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from inference.servers import Server, ask_load, headers_for, state_of

PATIENCE = httpx.Timeout(2.0)
MOST_MODELS = 20
NOT_SERVED = "it does not list {model}"


@dataclass(frozen=True, slots=True)
class Health:
    """One model on one server. `up`: it answers and lists the model. Counts are None where it does not give them.

    `cache` is the part of the key-value cache in use, 0..1. `breaker` and `in_flight` are this process's own. `line` is
    the last error in one line, "" when all is well.
    """

    server: str
    where: str
    model: str
    up: bool
    models: tuple[str, ...] = ()
    version: str = ""
    running: int | None = None
    waiting: int | None = None
    cache: float | None = None
    breaker: str = "closed"
    in_flight: int = 0
    line: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON types."""
        return asdict(self) | {"models": list(self.models)}


def look(servers: Sequence[Server]) -> list[Health]:
    """The health of each, in the order given. Never raises for what a server does."""
    if not servers:
        return []
    with ThreadPoolExecutor(max_workers=min(len(servers), 16)) as threads:
        return list(threads.map(_look_at, servers))


def _look_at(server: Server) -> Health:
    state = state_of(server)
    known: dict[str, Any] = {
        "server": str(server),
        "where": server.where,
        "model": server.model,
        "breaker": state.breaker,
        "in_flight": state.in_flight,
    }
    try:
        with httpx.Client(timeout=PATIENCE, trust_env=False, headers=headers_for(server)) as client:
            answer = client.get(f"{server.base_url}/models")
            models = _models(answer)
            version = _version(client, server)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Health(**known, up=False, line=state.last_error or f"does not answer ({type(error).__name__})")
    load = ask_load(server)
    line = state.last_error
    if answer.status_code != 200:
        line = f"status {answer.status_code}"
    elif server.model not in models:
        line = NOT_SERVED.format(model=server.model)
    return Health(
        **known,
        up=server.model in models,
        models=models[:MOST_MODELS],
        version=version,
        running=load.running if load else None,
        waiting=load.waiting if load else None,
        cache=load.cache if load else None,
        line=line,
    )


def _models(answer: httpx.Response) -> tuple[str, ...]:
    """The ids that GET /v1/models lists; none where the answer is something else."""
    try:
        return tuple(str(one["id"])[:300] for one in answer.json()["data"]) if answer.status_code == 200 else ()
    except (ValueError, KeyError, TypeError):
        return ()


def _version(client: httpx.Client, server: Server) -> str:
    """As vLLM (/version) and Ollama (/api/version) say it; "" of others."""
    for path in ("/version", "/api/version"):
        answer = client.get(f"{server.root}{path}")
        try:
            if answer.status_code == 200:
                return str(answer.json()["version"])[:60]
        except (ValueError, KeyError, TypeError):
            continue
    return ""
