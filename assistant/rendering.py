"""Runs as HTML: whole, for a page; and as differences, for a page that follows a run.

A live answer is a list of blocks, each one element with an id of its own, made from the run's transcript alone. What a
stream sends is the difference between the blocks at two numbers, so that a page that has seen the events up to N is the
same however it came there: loaded at N, or loaded earlier and brought forward, in one connection or in five.
"""

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Max, Min, Q
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from assistant import markdown, pane, served
from assistant.chat_setting import ChatSetting
from assistant.claims import MARKER
from assistant.events import Step, Text, TextDelta, ToolRequested, Transcript
from assistant.models import Conversation, Event, Image, Message, Run

UNFINISHED = ("requested", "approval", "running")


@dataclass(frozen=True, slots=True)
class Block:
    """One element of a live answer. Equal blocks look the same."""

    id: str
    content: str | Step


def blocks(run_id: uuid.UUID, transcript: Transcript) -> list[Block]:
    """Steps are one block each; text is cut at blank lines, so that only its last piece is ever sent again."""
    result: list[Block] = []
    for i, part in enumerate(transcript.parts):
        name = f"b{run_id.hex}-{i}"
        if isinstance(part, Step):
            result.append(Block(name, replace(part)))
        else:
            result += [Block(f"{name}-{j}", piece) for j, piece in enumerate(markdown.blocks(part.text))]
    return result


def block_html(run: Run, block: Block) -> SafeString:
    if isinstance(block.content, Step):
        return render_step(run, block.content, block.id)
    return format_html('<div class="prose" id="{}">{}</div>', block.id, markdown.render(block.content, live=True))


def render_step(run: Run, step: Step, block_id: str) -> SafeString:
    return render_to_string("assistant/step.html", {"run": run, "step": step, "id": block_id})


def difference(run: Run, old: Iterable[Block], new: Iterable[Block]) -> SafeString:
    """Out-of-band swaps that turn the old blocks into the new ones: empty when nothing changed."""
    before, after = {b.id: b for b in old}, {b.id: b for b in new}
    html: list[str] = [format_html('<div id="{}" hx-swap-oob="delete"></div>', name) for name in before.keys() - after]
    fresh: list[str] = []
    for name, block in after.items():
        if name not in before:
            fresh.append(block_html(run, block))
        elif block != before[name]:
            html.append(_changed(run, block))
    if fresh:
        parts = mark_safe("".join(fresh))  # noqa: S308 - rendered by block_html
        html.append(format_html('<div hx-swap-oob="beforeend:#run-{}-parts">{}</div>', run.pk, parts))
    return mark_safe("".join(html))  # noqa: S308 - every piece is a SafeString


def _changed(run: Run, block: Block) -> SafeString:
    """Of a step only its line, and whether it asks: whoever has opened it keeps it open."""
    if isinstance(block.content, Step):
        context = {"run": run, "step": block.content, "id": block.id, "oob": True}
        return render_to_string("assistant/step_line.html", context) + render_to_string(
            "assistant/step_ask.html", context
        )
    html = markdown.render(block.content, live=True)
    return format_html('<div class="prose" id="{}" hx-swap-oob="true">{}</div>', block.id, html)


def live_html(run: Run, transcript: Transcript) -> SafeString:
    """A run that is still being answered, and connects to its stream from here on."""
    html = mark_safe("".join(block_html(run, b) for b in blocks(run.pk, transcript)))  # noqa: S308
    context = {"run": run, "parts": html, "live": True, "seq": transcript.seq, "chat": chat_of(run)}
    return render_to_string("assistant/run.html", context)


def finished_html(run: Run, transcript: Transcript, oob: bool = False) -> SafeString:
    """A run that has ended: its steps and words in order, the evidence as chips, what it was made with."""
    context = {
        "run": run,
        "answer": run.answer,
        "parts": mark_safe("".join(_finished_parts(run, transcript))),  # noqa: S308
        "line": transcript.line or (run.answer.note if run.answer else ""),
        "chat": chat_of(run),
        "oob": oob,
        "words": bool(transcript.text or (run.answer and run.answer.text)),
    }
    return render_to_string("assistant/run.html", context)


def _finished_parts(run: Run, transcript: Transcript) -> Iterator[str]:
    answer = run.answer
    whole = answer is not None and _squeezed(answer.text) != _squeezed(transcript.text)
    references = list(answer.references) if answer else []
    taken = 0
    for i, part in enumerate(transcript.parts):
        if isinstance(part, Step):
            state = "stopped" if part.state in UNFINISHED else part.state
            yield render_step(run, replace(part, state=state), f"b{run.pk.hex}-{i}")
        elif not whole:
            yield _prose(part.text, references[taken:], answer)
            taken += len(MARKER.findall(part.text))
    if whole and answer is not None:
        yield _prose(answer.text, references, answer)


