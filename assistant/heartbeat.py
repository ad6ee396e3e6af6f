"""Holding a lease while one long step runs, and noticing that it has been taken away."""

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


class Lookout:
    """Asks `still()` every `every` seconds until the block ends, and calls `lost()` once when it says False.

    A step that waits for a model writes nothing for minutes, and would learn of the stop button only then.
    """

    def __init__(self, still: Callable[[], bool], lost: Callable[[], None], every: float = 0.3) -> None:
        self.still, self.lost, self.every = still, lost, every
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="lookout", daemon=True)

    def _look(self) -> None:
        try:
            while not self._done.wait(self.every):
                try:
                    if not self.still():
                        return self.lost()
                except DatabaseError as error:
                    log.warning("cannot see whether the step is still wanted, trying again: %s", error)
        finally:
            connection.close()

    def __enter__(self) -> "Lookout":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()
