"""Notes on a paper: one's own, and those shared with everyone who has signed in."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from corpus.models import Note, Paper
from corpus.notes import wrong
from corpus.storable import storable
from corpus.views.paper import own, refused, remarks


@login_required
@require_POST
def add(request: HttpRequest, key: str) -> HttpResponse:
    """A new note. On a paper of one's own library there is nobody to share it with."""
    paper = own(request, key)
    text = storable(request.POST.get("text", "")).replace("\r\n", "\n").strip()
    shared = request.POST.get("shared") == "1" and paper.owner_id is None
    if line := wrong(text):
        return refused(request, paper, line, note_error=line, note_text=text, note_shared=shared)
    assert request.user.pk is not None
    Note.objects.create(author_id=request.user.pk, paper=paper, text=text, shared=shared)
    return _shown(request, paper)


@login_required
@require_POST
def delete(request: HttpRequest, key: str, pk: int) -> HttpResponse:
    """Deletes one's own note, or, as staff, a shared one."""
    paper = own(request, key)
    found = next((remark for remark in remarks(request, paper) if remark.note.pk == pk), None)
    if found is None or not found.deletable:
        raise Http404("There is no such note.")
    found.note.delete()
    return _shown(request, paper)


def _shown(request: HttpRequest, paper: Paper) -> HttpResponse:
    if request.headers.get("HX-Request"):
        return render(request, "corpus/paper_notes.html", {"paper": paper, "notes": remarks(request, paper)})
    return redirect(f"{paper.get_absolute_url()}#lit-notes")
