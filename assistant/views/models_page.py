"""Which models answer, and what is not configured."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from assistant import tools


@login_required
@require_safe
def models(request: HttpRequest) -> HttpResponse:
    return render(request, "assistant/models.html", {"tools": tools.status()})
