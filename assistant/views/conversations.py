"""Chats: the page, and what one does to a chat. Every lookup is within the user's own."""

import uuid

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRefresh

from assistant import pane, rendering, runs, served, uploads
from assistant.forms import MessageForm, TitleForm, own_images
from assistant.models import Conversation, Message, Run
from assistant.views.answers import go, problem
from inference.errors import InferenceError

BUSY_ELSEWHERE = "Another question of this chat is being answered. Reload the page to see it."
MATCHES_SHOWN, ALL_SHOWN = 50, 500


def own(request: HttpRequest, conversation_id: uuid.UUID) -> Conversation:
    return get_object_or_404(Conversation.objects.visible_to(request.user), pk=conversation_id)


@login_required
@require_safe
def chat(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    conversation = own(request, conversation_id)
    latest = conversation.messages.filter(role=Message.ASSISTANT).order_by("-created_at").first()
    model, note = served.chosen(conversation.chat_model)
    context = {
        "conversation": conversation,
        "chat": model,
        "chat_note": note,
        "turns": rendering.turns(conversation),
        # After the turns: a run that ends in between is shown with its stream, whose end brings the right button.
        "active_run": conversation.runs.active().first(),
        "attached": own_images(request.user, request.GET.getlist("image")),
        **pane.image_pane(conversation),
        **pane.sources_pane(latest),
    }
    return render(request, "assistant/chat.html", context)


def create(request: HttpRequest) -> HttpResponse:
    """A new chat with its first question. `sample=1` attaches the bundled radiograph."""
    assert isinstance(request.user, User)
    form = MessageForm(request.POST, request.user)
    if not form.is_valid():
        return problem(request, 422, form.line)
    images = form.images
    if request.POST.get("sample"):
        try:
            images = [uploads.sample(request.user), *images]
        except InferenceError as error:
            return problem(request, 503, str(error))
    conversation = Conversation.objects.create(owner=request.user, chat_model=form.cleaned_data["chat_model"] or "")
    try:
        runs.ask(conversation, form.cleaned_data["text"], images)
    except runs.Refused as error:
        conversation.delete()
        return problem(request, 422, str(error))
    return go(request, reverse("chat", args=[conversation.pk]))


@login_required
@require_POST
def send(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """The next question. htmx gets the new turn, appended to the page; without script the page is shown again."""
    conversation = own(request, conversation_id)
    form = MessageForm(request.POST, request.user)
    if not form.is_valid():
        return problem(request, 422, form.line)
    behind = _behind(request, conversation)
    conversation.choose_model(form.cleaned_data["chat_model"])
    try:
        run = runs.ask(conversation, form.cleaned_data["text"], form.images)
    except runs.Refused as error:
        return problem(request, 422, str(error))
    except runs.Busy as error:
        return problem(request, 409, BUSY_ELSEWHERE if behind else str(error))
    if not request.headers.get("HX-Request"):
        return go(request, reverse("chat", args=[conversation.pk]) + "#end")
    if behind:
        return HttpResponseClientRefresh()
    return render(request, "assistant/sent.html", sent(run, bool(form.images)))


def _behind(request: HttpRequest, conversation: Conversation) -> bool:
    """Whether the chat went on in another tab: `known` is the last question the page shows."""
    last = conversation.messages.filter(role=Message.USER).order_by("-created_at").first()
    known = request.POST.get("known")
    return known is not None and last is not None and known != str(last.pk)


def sent(run: Run, with_images: bool) -> dict[str, object]:
    conversation = run.conversation
    context: dict[str, object] = {
        "conversation": conversation,
        "turn": rendering.turn(run.message, rendering.names_of(conversation), [rendering.run_html(run)]),
        "active_run": run if run.is_active else None,  # it may have ended while it was rendered
    }
    if with_images:
        context["pane"] = rendering.pane_html(conversation, oob=True)
    return context


@login_required
@require_POST
def rename(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    conversation = own(request, conversation_id)
    form = TitleForm(request.POST)
    if not form.is_valid():
        return problem(request, 422, form.line)
    conversation.title = form.cleaned_data["title"]
    conversation.save(update_fields=["title"])
    return go(request, reverse("chat", args=[conversation.pk]))


@login_required
@require_POST
def delete(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    conversation = own(request, conversation_id)
    for run in conversation.runs.active():
        runs.cancel(run)
    conversation.delete_with_files()
    return go(request, reverse("home"))


@login_required
def chats(request: HttpRequest) -> HttpResponse:
    """GET lists the chats, all or those with the words of `q`; POST starts a new one."""
    if request.method == "POST":
        return create(request)
    words = request.GET.get("q", "").strip()[:200]
    found = Conversation.objects.visible_to(request.user).matching(words)
    context = {"found": found[: MATCHES_SHOWN if words else ALL_SHOWN], "words": words}
    part = request.headers.get("HX-Target") == "chat-list"
    return render(request, "assistant/chat_list.html" if part else "assistant/chats.html", context)
