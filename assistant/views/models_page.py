"""Which models answer, what is not configured, and who may use which."""

import uuid

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from assistant import checkpoint_rows, checkpoints_in_use, model_servers, served, tools
from assistant.models import Conversation, ModelSwitch
from assistant.views.answers import go, problem
from corpus import corrections
from corpus.models import Paper, Passage
from inference.checkpoints import Checkpoint
from inference.errors import Unavailable

ONLY_STAFF = "Only staff switch models on and off here."
KEPT = "Kept: it counts from the next question on."


@login_required
@require_safe
def models(request: HttpRequest) -> HttpResponse:
    """Every checkpoint by what it does, or those of `role`."""
    role = request.GET.get("role", "")
    context: dict[str, object] = {"tools": tools.status(), "role": role, "line": ""}
    try:
        context |= {"groups": checkpoint_rows.grouped(role), "roles": checkpoint_rows.roles_there()}
    except Unavailable as error:
        context["line"] = str(error)
    return render(request, "assistant/models.html", context | {"may_switch": checkpoint_rows.may_switch(request.user)})


@login_required
@require_safe
def checkpoint(request: HttpRequest, key: str) -> HttpResponse:
    """All facts about one, and its own literature."""
    (row,) = checkpoint_rows.rows([_named(key)])
    context: dict[str, object] = {"row": row, "may_switch": checkpoint_rows.may_switch(request.user)}
    if row.paper:
        context |= _literature(row.paper, request.user.pk)
    return render(request, "assistant/model.html", context)


def _named(key: str) -> Checkpoint:
    """Raises Http404."""
    found = checkpoints_in_use.catalogue().get(key)
    if found is None:
        raise Http404
    return found


def _literature(paper: Paper, reader: int | None) -> dict[str, object]:
    passages = paper.passages.visible_to(reader).filter(current=True).exclude(kind=Passage.Kind.FULL_TEXT)
    return {"passages": passages, "labels": corrections.shown_labels(paper, reader)}


@login_required
@require_POST
def switch(request: HttpRequest, key: str) -> HttpResponse:
    """Allow a checkpoint to everyone here, or not: `on` is 1 or 0."""
    found = _named(key)
    if not checkpoint_rows.may_switch(request.user):
        return problem(request, 403, ONLY_STAFF)
    assert isinstance(request.user, User)
    on = request.POST.get("on") == "1"
    ModelSwitch.objects.update_or_create(key=found.key, defaults={"on": on, "by": request.user})
    if not request.headers.get("HX-Request"):
        return go(request, reverse("model", args=[found.key]))
    (row,) = checkpoint_rows.rows([found])
    return render(request, "assistant/model_row.html", {"row": row, "may_switch": True})


@login_required
def of_chat(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """Which checkpoint a chat uses for what, where it has a choice. htmx gets the form alone."""
    conversation = get_object_or_404(Conversation.objects.visible_to(request.user), pk=conversation_id)
    said = ""
    if request.method == "POST":
        if line := checkpoint_rows.choose(conversation, request.POST.dict()):
            return problem(request, 422, line)
        if not request.headers.get("HX-Request"):
            return go(request, reverse("chat", args=[conversation.pk]))
        said = KEPT
    context = {"conversation": conversation, "choosings": list(checkpoint_rows.choosings(conversation)), "said": said}
    part = request.headers.get("HX-Request")
    return render(request, "assistant/chat_models_form.html" if part else "assistant/chat_models.html", context)


@login_required
@require_safe
def servers(request: HttpRequest) -> HttpResponse:
    """How the model servers are doing. A dead one takes seconds to tell, so the page loads this part by itself. Where
    they stand and what ails them is for staff."""
    found, line = [], ""
    if model_servers.all_servers():
        try:
            found = served.asked_health()
        except Unavailable as error:
            line = str(error)
    context = {"servers": found, "line": line, "details": request.user.is_staff or not settings.MULTI_USER}
    part = "#found" if request.headers.get("HX-Request") else ""
    return render(request, f"assistant/model_servers.html{part}", context)
