"""Which sentences of an answer about the literature are supported, and which name no source.

Every sentence of such an answer is a claim, but those that claim nothing about the field: headings, questions, a short
lead-in that ends in a colon, what a tool gave as a remark or a reason, and saying that nothing was found. A claim is
supported when all its markers were verified, or when it is a tool's own statement word for word. One without a marker
is marked as unsupported; it is never given a citation.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from assistant.claims import Sentence, sentences
from assistant.evidence import ENOUGH_WORDS, LITERATURE, Reference
from assistant.models import Run
from assistant.tools import TOOLS
from assistant.tools.gate import all_declines
from corpus.quotes import stands_in

NO_SOURCE = "Unsupported: this sentence names no source."
LEAD_IN = 12  # words; a longer sentence says something, whatever it ends with
ABSTAINS = re.compile(
    r"^(?:(?:sorry|unfortunately|however|so)\b,? )?(?:"
    r"i (?:found|find|have|see|give|know of) (?:no|nothing|none)\b|"
    r"i (?:cannot|can't|could not|couldn't|do not|don't|did not|didn't) (?:find|know|see|give|answer|say)\b|"
    r"(?:the|this|our) (?:indexed |stored )?(?:literature|collection|entry|entries|tools?|search(?:es)?|passages?)\b"
    r"[^.]{0,60}\b(?:no|not|nothing|none|neither)\b|"
    r"no (?:passage|paper|entry|evidence|result)s? (?:was|were|in the (?:collection|literature)|answers?)\b|"
    r"there (?:is|are) no (?:passage|paper|entry|result)s?\b|"
    r"research use only\b)",
    re.I,
)

Support = dict[str, Any]


def support(text: str, references: Sequence[Reference], run: Run) -> Support:
    """{"claims", "supported", "unsupported": [{"text", "reason"}]} of an answer about the literature, else empty.

    `references` are those of the text, in order. `unsupported` lists the sentences without a marker: those with one
    have it shown at the marker. An answer is about the literature when its run has asked a tool about it, whatever came
    of that, or when it cites a passage.
    """
    calls = list(run.tool_calls.values_list("name", "text", "result"))
    if not any(name in LITERATURE for name, _, _ in calls) and not any(r["ref"].startswith("p") for r in references):
        return {}
    said = [statement["text"] for _, _, result in calls for statement in result.get("statements", [])]
    remarks = [remark for _, told, result in calls for remark in _remarks(told, result)]
    remarks += all_declines(TOOLS.values(), run.conversation)
    left = iter(references)
    total, supported, unsupported = 0, 0, []
    for sentence in sentences(text):
        cited = [next(left) for _ in range(sentence.marks)]
        if not cited and (_claims_nothing(sentence) or _stands(sentence.words, remarks)):
            continue
        total += 1
        if all(reference["verified"] for reference in cited) if cited else _stands(sentence.words, said):
            supported += 1
        elif not cited:
            unsupported.append({"text": sentence.text, "reason": NO_SOURCE})
    return {"claims": total, "supported": supported, "unsupported": unsupported}


def _claims_nothing(sentence: Sentence) -> bool:
    words = sentence.words
    count = len(words.split())
    return (
        sentence.in_heading
        or count < ENOUGH_WORDS
        or words.endswith("?")
        or (words.endswith(":") and count <= LEAD_IN)
        or bool(ABSTAINS.match(words))
    )


def _stands(words: str, texts: Iterable[str]) -> bool:
    return any(stands_in(words, text) for text in texts)


def _remarks(told: str, result: dict[str, Any]) -> list[str]:
    """What a tool said beside its statements: remarks on them, or why it has none."""
    try:
        reason = json.loads(told).get("reason", "")
    except (ValueError, AttributeError):  # a refusal is plain text
        reason = told
    return [text for text in (*result.get("notes", []), result.get("summary", ""), reason) if text]
