"""From markers in an answer to evidence that opens, checked when the answer is written.

An answer names its evidence by markers behind a sentence: `[[p12]]` is passage 12, `[[c3]]` the third tool call of the
conversation, `[[c3.1]]` its first artifact. A passage counts as cited only if the words that the answer quotes (in
quotation marks before the marker, else the whole sentence) stand in it; what fails is marked, with the reason. What it
does not check: that a quotation means what the words around it make of it.
"""

import re
from typing import Any

from assistant.models import Artifact, Conversation, ToolCall
from corpus.models import Passage
from corpus.quotes import stands_in

MARKER = re.compile(r"\[\[(?P<ref>p\d{1,9}|c\d{1,6}(?:\.\d{1,4})?)\]\]")
QUOTED = re.compile(r"“([^”]+)”|\"([^\"\n]+)\"")
JOINING = re.compile(r"\W*(?:(?:and|or|see|also|as well as)\b\W*)*", re.I)  # between two markers of one sentence
SENTENCE_END = re.compile(r"(?<=[.!?:])\s+|\n+")
ENOUGH_WORDS = 3  # in a claim without quotation marks: "and" or "No" stands in nearly every passage
MARKDOWN = re.compile(r"^\s*(?:[-*+]|\d+\.|#+|>)\s+|\*\*|__|`")

Reference = dict[str, Any]


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
        return before[quotes[-1].start() : quotes[-1].end()]
    inside = [range(quote.start(), quote.end()) for quote in quotes]
    ends = [end.end() for end in SENTENCE_END.finditer(before) if not any(end.start() in quote for quote in inside)]
    return MARKDOWN.sub("", before[ends[-1] if ends else 0 :]).rstrip(" ([").strip()


def quotes_in(sentence: str) -> list[str]:
    """The quotations of a sentence, else the sentence itself."""
    return [quoted[1] or quoted[2] for quoted in QUOTED.finditer(sentence)] or [sentence.strip()]


def references(text: str, conversation: Conversation) -> list[Reference]:
    """What each marker of the text opens, in order, with its number `n` and whether it was verified."""
    return resolve(claims(text), conversation)


def resolve(pairs: list[tuple[str, str]], conversation: Conversation) -> list[Reference]:
    """A reference for each (ref, sentence), in order; the same evidence twice has the same number `n`."""
    found = [_reference(ref, sentence, conversation) for ref, sentence in pairs]
    numbers: dict[tuple[str, str], int] = {}
    for reference in found:
        same = (reference["ref"], reference.get("quote", ""))
        reference["n"] = numbers.setdefault(same, len(numbers) + 1)
    return found


def _reference(ref: str, sentence: str, conversation: Conversation) -> Reference:
    if ref.startswith("p"):
        return _passage(int(ref[1:]), sentence, conversation)
    number, _, item = ref[1:].partition(".")
    call = ToolCall.objects.filter(run__conversation=conversation, number=int(number), state=ToolCall.DONE).first()
    if call is None:
        return _missing(ref, "no tool call of this conversation has this number")
    base: Reference = {"ref": ref, "tool_call_id": str(call.pk), "verified": True}
    if not item:
        return base | {"kind": "call", "label": call.name}
    artifact = Artifact.objects.filter(tool_call=call, number=int(item)).first()
    if artifact is None:
        return _missing(ref, "the tool call has no such result")
    return base | {"kind": artifact.kind, "label": artifact.label, "artifact_id": str(artifact.pk)}


def _missing(ref: str, reason: str) -> Reference:
    return {"ref": ref, "kind": "missing", "label": ref, "verified": False, "reason": f"Unsupported: {reason}."}


def _returned(passage_id: int, conversation: Conversation) -> bool:
    """Whether a search of this conversation has shown this passage: a model cannot cite what it was not given."""
    rows = ToolCall.objects.filter(run__conversation=conversation, name="search_literature", state=ToolCall.DONE)
    ref = f"p{passage_id}"
    return any(
        p.get("ref") == ref for result in rows.values_list("result", flat=True) for p in result.get("passages", [])
    )


def _passage(passage_id: int, sentence: str, conversation: Conversation) -> Reference:
    ref = f"p{passage_id}"
    readable = Passage.objects.visible_to(conversation.owner_id).select_related("paper")
    passage = readable.filter(pk=passage_id).first()
    if passage is None or not _returned(passage_id, conversation):
        return _missing(ref, "this passage was not found by any search of this conversation")
    places = [(quote, stands_in(quote, passage.text)) for quote in quotes_in(sentence)]
    quote, place = next((found for found in places if found[1] is None), places[0])
    if not QUOTED.search(sentence) and len(sentence.split()) < ENOUGH_WORDS:
        place = None
    base: Reference = {
        "ref": ref,
        "kind": "passage",
        "passage_id": passage.pk,
        "key": passage.paper.key,
        "title": passage.paper.title,
        "quote": quote,
        "verified": place is not None,
    }
    if place is None:
        return base | {"reason": "Unsupported: these words do not stand in the passage."}
    return base | {"start": place[0], "end": place[1]}


def numbered(text: str, found: list[Reference]) -> str:
    """The text with `[n]` in place of each marker, as plain Markdown for the API and for exports."""
    numbers = iter(found)

    def number(_: re.Match[str]) -> str:
        reference = next(numbers, None)
        return f"[{reference['n']}]" if reference else ""

    return MARKER.sub(number, text)
