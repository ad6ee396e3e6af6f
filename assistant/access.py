"""Who is let in: the one local user of a laptop, by a one-time link; or accounts with passwords."""

from django.conf import settings
from django.contrib.auth.models import User
from django.urls import reverse

from assistant.models import ApiToken, SignInToken

LOCAL_USER = "local"


def local_user() -> User:
    """The single user of single-user mode, made when absent. Has no password: only links and tokens let it in."""
    user, made = User.objects.get_or_create(username=LOCAL_USER)
    if made:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user


def sign_in_link(base_url: str) -> str:
    """A link that signs the local user in, once, within a day."""
    assert not settings.MULTI_USER, "with accounts there is a login page"
    return base_url.rstrip("/") + reverse("sign-in-link", args=[SignInToken.issue(local_user())])


def api_token(username: str | None = None) -> str:
    """A new API token. Raises User.DoesNotExist for a name that is not there."""
    user = local_user() if username in (None, LOCAL_USER) else User.objects.get(username=username)
    return ApiToken.issue(user)
