"""Several model servers: who is asked, who is left alone, what is tried again, and what is cut off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from inference import routing, servers
from inference.errors import BadInput
from inference.fake import FakeOpenAI, Reply
from inference.open_lines import OpenLines
from inference.routing import ROUTED, AllResting, Cut, Routed
from inference.servers import Load, Server, least_busy, parse_list, read_metrics, state_of

NOBODY = Server("http://127.0.0.1:9/v1", "fake-model")
QUESTION = {"messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is known of any server, and second tries come soon."""
    monkeypatch.setattr(routing, "FIRST_WAIT", 0.001)
    servers.forget()
    yield
    servers.forget()


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[FakeOpenAI, Server]]]:
    with ExitStack() as running:

        def start(*script: Reply | str, **more: object) -> tuple[FakeOpenAI, Server]:
            fake = running.enter_context(FakeOpenAI(list(script), **more))  # type: ignore[arg-type]
            return fake, Server(fake.base_url, fake.model)

        yield start


def ask(*pool: Server, stream: bool = False) -> httpx.Response:
    with httpx.Client(transport=Routed(lambda: pool), base_url=ROUTED, timeout=10.0) as client:
        return client.post("/chat/completions", json=QUESTION | {"stream": stream})


def words(answer: httpx.Response) -> str:
    return str(answer.json()["choices"][0]["message"]["content"])


def test_a_list_of_servers_is_read_with_each_once() -> None:
    found = parse_list(
        "openai:http://127.0.0.1:8001/v1/#a/b, openai:http://[::1]:2/v1#c,openai:http://127.0.0.1:8001/v1#a/b"
    )
    assert [(s.base_url, s.model, s.where) for s in found] == [
        ("http://127.0.0.1:8001/v1", "a/b", "127.0.0.1:8001"),
        ("http://[::1]:2/v1", "c", "[::1]:2"),
    ]
    assert str(found[0]) == "openai:http://127.0.0.1:8001/v1#a/b"
    assert parse_list(" ") == []


@pytest.mark.parametrize(
    "text",
    [
        "guide",
        "openai:http://127.0.0.1:1/v1",
        "openai:file:///etc#m",
        "ollama:http://a/v1#m",
        "openai:http://u:p@a/v1#m",
    ],
)
def test_what_is_no_server_is_refused_with_the_line_that_mends_it(text: str) -> None:
    with pytest.raises(BadInput, match="write openai:<base_url>#<model>"):
        parse_list(text)


def test_a_key_is_not_printed() -> None:
    assert "secret" not in repr(Server("http://127.0.0.1:1/v1", "m", api_key="secret"))


def test_the_metrics_of_vllm_are_read_and_its_engines_added() -> None:
    text = (
        "# TYPE vllm:num_requests_running gauge\n"
        'vllm:num_requests_running{engine="0",model_name="a b"} 3.0\n'
        'vllm:num_requests_running{engine="1",model_name="a b"} 1.0\n'
        'vllm:num_requests_waiting{engine="0",model_name="a b"} 2.0\n'
        'vllm:kv_cache_usage_perc{engine="0",model_name="a b"} 0.5\n'
        'vllm:num_requests_running_bucket{le="1.0"} 7.0\n'
    )
    assert read_metrics(text) == Load(4, 2, 0.5)
    assert read_metrics("llamacpp:requests_processing 1\nllamacpp:requests_deferred 2\n") == Load(1, 2, None)
    assert read_metrics('vllm:num_requests_running{a="}"} 1e1\nvllm:gpu_cache_usage_perc 0.1') == Load(10, 0, 0.1)


@pytest.mark.parametrize(
    "text", ["", "<html>", "vllm:num_requests_running NaN", "vllm:num_requests_running -1", "go_gc 1", "vllm:" * 9999]
)
def test_other_texts_are_no_metrics(text: str) -> None:
    assert read_metrics(text) is None


def test_the_least_busy_server_by_its_own_metrics_is_asked(start) -> None:
    busy, first = start("I should not be asked.", load=(3, 2))
    idle, second = start("Hello.", load=(1, 0))
    assert words(ask(first, second)) == "Hello."
    assert (len(busy.requests), len(idle.requests)) == (0, 1)


def test_metrics_are_read_once_a_second_and_our_own_requests_are_added(start) -> None:
    one, first = start(load=(1, 0))
    two, second = start(load=(2, 0))
    assert least_busy([first, second]) == [first, second]
    assert state_of(first).admit()
    assert state_of(first).admit()
    assert least_busy([first, second]) == [second, first], "two of ours are on their way to the first"
    assert (one.metrics_read, two.metrics_read) == (1, 1)


def test_servers_without_metrics_share_the_work_by_our_own_requests(start) -> None:
    _, first = start()
    _, second = start()
    assert least_busy([first, second]) == [first, second]
    state_of(first).admit()
    assert least_busy([first, second]) == [second, first]
    state_of(first).leave()
    assert least_busy([first, second]) == [first, second]


def test_a_single_server_is_not_asked_how_busy_it_is(start) -> None:
    one, server = start("Hello.", load=(1, 0))
    ask(server)
    assert one.metrics_read == 0


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_is_busy_is_asked_again(start, status: int) -> None:
    fake, server = start(Reply("busy", status=status), "Hello.")
    assert words(ask(server)) == "Hello."
    assert len(fake.requests) == 2


