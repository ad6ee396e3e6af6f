"""Wake-up calls from workers to waiting pages. The rows are the truth; a lost call costs a second, never a token."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator
from functools import cache

import redis
import redis.asyncio
from django.conf import settings

log = logging.getLogger("lightbox.stream")

POLL_SECONDS = 1.0


@cache
def _client() -> "redis.Redis":
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)


def channel(run_id: uuid.UUID) -> str:
    return f"lightbox:run:{run_id}"


_silent_until = 0.0


def wake(run_id: uuid.UUID) -> None:
    """Tell whoever follows this run that there are new rows. Without Valkey nobody hears it, and pages poll."""
    global _silent_until
    if time.monotonic() < _silent_until:
        return
    try:
        _client().publish(channel(run_id), b"")
    except redis.RedisError as error:
        _silent_until = time.monotonic() + 5  # a broker that is down must not slow every token by a time-out
        log.warning("no wake-up could be sent: %s", error)


async def wakeups(run_id: uuid.UUID) -> AsyncGenerator[None, None]:
    """Yield at once, then whenever there may be news: on a wake-up call, and every second without one."""
    client = redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1)
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    try:
        try:
            await pubsub.subscribe(channel(run_id))
            heard = True
        except (redis.RedisError, OSError):
            heard = False
        yield
        while True:
            if heard:
                try:
                    await pubsub.get_message(timeout=POLL_SECONDS)
                except (redis.RedisError, OSError):
                    heard = False
            else:
                await asyncio.sleep(POLL_SECONDS)
            yield
    finally:
        await pubsub.aclose()  # type: ignore[no-untyped-call]
        await client.aclose()
