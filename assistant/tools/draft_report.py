"""A report drafted from the results at hand: every sentence is a statement of a tool and keeps its evidence.

Nothing is concluded that no tool has stated. Where no trained model has looked for findings, the impression says so.
"""

from typing import Any

from pydantic import Field

from assistant import marks
from assistant.models import Artifact, ToolCall
from assistant.tools import report_findings
from assistant.tools.base import Arguments, Context, Declined, NewArtifact, Statement, Tool, ToolResult

EXAMINATION, FINDINGS, IMPRESSION, LITERATURE = "Examination", "Findings", "Impression", "Literature"
SECTION_OF = {
    "describe_image": EXAMINATION,
    "segment": FINDINGS,
    "measure_region": FINDINGS,
    "classify": FINDINGS,
    "ask_image": FINDINGS,
    "report_findings": FINDINGS,
    "ground": FINDINGS,
    "search_literature": LITERATURE,
    "read_paper": LITERATURE,
    "compare_papers": LITERATURE,
}
TRAINED = ("classify", "ask_image", "ground", "report_findings")


class DraftArguments(Arguments):
    title: str = Field(default="Draft report", min_length=1, max_length=200)


Sentence = dict[str, object]


def _sentence(text: str, *refs: str) -> Sentence:
    return {"text": text, "refs": list(refs)}


def _impression(calls: list[ToolCall]) -> list[Sentence]:
    trained = [call for call in calls if call.name in TRAINED]
    said = [_sentence(one["text"], one["ref"]) for call in trained for one in _summing_up(call)]
    if said:
        return [*said, _sentence("These are outputs of models; a qualified person has to confirm them.")]
    return [
        _sentence("No trained model has looked for findings, so this draft states no impression about disease."),
        _sentence("It describes the image and its measurements only."),
    ]


def _summing_up(call: ToolCall) -> list[dict[str, Any]]:
    """The sentences that a call calls its impression; else its first."""
    said = call.result.get("statements", [])
    return _impressions(call) or said[:1]


def _impressions(call: ToolCall) -> list[dict[str, Any]]:
    """Of a model that writes both, the sentences that stand under the impression and not under the findings."""
    if call.name != report_findings.TOOL.name:
        return []
    mark = f"{call.model}{report_findings.IMPRESSION}"
    return [one for one in call.result.get("statements", []) if one["text"].startswith(mark)]


def sections(calls: list[ToolCall], names: dict[Any, str]) -> list[dict[str, Any]]:
    """Findings and impression from finished calls, in order; sections without a sentence are left out."""
    found: dict[str, list[Sentence]] = {EXAMINATION: [], FINDINGS: [], IMPRESSION: _impression(calls), LITERATURE: []}
    for call in calls:
        said = [one for one in call.result.get("statements", []) if one not in _impressions(call)]
        for statement in [*said, *marks.corrections(call, names)]:
            found[SECTION_OF[call.name]].append(_sentence(statement["text"], statement["ref"]))
        found[SECTION_OF[call.name]] += [_sentence(note, f"c{call.number}") for note in call.result.get("notes", [])]
    if not found[FINDINGS]:
        found[FINDINGS] = [_sentence("No finding was measured or stated by a tool.")]
    return [{"heading": heading, "sentences": lines} for heading, lines in found.items() if lines]


def _results(context: Context) -> list[ToolCall]:
    """The finished calls of this conversation that a report can stand on, the latest of each (tool, arguments)."""
    calls = ToolCall.objects.filter(
        run__conversation=context.conversation.pk, state=ToolCall.DONE, name__in=SECTION_OF
    ).order_by("number")
    latest = {(call.name, str(sorted(call.arguments.items()))): call for call in calls}
    return sorted(latest.values(), key=lambda call: call.number)


def run(context: Context, arguments: DraftArguments) -> ToolResult:
    calls = _results(context)
    if not calls:
        raise Declined("There is nothing to report yet: describe or segment an image, or search the literature, first.")
    numbered = context.conversation.numbered_images.all()
    drafted = sections(calls, {row.image_id: str(row) for row in numbered})
    total = sum(len(section["sentences"]) for section in drafted)
    return ToolResult(
        summary=f"{total} sentences in {len(drafted)} sections",
        statements=[
            Statement(f"The draft is ready: {total} sentences in {len(drafted)} sections.", f"{context.ref}.1")
        ],
        artifacts=[NewArtifact(Artifact.REPORT, arguments.title, data={"title": arguments.title, "sections": drafted})],
        notes=["Every sentence of the draft comes from a tool's result; edit it before any use."],
        model="report template (rules)",
    )


TOOL = Tool(
    name="draft_report",
    description="Draft a report (findings, impression) from the results already at hand in this conversation.",
    arguments=DraftArguments,
    queue="agent",
    run=run,
)
