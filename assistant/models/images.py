"""Uploaded images. The original is kept as it came; the decoder (a disposable subprocess) makes preview and pixels."""

import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import models

Visitor = AbstractBaseUser | AnonymousUser


def image_folder(image: "Image", name: str) -> str:
    """Server-made: nothing of the user's file name reaches the disk."""
    return f"images/{image.pk.hex[:2]}/{image.pk.hex}/{name}"


class ImageQuerySet(models.QuerySet["Image"]):
    def visible_to(self, user: Visitor) -> "ImageQuerySet":
        return self.filter(owner=user.pk) if user.is_authenticated else self.none()


class Image(models.Model):
    """One decoded upload. `decoded` is `inference.types.Decoded` as JSON: technical header, nothing identifying."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="images")
    name = models.CharField(max_length=200, help_text="the user's file name, shown to them only")
    original = models.FileField(upload_to=image_folder, max_length=200)
    preview = models.FileField(upload_to=image_folder, max_length=200)
    pixels = models.FileField(upload_to=image_folder, max_length=200)
    sha256 = models.CharField(max_length=64)
    kind = models.CharField(max_length=10)
    modality = models.CharField(max_length=16)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    frames = models.PositiveIntegerField(default=1)
    decoded = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ImageQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return self.name

    @property
    def spacing_mm(self) -> list[float] | None:
        """[row, column] spacing in millimetres, or None when the file does not say."""
        spacing: dict[str, Any] | None = self.decoded.get("spacing")
        return [spacing["row_mm"], spacing["column_mm"]] if spacing else None

    def delete_with_files(self) -> None:
        for file in (self.original, self.preview, self.pixels):
            file.delete(save=False)
        self.delete()
