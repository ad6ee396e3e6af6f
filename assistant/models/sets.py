"""Sets of a user's own images, with labels where there are any: to calibrate a classifier on, or as what is normal."""

import uuid

from django.conf import settings
from django.db import models

from assistant.models.images import Image
from assistant.models.studies import Visitor


class OwnedQuerySet(models.QuerySet["ImageSet"]):
    def visible_to(self, user: Visitor) -> "OwnedQuerySet":
        return self.filter(owner=user.pk) if user.is_authenticated else self.none()


class ImageSet(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="image_sets")
    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=("owner", "name"), name="one_set_per_name"),)

    def __str__(self) -> str:
        return self.name


class ImageSetItem(models.Model):
    """`labels` maps a label to 1 (present) or 0 (absent); what is not in it is not known."""

    image_set = models.ForeignKey(ImageSet, on_delete=models.CASCADE, related_name="items")
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="set_items")
    labels = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ("pk",)
        constraints = (models.UniqueConstraint(fields=("image_set", "image"), name="an_image_once_in_a_set"),)

    def __str__(self) -> str:
        return f"{self.image} in {self.image_set}"


class ImageVector(models.Model):
    """An image as a model sees it: `vector` is little-endian float32, L2-normalised, of `model`'s dimension."""

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="vectors")
    model = models.CharField(max_length=200, help_text="key and revision of the checkpoint")
    vector = models.BinaryField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("image", "model"), name="one_vector_per_image_and_model"),)

    def __str__(self) -> str:
        return f"{self.image} by {self.model}"
