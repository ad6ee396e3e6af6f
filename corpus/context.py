"""What every page may ask about its reader's literature."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from corpus.models import Selected


def selection(request: HttpRequest) -> dict[str, object]:
    """`selected`: the primary keys of the papers in the reader's selection; read when a template first looks."""

    def read() -> frozenset[int]:
        reader = request.user.pk if hasattr(request, "user") else None
        return (
            frozenset(Selected.objects.filter(owner=reader).values_list("paper_id", flat=True))
            if reader
            else frozenset()
        )

    return {"selected": SimpleLazyObject(read)}
