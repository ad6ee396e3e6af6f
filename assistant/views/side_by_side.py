"""An image on a page of its own, alone or beside a prior; and which studies are priors of which."""

import uuid
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from assistant import pane
from assistant.forms import own_images
from assistant.models import Conversation, Image, Study
from assistant.views.answers import go, problem

ITSELF = "A study cannot be its own prior. Choose another one."
WHAT = "Say what to do with the prior: add or remove."


@login_required
@require_safe
def view(request: HttpRequest, conversation_id: uuid.UUID, image_id: uuid.UUID) -> HttpResponse:
    """An image of the chat, large; `?prior=<image>` puts another of the user's images beside it."""
    conversation = get_object_or_404(Conversation.objects.visible_to(request.user), pk=conversation_id)
    row = get_object_or_404(conversation.numbered_images.select_related("image"), image_id=image_id)
    context: dict[str, Any] = pane.image_pane(conversation, row.image)
    if asked := request.GET.get("prior"):
        prior = next(iter(own_images(request.user, [asked])), None)
        if prior is None:
            return problem(request, 404, "The image to compare with is not there.")
        context["prior"] = pane.image_pane(conversation, prior)
        # Another image of the chat is not called a prior: which of the two is older, nobody has said.
        context["is_prior"] = row.image.study.priors.filter(pk=prior.study_id).exists()
    return render(request, "assistant/compare.html", context)


@login_required
@require_POST
def priors(request: HttpRequest, study_id: uuid.UUID) -> HttpResponse:
    """Link or unlink a study as a prior of this one; both are the user's own. POST `prior`: the study of an image."""
    study = get_object_or_404(Study.objects.visible_to(request.user), pk=study_id)
    image = next(iter(own_images(request.user, [request.POST.get("prior", "")])), None)
    if image is None:
        return problem(request, 404, "The image to compare with is not there.")
    if image.study_id == study.pk:
        return problem(request, 422, ITSELF)
    if request.POST.get("do") == "add":
        study.priors.add(image.study)
    elif request.POST.get("do") == "remove":
        study.priors.remove(image.study)
    else:
        return problem(request, 422, WHAT)
    return go(request, _back(request, study, image))


def _back(request: HttpRequest, study: Study, prior: Image) -> str:
    """To the two beside one another, or to where the form stood."""
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, None):
        return reverse("home")
    return f"{back}?prior={prior.pk}" if request.POST.get("do") == "add" else back
