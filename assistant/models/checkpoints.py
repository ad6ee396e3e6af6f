"""What people have decided about the checkpoints of the catalogue: who may use them, and how they are calibrated."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from assistant.models.sets import ImageSet
from assistant.models.studies import Visitor


class ModelSwitch(models.Model):
    """A checkpoint of `inference/catalogue.toml` that staff have switched off or on. Without a row it is on."""

    key = models.CharField(max_length=120, primary_key=True)
    on = models.BooleanField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.key} {'on' if self.on else 'off'}"


class CalibrationQuerySet(models.QuerySet["Calibration"]):
    def visible_to(self, user: Visitor) -> "CalibrationQuerySet":
        return self.filter(owner=user.pk) if user.is_authenticated else self.none()


class Calibration(models.Model):
    """How a classifier's scores become probabilities on images like those of a labelled set.

    `fitted` holds, by label, what turns a score into a probability; `found` what was measured by label: numbers of
    images, AUROC with its interval, the reliability curve before and after, and the operating point.
    """

    WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
    TEMPERATURE, ISOTONIC = "temperature", "isotonic"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="calibrations")
    image_set = models.ForeignKey(ImageSet, on_delete=models.CASCADE, related_name="calibrations")
    checkpoint = models.CharField(max_length=120)
    revision = models.CharField(max_length=120, blank=True)
    method = models.CharField(max_length=12, choices=[(m, m) for m in (TEMPERATURE, ISOTONIC)])
    state = models.CharField(max_length=10, default=WAITING)
    line = models.CharField(max_length=300, blank=True, help_text="how far it is, or why it failed")
    done = models.PositiveIntegerField(default=0, help_text="images scored so far")
    lease_until = models.DateTimeField(null=True, db_index=True)
    fitted = models.JSONField(default=dict)
    found = models.JSONField(default=dict)
    in_use = models.BooleanField(default=False, help_text="its owner's results of this checkpoint are shown with it")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CalibrationQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("owner", "checkpoint"), condition=Q(in_use=True), name="one_calibration_in_use"
            ),
        )

    def __str__(self) -> str:
        return f"{self.checkpoint} on {self.image_set}"
