"""Single values by their own rules. Each function says what may stay, or None when nothing may."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, timedelta
from functools import cache
from typing import Any

from pydicom.dataset import Dataset

OLDEST = 89  # years; over it ages are few enough to tell a person (HIPAA, 45 CFR 164.514(b)(2)(i)(C))
LONGEST_LABEL = 64

DATE = re.compile(r"(\d{4})(?:(\d{2})(?:(\d{2}))?)?")
OLD_DATE = re.compile(r"(\d{4})\.(\d{2})\.(\d{2})")
# What follows the day: a time, then an offset from UTC, which is dropped: it says where.
DATETIME = re.compile(r"(\d{4,8})((?:\d{2}){0,3}(?:\.\d{1,6})?)([+-]\d{4})?")
TIME = re.compile(r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:[0-6]\d(?:\.\d{1,6})?)?)?|\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?")
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
UID = re.compile(r"[0-9.]{1,64}")
LABEL = re.compile(r"[A-Za-z0-9 _\-+.,:/()^#&%*]{1,64}")
DEVICE = re.compile(r"[A-Za-z0-9 .,:;/+*()\[\]'&_\-]{1,64}")

UNKNOWN = ("261665006", "SCT", "Unknown")
OLD_SNOMED = ("SRT", "SNM3", "99SDM")


def shifted_date(text: str, days: int) -> str | None:
    """A DA, moved: YYYYMMDD, or as precise as it was (a month counts from its 15th, a year from its July); a range
    ends with its ends moved. None when it is no date."""
    text = text.strip(" \0")
    if "-" in text:
        ends = [shifted_date(end, days) if end else "" for end in text.split("-")]
        return "-".join(end or "" for end in ends) if len(ends) == 2 and None not in ends and any(ends) else None
    found = OLD_DATE.fullmatch(text) or DATE.fullmatch(text)
    if not found:
        return None
    year, month, day = found.groups()
    try:
        moved = date(int(year), int(month or 7), int(day or (15 if month else 1))) + timedelta(days)
    except (ValueError, OverflowError):
        return None
    return moved.strftime("%Y%m%d").zfill(8)[: 8 if day else 6 if month else 4]


def shifted_datetime(text: str, days: int) -> str | None:
    """A DT, moved by whole days, without its offset from UTC. None when it is none; ranges are none."""
    found = DATETIME.fullmatch(text.strip(" \0"))
    if not found:
        return None
    moved = shifted_date(found[1], days)
    return moved + found[2] if moved and (len(moved) == 8 or not found[2]) else None


def kept_time(text: str) -> str | None:
    """A TM as it is; None when it is none."""
    text = text.strip(" \0")
    return text if TIME.fullmatch(text) else None


def kept_age(text: str) -> str | None:
    """An AS; every age over 89 years is 90 years."""
    found = re.fullmatch(r"(\d{3})([DWMY])", text.strip(" \0"))
    if not found:
        return None
    years = int(found[1]) / {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}[found[2]]
    return "090Y" if years > OLDEST else found[0]


def is_number(text: str) -> bool:
    """Whether a DS or IS, which are text in the file, is a number or empty."""
    text = text.strip(" \0")
    return not text or bool(NUMBER.fullmatch(text))


def identity_of(names: Iterable[str]) -> frozenset[str]:
    """The words (lower case, three characters or more) of names and ids: what a kept text must not repeat."""
    words = {word for name in names for word in re.split(r"[\W_]+", name.lower())}
    whole = {re.sub(r"[\W_]+", "", name.lower()) for name in names}
    return frozenset(word for word in words | whole if len(word) >= 3)


def repeats(text: str, identity: frozenset[str]) -> bool:
    """Whether a text contains a word of the identity; one of three letters counts only as a word of its own."""
    words = set(re.split(r"[\W_]+", text.lower()))
    joined = re.sub(r"[\W_]+", "", text.lower())
    return any(word in words or (len(word) > 3 and word in joined) for word in identity)


def kept_label(text: str, identity: frozenset[str]) -> str | None:
    """The name of a region (ROIName, SegmentLabel): up to 64 letters, digits in runs of three at most, and nothing of
    the patient's names and ids. It was typed by a person, and any other name in it would stay."""
    text = text.strip(" \0")
    plain = LABEL.fullmatch(text) and re.search("[A-Za-z]", text) and not re.search(r"\d{4}", text)
    return text if plain and not repeats(text, identity) else None


def kept_device(text: str, identity: frozenset[str]) -> str | None:
    """Manufacturer and model name: printable ASCII without long numbers or anything of the patient."""
    text = text.strip(" \0")
    plain = DEVICE.fullmatch(text) and not re.search(r"\d{6}", text)
    return text if plain and not repeats(text, identity) else None


def standard_code(item: Dataset) -> tuple[str, str, str]:
    """Code value, scheme and meaning that may stand in a coded concept: those of a public scheme that pydicom's tables
    know, with the meaning of the tables, since a meaning is free text; else SNOMED CT's "Unknown"."""
    value, scheme = (str(item.get(name) or "").strip() for name in ("CodeValue", "CodingSchemeDesignator"))
    meaning = _meanings().get(("SRT" if scheme in OLD_SNOMED else scheme, value))
    return (value, scheme, meaning) if meaning else UNKNOWN


@cache
def _meanings() -> dict[tuple[str, str], str]:
    # pydicom's tables of PS3.16; it offers them by keyword only
    from pydicom.sr._concepts_dict import concepts
    from pydicom.sr._snomed_dict import mapping

    tables: Any = concepts  # scheme, keyword, value, (meaning, context groups)
    found: dict[tuple[str, str], str] = {}
    for scheme, keywords in tables.items():
        for values in keywords.values():
            for value, entry in values.items():
                found.setdefault((scheme, value), entry[0])
    for value, current in mapping["SRT"].items():
        found.setdefault(("SRT", value), found.get(("SCT", current), current))
        found.setdefault(("SCT", current), current)
    return {key: meaning[:LONGEST_LABEL] for key, meaning in found.items()}
