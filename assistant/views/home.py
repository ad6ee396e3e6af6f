"""The first page: a composer, and three real things to try."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from assistant.forms import own_images

TASK_QUESTION = "Which vision-language models generate radiology reports from chest radiographs?"
STRATEGY_QUESTION = "Which papers use prompt learning to adapt CLIP to medical images?"
SAMPLE_QUESTION = "Segment the lungs in this radiograph"


@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """A new chat. `?image=` names uploads that are already there (the way without script)."""
    context = {
        "attached": own_images(request.user, request.GET.getlist("image")),
        "sample_question": SAMPLE_QUESTION,
        "task_question": TASK_QUESTION,
        "strategy_question": STRATEGY_QUESTION,
    }
    return render(request, "assistant/home.html", context)
