"""From markers in an answer to evidence that opens, checked when the answer is written.

Two things are checked of a sentence that cites the literature. Its words: what it quotes (in quotation marks before the
marker, else the whole sentence) must stand in the passage. Its numbers: each must stand there too, or be the paper's
year or part of its name. What fails is marked, with the reason, and is no citation. What is not checked: that a
quotation means what the words around it make of it. See docs/citations.md.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from assistant.claims import MARKER, QUOTED, claims, quotes_in, sentences
from assistant.models import Annotation, Artifact, Conversation, ToolCall
from corpus.models import Passage
from corpus.quotes import stands_in

__all__ = ["LITERATURE", "MARKER", "Reference", "claims", "numbered", "numbers_in", "references", "resolve"]

LITERATURE = ("search_literature", "read_paper", "compare_papers")  # tools whose results are words, and open as such
ENOUGH_WORDS = 3  # in a claim without quotation marks: "and" or "No" stands in nearly every passage
NUMBER = re.compile(r"(?<![A-Za-z_])(?:\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d+)?)")

Reference = dict[str, Any]


@dataclass(slots=True)
class _Found:
    """A reference, the text that holds the numbers its sentence may state, and whether that is the literature's."""

    reference: Reference
    text: str = ""
    literature: bool = False


def references(text: str, conversation: Conversation) -> list[Reference]:
    """What each marker of the text opens, in order, with its number `n` and whether it was verified."""
    evidence = _Evidence(conversation)
    found = [evidence.find(ref, sentence) for ref, sentence in claims(text)]
    left = iter(found)
    for sentence in sentences(text):
        for words, count in sentence.parts:
            _check_numbers(words, [next(left) for _ in range(count)])
    return _with_numbers(found)


def resolve(pairs: list[tuple[str, str]], conversation: Conversation) -> list[Reference]:
    """A reference for each (ref, sentence), in order, checked and numbered like those of an answer."""
    evidence = _Evidence(conversation)
    found = [evidence.find(ref, sentence) for ref, sentence in pairs]
    for (_, sentence), one in zip(pairs, found, strict=True):
        _check_numbers(sentence, [one])
    return _with_numbers(found)


def numbers_in(text: str) -> dict[str, Decimal]:
    """{as written: value} of the numbers in a text: 61 and 61.00 are one value. Digits inside names (F1) are none."""
    return {match[0]: Decimal(match[0].replace(",", "")) for match in NUMBER.finditer(text)}


def _check_numbers(words: str, found: Sequence[_Found]) -> None:
    """A number that no evidence behind these words holds makes what they cite of the literature unsupported."""
    cited = [one for one in found if one.literature and one.reference["verified"]]
    held = {value for one in found for value in numbers_in(one.text).values()}
    missing = [written for written, value in numbers_in(words).items() if value not in held]
    for one in cited if missing else ():
        one.reference.update(verified=False, reason=f"Unsupported: {missing[0]} does not stand in the passage.")


def _with_numbers(found: Iterable[_Found]) -> list[Reference]:
    """The references, the same evidence twice with the same number `n`."""
    numbers: dict[tuple[str, str, bool], int] = {}
    listed = [one.reference for one in found]
    for reference in listed:
        same = (reference["ref"], reference.get("quote", ""), reference["verified"])
        reference["n"] = numbers.setdefault(same, len(numbers) + 1)
    return listed


