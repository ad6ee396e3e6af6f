"""Which models answer, and what is not configured."""

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from assistant import served, tools
from inference.errors import Unavailable


@login_required
@require_safe
def models(request: HttpRequest) -> HttpResponse:
    return render(request, "assistant/models.html", {"tools": tools.status()})


@login_required
@require_safe
def servers(request: HttpRequest) -> HttpResponse:
    """How the model servers are doing. A dead one takes seconds to tell, so the page loads this part by itself. Where
    they stand and what ails them is for staff."""
    found, line = [], ""
    if served.all_servers():
        try:
            found = served.asked_health()
        except Unavailable as error:
            line = str(error)
    context = {"servers": found, "line": line, "details": request.user.is_staff or not settings.MULTI_USER}
    part = "#found" if request.headers.get("HX-Request") else ""
    return render(request, f"assistant/model_servers.html{part}", context)
