"""What every page shows: which chat model answers and where, and the user's conversations."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from assistant import served
from assistant.models import Conversation


def page(request: HttpRequest) -> dict[str, Any]:
    if not getattr(request, "user", None) or not request.user.is_authenticated:
        return {"multi_user": settings.MULTI_USER}
    choices = served.choices()
    return {
        "multi_user": settings.MULTI_USER,
        "chat": choices[0],
        "chat_choices": choices,
        "some_leave": any(not choice.is_local for choice in choices),
        "conversations": Conversation.objects.visible_to(request.user)[:50],
    }
