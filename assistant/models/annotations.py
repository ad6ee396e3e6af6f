"""What lies on an image and came from no tool: drawn or corrected by a person, or brought along by a file."""

import io
import uuid
from typing import IO, Any

import numpy as np
from django.core.files.base import ContentFile, File
from django.db import models, transaction
from django.db.models import Max
from numpy.typing import NDArray

from assistant.models.images import Image
from assistant.models.studies import Visitor


def annotation_path(annotation: "Annotation", name: str) -> str:
    return f"annotations/{annotation.pk.hex[:2]}/{annotation.pk.hex}/{name}"


class AnnotationQuerySet(models.QuerySet["Annotation"]):
    def visible_to(self, user: Visitor) -> "AnnotationQuerySet":
        return self.filter(image__owner=user.pk) if user.is_authenticated else self.none()


class Annotation(models.Model):
    """A mask, box or measurement. Its evidence is named img<k>.<number> in a chat where the image is img<k>.

    `file` of a mask is mask.npz: `mask`, uint8 0 or 255, (H, W) of an image, (F, H, W) of frames or a volume, on the
    grid of the image's pixels.npy. `data` of a box: {"x0", "y0", "x1", "y1", "frame"} in pixels, x0 <= x < x1; of a
    measurement: {"type": "length" | "angle" | "ellipse", "points": [[x, y], ...], "frame", and what was measured}.
    A corrected mask is a new row: `corrects` or `corrects_artifact` says what it replaces, `version` counts up from it.
    """

    MASK, BOX, MEASUREMENT = "mask", "box", "measurement"
    PERSON, FILE = "person", "file"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="annotations")
    number = models.PositiveIntegerField(help_text="counts up within the image")
    kind = models.CharField(max_length=12, choices=[(k, k) for k in (MASK, BOX, MEASUREMENT)])
    author = models.CharField(max_length=8, choices=[(a, a) for a in (PERSON, FILE)])
    label = models.CharField(max_length=120)
    source = models.CharField(max_length=200, blank=True, help_text="where it came from, in words")
    corrects = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="corrections")
    corrects_artifact = models.ForeignKey(
        "Artifact", on_delete=models.SET_NULL, null=True, blank=True, related_name="corrections"
    )
    version = models.PositiveIntegerField(default=1)
    file = models.FileField(upload_to=annotation_path, max_length=200, blank=True)
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AnnotationQuerySet.as_manager()

    class Meta:
        ordering = ("number",)
        constraints = (models.UniqueConstraint(fields=("image", "number"), name="one_annotation_per_number"),)

    def __str__(self) -> str:
        return f"{self.label} ({self.kind})"

    @classmethod
    def add(cls, image: Image, mask: NDArray[np.uint8] | IO[bytes] | None = None, **fields: Any) -> "Annotation":
        """A new row under the next number of its image, with its mask's file: of an array, or written already by
        `assistant.mask_files`."""
        with transaction.atomic():
            Image.objects.select_for_update(no_key=True).get(pk=image.pk)  # two at once would take the same number
            last = cls.objects.filter(image=image).aggregate(last=Max("number"))["last"] or 0
            made = cls(image=image, number=last + 1, **fields)
            if isinstance(mask, np.ndarray):
                out = io.BytesIO()
                np.savez_compressed(out, mask=mask)
                made.file.save("mask.npz", ContentFile(out.getvalue()), save=False)
            elif mask is not None:
                made.file.save("mask.npz", File(mask), save=False)
            made.save(force_insert=True)
        return made

    def mask(self) -> NDArray[np.uint8]:
        """(H, W) or (F, H, W) uint8, 0 or 255."""
        with self.file.open("rb") as file, np.load(io.BytesIO(file.read()), allow_pickle=False) as kept:
            found: NDArray[np.uint8] = kept["mask"]
        return found
