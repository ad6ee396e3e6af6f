"""CSL-JSON: a list of items, one item, or the {"items": [...]} of Better BibTeX."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from corpus.imports.records import Csl, Entry, Refused, plain, record, shown
from inference.errors import BadInput

_SPACE = re.compile(r"[\s,]*")
_TITLES = ("title", "container-title", "abstract", "title-short")


def parse(text: str) -> Iterator[Entry]:
    """The items, one at a time, so that what stands before an error in the file is kept.

    Raises BadInput on JSON that holds no list of items.
    """
    place, many = _beginning(text)
    decoder = json.JSONDecoder(parse_constant=_no_number)
    line, counted = 1, 0
    while (place := _skip(text, place)) < len(text):
        if text[place] == "]":
            return
        line, counted = line + text.count("\n", counted, place), place
        written = shown(text[place : place + 80])
        try:
            item, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            yield Refused(line, written, f"{_reason(error)} Nothing after it was read.")
            return
        yield _entry(line, item, written)
        if not many:
            return
    yield Refused(text.count("\n") + 1, "", "The list is not closed: the end of the file is missing.")


def _beginning(text: str) -> tuple[int, bool]:
    """Where the first item may stand, and whether it is one of a list or the only one."""
    start = _skip(text, 0)
    if text[start : start + 1] == "[":
        return start + 1, True
    if text[start : start + 1] != "{":
        raise BadInput("This is not CSL-JSON: it begins with neither [ nor {.")
    items = re.search(r"\"items\"\s*:\s*\[", text)
    return (items.end(), True) if items else (start, False)


def _skip(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON.")


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "The JSON is nested too deeply."
    if isinstance(error, json.JSONDecodeError):
        return f"Not JSON: {error.msg}."
    return "Not JSON: a number that nobody can read."


def _entry(line: int, item: Any, written: str) -> Entry:
    if not isinstance(item, dict):
        return Refused(line, written, "Not an item: an object with a title was expected.")
    csl: Csl = {str(name): value for name, value in item.items()}
    for name in _TITLES:
        csl[name] = plain(_text(csl.get(name)))
    for name in ("DOI", "URL", "archive_location", "keyword", "id"):
        csl[name] = _text(csl.get(name), ", ")
    return record(line, csl)


def _text(value: Any, joint: str = "") -> str:
    """A text; of a list the first, as Crossref writes titles, or with a joint all."""
    if isinstance(value, list):
        texts = [str(part) for part in value if isinstance(part, str | int)]
        return joint.join(texts) if joint else next(iter(texts), "")
    return str(value) if isinstance(value, str | int | float) else ""
