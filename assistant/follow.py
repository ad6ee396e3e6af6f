"""Reading a run while it happens: the rows after a cursor, then new ones as they are committed."""

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from assistant import events, stream
from assistant.models import Event, Run

KEEP_ALIVE_SECONDS = 15.0
Row = tuple[int, str, dict[str, Any]]


async def follow_batches(run_id: uuid.UUID, after: int) -> AsyncGenerator[list[Row], None]:
    """Lists of (seq, kind, payload) with seq > `after`, in order, each once; an empty list keeps the line alive.

    Ends with the batch that holds the run's last event, or when the run is over and has nothing after the cursor.
    """
    spoke = time.monotonic()
    async with aclosing(stream.wakeups(run_id)) as calls:  # a reader that leaves gives its subscription back at once
        async for _ in calls:
            active = await Run.objects.active().filter(pk=run_id).aexists()  # asked first: what it wrote is then there
            found = Event.objects.filter(run_id=run_id, seq__gt=after).order_by("seq")
            rows: list[Row] = [row async for row in found.values_list("seq", "kind", "payload")]
            if rows:
                after, spoke = rows[-1][0], time.monotonic()
                yield rows
                if rows[-1][1] in events.LAST:
                    return
            elif not active:
                return
            elif time.monotonic() - spoke > KEEP_ALIVE_SECONDS:
                spoke = time.monotonic()
                yield []


async def follow(run_id: uuid.UUID, after: int) -> AsyncGenerator[Row | None, None]:
    """`follow_batches`, row by row; None keeps the line alive."""
    async with aclosing(follow_batches(run_id, after)) as batches:
        async for rows in batches:
            if not rows:
                yield None
            for row in rows:
                yield row
