"""The registry of tools, and the one place where a call is carried out."""

import json
import logging
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import ValidationError

from assistant import checkpoints_in_use
from assistant.burned_in import why_held
from assistant.events import storable
from assistant.models import Conversation, ToolCall
from assistant.tools import (
    ask_image,
    classify,
    compare_images,
    compare_papers,
    describe_image,
    detect_objects,
    draft_report,
    enlarge_image,
    find_anomalies,
    find_images,
    gate,
    ground,
    measure_region,
    read_paper,
    register_images,
    report_findings,
    search_literature,
    second_opinions,
    segment,
    synthesise_image,
)
from assistant.tools.base import EXPERT, Arguments, Context, Declined, ImageArguments, NewArtifact, Tool, ToolResult
from inference.errors import BadInput, InferenceError

log = logging.getLogger("lightbox.tools")

TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        describe_image.TOOL,
        segment.TOOL,
        measure_region.TOOL,
        classify.TOOL,
        ask_image.TOOL,
        ground.TOOL,
        report_findings.TOOL,
        second_opinions.TOOL,
        compare_images.TOOL,
        register_images.TOOL,
        find_images.SIMILAR,
        find_images.TEXT,
        find_anomalies.TOOL,
        detect_objects.TOOL,
        enlarge_image.TOOL,
        synthesise_image.TOOL,
        search_literature.TOOL,
        read_paper.TOOL,
        compare_papers.TOOL,
        draft_report.TOOL,
    )
}


class Status(NamedTuple):
    name: str
    description: str
    ready: bool
    line: str


def status() -> list[Status]:
    """Every tool, whether it can be used now, and if not, the line that configures it."""
    lines = {tool.name: _missing(tool) for tool in TOOLS.values()}
    return [Status(t.name, t.description, not lines[t.name], lines[t.name]) for t in TOOLS.values()]


def _missing(tool: Tool) -> str:
    try:
        return tool.missing()
    except InferenceError as error:  # a catalogue that cannot be read: the page says it, and lists the other tools
        return str(error)


def check_arguments(name: str, arguments: dict[str, Any]) -> str:
    """Nothing when this call is well-formed, else one line for the model."""
    tool = TOOLS.get(name)
    if tool is None:
        return f"There is no tool {name!r}. Tools: {', '.join(TOOLS)}."
    try:
        tool.arguments.model_validate(arguments)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors())
        return f"The arguments of {name} do not fit its schema: {wrong}."
    return ""


def queue_of(name: str, arguments: dict[str, Any], conversation: Conversation) -> str:
    """Where a well-formed call is carried out: one that needs a checkpoint with weights waits for another worker."""
    tool = TOOLS[name]
    made = tool.arguments.model_validate(arguments)
    if not (role := tool.role(made)):
        return tool.queue
    try:
        if tool.choose:
            found = tool.choose(conversation, made)
        else:
            found = checkpoints_in_use.choose(role, name, conversation, getattr(made, "model", ""))
    except (Declined, InferenceError):  # the call itself will say so
        return tool.queue
    return tool.queue if found.built_in else EXPERT


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call. `text` is what the model reads."""

    state: str
    summary: str
    text: str
    model: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    artifacts: list[NewArtifact] = field(default_factory=list)


def execute(call: ToolCall) -> Outcome:
    """Carry out one call. Every failure becomes an outcome that says in one line what happened and what to do."""
    tool = TOOLS[call.name]
    try:
        arguments = tool.arguments.model_validate(call.arguments)
        if line := tool.missing():
            raise Declined(line)
        context = Context(call)
        _check_held(tool, context, arguments)
        return _done(_on_its_image(tool, context, arguments))
    except (Declined, BadInput) as reason:
        return _ended(ToolCall.DECLINED, str(reason))
    except InferenceError as error:
        log.warning("%s failed: %s", call, error, exc_info=error.__cause__)
        return _ended(ToolCall.FAILED, str(error))
    except Exception:
        log.exception("%s failed", call)
        return _ended(ToolCall.FAILED, f"{call.name} failed by a fault of its own; the log of the worker says more.")


def _on_its_image(tool: Tool, context: Context, arguments: Arguments) -> ToolResult:
    """Run the tool, unless an image of the call is of a kind that it does not work on."""
    if not isinstance(arguments, ImageArguments):
        return tool.run(context, arguments)
    images = [(name, context.image(name)) for name in arguments.names]
    for name, image in images:
        if line := gate.refusal(tool, arguments, image, name):
            raise Declined(line)
    result = tool.run(context, arguments)
    for name, image in images:
        result = gate.with_note(result, tool, arguments, image, name)
    return result


def _check_held(tool: Tool, context: Context, arguments: Arguments) -> None:
    if not tool.shows_a_model or not isinstance(arguments, ImageArguments):
        return
    for name in arguments.names:
        if line := why_held(context.image(name), name):
            raise Declined(line)


def failed(line: str) -> Outcome:
    """A call that is given up from outside."""
    return _ended(ToolCall.FAILED, line)


def _done(result: ToolResult) -> Outcome:
    kept: dict[str, Any] = storable(
        {
            "summary": result.summary,
            "statements": [s.as_dict() for s in result.statements],
            "notes": result.notes,
            "passages": result.passages,
            "table": result.table,
            "answerable": result.answerable,
            "records": result.records,
        }
    )
    return Outcome(ToolCall.DONE, kept["summary"], _for_model(kept), result.model[:200], kept, result.artifacts)


def _ended(state: str, line: str) -> Outcome:
    text = json.dumps({"state": state, "reason": line}, ensure_ascii=False)
    return Outcome(state, line, text, result={"summary": line})


def _for_model(kept: dict[str, Any]) -> str:
    told = {name: value for name, value in kept.items() if value not in ([], "", {}) and name != "records"}
    return json.dumps({"state": "done", **told}, ensure_ascii=False)
