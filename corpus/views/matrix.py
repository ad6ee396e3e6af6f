"""Any two facets against each other: as a page, as CSV, and as a picture."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from corpus import catalogue, matrix_drawing
from corpus.browse import TITLES
from corpus.catalogue import PARAMETERS
from corpus.matrix import Matrix, Sides, count
from corpus.vocabulary import Term, term, terms

DRAWN_BAR = 16  # height of the page's sparklines, pixels


@login_required
@require_safe
def matrix(request: HttpRequest) -> HttpResponse:
    """The page; HTMX gets the table and what belongs to it."""
    reader = request.user.pk
    sides = Sides.of(request.GET)
    counted = count(sides, reader)
    swap = bool(request.headers.get("HX-Request")) and not request.headers.get("HX-History-Restore-Request")
    context = {
        "matrix": counted,
        "sides": sides,
        "lines": [(line, matrix_drawing.bars(line, DRAWN_BAR)) for line in counted.lines],
        "spark_width": len(counted.years) * (matrix_drawing.BAR + 1),
        "titles": TITLES,
        "filters": _filters(sides, counted),
        "years": catalogue.years(reader),
        "csv": sides.address("corpus:matrix-csv"),
        "svg": sides.address("corpus:matrix-svg"),
        "swap": swap,
    }
    response = render(request, "corpus/matrix.html#answer" if swap else "corpus/matrix.html", context)
    if swap:
        response["HX-Push-Url"] = sides.address()
    patch_vary_headers(response, ["HX-Request"])
    return response


@login_required
@require_safe
def matrix_csv(request: HttpRequest) -> HttpResponse:
    """The counts for a spreadsheet."""
    counted = count(Sides.of(request.GET), request.user.pk)
    return _file(counted.csv(), "text/csv; charset=utf-8", counted, "csv")


@login_required
@require_safe
def matrix_svg(request: HttpRequest) -> HttpResponse:
    """The picture for a paper or a slide; it needs no style sheet."""
    counted = count(Sides.of(request.GET), request.user.pk)
    page = render(request, "corpus/matrix.svg", {"drawing": matrix_drawing.draw(counted), "bar": matrix_drawing.BAR})
    return _file(page.content.decode(), "image/svg+xml", counted, "svg")


def _file(text: str, kind: str, counted: Matrix, suffix: str) -> HttpResponse:
    name = f"{counted.sides.rows}-by-{counted.sides.columns}.{suffix}"
    return HttpResponse(text, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _filters(sides: Sides, counted: Matrix) -> list[tuple[str, str, list[tuple[Term, bool]]]]:
    """(parameter, title, [(value, chosen)]) of the facets that are neither rows nor columns.

    Anatomy has no vocabulary: a chosen value is kept, a new one is chosen on the browse page.
    """
    filters = []
    for parameter, facet in PARAMETERS.items():
        chosen = sides.state.values.get(parameter, ())
        values = dict.fromkeys([*terms().get(facet, ()), *chosen])
        if values and parameter not in (sides.rows, sides.columns):
            filters.append((parameter, TITLES[parameter], [(term(facet, v), v in chosen) for v in values]))
    return filters
