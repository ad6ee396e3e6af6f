"""A scripted model server that speaks the OpenAI protocol: for tests, demonstrations and development without a GPU.

    with FakeOpenAI([Reply(tool_calls=[("segment", {"image": "img1"})]), "Both lungs are marked."]) as server:
        model = ChatOpenAI(base_url=server.base_url, api_key="none", model=server.model)

It listens on loopback, takes one reply of the script for each chat request, and keeps every request's body in
`requests`. `python -m inference.fake --port 8001` answers by repeating what it was told. It is no model: nothing it
says is about the image.
"""

from __future__ import annotations

import argparse
import json
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

ARGUMENT_PIECE = 7  # characters of a tool call's arguments in one streamed chunk: small, so that they arrive in pieces


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. With `status` 400 or more, `text` is the error's message.

    `delay_s` passes before the first and between all tokens; a reply that is not streamed waits for it once.
    `drop_after` closes the connection after that many tokens, as a dying server does. `start_s` passes before anything
    is sent, the status too, as with a server that reads a long prompt. `retry_after` is that header of an error.
    """

    text: str = ""
    tool_calls: Sequence[tuple[str, dict[str, Any]]] = ()
    delay_s: float = 0.0
    status: int = 200
    drop_after: int | None = None
    start_s: float = 0.0
    retry_after: int | None = None


Request = dict[str, Any]
Script = Sequence[Reply | str] | Callable[[Request], Reply | str]


class FakeOpenAI:
    """The server as a context manager. `base_url` ends in /v1; port 0 picks a free one.

    A list is used up reply by reply, then every request fails with status 400; a callable sees each request's body.
    `load` is what /metrics and /version answer as vLLM does: requests (running, waiting); None: there is no such
    address, as with Ollama. `keys` holds the Authorization header of each request.
    """

    def __init__(
        self, script: Script, *, model: str = "fake-model", port: int = 0, load: tuple[int, int] | None = None
    ) -> None:
        self.model, self.load = model, load
        self.requests: list[Request] = []
        self.keys: list[str] = []
        self.metrics_read = 0
        self.disconnects = 0  # clients that hung up before the end of a stream, as a stop button makes them
        self._script = script
        self._used = 0
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def base_url(self) -> str:
        """http://127.0.0.1:PORT/v1"""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> FakeOpenAI:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()

    def reply_to(self, request: Request) -> Reply:
        """The script's next reply; the request is recorded."""
        with self._lock:
            self.requests.append(request)
            if callable(self._script):
                reply = self._script(request)
            elif self._used < len(self._script):
                reply = self._script[self._used]
                self._used += 1
            else:
                reply = Reply(text="The script has no further reply.", status=400)
        return Reply(text=reply) if isinstance(reply, str) else reply

    def note_disconnect(self) -> None:
        """Count a client that left early."""
        with self._lock:
            self.disconnects += 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        return type("Handler", (_Handler,), {"fake": self})


