"""The web process. Imports neither torch nor faiss nor transformers (tests/test_packaging.py)."""

import asyncio
import json
import os
import warnings
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.core.asgi import get_asgi_application

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

LINGER_SECONDS = 20.0  # for which the rest of a refused body is read and forgotten


class BodyLimit:
    """Answers 413 as soon as a request's body passes the limit, so that no more of it reaches memory or disk.

    Django's ASGI handler spools the whole body before any view runs; only something outside it can stop early.
    """

    def __init__(self, app: App, limit: int) -> None:
        self.app, self.limit = app, limit

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.limit:
            return await self._refuse(receive, send)
        seen, refused = 0, False

        async def counted() -> Message:
            nonlocal seen, refused
            message: Message = {} if refused else await receive()
            seen += len(message.get("body", b""))
            refused = refused or seen > self.limit
            return {"type": "http.disconnect"} if refused else message  # Django drops what it has spooled

        async def guarded(message: Message) -> None:
            if not refused:
                await send(message)

        await self.app(scope, counted, guarded)
        if refused:
            await self._refuse(receive, send)

    async def _refuse(self, receive: Receive, send: Send) -> None:
        """Says no, and goes on reading: a client that is cut off while it sends never sees the answer."""
        line = f"This file is larger than the limit of {self.limit // 1024**2} MB."
        body = json.dumps({"detail": line}).encode()
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while (await receive()).get("more_body"):
                    pass
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b""})


# WhiteNoise sends static files from synchronous iterators. They are small, and Django says so at every one of them.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")


def _application() -> App:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "assistant.settings")
    django_app = get_asgi_application()
    from django.conf import settings

    return BodyLimit(django_app, settings.UPLOAD_LIMIT + 1024**2)  # the rest of a form beside its file


application = _application()
