"""Text from outside, without what PostgreSQL refuses to keep."""

from __future__ import annotations

import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """The text without NUL and lone halves of surrogate pairs."""
    return _UNSTORABLE.sub("", text)