class _Evidence:
    """What the sentences of one conversation may stand on. Every look-up is within it, and its owner's."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.calls = ToolCall.objects.filter(run__conversation=conversation, state=ToolCall.DONE)

    @cached_property
    def returned(self) -> set[str]:
        """The passages that a literature tool has shown in this conversation: no other can be cited."""
        results = self.calls.filter(name__in=LITERATURE).values_list("result", flat=True)
        return {passage["ref"] for result in results for passage in result.get("passages", [])}

    def find(self, ref: str, sentence: str) -> _Found:
        if ref.startswith("p"):
            return self._passage(ref, sentence)
        if ref.startswith("img"):
            return self._mark(ref)
        number, _, item = ref[1:].partition(".")
        call = self.calls.filter(number=int(number)).first()
        if call is None:
            return _missing(ref, "no tool call of this conversation has this number")
        artifact = Artifact.objects.filter(tool_call=call, number=int(item)).first() if item else None
        if item and artifact is None:
            return _missing(ref, "the tool call has no such result")
        reference: Reference = {"ref": ref, "kind": "call", "label": call.name, "tool_call_id": str(call.pk)}
        if artifact is not None:
            reference |= {"kind": artifact.kind, "label": artifact.label, "artifact_id": str(artifact.pk)}
        return _called(call, artifact, reference, sentence)

    def _mark(self, ref: str) -> _Found:
        """What was drawn on an image of this conversation, or came with its file."""
        image, _, number = ref.removeprefix("img").partition(".")
        row = self.conversation.numbered_images.filter(number=int(image)).first()
        mark = Annotation.objects.filter(image=row.image_id, number=int(number)).first() if row else None
        if mark is None:
            return _missing(ref, "nothing of this name is drawn on the images of this conversation")
        reference: Reference = {"ref": ref, "kind": mark.kind, "label": mark.label, "annotation_id": str(mark.pk)}
        return _Found(reference | {"verified": True}, json.dumps(mark.data))

    def _passage(self, ref: str, sentence: str) -> _Found:
        readable = Passage.objects.visible_to(self.conversation.owner_id).select_related("paper")
        passage = readable.filter(pk=int(ref[1:])).first()
        if passage is None or ref not in self.returned:
            return _missing(ref, "this passage was not found by any search of this conversation")
        paper = passage.paper
        reference: Reference = {
            "ref": ref,
            "kind": "passage",
            "passage_id": passage.pk,
            "key": paper.key,
            "title": paper.title,
            "basis": passage.basis,
        }
        reference |= _words(sentence, [passage.text])
        names = f"{paper.year or ''} {paper.title} {paper.model_name} {paper.key}"
        return _Found(reference, f"{passage.text}\n{names}", literature=True)


def _called(call: ToolCall, artifact: Artifact | None, reference: Reference, sentence: str) -> _Found:
    """A tool call as evidence. What it says of the literature is words, and is checked like a passage; a measurement of
    an image is opened, not quoted."""
    said = json.dumps([call.result, artifact.data if artifact else {}], ensure_ascii=False)
    if call.name not in LITERATURE:
        return _Found(reference | {"verified": True}, said)
    lines = [line["text"] for line in call.result.get("statements", [])]
    lines += [*call.result.get("notes", []), call.result.get("summary", "")]
    found = _words(sentence, lines)
    checked = {name: found[name] for name in ("verified", "reason") if name in found}
    return _Found(reference | checked, said, literature=True)


def _missing(ref: str, reason: str) -> _Found:
    return _Found({"ref": ref, "kind": "missing", "label": ref, "verified": False, "reason": f"Unsupported: {reason}."})


def _words(sentence: str, texts: Iterable[str]) -> Reference:
    """Whether all that the sentence quotes stands in one of the texts: `verified`, with the last quotation's place."""
    best: Reference = {}
    for text in texts:
        places = [(quote, stands_in(quote, text)) for quote in quotes_in(sentence)]
        quote, place = next((found for found in places if found[1] is None), places[0])
        if not QUOTED.search(sentence) and len(sentence.split()) < ENOUGH_WORDS:
            place = None
        if place is not None:
            return {"quote": quote, "verified": True, "start": place[0], "end": place[1]}
        best = best or {"quote": quote, "verified": False}
    return (best or {"quote": "", "verified": False}) | {
        "reason": "Unsupported: these words do not stand in the passage."
    }


def numbered(text: str, found: list[Reference]) -> str:
    """The text with `[n]` in place of each marker, as plain Markdown for the API and for exports."""
    numbers = iter(found)

    def number(_: re.Match[str]) -> str:
        reference = next(numbers, None)
        return f"[{reference['n']}]" if reference else ""

    return MARKER.sub(number, text)