class _Handler(BaseHTTPRequestHandler):
    fake: FakeOpenAI

    def do_GET(self) -> None:  # the name that http.server calls
        if self.path.rstrip("/") == "/v1/models":
            self._send(
                200, {"object": "list", "data": [{"id": self.fake.model, "object": "model", "owned_by": "fake"}]}
            )
        elif self.path == "/health":
            self._send(200, {})
        elif self.path == "/version" and self.fake.load is not None:
            self._send(200, {"version": "0.0-scripted"})
        elif self.path == "/metrics" and self.fake.load is not None:
            self.fake.metrics_read += 1
            self._write(200, "text/plain; version=0.0.4", _metrics(self.fake.model, *self.fake.load).encode())
        else:
            self._send(404, _error("no such address", 404))

    def do_POST(self) -> None:  # the name that http.server calls
        length = int(self.headers.get("Content-Length", 0))
        try:
            request = json.loads(self.rfile.read(length))
        except ValueError:
            self._send(400, _error("the body is not JSON", 400))
            return
        if self.path.rstrip("/") != "/v1/chat/completions":
            self._send(404, _error("no such address", 404))
            return
        self.fake.keys.append(self.headers.get("Authorization", ""))
        reply = self.fake.reply_to(request)
        if self._leaves_within(reply.start_s):
            self.fake.note_disconnect()
            self.close_connection = True
        elif reply.status >= 400:
            more = {} if reply.retry_after is None else {"Retry-After": str(reply.retry_after)}
            self._send(reply.status, _error(reply.text or "scripted error", reply.status), more)
        elif request.get("stream"):
            self._stream(request, reply)
        else:
            time.sleep(reply.delay_s)
            self._send(200, _completion(self.fake.model, request, reply))

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: tests read `requests` instead."""

    def _leaves_within(self, seconds: float) -> bool:
        """Pass time as a model does that has not said a word yet; whether the client hangs up meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            readable, _, _ = select.select([self.connection], [], [], min(left, 0.02))
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                return True
        return False

    def _send(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._write(status, "application/json", json.dumps(body).encode(), headers)

    def _write(self, status: int, kind: str, data: bytes, headers: dict[str, str] | None = None) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.fake.note_disconnect()

    def _stream(self, request: Request, reply: Reply) -> None:
        try:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            for sent, chunk in enumerate(_chunks(self.fake.model, request, reply)):
                if reply.drop_after is not None and sent > reply.drop_after:
                    return
                time.sleep(reply.delay_s)
                self._event(json.dumps(chunk))
            self._event("[DONE]")
        except (BrokenPipeError, ConnectionResetError):
            self.fake.note_disconnect()

    def _event(self, data: str) -> None:
        self.wfile.write(f"data: {data}\n\n".encode())
        self.wfile.flush()


def _metrics(model: str, running: int, waiting: int) -> str:
    """The lines of vLLM's metrics that say how busy it is."""
    labels = f'{{engine="0",model_name="{model}"}}'
    return (
        "# HELP vllm:num_requests_running Number of requests in model execution batches.\n"
        "# TYPE vllm:num_requests_running gauge\n"
        f"vllm:num_requests_running{labels} {running:.1f}\n"
        f"vllm:num_requests_waiting{labels} {waiting:.1f}\n"
        f"vllm:kv_cache_usage_perc{labels} 0.25\n"
    )


def _error(message: str, status: int) -> dict[str, Any]:
    return {"error": {"message": message, "type": "scripted", "param": None, "code": status}}


def _usage(request: Request, reply: Reply) -> dict[str, int]:
    """Words counted as if they were tokens: enough to see that the numbers arrive."""
    prompt, answer = len(json.dumps(request.get("messages", [])).split()), max(1, len(reply.text.split()))
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def _tool_calls(reply: Reply) -> list[dict[str, Any]]:
    made = f"{time.time_ns():x}"
    return [
        {
            "id": f"call_{made}_{index}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for index, (name, arguments) in enumerate(reply.tool_calls)
    ]


def _envelope(model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{time.time_ns():x}", "object": kind, "created": int(time.time()), "model": model}


def _completion(model: str, request: Request, reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.tool_calls:
        message["tool_calls"] = _tool_calls(reply)
    choice = {"index": 0, "message": message, "finish_reason": _finish(reply)}
    return {**_envelope(model, "chat.completion"), "choices": [choice], "usage": _usage(request, reply)}


def _finish(reply: Reply) -> str:
    return "tool_calls" if reply.tool_calls else "stop"


def _chunks(model: str, request: Request, reply: Reply) -> Iterator[dict[str, Any]]:
    """The role, the words one by one, each tool call's name and then its arguments in pieces, the end, the usage."""
    envelope = _envelope(model, "chat.completion.chunk")
    for delta in _deltas(reply):
        yield {**envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**envelope, "choices": [{"index": 0, "delta": {}, "finish_reason": _finish(reply)}]}
    if (request.get("stream_options") or {}).get("include_usage"):
        yield {**envelope, "choices": [], "usage": _usage(request, reply)}


def _deltas(reply: Reply) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    for word in re.findall(r"\s*\S+|\s+$", reply.text):
        yield {"content": word}
    for index, call in enumerate(_tool_calls(reply)):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        yield {"tool_calls": [{**call, "index": index, "function": {"name": name, "arguments": ""}}]}
        for start in range(0, len(arguments), ARGUMENT_PIECE):
            piece = arguments[start : start + ARGUMENT_PIECE]
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def repeat(request: Request) -> Reply:
    """What the demonstration server answers: the last message's words, and how many images came with it."""
    content = request["messages"][-1].get("content") or ""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    words = " ".join(part.get("text", "") for part in parts if part.get("type") == "text")
    images = sum(part.get("type") == "image_url" for part in parts)
    return Reply(text=f"This is the scripted server. You sent {images} images and said: {words}", delay_s=0.02)


def main() -> None:
    """Serve `repeat` until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m inference.fake", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--model", default="fake-model")
    options = parser.parse_args()
    with FakeOpenAI(repeat, model=options.model, port=options.port) as server:
        print(f"LIGHTBOX_CHAT=openai:{server.base_url}#{server.model}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