def _prose(text: str, references: list[dict[str, Any]], answer: Message | None) -> SafeString:
    unsupported = answer.support.get("unsupported", []) if answer else []
    html = markdown.render(text, references, answer.pk if answer else None, unsupported=unsupported)
    return format_html('<div class="prose">{}</div>', html)


def _squeezed(text: str) -> str:
    return "".join(text.split())


def run_html(run: Run, transcript: Transcript | None = None) -> SafeString:
    """A run as it stands now."""
    transcript = transcript or run.transcript()
    if run.is_active and not transcript.ended:
        return live_html(run, transcript)
    if run.is_active or run.answer is None:
        run.refresh_from_db()  # it ended after the caller had read it
    return finished_html(run, transcript)


def transcripts(conversation: Conversation, runs: Iterable[Run]) -> dict[uuid.UUID, Transcript]:
    """The transcripts of a chat's runs, in two queries however many there are.

    An answer is kept whole beside the pieces it was streamed in, so the pieces are read only of runs that are not over,
    or that spoke before a tool call: there they say what came before what.
    """
    rows = Event.objects.filter(run__conversation=conversation)
    spans = rows.values_list("run_id").annotate(
        said=Min("seq", filter=Q(kind=TextDelta.kind)), asked=Max("seq", filter=Q(kind=ToolRequested.kind))
    )
    spoke_first = {key for key, said, asked in spans if said and asked and said < asked}
    brief = {r.pk: r.answer.text for r in runs if not r.is_active and r.answer and r.pk not in spoke_first}
    found: dict[uuid.UUID, Transcript] = {run.pk: Transcript() for run in runs}
    rows = rows.exclude(Q(kind=TextDelta.kind) & Q(run__in=brief)).order_by("run_id", "seq")
    for key, *row in rows.values_list("run_id", "seq", "kind", "payload"):
        if key in found:
            found[key].add(*row)
    for key, text in brief.items():
        if text:
            found[key].parts.append(Text(text))
    return found


def end_html(run_id: uuid.UUID) -> SafeString:
    """The last message of a stream: the finished answer, and what else on the page depends on it."""
    run = Run.objects.select_related("conversation", "answer", "message").filter(pk=run_id).first()
    if run is None:  # its chat was deleted meanwhile
        return mark_safe("")
    beside = render_to_string("assistant/after_run.html", {"conversation": run.conversation, "oob": True})
    sources = render_to_string("assistant/pane_sources.html", pane.sources_pane(run.answer) | {"oob": True})
    html = [finished_html(run, run.transcript(), oob=True), beside, pane_html(run.conversation, oob=True)]
    if run.answer and run.answer.references:
        html.append(sources)
    return mark_safe("".join(html))  # noqa: S308 - templates


def pane_html(conversation: Conversation, oob: bool = False) -> SafeString:
    return render_to_string("assistant/pane_image.html", pane.image_pane(conversation) | {"oob": oob})


@dataclass(frozen=True, slots=True)
class Model:
    """The chat model of a run, as the page names it."""

    label: str
    where: str


def chat_of(run: Run) -> Model:
    """As it is served now, on however many servers; else as the run has kept it."""
    if run.chat_model and (found := served.serving(run.chat_model)):
        return Model(found.label, found.where)
    try:
        setting = ChatSetting.parse(run.chat_model)
    except ImproperlyConfigured:  # written by an older version, or a stand-in's name
        return Model(run.chat_model, "")
    return Model(setting.label, setting.where)


@dataclass(frozen=True, slots=True)
class Turn:
    """A question with its images, as they are called in this chat, and the runs that it started, each as HTML."""

    message: Message
    images: list[tuple[str, Image]]
    runs: list[SafeString]


def names_of(conversation: Conversation) -> dict[uuid.UUID, str]:
    return {row.image_id: str(row) for row in conversation.numbered_images.all()}


def turn(message: Message, names: dict[uuid.UUID, str], runs: list[SafeString]) -> Turn:
    named = [(name, image) for key, name in names.items() for image in message.images.all() if image.pk == key]
    return Turn(message, named, runs)


def turns(conversation: Conversation) -> list[Turn]:
    """The active branch. An answer is shown by its run, under the question; one without a run stands alone."""
    names = names_of(conversation)
    runs = conversation.runs.select_related("answer", "conversation", "message").prefetch_related("message__images")
    said = transcripts(conversation, runs)
    of_message: dict[uuid.UUID, list[Run]] = {}
    for run in runs:
        of_message.setdefault(run.message_id, []).append(run)
    answered = {run.answer_id for run in runs}
    return [
        turn(m, names, [run_html(run, said[run.pk]) for run in of_message.get(m.pk, [])])
        for m in conversation.branch()
        if m.pk not in answered
    ]
