"""More conditions for a question about the literature, as the chat model proposes them."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from assistant import proposals, served
from corpus.browse import State
from corpus.catalogue import PARAMETERS
from corpus.vocabulary import name_of
from inference.errors import InferenceError


@login_required
@require_safe
def facets(request: HttpRequest) -> HttpResponse:
    """Each proposal as a link that adds it to the conditions of the address; asked only when a person wants it."""
    state = State.of(request.GET)
    model = served.default()
    found, line = [], ""
    if model.kind == "guide":
        line = "No chat model is configured: set LIGHTBOX_CHAT (README) to have conditions proposed."
    elif state.q:
        try:
            found = proposals.asked(state.q)
        except InferenceError as error:
            line = str(error)
    names = {facet: name for name, facet in PARAMETERS.items()}
    links = [
        (name_of(value), state.adding(names[facet], value))
        for facet, value in found
        if value not in state.values.get(names[facet], ())
    ]
    context = {"links": links, "line": line, "model": model.label, "state": state}
    template = "corpus/proposals.html#found" if request.headers.get("HX-Request") else "corpus/proposals.html"
    return render(request, template, context)
