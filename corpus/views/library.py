"""A user's own papers, and what they have imported; for staff also what was shared with everyone."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from corpus.imports import removal
from corpus.models import Import, PaperQuerySet

PAGE_SIZE = 50
IMPORTS_SHOWN = 20


@login_required
@require_safe
def library(request: HttpRequest) -> HttpResponse:
    """The list; `?of=everyone` for staff, `?q=` for words of the title."""
    everyones = _everyones(request)
    words = request.GET.get("q", "").replace("\0", "").strip()[:200]
    papers = _papers(request, everyones).order_by("-added_at", "title")
    total = papers.count()
    page = Paginator(papers.matching_words(words) if words else papers, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "pages": [(number, _address(everyones, words, number)) for number in page.paginator.page_range],
        "total": total,
        "words": words,
        "everyones": everyones,
        "imports": Import.objects.filter(owner=request.user.pk).defer("report")[:IMPORTS_SHOWN],
        "deleted": _count(request.GET.get("deleted", "")),
    }
    return render(request, "corpus/library.html", context)


@login_required
@require_POST
def delete(request: HttpRequest) -> HttpResponse:
    """Deletes the chosen papers. What is not the user's is passed over, like what does not exist."""
    everyones = _everyones(request)
    chosen = [int(text) for text in request.POST.getlist("paper") if _count(text)]
    deleted = removal.remove(_papers(request, everyones).filter(pk__in=chosen))
    query = ({"of": "everyone"} if everyones else {}) | {"deleted": str(deleted)}
    return redirect(f"{reverse('corpus:library')}?{urlencode(query)}")


def _everyones(request: HttpRequest) -> bool:
    """Whether staff looks at what is shared."""
    user = request.user
    return isinstance(user, User) and user.is_staff and (request.POST or request.GET).get("of") == "everyone"


def _papers(request: HttpRequest, everyones: bool) -> PaperQuerySet:
    assert request.user.pk is not None
    return removal.removable(request.user.pk, everyones=everyones)


def _address(everyones: bool, words: str, page: int) -> str:
    stated = {"of": "everyone" if everyones else "", "q": words, "page": str(page) if page > 1 else ""}
    query = urlencode({name: value for name, value in stated.items() if value})
    return reverse("corpus:library") + (f"?{query}" if query else "")


def _count(text: str) -> int:
    """A small positive number, or 0 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
