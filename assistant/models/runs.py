"""A run is one question being answered, as rows that survive any process.

Whoever works on a run or a tool call holds it by a lease and an attempt number. Claims are conditional UPDATEs; every
later write names the attempt, so a worker that lost its lease writes nothing more (`Superseded`). What is silent past
its lease is put back in the queue by the sweep (`assistant.runs.sweep`).
"""

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from assistant import stream
from assistant.events import AgentEvent, Transcript, payload, transcript
from assistant.models.conversations import Conversation, Message
from assistant.models.studies import Visitor


class Superseded(Exception):
    """Somebody else has taken over, or the user stopped the run: leave without a trace."""


def lease(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)


class RunQuerySet(models.QuerySet["Run"]):
    def visible_to(self, user: Visitor) -> "RunQuerySet":
        return self.filter(conversation__owner=user.pk) if user.is_authenticated else self.none()

    def active(self) -> "RunQuerySet":
        return self.filter(state__in=Run.ACTIVE)

    @transaction.atomic  # the row that is read is the one that was taken, with its attempt number
    def claim(self, run_id: uuid.UUID | str) -> "Run | None":
        """Take the run if it waits for a worker; None when somebody else has it or it is over."""
        taken = self.filter(pk=run_id, state=Run.QUEUED).update(
            state=Run.RUNNING,
            attempt=F("attempt") + 1,
            lease_until=lease(settings.RUN_LEASE),
            started_at=Coalesce("started_at", timezone.now()),
        )
        return self.select_related("conversation__owner", "message").get(pk=run_id) if taken else None

    def seize(self, run_id: uuid.UUID) -> "Run | None":
        """Take a run that is not over from whoever has it: all that they write from now on is refused."""
        taken = self.active().filter(pk=run_id).update(state=Run.RUNNING, attempt=F("attempt") + 1)
        return self.select_related("conversation__owner", "message").get(pk=run_id) if taken else None


class Run(models.Model):
    QUEUED, RUNNING, WAITING = "queued", "running", "waiting"
    DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
    ACTIVE = (QUEUED, RUNNING, WAITING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="runs")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="runs")
    answer = models.OneToOneField(Message, on_delete=models.SET_NULL, null=True, related_name="answered_run")
    chat_model = models.CharField(max_length=300)
    state = models.CharField(
        max_length=10, default=QUEUED, choices=[(s, s) for s in (*ACTIVE, DONE, FAILED, CANCELLED)]
    )
    note = models.CharField(max_length=300, blank=True, help_text="what the reader must know beside the answer")
    attempt = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0, help_text="times a worker went silent on this step")
    input_tokens = models.PositiveIntegerField(null=True, help_text="of all its steps, where the server counts them")
    output_tokens = models.PositiveIntegerField(null=True)
    lease_until = models.DateTimeField(null=True, db_index=True)
    last_seq = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ("created_at",)
        constraints = (
            # A double click, or two tabs, cannot start two answers in one conversation.
            models.UniqueConstraint(
                fields=("conversation",),
                condition=Q(state__in=("queued", "running", "waiting")),
                name="one_active_run_per_conversation",
            ),
        )

    def __str__(self) -> str:
        return f"{self.pk} ({self.state})"

    @property
    def is_active(self) -> bool:
        return self.state in self.ACTIVE

    def still_mine(self) -> "RunQuerySet":
        return Run.objects.filter(pk=self.pk, state=Run.RUNNING, attempt=self.attempt)

    def spend(self, input_tokens: int, output_tokens: int) -> None:
        """Add what the server has counted for one message of the model. Only for the holder of the run."""
        self.still_mine().update(
            input_tokens=Coalesce("input_tokens", 0) + input_tokens,
            output_tokens=Coalesce("output_tokens", 0) + output_tokens,
        )

    def hold(self) -> None:
        """Renew the lease, or learn that the run is no longer ours."""
        if not self.still_mine().update(lease_until=lease(settings.RUN_LEASE)):
            raise Superseded

    @transaction.atomic
    def record(self, *new: AgentEvent) -> None:
        """Write events under the next numbers. Only for the holder of the run."""
        self.hold()
        self.append(*new)

    @transaction.atomic
    def leave(self, state: str, *new: AgentEvent, retry_after: float | None = None) -> None:
        """Write the last events of this step and give the run up in `state`; the sweep looks at it after that long."""
        self.record(*new)
        self.state = state
        self.lease_until = lease(retry_after) if retry_after else None
        if state not in self.ACTIVE:
            self.finished_at = timezone.now()
        self.failures = 0
        self.save(update_fields=["state", "lease_until", "finished_at", "failures", "answer", "chat_model", "note"])

    @classmethod
    def lock(cls, run_id: uuid.UUID) -> "Run":
        """The run, with every other writer kept out until the transaction ends."""
        return cls.objects.select_for_update(of=("self",)).select_related("conversation").get(pk=run_id)

    def append(self, *new: AgentEvent) -> None:
        """Write events of a run that the caller has locked (`lock`) or holds."""
        if not new:
            return
        # The counter's row lock orders the commits, so a reader never sees number 8 before number 7.
        Run.objects.filter(pk=self.pk).update(last_seq=F("last_seq") + len(new))
        last = Run.objects.values_list("last_seq", flat=True).get(pk=self.pk)
        first = last - len(new) + 1
        Event.objects.bulk_create(
            Event(run=self, seq=first + i, kind=e.kind, payload=payload(e)) for i, e in enumerate(new)
        )
        self.last_seq = last
        transaction.on_commit(lambda: stream.wake(self.pk))

    def transcript(self, upto: int | None = None) -> Transcript:
        rows = self.events.order_by("seq")
        if upto is not None:
            rows = rows.filter(seq__lte=upto)
        return transcript(rows.values_list("seq", "kind", "payload"))

    def delete_files(self) -> None:
        for artifact in Artifact.objects.filter(tool_call__run=self).exclude(file=""):
            artifact.file.delete(save=False)


