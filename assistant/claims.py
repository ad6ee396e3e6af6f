"""The sentences of an answer, and the evidence markers in them. Text only: no rows are read here.

An answer names its evidence by markers behind a sentence: `[[p12]]` is passage 12, `[[c3]]` the third tool call of the
conversation, `[[c3.1]]` its first artifact, `[[img1.2]]` what was drawn second on image 1. A sentence here is what a
reader takes for one: a quotation with full stops inside stays whole, a marker behind the full stop belongs to the
sentence before it, a row of a table is one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from corpus.sentences import sentences as split

MARKER = re.compile(r"\[\[(?P<ref>p\d{1,9}|c\d{1,6}(?:\.\d{1,4})?|img\d{1,4}\.\d{1,5})\]\]")
QUOTED = re.compile(r"“([^”]+)”|\"([^\"\n]+)\"")
JOINING = re.compile(r"\W*(?:(?:and|or|see|also|as well as)\b\W*)*", re.I)  # between two markers of one sentence
SENTENCE_END = re.compile(r"(?<=[.!?:])\s+|\n+")
MARKDOWN = re.compile(r"^\s*(?:[-*+]|\d+\.|#+|>)\s+|\*\*|__|`")
ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")  # a backslash before punctuation, as Markdown has it

_PREFIX = re.compile(r"\s*(?:(?:[-*+>]|\d{1,9}[.)]|#{1,6})\s+)*[*_`\s]*")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?(?:^ {0,3}\1[`~]*\s*$|\Z)", re.M | re.S)
_ROW = re.compile(r"^[ \t]*\|.*$", re.M)
_BLOCK = re.compile(r"[ \t]*(?:[-*+>#|]|\d{1,9}[.)][ \t]|`{3}|~{3}|$)")  # a line that begins something new
_MARKS = r"(?:\s{0,3}[(,;]?\s{0,3}(?:and\s{1,3})?\[\[(?:[pc]|img)[\d.]{1,12}\]\]\)?)+"
_STOP_THEN_MARK = re.compile(rf"([.!?])([\"”\u2019)]{{0,3}}{_MARKS})(?=\s|\Z)")
_MARK_THEN_STOP = re.compile(rf"({_MARKS}[.!?])\s")
_ODD_START = re.compile(r"(?<=[.!?])\s(?=\s*[a-z]\w*[A-Z])")  # "mPLUG-Owl3 answers ..." begins with a small letter


@dataclass(frozen=True, slots=True)
class Sentence:
    """`text[start:end]` of the answer, without the list's bullet before it. `marks` counts its markers."""

    text: str
    start: int
    end: int
    in_heading: bool = False

    @property
    def words(self) -> str:
        """What it says, without markers and Markdown."""
        return plain(MARKER.sub("", self.text)).strip(" \t\n|,;([")

    @property
    def parts(self) -> list[tuple[str, int]]:
        """(words, number of markers behind them): markers in a row share the words before them, and the words behind
        the last marker count with it."""
        found: list[tuple[str, int]] = []
        at = 0
        for marker in MARKER.finditer(self.text):
            between = self.text[at : marker.start()]
            if found and JOINING.fullmatch(between):
                found[-1] = (found[-1][0], found[-1][1] + 1)
            else:
                found.append((between, 1))
            at = marker.end()
        if found:
            found[-1] = (found[-1][0] + self.text[at:], found[-1][1])
        return found

    @property
    def marks(self) -> int:
        return sum(count for _, count in self.parts)


def plain(text: str) -> str:
    """The words of a piece of Markdown: without emphasis, bullets and the backslashes before punctuation."""
    return ESCAPED.sub(r"\1", MARKDOWN.sub("", text))


def sentences(text: str) -> Iterator[Sentence]:
    """The sentences of an answer in order, with every marker in exactly one. Code has none, unless it has a marker."""
    for start, end in split(_masked(text)):
        if _is_rule(text[start:end]):
            continue
        heading = _is_heading(text, start)
        prefix = _PREFIX.match(text, start, end)
        start = prefix.end() if prefix else start
        words = text[start:end].rstrip(" |")
        yield Sentence(words, start, start + len(words), heading)


def _is_heading(text: str, at: int) -> bool:
    """Whether this stands in a heading, or in the head of a table: it names, and claims nothing."""
    start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
    if text[start:].lstrip(" ").startswith("#"):
        return True
    below = text[end + 1 :].partition("\n")[0] if end >= 0 else ""
    return "|" in text[start : end if end >= 0 else None] and "|" in below and _is_rule(below)


def _is_rule(line: str) -> bool:
    """The line between the head of a table and its rows, or one across the page."""
    return "-" in line and not line.strip(" \t|:-")


def _masked(text: str) -> str:
    """The text, of the same length, with full stops only where a sentence ends."""
    masked = _FENCE.sub(lambda m: re.sub(r"[^\n]", " ", m[0]) if not MARKER.search(m[0]) else m[0], text)
    masked = QUOTED.sub(_quotation, masked)
    masked = _unwrapped(masked)
    masked = _ROW.sub(lambda row: re.sub(r"[.!?]", "q", row[0]), masked)
    masked = re.sub(r"[*_`]", " ", masked)
    masked = _STOP_THEN_MARK.sub(lambda m: "q" + m[2][:-1] + ".", masked)
    masked = _MARK_THEN_STOP.sub(lambda m: m[1] + "\n", masked)
    return _ODD_START.sub("\n", masked)


def _unwrapped(text: str) -> str:
    """The text with a space for each line break inside a paragraph."""
    lines = text.split("\n")
    joined = lines[0]
    for above, line in pairwise(lines):
        whole = not above.strip() or above.lstrip().startswith("#") or "|" in above + line or _BLOCK.match(line)
        joined += ("\n" if whole else " ") + line
    return joined


def _quotation(match: re.Match[str]) -> str:
    """The quotation without the ends of sentences inside it, but with the one that it ends with."""
    inside = match[0][1:-1]
    hidden = re.sub(r"[^\w\s]|\n", "q", inside[:-1]) + (inside[-1] if inside[-1] != "\n" else "q")
    return match[0][0] + hidden + match[0][-1]


def claims(text: str) -> list[tuple[str, str]]:
    """(ref, the sentence it stands behind) for each marker, in order. Markers in a row share their sentence."""
    found: list[tuple[str, str]] = []
    start, sentence = 0, ""
    for marker in MARKER.finditer(text):
        before = text[start : marker.start()]
        if not JOINING.fullmatch(before):
            sentence = _last_sentence(before.strip())
        found.append((marker["ref"], sentence))
        start = marker.end()
    return found


def _last_sentence(before: str) -> str:
    """The words a marker claims: the quotation that ends there, or else what follows the last end of a sentence."""
    if before.rpartition("\n")[2].startswith("|"):  # the row of a table
        before = before.rpartition("\n")[2].replace("|", "\n").strip()
    quotes = list(QUOTED.finditer(before))
    if quotes and not before[quotes[-1].end() :].strip(" .,;:(["):
        return ESCAPED.sub(r"\1", before[quotes[-1].start() : quotes[-1].end()])
    inside = [range(quote.start(), quote.end()) for quote in quotes]
    ends = [end.end() for end in SENTENCE_END.finditer(before) if not any(end.start() in quote for quote in inside)]
    return plain(before[ends[-1] if ends else 0 :]).rstrip(" ([").strip()


def quotes_in(sentence: str) -> list[str]:
    """The quotations of a sentence, else the sentence itself."""
    return [quoted[1] or quoted[2] for quoted in QUOTED.finditer(sentence)] or [sentence.strip()]
