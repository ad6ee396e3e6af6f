"""What replaces identities: everything here follows from the owner's key and the old value alone, so that files cleaned
on different days still belong together. Nothing can be turned back without the key, and no table of pairs is kept.

What was made here carries its own check under the key, and is left as it is: a clean file that is cleaned again keeps
its UIDs, its patient and its dates, and a segmentation made upon it still refers to it.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from inference.types import Cleaning

SHORTEST_KEY = 16  # bytes
# Long enough that no season or year of life can be read from a date, short enough that years stay plausible.
FEWEST_DAYS, MOST_DAYS = 30, 3650
CHECK = 4  # bytes of a mapped UID's sixteen; a foreign UID passes for ours once in four thousand million


def mapped_uid(uid: str, cleaning: Cleaning) -> str:
    """`uid` as this owner's files name it: 2.25.<128 bit>, the same for the same key; UIDs of the standard stay.

    Empty stays empty, and a UID that was mapped under this key stays what it is.
    """
    from pydicom.uid import UID

    uid = uid.strip(" \0")
    if not uid or UID(uid).name != uid or _is_mapped(uid, cleaning):
        return uid
    body = _digest(cleaning, "uid", uid)[: 16 - CHECK]
    return f"2.25.{int.from_bytes(body + _check(cleaning, body))}"


def pseudonym(patient_id: str, cleaning: Cleaning) -> str:
    """What stands for the patient: LB-<10 hex digits>-<6 of its own check>."""
    patient_id = patient_id.strip(" \0")
    if _is_pseudonym(patient_id, cleaning):
        return patient_id
    body = _digest(cleaning, "patient", patient_id).hex()[:10]
    return f"LB-{body}-{_digest(cleaning, 'pseudonym', body).hex()[:6]}"


def day_shift(patient_id: str, cleaning: Cleaning) -> int:
    """Days to add to every date of this patient: -3650 to -30, and 0 for a pseudonym, whose dates have been moved."""
    patient_id = patient_id.strip(" \0")
    if _is_pseudonym(patient_id, cleaning):
        return 0
    number = int.from_bytes(_digest(cleaning, "days", patient_id)[:8])
    return -(FEWEST_DAYS + number % (MOST_DAYS - FEWEST_DAYS + 1))


def _digest(cleaning: Cleaning, purpose: str, text: str) -> bytes:
    """HMAC-SHA256 of the text, told apart by purpose. Raises ValueError for a key that is no secret."""
    key = bytes.fromhex(cleaning.key)
    if len(key) < SHORTEST_KEY:
        raise ValueError(f"a key for cleaning has at least {SHORTEST_KEY} bytes")
    return hmac.digest(key, f"{purpose}\0{text}".encode(errors="backslashreplace"), hashlib.sha256)


def _check(cleaning: Cleaning, body: bytes) -> bytes:
    return _digest(cleaning, "check", body.hex())[:CHECK]


def _is_mapped(uid: str, cleaning: Cleaning) -> bool:
    if not re.fullmatch(r"2\.25\.(0|[1-9][0-9]{0,38})", uid):
        return False
    number = int(uid[5:])
    if number >= 1 << 128:
        return False
    raw = number.to_bytes(16)
    return hmac.compare_digest(raw[-CHECK:], _check(cleaning, raw[:-CHECK]))


def _is_pseudonym(text: str, cleaning: Cleaning) -> bool:
    found = re.fullmatch(r"LB-([0-9a-f]{10})-([0-9a-f]{6})", text)
    if not found:
        return False
    return hmac.compare_digest(_digest(cleaning, "pseudonym", found[1]).hex()[:6], found[2])
