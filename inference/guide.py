"""The guide: a chat model without weights and without a network, the embedded default.

It follows the same protocol as any chat model of LangChain (messages in, tool calls or words out), so the agent, the
tools and the page are the same with it. It decides by rules, and by sentence similarity where no rule speaks, which of
the bound tools a request needs; it then writes from what they returned and from nothing else, word for word, each
statement with the marker of its evidence. What no tool could do, it says with the tool's own reason.

What it reads of a message: its text, and of `additional_kwargs`: "images", a list of {"name", "attached", "declines"}
with the images of the conversation, in order, `declines` maps tools that do not work on such an image to the reason;
"marks", a list of {"name", "image", "kind", "label", "corrects"} with what people and files have put on them; and
"given", whether the person has made the tool call, so that only the answer is left.
"""

import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolCall,
    ToolCallChunk,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from inference.intents import Request, understand
from inference.types import Embedder

CAPABILITIES = (
    "I answer from tools only. Add an image (PNG, JPEG or DICOM) and ask me to describe it, to outline the lungs on a "
    "chest radiograph or what you mark with a box, points or a lasso, to measure what you drew, to align two images, "
    "to find similar ones among yours, to enlarge one, or to draft a report; or ask about the literature on "
    "vision-language models for medical images: by task or by strategy, about one paper "
    "by its name, or for several side by side."
)
FINISHED = {"finish_reason": "stop"}
NEEDS_IMAGE = "This needs an image. Add one (PNG, JPEG or DICOM) and ask again."
NOT_RECORDED = "not recorded"
AS_RECORDED = "as recorded"  # above the first column: a table head must not be empty
ALONE = "Reported by one of them only:"
NOTHING_FOUND = "The indexed literature holds no passage that answers this, so I give no answer."


@dataclass(slots=True)
class Turn:
    """The last question, and what the tools have answered to it: (name, result) in the order of the calls."""

    request: Request
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    results: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def instead(self) -> list[tuple[str, dict[str, Any]]]:
        """What to ask for in place of the calls that were declined."""
        results = zip(self.asked, self.results, strict=True)
        declined = [call for call, (_, result) in results if result.get("state") == "declined"]
        return [other for call, other in self.request.otherwise if call in declined]


class Guide(BaseChatModel):
    """A deterministic `BaseChatModel`. `embedder` is asked only about requests on which no rule speaks."""

    embedder: Any = None

    @property
    def _llm_type(self) -> str:
        return "lightbox-guide"

    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | Any | BaseTool], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The tools it may call; it never asks for another."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        text, calls = self._reply(messages, _names(kwargs))
        identity = f"guide-{uuid.uuid4()}"
        for word in re.findall(r"\S+\s*|\s+", text):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=word, id=identity))
            if run_manager:
                run_manager.on_llm_new_token(word, chunk=chunk)
            yield chunk
        if calls:
            chunks = [
                ToolCallChunk(name=c["name"], args=json.dumps(c["args"]), id=c["id"], index=i, type="tool_call_chunk")
                for i, c in enumerate(calls)
            ]
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=chunks, id=identity))
        last = AIMessageChunk(content="", id=identity, response_metadata=FINISHED, chunk_position="last")
        yield ChatGenerationChunk(message=last)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text, calls = self._reply(messages, _names(kwargs))
        message = AIMessage(content=text, tool_calls=calls, response_metadata=FINISHED)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _reply(self, messages: list[BaseMessage], tools: list[str]) -> tuple[str, list[ToolCall]]:
        """Words, or the calls to make next: first what looks at images and papers, then what builds on it."""
        embedder: Embedder | None = self.embedder
        turn = _turn(messages, tools, embedder)
        for stage in (turn.request.calls, turn.instead(), turn.request.afterwards):
            open_calls = [call for call in stage if call not in turn.asked]
            if open_calls:
                return "", [_call(name, arguments) for name, arguments in open_calls]
        return _answer(turn), []


def _names(kwargs: dict[str, Any]) -> list[str]:
    return [tool["function"]["name"] for tool in kwargs.get("tools", [])]


def _call(name: str, arguments: dict[str, Any]) -> ToolCall:
    return ToolCall(name=name, args=arguments, id=f"call_{uuid.uuid4().hex[:12]}", type="tool_call")


def _turn(messages: list[BaseMessage], tools: list[str], embedder: Embedder | None) -> Turn:
    last = max((i for i, m in enumerate(messages) if isinstance(m, HumanMessage)), default=None)
    if last is None:
        return Turn(Request())
    question = messages[last]
    images = question.additional_kwargs.get("images", [])
    marks = question.additional_kwargs.get("marks", [])
    asked = str(question.additional_kwargs.get("question", question.text))
    given = question.additional_kwargs.get("given", False)
    before, papers = _before(messages[:last])
    turn = Turn(Request() if given else understand(asked, images, tools, embedder, before, papers, marks))
    results = {m.tool_call_id: str(m.content) for m in messages[last:] if isinstance(m, ToolMessage)}
    for message in messages[last:]:
        for call in message.tool_calls if isinstance(message, AIMessage) else []:
            turn.asked.append((call["name"], call["args"]))
            turn.results.append((call["name"], _result(results.get(call["id"] or "", ""))))
    return turn


