"""Coming in and going out."""

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from assistant.models import SignInToken

BACKEND = "django.contrib.auth.backends.ModelBackend"


@never_cache
@require_safe
def sign_in_link(request: HttpRequest, token: str) -> HttpResponse:
    """The link that `manage.py serve` prints. It works once."""
    if request.user.is_authenticated and not settings.MULTI_USER:
        return redirect("home")  # opened twice in the same browser: nothing to gain, and nobody is locked out
    user = None if settings.MULTI_USER or request.method == "HEAD" else SignInToken.redeem(token)
    if user is None:
        return render(request, "assistant/link_used.html", status=403)
    login(request, user, backend=BACKEND)
    return redirect("home")


@never_cache
def sign_in(request: HttpRequest) -> HttpResponseBase:
    """With accounts a login form; alone, where to find the link."""
    if settings.MULTI_USER:
        return LoginView.as_view(template_name="assistant/sign_in.html", redirect_authenticated_user=True)(request)
    return render(request, "assistant/sign_in.html")


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("sign-in")
