"""Secrets that let someone in. Only their digests are kept."""

import hashlib
import secrets
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone

SIGN_IN_VALID = timedelta(days=1)


def digest(secret: str) -> str:
    """SHA-256 is enough: the secrets are 256 random bits, not passwords."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Secret(models.Model):
    """Something that lets a user in. `issue` returns it; it can be read only then."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True

    @classmethod
    def issue(cls, user: User) -> str:
        secret = secrets.token_urlsafe(32)
        cls._default_manager.create(user=user, digest=digest(secret))
        return secret


class ApiToken(Secret):
    """A bearer token for the API."""

    def __str__(self) -> str:
        return f"API token of {self.user}"


class SignInToken(Secret):
    """The one-time token in the link that `manage.py serve` prints in single-user mode."""

    def __str__(self) -> str:
        return f"sign-in link of {self.user}"

    @classmethod
    def redeem(cls, secret: str) -> User | None:
        """The user of this token, once: the row that is deleted is the proof that nobody else used it."""
        rows = cls.objects.filter(digest=digest(secret), created_at__gt=timezone.now() - SIGN_IN_VALID)
        found = rows.select_related("user").first()
        if found is None or not rows.delete()[0]:
            return None
        return found.user if found.user.is_active else None
