"""Markdown of answers to HTML that is safe to show: no raw HTML, no images, no way out but http and https.

Evidence markers (`[[p12]]`, `[[c3.1]]`) become chips. They are swapped for private-use characters first and for the
chips last, after the sanitiser, so nothing that a model writes can pass for one.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import nh3
from django.template.loader import render_to_string
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from assistant.claims import MARKER, sentences
from assistant.viewing import ANNOTATIONS_BEGIN, colour_at

# The last thing that a stream has sent may be half a marker.
HALF_MARKER = re.compile(r"\[(\[((?:[pc]|img?|i)[\d.]*\]?)?)?$")
OPEN, CLOSE = "\ue000", "\ue001"
BEGIN = "\ue002"  # of words that are unsupported
PRIVATE_USE = re.compile("[\ue000-\uf8ff]")
PLACED = re.compile(f"{OPEN}(\\d+){CLOSE}")
UNSUPPORTED = re.compile(f"{BEGIN}([^{BEGIN}]*?)(?={OPEN}\\d+{CLOSE})")
TAG = re.compile(r"(<[^>]*>)")
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")

TAGS = set(
    "p br hr em strong s code pre blockquote ul ol li a table thead tbody tr th td h3 h4 h5 h6".split()  # noqa: SIM905
)


class _Renderer(RendererHTML):
    """Headings step down two levels (the page has its own); an image is only its words."""

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return escape(tokens[idx].content)

    def heading_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f"<h{min(int(tokens[idx].tag[1]) + 2, 6)}>"

    def heading_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f"</h{min(int(tokens[idx].tag[1]) + 2, 6)}>\n"


_markdown = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable(["table", "strikethrough"])


def _href(tag: str, name: str, value: str) -> str | None:
    """Relative links are dropped as well: an answer has no business inside this site but through its chips."""
    if name == "href" and not value.lower().startswith(("http://", "https://")):
        return None
    return value


def _sanitised(text: str) -> str:
    return nh3.clean(
        _markdown.render(text),
        tags=TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        attribute_filter=_href,
        url_schemes={"http", "https"},
        link_rel="noopener noreferrer nofollow",
    )


def render(
    text: str,
    references: Sequence[dict[str, Any]] | None = None,
    message_id: object = None,
    live: bool = False,
    unsupported: Sequence[dict[str, str]] = (),
) -> SafeString:
    """HTML of an answer. `references` says what each marker opens, in order of appearance; `unsupported` holds the
    sentences without a marker that had needed one ("text", "reason"), in order.

    Without references the chips are neutral. `live` hides a marker that is cut in half at the end.
    """
    text = PRIVATE_USE.sub("", text)
    if live:
        text = HALF_MARKER.sub("", text)
    text, marks = _placed(text, references, unsupported)
    html = _sanitised(text).replace(f" {OPEN}", f"\xa0{OPEN}")  # no chip at the start of a line
    html = _underlined(html)
    chips = [_chip(ref, reference, message_id) for ref, reference in marks]
    return mark_safe(PLACED.sub(lambda match: chips[int(match[1])], html))  # noqa: S308 - sanitised above


Mark = tuple[str, dict[str, Any] | None]  # what the marker names, and what it opens


def _placed(
    text: str, references: Sequence[dict[str, Any]] | None, unsupported: Sequence[dict[str, str]]
) -> tuple[str, list[Mark]]:
    """The text with private characters where chips go and where unsupported words begin, and what each chip is."""
    found = list(MARKER.finditer(text))
    opens = [_reference(references, i, marker["ref"]) for i, marker in enumerate(found)]
    pieces: list[tuple[int, int, str, Mark | None]] = [
        (marker.start(), marker.end(), "", (marker["ref"], reference))
        for marker, reference in zip(found, opens, strict=True)
    ]
    wrong = [reference is not None and not reference.get("verified") for reference in opens]
    pieces += [(at, at, BEGIN, None) for at in _begin(text, wrong)]
    at = 0
    for sentence in unsupported:
        begin = text.find(sentence["text"], at)
        if begin >= 0:
            at = begin + len(sentence["text"])
            pieces.append((begin, begin, BEGIN, None))
            pieces.append((at, at, "\xa0", ("", {"verified": False, "reason": sentence["reason"]})))
    return _put(text, sorted(pieces, key=lambda piece: piece[:2]))


def _begin(text: str, wrong: Sequence[bool]) -> Iterator[int]:
    """Where the words begin that an unsupported marker stands behind."""
    left = iter(wrong)
    for sentence in sentences(text) if any(wrong) else ():
        at = sentence.start
        for marker in MARKER.finditer(sentence.text):
            between = text[at : sentence.start + marker.start()]
            if next(left) and between.strip(" \n.,;:()"):
                yield at
            at = sentence.start + marker.end()


def _put(text: str, pieces: Sequence[tuple[int, int, str, Mark | None]]) -> tuple[str, list[Mark]]:
    marks: list[Mark] = []
    placed, done = "", 0
    for start, end, before, mark in pieces:
        placed += text[done:start] + before
        if mark is not None:
            placed += f"{OPEN}{len(marks)}{CLOSE}"
            marks.append(mark)
        done = end
    return placed + text[done:], marks


def _reference(references: Sequence[dict[str, Any]] | None, i: int, ref: str) -> dict[str, Any] | None:
    """The i-th reference, if it is about this marker; anything else would open the wrong evidence."""
    if references is None or i >= len(references) or references[i].get("ref") != ref:
        return None
    return references[i]


def _chip(ref: str, reference: dict[str, Any] | None, message_id: object) -> str:
    number = int(ref.partition(".")[2] or 1) + (ANNOTATIONS_BEGIN if ref.startswith("img") else 0)
    context = {"ref": ref, "reference": reference, "message_id": message_id, "colour": colour_at(number)}
    return render_to_string("assistant/chip.html", context).strip()


def _underlined(html: str) -> str:
    """Underline what is unsupported up to its chip, run of text by run of text, so that the tags stay in pairs."""

    def underline(sentence: re.Match[str]) -> str:
        runs = TAG.split(sentence[1])
        return "".join(
            run if TAG.fullmatch(run) or not run.strip() else f'<span class="unsupported">{run}</span>' for run in runs
        )

    return UNSUPPORTED.sub(underline, html).replace(BEGIN, "")


def blocks(text: str) -> Iterator[str]:
    """Cut Markdown at blank lines outside fenced code, where a cut changes nothing of what is before it.

    A line that is indented after a blank line goes on with the block before (a list item's second paragraph).
    """
    block: list[str] = []
    fence = ""
    blank = False
    for line in text.splitlines(keepends=True):
        if blank and not fence and line.strip() and not line.startswith((" ", "\t")):
            yield "".join(block)
            block = []
        block.append(line)
        blank = not line.strip()
        if mark := FENCE.match(line):
            fence = "" if fence and mark[1].startswith(fence) else fence or mark[1]
    if "".join(block).strip():
        yield "".join(block)
