"""The reader's selection: papers to compare, export, or write about together."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from corpus import chosen
from corpus.exports import FORMATS
from corpus.models import Paper, Selected


@login_required
@require_safe
def selection(request: HttpRequest) -> HttpResponse:
    """The papers selected, with what can be done with them."""
    context = {"papers": chosen.selection(request.user.pk), "formats": FORMATS}
    return render(request, "corpus/selection.html", context)


@login_required
@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """Selects the papers posted as `paper` (primary keys); those selected already stay where they are."""
    assert request.user.is_authenticated
    papers = _posted(request)
    rows = [Selected(owner=request.user, paper=paper) for paper in papers]
    Selected.objects.bulk_create(rows, ignore_conflicts=True)
    return _answer(request, papers)


@login_required
@require_POST
def remove(request: HttpRequest) -> HttpResponse:
    """Takes the papers posted as `paper` out of the selection."""
    papers = _posted(request)
    Selected.objects.filter(owner=request.user.pk, paper__in=papers).delete()
    return _answer(request, papers)


@login_required
@require_POST
def clear(request: HttpRequest) -> HttpResponse:
    """Empties the selection."""
    Selected.objects.filter(owner=request.user.pk).delete()
    return redirect("corpus:selection")


def _posted(request: HttpRequest) -> list[Paper]:
    """The papers of the form that the reader may see, in the form's order. None of them: 404."""
    keys = [int(pk) for pk in request.POST.getlist("paper") if pk.isascii() and pk.isdigit() and len(pk) < 19]
    rows = Paper.objects.visible_to(request.user.pk).in_bulk(keys)
    if not rows:
        raise Http404("There is no such paper.")
    return [rows[pk] for pk in dict.fromkeys(keys) if pk in rows]


def _answer(request: HttpRequest, papers: list[Paper]) -> HttpResponse:
    """The button as it now stands, for HTMX; else back to the page that the form came from."""
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts=None) or not back.startswith("/"):
        back = reverse("corpus:selection")
    if request.headers.get("HX-Request") and len(papers) == 1:
        return render(request, "corpus/select.html", {"paper": papers[0], "back": back})
    return redirect(back)
