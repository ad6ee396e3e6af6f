r"""TeX in bibliographies as plain text: accents, braces, dashes. Mathematics stays as it is written."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from inference.errors import BadInput

DEPTH = 100  # braces within braces; pylatexenc calls itself for each


def plain_tex(text: str) -> str:
    r"""The text that TeX would print: `Sch{\"u}tze {\&} K{\o}vn` is "Schütze & Køvn".

    Raises BadInput on braces nested deeper than any title needs.
    """
    if "\\" not in text:
        return _spaced(text.replace("{", "").replace("}", "").replace("~", " ")) if "$" not in text else _spaced(text)
    if _depth(text) > DEPTH:
        raise BadInput("Its braces are nested too deeply.")
    # A bare % begins a comment in TeX, and & and # mean something in tables and macros; in a title they are themselves.
    escaped = re.sub(r"(?<!\\)([%&#])", r"\\\1", text)
    try:
        return _spaced(_reader().latex_to_text(escaped))
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput("Its TeX cannot be read.") from error


def address(text: str) -> str:
    """A link or an identifier, which TeX reads word for word, without braces and escapes."""
    return re.sub(r"\\([_%&#~{}$])", r"\1", text).strip("{} \n\t").removeprefix(r"\url{")


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character == "{") - (character == "}")
        deepest = max(deepest, depth)
    return deepest


def _spaced(text: str) -> str:
    return " ".join(text.split())


@cache
def _reader() -> Any:
    import logging

    from pylatexenc.latex2text import LatexNodes2Text

    logging.getLogger("pylatexenc").setLevel(logging.CRITICAL)  # it would put the users' titles into the log
    return LatexNodes2Text(math_mode="verbatim", strict_latex_spaces="macros")
