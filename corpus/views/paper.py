"""The page of one paper, and what can be said and corrected on it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_POST, require_safe

from corpus import corrections
from corpus.catalogue import corrected_labels
from corpus.findings import findings
from corpus.graph import graph_of
from corpus.models import Label, Paper, Passage
from corpus.notes import Remark, notes_of
from corpus.related import related
from corpus.vocabulary import name_of

Link = tuple[str, str]  # what is written, and where it leads


def own(request: HttpRequest, key: str) -> Paper:
    """The paper that this reader means by the key. Raises Http404, for another user's as for none."""
    found = Paper.objects.named(key, request.user.pk)
    if found is None:
        raise Http404("There is no such paper.")
    return found


@login_required
@require_safe
def paper(request: HttpRequest, key: str) -> HttpResponse:
    """One paper: what is known of it, and the passages that answers cite. `findings=1` adds its key findings, which is
    all that HTMX gets then."""
    found = own(request, key)
    asked = request.GET.get("findings") == "1"
    if asked and request.headers.get("HX-Request"):
        response = render(request, "corpus/paper_findings.html", {"paper": found, "points": _points(found, request)})
    else:
        response = page(request, found, points=_points(found, request) if asked else None)
    patch_vary_headers(response, ["HX-Request"])
    return response


def page(request: HttpRequest, paper: Paper, status: int = 200, **more: Any) -> HttpResponse:
    """The whole page; `more` is what a refused form says of itself."""
    reader = request.user.pk
    passages = list(paper.passages.visible_to(reader).exclude(kind=Passage.Kind.FULL_TEXT))
    context = {
        "paper": paper,
        "annotation": [p for p in passages if p.current and p.kind == Passage.Kind.ANNOTATION],
        "abstract": [p for p in passages if p.current and p.kind == Passage.Kind.ABSTRACT],
        "facts": [p for p in passages if p.current and p.kind == Passage.Kind.RESULTS],
        "retired": [p for p in passages if not p.current],
        "links": links_of(paper),
        "versions": [_version(version) for version in paper.versions],
        "related": related(paper, reader),
        "graph": graph_of(paper, reader),
        "notes": remarks(request, paper),
        "points": None,
        **labels_context(paper, reader),
        **more,
    }
    return render(request, "corpus/paper.html", context, status=status)


def remarks(request: HttpRequest, paper: Paper) -> list[Remark]:
    """The notes that this person sees."""
    return notes_of(paper, request.user.pk, staff=getattr(request.user, "is_staff", False))


def labels_context(paper: Paper, reader: int | None) -> dict[str, Any]:
    """What the section of labels shows."""
    return {
        "labels": corrections.shown_labels(paper, reader),
        "addable": corrections.addable(),
        "anatomies": sorted(
            Label.objects.standing(reader)
            .filter(facet=Label.Facet.ANATOMY, paper__in=Paper.objects.visible_to(reader))
            .order_by()
            .values_list("value", flat=True)
            .distinct()
        ),
    }


@login_required
@require_POST
def labels(request: HttpRequest, key: str) -> HttpResponse:
    """Strikes out, restores or adds a label, for this reader alone."""
    found = own(request, key)
    reader = request.user.pk
    said = {name: request.POST.get(name, "") for name in ("do", "facet", "value")}
    if "/" in said["value"] and not said["facet"]:  # one list offers the values of every facet
        said["facet"], _, said["value"] = said["value"].partition("/")
    assert reader is not None
    try:
        corrections.correct(found, reader, **said)
    except corrections.Refused as error:
        return refused(request, found, str(error), label_error=str(error))
    if request.headers.get("HX-Request"):
        return render(
            request,
            "corpus/paper_labels.html",
            {"paper": found, "adding": said["do"] == "add", **labels_context(found, reader)},
        )
    return redirect(f"{found.get_absolute_url()}#lit-labels")


def refused(request: HttpRequest, paper: Paper, line: str, **more: Any) -> HttpResponse:
    """422: for HTMX the line, which goes beside the form; without script the page with the line in its place."""
    if request.headers.get("HX-Request"):
        return HttpResponse(line, status=422, content_type="text/plain; charset=utf-8")
    return page(request, paper, status=422, **more)


def _points(paper: Paper, request: HttpRequest) -> list[tuple[str, Any]]:
    reader = request.user.pk
    passages = paper.passages.visible_to(reader).filter(current=True).order_by("kind", "file", "ordinal")
    techniques = corrected_labels(reader).filter(paper=paper, facet=Label.Facet.TECHNIQUE)
    names = [name_of(value) for value in techniques.values_list("value", flat=True)]
    return list(findings(list(passages.select_related("paper")), names).items())


def links_of(paper: Paper) -> list[Link]:
    """Where the paper is found elsewhere: its identifiers at their resolvers, its page and its code."""
    links = identifiers(paper.doi, paper.arxiv_id)
    if re.fullmatch(r"PMC\d+", paper.pmcid):
        links.append((paper.pmcid, f"https://pmc.ncbi.nlm.nih.gov/articles/{paper.pmcid}/"))
    return links + [
        (said, url) for said, url in (("code", paper.code_url), ("page of the paper", paper.url)) if _web(url)
    ]


def identifiers(doi: str, arxiv_id: str) -> list[Link]:
    """Links to the resolvers, for what has the form of an identifier."""
    links = []
    if doi.startswith("10."):
        links.append((f"doi:{doi}", f"https://doi.org/{quote(doi, safe='/:;()')}"))
    if re.fullmatch(r"[\w.-]+(?:/\d+)?", arxiv_id):
        links.append((f"arXiv:{arxiv_id}", f"https://arxiv.org/abs/{arxiv_id}"))
    return links


def _version(version: dict[str, Any]) -> tuple[str, list[Link]]:
    """A further publication of the work: "preprint, arXiv, 2024", and where it is."""
    said = [str(version.get(name) or "") for name in ("kind", "venue", "year")]
    links = identifiers(str(version.get("doi") or ""), str(version.get("arxiv_id") or ""))
    url = str(version.get("url") or "")
    return ", ".join(filter(None, said)), links or ([("page", url)] if _web(url) else [])


def _web(url: str) -> bool:
    return url.startswith(("https://", "http://"))
