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

from assistant.evidence import MARKER
from assistant.pane import colour_at

HALF_MARKER = re.compile(r"\[(\[([pc][\d.]*\]?)?)?$")  # the last thing a stream has sent may be half a marker
OPEN, CLOSE = "\ue000", "\ue001"
PRIVATE_USE = re.compile("[\ue000-\uf8ff]")
PLACED = re.compile(f"{OPEN}(\\d+){CLOSE}")
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
SENTENCE_END = re.compile(r"[.!?:]\s+|" + CLOSE + r"[.!?]?\s*")

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
    text: str, references: Sequence[dict[str, Any]] | None = None, message_id: object = None, live: bool = False
) -> SafeString:
    """HTML of an answer. `references` says what each marker opens, in order of appearance.

    Without references the chips are neutral. `live` hides a marker that is cut in half at the end.
    """
    text = PRIVATE_USE.sub("", text)
    if live:
        text = HALF_MARKER.sub("", text)
    markers: list[str] = []

    def place(match: re.Match[str]) -> str:
        markers.append(match["ref"])
        return f"{OPEN}{len(markers) - 1}{CLOSE}"

    html = _sanitised(MARKER.sub(place, text)).replace(f" {OPEN}", f"\xa0{OPEN}")  # no chip at the start of a line
    found: list[dict[str, Any] | None] = [_reference(references, i, ref) for i, ref in enumerate(markers)]
    html = _underline_unsupported(html, found)
    chips = [_chip(ref, reference, message_id) for ref, reference in zip(markers, found, strict=True)]
    return mark_safe(PLACED.sub(lambda match: chips[int(match[1])], html))  # noqa: S308 - sanitised above


def _reference(references: Sequence[dict[str, Any]] | None, i: int, ref: str) -> dict[str, Any] | None:
    """The i-th reference, if it is about this marker; anything else would open the wrong evidence."""
    if references is None or i >= len(references) or references[i].get("ref") != ref:
        return None
    return references[i]


def _chip(ref: str, reference: dict[str, Any] | None, message_id: object) -> str:
    number = int(ref.partition(".")[2] or 1)
    context = {"ref": ref, "reference": reference, "message_id": message_id, "colour": colour_at(number)}
    return render_to_string("assistant/chip.html", context).strip()


def _underline_unsupported(html: str, references: Sequence[dict[str, Any] | None]) -> str:
    """Underline the sentence before each unsupported marker, as far back as its own run of text goes.

    Never across a tag, so that the tags stay in pairs.
    """
    pieces: list[str] = []
    last = 0
    for match in PLACED.finditer(html):
        reference = references[int(match[1])]
        if reference is None or reference.get("verified", False):
            continue
        start = _sentence_start(html, last, match.start())
        if not PLACED.sub("", html[start : match.start()]).strip():
            continue
        pieces += [html[last:start], '<span class="unsupported">', html[start : match.start()], "</span>"]
        last = match.start()
    return "".join([*pieces, html[last:]])


def _sentence_start(html: str, begin: int, end: int) -> int:
    """Where the sentence that ends at `end` begins, not before the last tag."""
    begin = max(begin, html.rfind(">", begin, end) + 1)
    body = html[begin:end].rstrip()
    ends = [match.end() for match in SENTENCE_END.finditer(body) if match.end() < len(body)]
    return begin + (ends[-1] if ends else 0)


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
