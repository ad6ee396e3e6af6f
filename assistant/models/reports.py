"""Report drafts: sections of sentences, each sentence tied to its evidence."""

import uuid

from django.conf import settings
from django.db import models

from assistant.models.studies import Visitor


class ReportQuerySet(models.QuerySet["Report"]):
    def visible_to(self, user: Visitor) -> "ReportQuerySet":
        return self.filter(owner=user.pk) if user.is_authenticated else self.none()


class Report(models.Model):
    """`sections`: [{"heading", "sentences": [{"text", "refs": ["c1.1", "p12", ...], "numbers": [1, 2, ...]}]}].

    The numbers are those of `references`, which says what each opens (`assistant.evidence`), once per number.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="reports")
    conversation = models.ForeignKey("Conversation", on_delete=models.CASCADE, related_name="reports")
    tool_call = models.OneToOneField("ToolCall", on_delete=models.CASCADE, related_name="report")
    title = models.CharField(max_length=200)
    sections = models.JSONField()
    references = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ReportQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return self.title