class Event(models.Model):
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=12)
    payload = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("seq",)
        constraints = (models.UniqueConstraint(fields=("run", "seq"), name="one_event_per_number"),)

    def __str__(self) -> str:
        return f"{self.seq} {self.kind}"


class ToolCallQuerySet(models.QuerySet["ToolCall"]):
    def unfinished(self) -> "ToolCallQuerySet":
        return self.filter(state__in=ToolCall.UNFINISHED)

    @transaction.atomic
    def claim(self, call_id: uuid.UUID | str) -> "ToolCall | None":
        """Take the call if nobody has it; None once it is taken, finished or its run is over."""
        taken = self.filter(pk=call_id, state=ToolCall.REQUESTED, run__in=Run.objects.active()).update(
            state=ToolCall.RUNNING,
            attempt=F("attempt") + 1,
            lease_until=lease(settings.TOOL_LEASE),
            started_at=timezone.now(),
        )
        return self.select_related("run__conversation__owner").get(pk=call_id) if taken else None


class ToolCall(models.Model):
    """One call, one row, one result, keyed by (run, the model's call id)."""

    APPROVAL, REQUESTED, RUNNING = "approval", "requested", "running"
    DONE, FAILED, DECLINED, CANCELLED = "done", "failed", "declined", "cancelled"
    UNFINISHED = (APPROVAL, REQUESTED, RUNNING)
    GIVEN = "given"  # the call_id of a call that a person has made, and not the chat model

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="tool_calls")
    number = models.PositiveIntegerField(help_text="counts up within the conversation: evidence is named c<number>")
    call_id = models.CharField(max_length=120)
    name = models.CharField(max_length=60)
    arguments = models.JSONField()
    queue = models.CharField(max_length=20)
    state = models.CharField(max_length=10, default=REQUESTED)
    text = models.TextField(blank=True, help_text="what the model reads")
    result = models.JSONField(default=dict, help_text="summary and evidence items, as the page shows them")
    model = models.CharField(max_length=200, blank=True)
    attempt = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = ToolCallQuerySet.as_manager()

    class Meta:
        ordering = ("number",)
        constraints = (models.UniqueConstraint(fields=("run", "call_id"), name="one_row_per_call"),)

    def __str__(self) -> str:
        return f"c{self.number} {self.name} ({self.state})"

    @property
    def seconds(self) -> float | None:
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    def still_mine(self) -> "ToolCallQuerySet":
        return ToolCall.objects.filter(pk=self.pk, state=ToolCall.RUNNING, attempt=self.attempt)

    def renew(self) -> bool:
        return bool(self.still_mine().update(lease_until=lease(settings.TOOL_LEASE)))


class ArtifactQuerySet(models.QuerySet["Artifact"]):
    def visible_to(self, user: Visitor) -> "ArtifactQuerySet":
        return self.filter(tool_call__run__conversation__owner=user.pk) if user.is_authenticated else self.none()


def artifact_path(artifact: "Artifact", name: str) -> str:
    return f"artifacts/{artifact.pk.hex[:2]}/{artifact.pk.hex}/{name}"


class Artifact(models.Model):
    """What a tool made for the page, on an image or by itself.

    mask      PNG of a frame's own size (`data["frame"]` counts from 0), or mask.npz of a volume (`data["frames"]`)
    box, line `data` as in `Annotation`: corners or the two points of a length, in pixels
    heatmap   PNG of a frame's own size, 8-bit grey, 255 where the model looked most
    picture   a PNG that was made from images (registered, enlarged, synthetic: `data["synthetic"]`)
    table, passages, report
    """

    MASK, BOX, TABLE, PASSAGES, REPORT = "mask", "box", "table", "passages", "report"
    LINE, HEATMAP, PICTURE = "line", "heatmap", "picture"
    ON_IMAGES = (MASK, BOX, LINE, HEATMAP)  # what the viewer lays over an image, and a chip lights up there

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tool_call = models.ForeignKey(ToolCall, on_delete=models.CASCADE, related_name="artifacts")
    image = models.ForeignKey("Image", on_delete=models.CASCADE, null=True, related_name="artifacts")
    number = models.PositiveIntegerField(help_text="its evidence is named c<call>.<number>")
    kind = models.CharField(max_length=10)
    label = models.CharField(max_length=120)
    file = models.FileField(upload_to=artifact_path, max_length=200, blank=True)
    data = models.JSONField(default=dict)

    objects = ArtifactQuerySet.as_manager()

    class Meta:
        ordering = ("tool_call__number", "number")

    def __str__(self) -> str:
        return f"{self.label} ({self.kind})"

    @property
    def ref(self) -> str:
        return f"c{self.tool_call.number}.{self.number}"

    @property
    def of_volume(self) -> bool:
        """Whether it is the mask of all frames, mask.npz, and not of one, a PNG."""
        return self.kind == self.MASK and str(self.file.name).endswith(".npz")
