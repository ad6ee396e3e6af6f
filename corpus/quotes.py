"""Does a quotation stand in its source? The check behind every citation: exact text, or the citation is not shown.

Only typography is forgiven: white space, hyphens and dashes, quotation marks, ligatures, how an accent is encoded, the
case of the first letter, and a full stop or comma that the quotation adds at its end. A quotation must begin and end at
the border of a word or number: "effective" does not stand in "ineffective", nor "5" in "5.3".
"""

from __future__ import annotations

import re
import unicodedata

_HYPHENS = dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-")
_SINGLE = dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u0060\u00b4", "'")
_DOUBLE = dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"')
LIGATURES = {
    "\ufb00": "ff",
    "\ufb01": "fi",
    "\ufb02": "fl",
    "\ufb03": "ffi",
    "\ufb04": "ffl",
    "\ufb05": "st",
    "\ufb06": "st",
}
_INVISIBLE = dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff", "")
_SAME = _HYPHENS | _SINGLE | _DOUBLE | LIGATURES | _INVISIBLE
_WRAPPING = " \t\r\n'\"\u2018\u2019\u201c\u201d\u00ab\u00bb"


def _normalise(text: str) -> tuple[str, list[int]]:
    """The text with its typography made plain, and for each of its characters the offset it came from."""
    characters: list[str] = []
    offsets: list[int] = []
    for offset, original in enumerate(text):
        plain = " " if original.isspace() else _SAME.get(original, original)
        if plain == " " and characters and characters[-1] == " ":
            continue
        for character in unicodedata.normalize("NFD", plain):
            characters.append(character)
            offsets.append(offset)
    return "".join(characters), offsets


def _is_whole(text: str, start: int, end: int) -> bool:
    """True when text[start:end] cuts no word and no number in two (a minus sign and decimals belong to the number)."""
    before, after = text[:start][-2:], text[end:][:2]
    if text[start].isalnum() and before[-1:].isalnum():
        return False
    if text[end - 1].isalnum() and after[:1].isalnum():
        return False
    if text[start].isdigit() and re.search(r"(\d[.,-]|(^|[\s(])[-+.])$", before):
        return False
    return not (text[end - 1].isdigit() and re.match(r"[.,-]\d", after))


def _find(quote: str, text: str) -> tuple[int, int] | None:
    """Where the normalised quote stands in the normalised text; the first letter's case may differ."""
    if not quote:
        return None
    first = (
        f"[{re.escape(quote[0].lower())}{re.escape(quote[0].upper())}]" if quote[0].isalpha() else re.escape(quote[0])
    )
    for match in re.finditer(f"(?={first}{re.escape(quote[1:])})", text):
        if _is_whole(text, match.start(), match.start() + len(quote)):
            return match.start(), match.start() + len(quote)
    return None


def stands_in(quote: str, passage_text: str) -> tuple[int, int] | None:
    """Offsets (start, end exclusive, in characters of `passage_text`) of the quotation, or None when it is not there.

    See the module's docstring for what is forgiven. An empty quotation stands nowhere.
    """
    text, offsets = _normalise(passage_text)
    wanted = _normalise(quote.strip(_WRAPPING))[0]
    found = _find(wanted, text) or _find(wanted.rstrip(".,;: "), text)
    if found is None:
        return None
    start, end = found
    return offsets[start], offsets[end - 1] + 1
