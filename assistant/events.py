"""What an agent says while it works, as typed events, and what a reader makes of them.

An event is recorded as a row (`assistant.models.Event`): kind, payload, and a number that counts up within its run.
Any process can read the rows and get the same transcript. This module imports nothing of ours.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer, in order."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True, slots=True)
class TextRestarted:
    """The step that was being written is written again (its worker died): forget its text so far."""

    kind: ClassVar[str] = "restarted"


@dataclass(frozen=True, slots=True)
class ToolRequested:
    """The model asks for a tool. `call_id` is the model's own id; `number` counts calls in the conversation."""

    kind: ClassVar[str] = "requested"
    call_id: str
    name: str
    arguments: dict[str, Any]
    number: int = 0


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A worker has begun this call; `at` is its own clock, ISO 8601."""

    kind: ClassVar[str] = "started"
    number: int
    at: str


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """`state` is done, failed or declined; `summary` is one line for the page; `seconds` true working time."""

    kind: ClassVar[str] = "finished"
    number: int
    state: str
    summary: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ApprovalAsked:
    """The run waits for a person to allow this call."""

    kind: ClassVar[str] = "approval"
    number: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The run is done; `text` is the whole answer with its evidence markers."""

    kind: ClassVar[str] = "answered"
    text: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The run ended without an answer: `reason` is cancelled or failed, `line` says what happened and what to do."""

    kind: ClassVar[str] = "stopped"
    reason: str
    line: str


@dataclass(frozen=True, slots=True)
class Spent:
    """The tokens of one message of the model, where its server counts them. Kept on the run, not among its events."""

    input_tokens: int
    output_tokens: int


AgentEvent = TextDelta | TextRestarted | ToolRequested | ToolStarted | ToolFinished | ApprovalAsked | Answered | Stopped
LAST = frozenset({Answered.kind, Stopped.kind})


UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(value: Any) -> Any:
    """JSON without what PostgreSQL refuses to keep: NUL, lone halves of surrogate pairs, NaN and infinity. Models do
    send them."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):
        return UNSTORABLE.sub("", value)
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value


def payload(event: AgentEvent) -> dict[str, Any]:
    body: dict[str, Any] = storable(asdict(event))
    return body


@dataclass(slots=True)
class Text:
    """One step's words."""

    text: str = ""


@dataclass(slots=True)
class Step:
    """One tool call as the reader sees it. `state`: requested, approval, running, done, failed, declined."""

    number: int
    name: str
    arguments: dict[str, Any]
    state: str = "requested"
    started_at: str = ""
    summary: str = ""
    seconds: float | None = None


@dataclass(slots=True)
class Transcript:
    """The state of a run after its events up to `seq`: words and tool calls in the order they appeared."""

    parts: list[Text | Step] = field(default_factory=list)
    seq: int = 0
    ended: bool = False
    line: str = ""

    @property
    def text(self) -> str:
        """All the words, steps apart by a blank line."""
        return "\n\n".join(part.text.strip() for part in self.parts if isinstance(part, Text) and part.text.strip())

    def step(self, number: int) -> Step | None:
        return next((part for part in self.parts if isinstance(part, Step) and part.number == number), None)

    def add(self, seq: int, kind: str, payload: dict[str, Any]) -> None:
        """Take in the event with this number; an event seen before changes nothing."""
        if seq <= self.seq:
            return
        self.seq = seq
        match kind:
            case TextDelta.kind:
                self._write(payload["text"])
            case TextRestarted.kind:
                if self.parts and isinstance(self.parts[-1], Text):
                    self.parts.pop()
            case ToolRequested.kind:
                self.parts.append(Step(payload["number"], payload["name"], payload["arguments"]))
            case ToolStarted.kind | ToolFinished.kind | ApprovalAsked.kind:
                self._advance(kind, payload)
            case Answered.kind | Stopped.kind:
                self.ended = True
                self.line = payload.get("line", "")

    def _write(self, text: str) -> None:
        if not self.parts or not isinstance(self.parts[-1], Text):
            self.parts.append(Text())
        last = self.parts[-1]
        assert isinstance(last, Text)
        last.text += text

    def _advance(self, kind: str, payload: dict[str, Any]) -> None:
        step = self.step(payload["number"])
        if step is None:
            return
        if kind == ToolStarted.kind:
            step.state, step.started_at = "running", payload["at"]
        elif kind == ApprovalAsked.kind:
            step.state = "approval"
        else:
            step.state, step.summary, step.seconds = payload["state"], payload["summary"], payload["seconds"]


def transcript(rows: Iterable[tuple[int, str, dict[str, Any]]]) -> Transcript:
    """Fold (seq, kind, payload) rows, in order of seq, into what the reader sees."""
    result = Transcript()
    for seq, kind, body in rows:
        result.add(seq, kind, body)
    return result
