"""What Lightbox adds to a served model: time to the first token and tokens a second, against asking vLLM directly.

    python -m bench.served [ROUNDS]      after `bash .ci/vllm-environment`; LIGHTBOX_TEST_VLLM uses a running server

Both ways ask the same: the body of the request that Lightbox sends is recorded first. Through Lightbox means what a
client of the API sees: POST of a message, then the events of its run, until the first text and until the end. The two
ways take turns, so that other work on the machine strikes both.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.__main__ import wait_for_workers
from bench.site import Site, start_site
from bench.vllm_server import NAME, Vllm, start_vllm
from inference.fake import FakeOpenAI

QUESTION = "Talk without end"  # it stops at the length of the model, about 470 tokens
LENGTH = 512
CHATS = {1: 8, 8: 2, 32: 1}  # at the same time, and how often each asks in a round
PATIENCE = httpx.Timeout(300.0)


@dataclass(frozen=True)
class Answer:
    """Seconds from the question to its first word; when it was asked and done by the clock; and its tokens."""

    first: float
    begun: float
    done: float
    tokens: int


Ask = Callable[[], Answer]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory(prefix="lightbox-bench-") as folder, FakeOpenAI(["recorded"]) as recorder:
        print("Starting vLLM and a site ...", flush=True)
        vllm = start_vllm(Path(folder) / "vllm.log", LENGTH)
        try:
            other = f"openai:{recorder.base_url}#{recorder.model}"
            site = start_site(Path(folder) / "data", LIGHTBOX_CHAT=vllm.chat, LIGHTBOX_SERVERS=other)
            try:
                measure(vllm, site, recorder, other, rounds)
            finally:
                site.stop()
        finally:
            vllm.stop()


def measure(vllm: Vllm, site: Site, recorder: FakeOpenAI, other: str, rounds: int) -> None:
    wait_for_workers(site)
    headers = {"Authorization": f"Bearer {site.manage('token').strip()}"}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    with (
        httpx.Client(base_url=site.url, headers=headers, timeout=PATIENCE, limits=limits) as api,
        httpx.Client(base_url=vllm.base_url, timeout=PATIENCE, limits=limits, trust_env=False) as client,
    ):
        through(api, other)
        body = {**recorder.requests[0], "model": NAME}
        print(f"a request of {len(json.dumps(body)):,} characters, {len(body['tools'])} tools", flush=True)
        ways: dict[str, Ask] = {"directly": lambda: directly(client, body), "Lightbox": lambda: through(api)}
        for ask in ways.values():
            ask()  # warm
        for chats, each in CHATS.items():
            found = compare(ways, chats, each, rounds)
            report(chats, found["directly"], found["Lightbox"])


def compare(ways: dict[str, Ask], chats: int, each: int, rounds: int) -> dict[str, list[list[Answer]]]:
    """The answers of each round, by way."""
    found: dict[str, list[list[Answer]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, ask in ways.items():
            found[name].append(at_once(ask, chats, each))
    return found


def at_once(ask: Ask, chats: int, each: int) -> list[Answer]:
    with ThreadPoolExecutor(chats) as threads:
        waiting = [threads.submit(lambda: [ask() for _ in range(each)]) for _ in range(chats)]
        return [answer for future in waiting for answer in future.result()]


def directly(client: httpx.Client, body: dict[str, Any]) -> Answer:
    begun, first, tokens = time.perf_counter(), 0.0, 0
    with client.stream("POST", "/chat/completions", json=body) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = json.loads(line.removeprefix("data: "))
            if not first and chunk["choices"] and chunk["choices"][0]["delta"].get("content"):
                first = time.perf_counter() - begun
            tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
    return Answer(first, begun, time.perf_counter(), tokens)


def through(api: httpx.Client, model: str = "") -> Answer:
    conversation = api.post("/api/conversations", json={"chat_model": model}).raise_for_status().json()["id"]
    begun, first = time.perf_counter(), 0.0
    asked = api.post(f"/api/conversations/{conversation}/messages", json={"text": QUESTION}).raise_for_status()
    run = f"/api/runs/{asked.json()['run_id']}"
    with api.stream("GET", f"{run}/events") as stream:
        for line in stream.iter_lines():
            if line == "event: text" and not first:
                first = time.perf_counter() - begun
    done = time.perf_counter()
    ended = api.get(run).raise_for_status().json()
    if ended["state"] != "done" or not first:
        sys.exit(f"A question through Lightbox ended as {ended['state']}.")
    return Answer(first, begun, done, ended["output_tokens"])


def rate(rounds: list[list[Answer]]) -> float:
    """Tokens a second of the median round, from its first question to its last end."""
    return statistics.median(
        sum(a.tokens for a in answers) / (max(a.done for a in answers) - min(a.begun for a in answers))
        for answers in rounds
    )


def quantile(rounds: list[list[Answer]], q: float) -> float:
    """Of the times to the first token, in milliseconds."""
    firsts = sorted(answer.first for answers in rounds for answer in answers)
    return 1000 * firsts[min(len(firsts) - 1, int(q * len(firsts)))]


def report(chats: int, direct: list[list[Answer]], lightbox: list[list[Answer]]) -> None:
    count = sum(map(len, lightbox))
    print(f"{chats} chats at once ({count} answers each way)")
    for name, q in (("p50", 0.5), ("p95", 0.95)):
        there, here = quantile(direct, q), quantile(lightbox, q)
        print(
            f"  first token {name}: {there:7.0f} ms directly, {here:7.0f} ms through Lightbox: {here - there:+.0f} ms"
        )
    there, here = rate(direct), rate(lightbox)
    print(f"  tokens a second: {there:7.1f} directly, {here:7.1f} through Lightbox: {here / there:.2f}", flush=True)


if __name__ == "__main__":
    main()
