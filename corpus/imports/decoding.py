"""From the bytes of an upload to text, whatever program on whatever system wrote it."""

from __future__ import annotations

import re

from corpus.imports.records import MAX_BYTES, storable
from inference.errors import BadInput

_BINARY = (
    (b"%PDF", "This is a PDF, not a list of references. Add it as the full text of a paper."),
    (b"PK\x03\x04", "This is an archive or an office document. Export the references as BibTeX, RIS or CSL-JSON."),
    (b"\x1f\x8b", "This file is compressed. Unpack it first."),
    (b"\x89PNG", "This is an image, not a list of references."),
    (b"\xff\xd8\xff", "This is an image, not a list of references."),
)
_MARKS = ((b"\xff\xfe\0\0", "utf-32"), (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def decode(data: bytes) -> str:
    """The text of a file, with line feeds as its line ends: UTF-8, UTF-16 or, failing these, Windows-1252.

    Raises BadInput, with one line for the user, on what is empty, too large, or no text.
    """
    if len(data) > MAX_BYTES:
        raise BadInput(f"This file is larger than the limit of {MAX_BYTES // 1024**2} MB. Split it.")
    for magic, line in _BINARY:
        if data.startswith(magic):
            raise BadInput(line)
    text = _decoded(data).replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    if not text.strip("\0 \n\t"):
        raise BadInput("This file is empty.")
    control = len(_CONTROL.findall(text))
    if control > max(8, len(text) // 100):
        raise BadInput("This file is not text. Export the references as BibTeX, RIS or CSL-JSON.")
    return storable(_CONTROL.sub("", text))


def _decoded(data: bytes) -> str:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "") or _wide(data) or "utf-8"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        # Half a character at the end of UTF-16, or an older Windows program. The five bytes that Windows-1252 leaves
        # undefined become what they are in Latin-1 rather than an error.
        return data.decode(encoding, "replace") if encoding.startswith("utf-16") else _windows(data)


def _windows(data: bytes) -> str:
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _wide(data: bytes) -> str:
    """UTF-16 without its mark: every second byte of Western text is zero."""
    start = data[:2000]
    if len(start) < 8 or not start.count(0) > len(start) * 0.3:
        return ""
    return "utf-16-be" if start[::2].count(0) > start[1::2].count(0) else "utf-16-le"
