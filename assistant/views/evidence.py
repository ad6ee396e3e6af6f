"""What a claim opens: a passage with its quote, a mask on its image, a tool call."""

import uuid
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from assistant import pane
from assistant.models import Annotation, Artifact, Conversation, Message


@login_required
@require_safe
def evidence(request: HttpRequest, message_id: uuid.UUID, n: int) -> HttpResponse:
    mine = Message.objects.filter(conversation__in=Conversation.objects.visible_to(request.user))
    message = get_object_or_404(mine.select_related("conversation"), pk=message_id)
    try:
        context = pane.sources_pane(message, n)
    except KeyError as error:
        raise Http404("The answer has no evidence of this number.") from error
    artifact = context["evidence"].get("artifact")
    if (mark := context["evidence"].get("annotation")) is not None:
        return _image(request, message, context, mark)
    if context["opened"]["kind"] in Artifact.ON_IMAGES and artifact is not None and artifact.image is not None:
        return _image(request, message, context, artifact)
    if request.headers.get("HX-Request"):
        return render(request, "assistant/pane_sources.html", context)
    return render(request, "assistant/evidence_page.html", context | {"conversation": message.conversation})


def _image(request: HttpRequest, message: Message, context: dict[str, Any], lit: Artifact | Annotation) -> HttpResponse:
    image = pane.image_pane(message.conversation, lit.image, lit=lit, frame=lit.data.get("frame"))
    if request.headers.get("HX-Request"):
        return render(request, "assistant/pane_image.html", image)
    return render(request, "assistant/evidence_page.html", context | image)


@login_required
@require_safe
def image(request: HttpRequest, conversation_id: uuid.UUID, image_id: uuid.UUID) -> HttpResponse:
    """The image pane with another image of the chat; without script `?frame=` turns its pages."""
    conversation = get_object_or_404(Conversation.objects.visible_to(request.user), pk=conversation_id)
    row = get_object_or_404(conversation.numbered_images.select_related("image"), image_id=image_id)
    given = request.GET.get("frame", "")
    frame = int(given[:9]) if given.isascii() and given.isdigit() else None
    context = pane.image_pane(conversation, row.image, frame=frame)
    template = "pane_image.html" if request.headers.get("HX-Request") else "evidence_page.html"
    return render(request, f"assistant/{template}", context)
