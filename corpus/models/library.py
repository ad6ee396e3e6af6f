"""What users bring and keep: files, imports, notes, a selection, saved searches. Each row says whose it is."""

from __future__ import annotations

import uuid
from typing import TypeVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.urls import reverse

from corpus.models.papers import Paper

Row = TypeVar("Row", bound=models.Model, covariant=True)


class OwnedQuerySet(models.QuerySet[Row]):
    """Rows of one user, beside those of nobody, which everyone may read."""

    def visible_to(self, reader: int | None) -> OwnedQuerySet[Row]:
        """Those of the user with this primary key, and everyone's."""
        return self.filter(Q(owner=None) | Q(owner=reader)) if reader is not None else self.filter(owner=None)


def _place_of_file(file: PaperFile, name: str) -> str:
    return f"papers/{file.pk}.pdf"


class PaperFile(models.Model):
    """The PDF of a paper, and the text in it. `owner` null: shared by staff.

    `text` is what the passages of this file count their characters in; `page_starts` holds the offset at which each
    page begins. A scanned PDF has an empty text. A removed one has no `file` any more, and no text.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True)
    paper = models.ForeignKey(Paper, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(max_length=200)
    file = models.FileField(upload_to=_place_of_file)
    sha256 = models.CharField(max_length=64)
    pages = models.PositiveIntegerField(default=0)
    text = models.TextField(blank=True)
    page_starts = models.JSONField(default=list)
    note = models.CharField(max_length=300, blank=True)  # what could not be read, in one line
    added_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet["PaperFile"].as_manager()

    class Meta:
        ordering = ["added_at"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "paper", "sha256"], name="one_copy_of_a_file"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The page that shows it."""
        return reverse("corpus:file", args=[self.pk])

    @property
    def is_there(self) -> bool:
        """False once the PDF was removed: then the row stays for what old answers cite."""
        return bool(self.file)

    @property
    def is_being_read(self) -> bool:
        """True until a worker has read it, or has said in `note` why it could not."""
        return self.is_there and not self.pages and not self.note


@receiver(post_delete, sender=PaperFile)
def _delete_pdf(instance: PaperFile, **_: object) -> None:
    """A paper or an account that goes takes its PDFs from the disk as well."""
    if instance.is_there:
        stored, storage = str(instance.file.name), instance.file.storage
        transaction.on_commit(lambda: storage.delete(stored))


class Citation(models.Model):
    """`paper` cites another: `cited` where that one is in the collection, else what is known of it.

    `source` says how we know: `full text` (a reference list in a PDF), `OpenAlex`, `Crossref`, or `annotation` (the
    entry names the other's method, which is less than a citation and is shown as such).
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True)
    paper = models.ForeignKey(Paper, on_delete=models.CASCADE, related_name="cites")
    cited = models.ForeignKey(Paper, on_delete=models.CASCADE, null=True, blank=True, related_name="cited_by")
    title = models.CharField(max_length=500, blank=True)
    year = models.PositiveSmallIntegerField(null=True, blank=True)
    doi = models.CharField(max_length=200, blank=True)
    source = models.CharField(max_length=40)

    objects = OwnedQuerySet["Citation"].as_manager()

    class Meta:
        ordering = ["paper", "-year", "title"]

    def __str__(self) -> str:
        return f"{self.paper_id} cites {self.cited_id or self.title}"


class Note(models.Model):
    """A remark on a paper: its author's own, or shared with everyone who has signed in."""

    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    paper = models.ForeignKey(Paper, on_delete=models.CASCADE, related_name="notes")
    text = models.TextField(max_length=5000)
    shared = models.BooleanField(default=False)
    written_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["written_at"]

    def __str__(self) -> str:
        return self.text[:60]


class Selected(models.Model):
    """A paper in a user's selection: what is compared, exported, or written about together."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    paper = models.ForeignKey(Paper, on_delete=models.CASCADE)
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["added_at", "pk"]
        constraints = [models.UniqueConstraint(fields=["owner", "paper"], name="selected_once")]

    def __str__(self) -> str:
        return f"{self.owner_id} selected {self.paper_id}"


class SavedSearch(models.Model):
    """A search with what it found, so that running it again shows what has changed. `facets` as in `Facets.as_dict`."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    name = models.CharField(max_length=200)
    query = models.CharField(max_length=500, blank=True)
    facets = models.JSONField(default=dict)
    read = models.BooleanField(default=True)  # whether facets are read from the words as well
    index_version = models.CharField(max_length=80, blank=True)
    keys = models.JSONField(default=list)  # of the papers found, in order
    saved_at = models.DateTimeField(auto_now_add=True)
    ran_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-saved_at"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The page that runs it again."""
        return reverse("corpus:saved-search", args=[self.pk])


class Import(models.Model):
    """A file, or a list of identifiers, on its way into a library. The row is the truth: a lease says who works on it.

    `report` is a list of {line, what, outcome, reason}: outcome is added, merged, unchanged, or refused.
    """

    QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    shared = models.BooleanField(default=False)  # into everyone's literature; staff only
    name = models.CharField(max_length=200)
    format = models.CharField(max_length=20, blank=True)
    file = models.FileField(upload_to="imports", blank=True)
    state = models.CharField(max_length=20, default=QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    line = models.CharField(max_length=300, blank=True)  # how it stands, or why it ended, for people
    report = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.state})"

    def get_absolute_url(self) -> str:
        """The page that shows how far it is and what became of each record."""
        return reverse("corpus:import", args=[self.pk])


class Lookup(models.Model):
    """An answer of Crossref, arXiv or OpenAlex, kept so that nobody is asked the same twice."""

    service = models.CharField(max_length=20)
    identifier = models.CharField(max_length=300)
    body = models.JSONField(default=dict)
    fetched_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["service", "identifier"], name="one_answer_per_identifier")]

    def __str__(self) -> str:
        return f"{self.service}: {self.identifier}"
