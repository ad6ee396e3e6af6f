"""Sets of a user's own images: made, filled and deleted on one page each. What is normal is for the user to say."""

import uuid

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from assistant.models import Image, ImageSet, ImageSetItem
from assistant.views.answers import go, problem
from inference.anomaly import LEAST

A_PAGE = 60
NAME = 120
NAME_IT = "Give the set a name of at most 120 characters."
TAKEN = "You have a set of this name already: choose another name, or open that set."


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def image_sets(request: HttpRequest) -> HttpResponse:
    """The user's sets; POST `name` makes one."""
    assert isinstance(request.user, User)
    if request.method == "POST":
        name = " ".join(request.POST.get("name", "").replace("\x00", "").split())
        if not name or len(name) > NAME:
            return problem(request, 422, NAME_IT)
        made, new = ImageSet.objects.get_or_create(owner=request.user, name=name)
        return go(request, reverse("image-set", args=[made.pk])) if new else problem(request, 422, TAKEN)
    return render(
        request,
        "assistant/image_sets.html",
        {"sets": ImageSet.objects.visible_to(request.user).prefetch_related("items"), "least": LEAST},
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def image_set(request: HttpRequest, set_id: uuid.UUID) -> HttpResponse:
    """The user's images with a box each; POST `shown` and `image` puts in and takes out those of one page."""
    found = get_object_or_404(ImageSet.objects.visible_to(request.user), pk=set_id)
    mine = Image.objects.visible_to(request.user)
    page = Paginator(mine.exclude(preview=""), A_PAGE).get_page(request.GET.get("page"))
    if request.method == "POST":
        shown = set(mine.filter(pk__in=_ids(request.POST.getlist("shown"))).values_list("pk", flat=True))
        _fill(found, shown, shown & set(_ids(request.POST.getlist("image"))))
        return go(request, f"{reverse('image-set', args=[found.pk])}?page={page.number}")
    chosen = set(found.items.values_list("image_id", flat=True))
    context = {"set": found, "page": page, "chosen": chosen, "count": len(chosen), "least": LEAST}
    return render(request, "assistant/image_set.html", context)


@transaction.atomic
def _fill(found: ImageSet, shown: set[uuid.UUID], wanted: set[uuid.UUID]) -> None:
    """Of the images that were shown, those that are wanted lie in the set; labels of those that stay are kept."""
    found.items.filter(image__in=shown - wanted).delete()
    kept = set(found.items.filter(image__in=wanted).values_list("image_id", flat=True))
    ImageSetItem.objects.bulk_create([ImageSetItem(image_set=found, image_id=key) for key in wanted - kept])


def _ids(given: list[str]) -> list[uuid.UUID]:
    found = []
    for text in given[: 2 * A_PAGE]:
        try:
            found.append(uuid.UUID(text))
        except ValueError:
            continue
    return found


@login_required
@require_POST
def delete(request: HttpRequest, set_id: uuid.UUID) -> HttpResponse:
    """The set goes, its images stay."""
    get_object_or_404(ImageSet.objects.visible_to(request.user), pk=set_id).delete()
    return go(request, reverse("image-sets"))