def _before(messages: list[BaseMessage]) -> tuple[list[tuple[str, dict[str, Any]]], list[str]]:
    """The calls that were made for the question before, and the keys of the papers that they showed, in order."""
    start = max((i for i, m in enumerate(messages) if isinstance(m, HumanMessage)), default=0)
    asked = [call for m in messages[start:] if isinstance(m, AIMessage) for call in m.tool_calls]
    results = {m.tool_call_id: _result(str(m.content)) for m in messages[start:] if isinstance(m, ToolMessage)}
    shown = [key for call in asked for key in _shown(call["args"], results.get(call["id"] or "", {}))]
    return [(call["name"], call["args"]) for call in asked], list(dict.fromkeys(shown))


def _shown(arguments: dict[str, Any], result: dict[str, Any]) -> list[str]:
    """The papers that a call has shown, by key; one that was read and had no answer by the name it was asked by."""
    if result.get("state") != "done":
        return []
    found = result.get("table", {}).get("keys") or [p.get("key", "") for p in result.get("passages", [])]
    return [key for key in found or [arguments.get("paper", "")] if key]


def _result(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"state": "failed", "reason": text or "No result."}


def _answer(turn: Turn) -> str:
    parts = [*(_paragraph(name, result) for name, result in turn.results), *turn.request.declined]
    if not parts:
        parts = [NEEDS_IMAGE if turn.request.needs_image else CAPABILITIES]
    return "\n\n".join(dict.fromkeys(part for part in parts if part))


def _paragraph(name: str, result: dict[str, Any]) -> str:
    if result.get("state") != "done":
        return str(result.get("reason", "This tool gave no result."))
    write = {"search_literature": _literature, "read_paper": _read, "compare_papers": _compared}.get(name)
    return write(result) if write else " ".join(_sentences(result))


def _sentences(result: dict[str, Any]) -> list[str]:
    """The statements; a marker stands once behind the last of those that share it."""
    said = result.get("statements", [])
    lines = []
    for i, statement in enumerate(said):
        last = i + 1 == len(said) or said[i + 1]["ref"] != statement["ref"]
        lines.append(f"{statement['text']} [[{statement['ref']}]]" if last else statement["text"])
    return [*lines, *result.get("notes", [])]


def _literature(result: dict[str, Any]) -> str:
    passages = result.get("passages", [])
    if not result.get("answerable", True) or not passages:
        return " ".join([NOTHING_FOUND, *result.get("notes", [])])
    return "In the indexed literature:\n\n" + "\n".join(_item(passage) for passage in passages)


def _item(passage: dict[str, Any]) -> str:
    quote = _plain(_straight(passage["quote"]))
    return f"- **{_plain(passage['name'])}** ({_by(passage)}): “{quote}” [[{passage['ref']}]]"


def _by(passage: dict[str, Any]) -> str:
    return ", ".join(str(part) for part in (passage.get("byline"), passage.get("year")) if part)


def _read(result: dict[str, Any]) -> str:
    """One paper: its sentences as a list, then what is not recorded and what they rest on."""
    return "\n\n".join([*_listed(result.get("statements", [])), *result.get("notes", [])])


def _compared(result: dict[str, Any]) -> str:
    """What each paper is, the table, the numbers that stand alone, and what is not recorded."""
    said = result.get("statements", [])
    first = next((i for i, statement in enumerate(said) if statement.get("in_table")), len(said))
    beside = [statement for statement in said[first:] if not statement.get("in_table")]
    parts = [*_listed(said[1:first]), *(_table(result.get("table", {}), said[0]) if said else [])]
    alone = ["\n\n".join([ALONE, *_listed(beside)])] if beside else []
    return "\n\n".join([*parts, *alone, *result.get("notes", [])])


def _listed(statements: list[dict[str, Any]]) -> list[str]:
    return ["\n".join(f"- {_plain(said['text'])} [[{said['ref']}]]" for said in statements)] if statements else []


def _table(table: dict[str, Any], said: dict[str, Any]) -> list[str]:
    """The cells as Markdown, a column for each paper; each value with the marker of what it stands on."""
    if not table.get("rows"):
        return []
    lines = [[AS_RECORDED, *map(_cell, table["columns"])], ["---"] * (len(table["columns"]) + 1)]
    lines += [[_cell(row["title"]), *map(_values, row["cells"])] for row in table["rows"]]
    return [f"{said['text']} [[{said['ref']}]]", "\n".join(f"| {' | '.join(line)} |" for line in lines)]


def _values(values: list[dict[str, str]]) -> str:
    return "; ".join(map(_value, values)) or NOT_RECORDED


def _value(value: dict[str, str]) -> str:
    """The words that stand in the source, in quotation marks, and behind them what is remarked on them."""
    remark = _cell(value["text"].removeprefix(value["quote"]))
    return f"“{_cell(_straight(value['quote']))}” {remark} [[{value['ref']}]]".replace("  ", " ")


def _cell(text: str) -> str:
    return " ".join(_plain(text).replace("|", "\\|").split())


def _straight(text: str) -> str:
    """Quotation marks that do not end the quotation they stand in."""
    return text.replace("“", '"').replace("”", '"')


def _plain(text: str) -> str:
    return re.sub(r"([\\*_`\[\]<>~])", r"\\\1", text)
