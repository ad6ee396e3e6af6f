"""A run while it happens, as a stream of HTML; and the button that stops it."""

import uuid
from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST, require_safe

from assistant import events, follow, rendering, runs
from assistant.models import Run, ToolCall
from assistant.views.answers import go, problem


def sse(event: str, html: str, seq: int | None = None) -> str:
    """One server-sent event. The lines of the HTML become data lines, joined again by the browser."""
    head = f"id: {seq}\n" if seq is not None else ""
    data = "".join(f"data: {line}\n" for line in html.splitlines() or [""])
    return f"{head}event: {event}\n{data}\n"


def cursor(request: HttpRequest) -> int:
    """The last event the page has: what the browser says when it reconnects, else what the page was rendered at."""
    numbers = (request.headers.get("Last-Event-ID", ""), request.GET.get("after", ""))
    return max((int(n) for n in numbers if n.isascii() and n.isdecimal() and len(n) < 10), default=0)


@login_required
@require_GET
async def run_events(request: HttpRequest, run_id: uuid.UUID) -> HttpResponseBase:
    user = await request.auser()
    run = await Run.objects.visible_to(user).select_related("conversation", "answer").filter(pk=run_id).afirst()
    if run is None:
        return HttpResponseNotFound("There is no such run.")
    response = StreamingHttpResponse(_stream(run, cursor(request)), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache"
    response["X-Accel-Buffering"] = "no"
    return response


async def _stream(run: Run, after: int) -> AsyncIterator[str]:
    transcript = await sync_to_async(run.transcript)(upto=after)
    seen = rendering.blocks(run.pk, transcript)
    yield ": connected\n\n"
    async for rows in follow.follow_batches(run.pk, transcript.seq):
        for row in rows:
            transcript.add(*row)
        if transcript.ended:
            break
        if not rows:
            yield ": still here\n\n"
            continue
        now = rendering.blocks(run.pk, transcript)
        html: str = await sync_to_async(_news)(run, seen, now, [kind for _, kind, _ in rows])
        seen = now
        if html:
            yield sse("update", html, transcript.seq)
    # The end is worked out from the rows, so a page that connects after it gets the same.
    yield sse("update", await sync_to_async(rendering.end_html)(run.pk), transcript.seq)
    yield sse("end", "", transcript.seq)


def _news(run: Run, seen: list[rendering.Block], now: list[rendering.Block], kinds: list[str]) -> str:
    """The difference; and when a tool has finished, the image pane, which may have a new mask."""
    html = str(rendering.difference(run, seen, now))
    if events.ToolFinished.kind in kinds:
        html += rendering.pane_html(run.conversation, oob=True)
    return html


@login_required
@require_POST
def cancel(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Stop. The page learns of it from its stream; without script it is shown again."""
    run = get_object_or_404(Run.objects.visible_to(request.user), pk=run_id)
    runs.cancel(run)
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204)
    return go(request, reverse("chat", args=[run.conversation_id]) + "#end")


@login_required
@require_POST
def decide(request: HttpRequest, run_id: uuid.UUID, number: int) -> HttpResponse:
    """Allow or decline a tool call that waits for it. A second click changes nothing."""
    run = get_object_or_404(Run.objects.visible_to(request.user), pk=run_id)
    call = get_object_or_404(run.tool_calls, number=number)
    if not runs.decide(call, allowed=request.POST.get("allow") == "yes"):
        return problem(request, 409, "This call no longer waits for an answer.")
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204)
    return go(request, reverse("chat", args=[run.conversation_id]) + "#end")


@login_required
@require_safe
def tool_call(request: HttpRequest, call_id: uuid.UUID) -> HttpResponse:
    calls = ToolCall.objects.filter(run__in=Run.objects.visible_to(request.user))
    call = get_object_or_404(calls.select_related("run__conversation"), pk=call_id)
    part = request.headers.get("HX-Request")
    return render(request, "assistant/tool_call.html" if part else "assistant/tool_call_page.html", {"call": call})


@login_required
@require_safe
def numbered_call(request: HttpRequest, run_id: uuid.UUID, number: int) -> HttpResponse:
    """The same, by its number: what a live step knows."""
    calls = ToolCall.objects.filter(run__in=Run.objects.visible_to(request.user), run_id=run_id)
    return tool_call(request, get_object_or_404(calls, number=number).pk)
