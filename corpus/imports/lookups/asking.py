"""One polite way of asking a service over HTTP: time-outs, one more try where it is asked for, answers kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any

import httpx
from django.conf import settings
from django.utils import timezone

from corpus.imports.records import cleaned
from corpus.models import Lookup

PATIENCE = httpx.Timeout(15.0, connect=5.0)
LONGEST_WAIT = 30.0  # seconds that a service may ask us to wait before the second try
DEFAULT_WAIT = 1.0
DEPTH = 12  # of an answer in JSON
LARGEST = 5 * 1024 * 1024  # bytes of an answer
ABSENT_FOR = timedelta(days=7)  # what a service did not know is asked again after this
_AGAIN = {429, 500, 502, 503, 504}


class Unreachable(Exception):
    """A service gave no answer; the text says which and why in one line."""


class Asking:
    """Asks services on behalf of one import. A service that could not be reached is not tried again meanwhile."""

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        mail = f"; mailto:{settings.MAILTO}" if settings.MAILTO else ""
        self._client = httpx.Client(
            timeout=PATIENCE, headers={"User-Agent": f"Lightbox/0.1 (literature import{mail})"}, follow_redirects=True
        )
        self._sleep = sleep
        self._down: dict[str, str] = {}
        self._last: dict[str, float] = {}

    def __enter__(self) -> Asking:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def kept(self, service: str, identifier: str) -> dict[str, Any] | None:
        """The answer that is kept: {} where the service did not know it lately, None where it must be asked."""
        found = Lookup.objects.filter(service=service, identifier=identifier[:300]).first()
        if found is None or (not found.body and found.fetched_at < timezone.now() - ABSENT_FOR):
            return None
        return dict(found.body)

    def keep(self, service: str, identifier: str, body: dict[str, Any]) -> dict[str, Any]:
        """Keeps an answer; {} says that the service does not know the identifier."""
        body = cleaned(body, DEPTH)
        Lookup.objects.update_or_create(service=service, identifier=identifier[:300], defaults={"body": body})
        return body

    def get(self, service: str, url: str, parameters: Mapping[str, str], pause: float = 0.0) -> httpx.Response | None:
        """The answer, or None for 404. Asks a second time on 429 and 5xx, after the time that the service names.

        `pause` are the seconds to leave between two questions to this service. Raises Unreachable.
        """
        if not settings.LOOKUPS:
            raise Unreachable("Look-ups are switched off (LIGHTBOX_LOOKUPS)")
        if service in self._down:
            raise Unreachable(self._down[service])
        self._sleep_until(self._last.get(service, -pause) + pause)
        answer = self._ask(service, url, parameters)
        if answer.status_code in _AGAIN:
            self._sleep(_wait_of(answer))
            answer = self._ask(service, url, parameters)
        if answer.status_code in (404, 410):
            return None
        if answer.status_code != 200 or len(answer.content) > LARGEST:
            raise self._gone(service, f"{service} answered {answer.status_code}")
        return answer

    def _ask(self, service: str, url: str, parameters: Mapping[str, str]) -> httpx.Response:
        try:
            return self._client.get(url, params=dict(parameters))
        except httpx.TimeoutException as error:
            raise self._gone(service, f"{service} did not answer in time") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._gone(service, f"{service} cannot be reached") from error
        finally:
            self._last[service] = time.monotonic()

    def _gone(self, service: str, line: str) -> Unreachable:
        self._down[service] = line
        return Unreachable(line)

    def _sleep_until(self, moment: float) -> None:
        if (wait := moment - time.monotonic()) > 0:
            self._sleep(wait)


def _wait_of(answer: httpx.Response) -> float:
    """The seconds that Retry-After names, as a number or a date, within reason."""
    named = answer.headers.get("Retry-After", "")
    try:
        seconds = float(named) if named.replace(".", "", 1).isdigit() else _seconds_to(named)
    except (ValueError, TypeError, IndexError):
        seconds = DEFAULT_WAIT
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _seconds_to(date: str) -> float:
    moment = parsedate_to_datetime(date)
    return (moment - datetime.now(UTC)).total_seconds()
