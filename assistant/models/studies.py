"""Studies: what belongs together of one examination. A study holds series; a series is an `Image` row."""

import uuid

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import models

Visitor = AbstractBaseUser | AnonymousUser


class StudyQuerySet(models.QuerySet["Study"]):
    def visible_to(self, user: Visitor) -> "StudyQuerySet":
        return self.filter(owner=user.pk) if user.is_authenticated else self.none()


class Study(models.Model):
    """DICOM files of one StudyInstanceUID (`uid`, mapped when cleaned) share one; any other upload makes its own.

    `priors` are earlier studies of the same person, linked by the owner: nothing here guesses who is who.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="studies")
    uid = models.CharField(max_length=64, blank=True)
    name = models.CharField(max_length=200, blank=True, help_text="as its owner calls it, shown to them only")
    priors = models.ManyToManyField("self", symmetrical=False, blank=True, related_name="followed_by")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = StudyQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("owner", "uid"), condition=~models.Q(uid=""), name="one_study_per_uid_and_owner"
            ),
        )

    def __str__(self) -> str:
        return self.name or "Study"
