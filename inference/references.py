"""Signed references: names of files that a message may carry, which nobody can change or make up.

A reference is `<payload>.<signature>`: the payload is the file's path below the exchange folder, when it ends, and
whether it may be written, as base64 of JSON; the signature is HMAC-SHA256 by a key that the web application and the
workers share. A worker on the same machine opens the file itself; one elsewhere asks for it over HTTP by its reference.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from inference.errors import BadInput

REFUSED = "This reference is not valid: it was changed, has ended, or is for something else."


@dataclass(frozen=True, slots=True)
class Reference:
    """`path` is relative and stays below the exchange folder; `ends` is in seconds since the epoch."""

    path: str
    ends: float
    write: bool = False


def sign(key: str, reference: Reference) -> str:
    """The reference as text that is safe in a URL."""
    told = json.dumps([reference.path, reference.ends, reference.write]).encode()
    return f"{_text(told)}.{_text(_signature(key, told))}"


def verify(key: str, text: str, *, write: bool = False, now: float | None = None) -> Reference:
    """What `sign` made with the same key. Raises BadInput for anything else, after its end, or to write what is only
    to be read."""
    told, _, signature = text.partition(".")
    try:
        payload, given = _bytes(told), _bytes(signature)
        if not key or not hmac.compare_digest(_signature(key, payload), given):
            raise BadInput(REFUSED)
        path, ends, may_write = json.loads(payload)
    except ValueError as error:
        raise BadInput(REFUSED) from error
    if ends < (time.time() if now is None else now) or (write and not may_write):
        raise BadInput(REFUSED)
    return Reference(str(path), float(ends), bool(may_write))


def located(folder: Path, reference: Reference) -> Path:
    """The file below the exchange folder. Raises BadInput for a path that leads out of it."""
    parts = PurePosixPath(reference.path).parts
    if not parts or PurePosixPath(reference.path).is_absolute() or ".." in parts:
        raise BadInput(REFUSED)
    return folder.joinpath(*parts)


def _signature(key: str, told: bytes) -> bytes:
    return hmac.new(key.encode(), told, hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
