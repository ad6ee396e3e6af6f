"""Saved searches: kept from the browse page, run again, and what has changed since."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from corpus import saved
from corpus.browse import State, readings
from corpus.models import SavedSearch
from corpus.version import index_version
from inference.errors import Unavailable


@login_required
@require_safe
def searches(request: HttpRequest) -> HttpResponse:
    """The reader's saved searches, newest first."""
    return _list(request)


@login_required
@require_POST
def save(request: HttpRequest) -> HttpResponse:
    """Runs the search that the form states (the fields of the browse page) and keeps it with what it finds."""
    assert request.user.is_authenticated
    state = State.of(request.POST)
    try:
        found = saved.run(state.q, state.facets, state.read, request.user.pk)
    except Unavailable as error:
        return _list(request, f"{error} The search was not saved.", status=503)
    search = SavedSearch.objects.create(
        owner=request.user,
        name=_name(request.POST.get("name", ""), state),
        query=state.q.replace("\0", ""),
        facets=_storable(state.facets.as_dict()),
        read=state.read,
        index_version=index_version(),
        keys=saved.keys_of(found.papers),
    )
    return redirect(search)


@login_required
@require_safe
def search(request: HttpRequest, pk: int) -> HttpResponse:
    """Runs the search again and shows how the answer differs from the one that was kept. Keeps nothing by itself."""
    kept = get_object_or_404(SavedSearch, pk=pk, owner=request.user.pk)
    context: dict[str, Any] = {"search": kept, "stated": readings(kept.facets)}
    try:
        found = saved.run_again(kept, request.user.pk)
    except Unavailable as error:
        return render(request, "corpus/saved_search.html", context | {"error": str(error)}, status=503)
    version = index_version()
    context |= {
        "found": found,
        "difference": saved.difference(kept, found.papers, request.user.pk),
        "version": version,
        "index_changed": version != kept.index_version,
    }
    return render(request, "corpus/saved_search.html", context)


@login_required
@require_POST
def keep(request: HttpRequest, pk: int) -> HttpResponse:
    """Keeps what the search finds now in place of what was kept."""
    kept = get_object_or_404(SavedSearch, pk=pk, owner=request.user.pk)
    try:
        found = saved.run_again(kept, request.user.pk)
    except Unavailable as error:
        return _list(request, f"{error} Nothing was changed.", status=503)
    kept.keys, kept.index_version, kept.ran_at = saved.keys_of(found.papers), index_version(), timezone.now()
    kept.save(update_fields=["keys", "index_version", "ran_at"])
    return redirect(kept)


@login_required
@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Forgets a saved search."""
    get_object_or_404(SavedSearch, pk=pk, owner=request.user.pk).delete()
    return redirect("corpus:saved-searches")


def _list(request: HttpRequest, error: str = "", status: int = 200) -> HttpResponse:
    mine = SavedSearch.objects.filter(owner=request.user.pk)
    return render(request, "corpus/saved_searches.html", {"searches": mine, "error": error}, status=status)


def _name(given: str, state: State) -> str:
    """The name from the form, else the question, else the conditions."""
    name = given.strip() or state.q or ", ".join(readings(state.facets.as_dict())) or "All papers"
    return name.replace("\0", "")[:200]


def _storable(facets: dict[str, Any]) -> dict[str, Any]:
    """Without NUL, which PostgreSQL does not keep."""
    return {
        facet: [value.replace("\0", "") for value in values] if isinstance(values, list) else values
        for facet, values in facets.items()
    }
