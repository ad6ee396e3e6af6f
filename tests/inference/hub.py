"""A model hub on this machine: the few addresses of huggingface.co that a pull asks for, with ranges and refusals."""

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """`files` are what the repository a/model holds. `stop_after`: bytes of a large file until the line is cut.
    `promised`: what the hub says of a file instead of the truth."""

    files: dict[str, bytes]
    gated: bool = False
    stop_after: int = 0
    promised: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"hub": self}))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def tree(self) -> list[dict[str, Any]]:
        rows = []
        for name, body in self.files.items():
            row: dict[str, Any] = {"type": "file", "path": name, "size": len(body), "oid": blob(body)}
            if large(name):
                oid = self.promised.get(name) or hashlib.sha256(body).hexdigest()
                row["lfs"] = {"oid": oid, "size": len(body), "pointerSize": 134}
            rows.append(row)
        return rows


def large(name: str) -> bool:
    return name.endswith((".safetensors", ".bin", ".onnx", ".pt"))


def blob(body: bytes) -> str:
    return hashlib.sha1(f"blob {len(body)}\0".encode() + body, usedforsecurity=False).hexdigest()


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.hub.asked.append((self.command, path))
        if path.startswith("/api/models/a/model/tree/"):
            self.answer(200, json.dumps(self.hub.tree()).encode())
        elif path in ("/api/models/a/model", "/api/models/a/model/revision/main"):
            self.answer(200, json.dumps({"id": "a/model", "sha": COMMIT}).encode())
        elif path.startswith("/api/models/a/model/revision/"):
            self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif path.startswith((f"/a/model/resolve/{COMMIT}/", "/files/")):
            self.file(path.removeprefix(f"/a/model/resolve/{COMMIT}/").removeprefix("/files/"))
        else:
            self.answer(401, b"{}", {"X-Error-Code": "RepoNotFound"})

    def file(self, name: str) -> None:
        if self.hub.gated and self.headers.get("Authorization") != "Bearer hf_accepted":
            self.answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
            return
        body, status = self.hub.files[name], 200
        more = {"X-Repo-Commit": COMMIT, "ETag": f'"{blob(body)}"'}
        if large(name):
            more["X-Linked-Etag"] = f'"{hashlib.sha256(body).hexdigest()}"'
            more["X-Linked-Size"] = str(len(body))
        if asked := self.headers.get("Range"):
            begin, _, end = asked.removeprefix("bytes=").partition("-")
            first, last = int(begin), int(end or len(body) - 1)
            more["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
            body, status = body[first : last + 1], 206
        self.answer(status, body, more, self.hub.stop_after if large(name) else 0)

    def answer(self, status: int, body: bytes, more: dict[str, str] | None = None, stop_after: int = 0) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if stop_after and len(body) > stop_after:
            self.wfile.write(body[:stop_after])
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
