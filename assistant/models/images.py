"""Uploaded images. The decoder (a disposable subprocess) makes preview, pixels and, of DICOM and NIfTI, a clean copy.

With de-identification on, as by default, the clean copy is all that is kept of a DICOM or NIfTI file.
"""

import shutil
import uuid
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import models

from assistant.models.studies import Study, Visitor
from inference.types import Decoded, Gate


def image_folder(image: "Image", name: str) -> str:
    """Server-made: nothing of the user's file name reaches the disk."""
    return f"images/{image.pk.hex[:2]}/{image.pk.hex}/{name}"


class ImageQuerySet(models.QuerySet["Image"]):
    def visible_to(self, user: Visitor) -> "ImageQuerySet":
        return self.filter(owner=user.pk) if user.is_authenticated else self.none()


class Image(models.Model):
    """One series: a radiograph, a cine, a volume, a slide. `decoded` is `inference.types.Decoded` as JSON: technical
    header, nothing identifying. `frames` are its slices, frames or pages.

    `said` is what a person corrected of the gate: modality, body_part, view. `text_check` says how far the search for
    text burned into the pixels has come; `text_boxes` are [x0, y0, x1, y1] in pixels.
    """

    # Not needed or not asked for; asked for; nothing found; something found; and what the owner then did about it.
    UNCHECKED, WAITING, CLEAR, FOUND, ACCEPTED, MASKED = "", "waiting", "clear", "found", "accepted", "masked"
    FAILED, MASKING = "failed", "masking"
    HELD = (WAITING, FOUND, FAILED, MASKING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="images")
    name = models.CharField(max_length=200, help_text="the user's file name, shown to them only")
    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="series")
    original = models.FileField(upload_to=image_folder, max_length=200, blank=True)
    cleaned = models.FileField(upload_to=image_folder, max_length=200, blank=True)
    preview = models.FileField(upload_to=image_folder, max_length=200)
    pixels = models.FileField(upload_to=image_folder, max_length=200, blank=True)
    sha256 = models.CharField(max_length=64)
    kind = models.CharField(max_length=10)
    modality = models.CharField(max_length=16)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    frames = models.PositiveIntegerField(default=1)
    layout = models.CharField(max_length=8, default="image")
    bytes = models.PositiveBigIntegerField(default=0, help_text="of all its files, for the owner's quota")
    decoded = models.JSONField()
    said = models.JSONField(default=dict, blank=True)
    text_check = models.CharField(max_length=10, blank=True)
    text_boxes = models.JSONField(default=list, blank=True)
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

    @property
    def facts(self) -> Decoded:
        return Decoded.from_dict(self.decoded)

    def kind_of(self) -> Gate:
        """What kind of image this is: as a person said, else as the gate decided."""
        gate = self.facts.gate or Gate()
        if not self.said:
            return gate
        modality, body_part, view = (str(self.said.get(name, "")) for name in ("modality", "body_part", "view"))
        return Gate(modality, body_part, view, confidence=1.0, source="person")

    @property
    def held(self) -> bool:
        """Whether no model may see it yet: text that may name somebody was found in its pixels, or may be there."""
        return self.text_check in self.HELD

    @property
    def source(self) -> models.fields.files.FieldFile:
        """The file that the pixels came from, as it is kept: clean, or else the original."""
        return self.cleaned or self.original

    @property
    def tile_folder(self) -> Path:
        """Where the tiles of a slide are kept: a cache on this machine, not in the storage."""
        return Path(settings.DATA_DIR) / "tiles" / self.pk.hex

    def delete_with_files(self) -> None:
        """The row with its files, its annotations with theirs, and its study when that is then empty."""
        shutil.rmtree(self.tile_folder, ignore_errors=True)
        for annotation in self.annotations.exclude(file=""):
            annotation.file.delete(save=False)
        for file in (self.original, self.cleaned, self.preview, self.pixels):
            if file:
                file.delete(save=False)
        study = self.study
        self.delete()
        if not study.series.exists():
            study.delete()
