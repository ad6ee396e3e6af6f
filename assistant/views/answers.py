"""How views answer besides a page: one line that says what is wrong, or where to go on."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django_htmx.http import HttpResponseClientRedirect


def problem(request: HttpRequest, status: int, line: str) -> HttpResponse:
    """One sentence with its status: shown in place by htmx, on a page of its own without."""
    if request.headers.get("HX-Request"):
        return HttpResponse(line, status=status, content_type="text/plain; charset=utf-8")
    return render(request, "problem.html", {"line": line, "status": status}, status=status)


def go(request: HttpRequest, to: str) -> HttpResponse:
    """A redirect, for a form sent with or without htmx."""
    if request.headers.get("HX-Request"):
        return HttpResponseClientRedirect(to)
    return redirect(to)