def test_another_server_takes_over_from_one_that_is_busy_or_down(start) -> None:
    busy, first = start(Reply("busy", status=503), "Later.")
    _, second = start("Hello.", "And hello.")
    assert words(ask(first, second)) == "Hello."
    assert len(busy.requests) == 1
    assert words(ask(NOBODY, second)) == "And hello."


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_other_refusals_are_not_tried_again(start, status: int) -> None:
    fake, server = start(Reply("no", status=status), "Hello.")
    assert ask(server).status_code == status
    assert len(fake.requests) == 1


def test_a_server_that_asks_for_longer_than_a_reader_waits_is_not_asked_again(start) -> None:
    fake, server = start(Reply("busy", status=429, retry_after=60), "Hello.")
    assert ask(server).status_code == 429
    assert len(fake.requests) == 1


def test_an_answer_that_breaks_off_is_not_asked_for_again(start) -> None:
    fake, server = start(Reply("one two three", drop_after=1), "Hello.")
    assert '"one"' in ask(server, stream=True).text
    assert len(fake.requests) == 1


def test_a_dead_server_is_left_alone_and_refused_at_once() -> None:
    with pytest.raises(httpx.ConnectError):
        ask(NOBODY)
    assert state_of(NOBODY).breaker == "open"
    with pytest.raises(AllResting, match="the last said: ConnectError"):
        ask(NOBODY)


def test_after_its_rest_one_request_finds_out_whether_the_server_is_back(start, monkeypatch) -> None:
    fake, server = start(*[Reply("broken", status=500)] * 3, "Hello.")
    for _ in range(3):
        assert ask(server).status_code == 500
    assert state_of(server).breaker == "open"
    monkeypatch.setattr(servers, "COOL_DOWN", 0.0)
    assert state_of(server).breaker == "half-open"
    assert state_of(server).admit()
    with pytest.raises(AllResting):
        ask(server)
    state_of(server).leave()
    assert words(ask(server)) == "Hello."
    assert state_of(server).breaker == "closed"
    assert len(fake.requests) == 4


def test_a_server_that_fails_again_after_its_rest_rests_again(start, monkeypatch) -> None:
    _, server = start(*[Reply("broken", status=500)] * 4)
    for _ in range(3):
        ask(server)
    with monkeypatch.context() as rested:
        rested.setattr(servers, "COOL_DOWN", 0.0)
        ask(server)
    assert state_of(server).breaker == "open"


def test_a_refusal_says_that_the_server_is_alive(start) -> None:
    _, server = start(*[Reply("broken", status=500)] * 2, Reply("no", status=400), Reply("broken", status=500))
    for _ in range(4):
        ask(server)
    assert state_of(server).breaker == "closed"


def test_requests_under_way_are_counted_until_the_answer_is_read(start) -> None:
    _, server = start("one two three")
    with (
        httpx.Client(transport=Routed(lambda: [server]), base_url=ROUTED) as client,
        client.stream("POST", "/chat/completions", json=QUESTION | {"stream": True}) as answer,
    ):
        assert state_of(server).in_flight == 1
        answer.read()
    assert state_of(server).in_flight == 0
    with pytest.raises(httpx.ConnectError):
        ask(NOBODY)
    assert state_of(NOBODY).in_flight == 0


@pytest.mark.parametrize("reply", [Reply("slow to begin", start_s=20.0), Reply("word " * 500, delay_s=0.02)])
def test_who_hangs_up_frees_the_server_before_and_after_the_first_token(start, reply: Reply) -> None:
    fake, server = start(reply)
    lines, ended = OpenLines(), threading.Event()
    seen: list[BaseException] = []

    def talk() -> None:
        try:
            with lines:
                ask(server, stream=True)
        except httpx.HTTPError as error:
            seen.append(error)
        ended.set()

    threading.Thread(target=talk, daemon=True).start()
    wait_for(lambda: len(fake.requests) == 1)
    lines.cut()
    assert ended.wait(5)
    assert isinstance(seen[0], Cut)
    wait_for(lambda: fake.disconnects == 1)
    assert state_of(server).breaker == "closed"
    assert (state_of(server).failures, state_of(server).in_flight) == (0, 0), "it did nothing wrong"


def test_nothing_is_sent_for_who_has_left_already(start) -> None:
    fake, server = start("Hello.")
    with OpenLines() as lines:
        lines.cut()
        with pytest.raises(Cut):
            ask(server)
    assert fake.requests == []


def test_each_server_gets_its_own_key_and_no_other(start) -> None:
    one, first = start("Hello.", "Hello.")
    keyed = Server(first.base_url, first.model, api_key="its-own")
    for server in (keyed, first):
        with httpx.Client(transport=Routed(lambda s=server: [s]), base_url=ROUTED) as client:  # type: ignore[misc]
            client.post("/chat/completions", json=QUESTION, headers={"Authorization": "Bearer another"})
    assert one.keys == ["Bearer its-own", ""]


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        threading.Event().wait(0.01)
