"""Holding a lease while one long step runs."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType

from django.db import DatabaseError, connection

log = logging.getLogger("lightbox.heartbeat")


class Heartbeat:
    """Calls `renew` every `every` seconds until the block ends, `renew` says False, or `limit` seconds have passed
    without a change of `sign()`, the sign of life.

    After the limit the lease runs out by itself: a step that hangs is then given up by the sweep.
    """

    def __init__(
        self, renew: Callable[[], bool], every: float, limit: float, sign: Callable[[], object] = lambda: None
    ) -> None:
        self.renew, self.every, self.limit, self.sign = renew, every, limit, sign
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def _beat(self) -> None:
        silent, last = 0.0, self.sign()
        try:
            while not self._done.wait(self.every) and silent < self.limit:
                now = self.sign()
                silent, last = (silent + self.every if now == last else 0.0), now
                try:
                    if not self.renew():
                        return
                except DatabaseError as error:
                    log.warning("the lease could not be renewed, trying again: %s", error)
        finally:
            connection.close()

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()
