"""Papers, the labels they carry, and the passages that answers cite."""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone

from corpus.results import Facets


def content_hash(text: str) -> str:
    """SHA-256 of the text in UTF-8, as 64 hexadecimal digits. Passages are told apart by it."""
    return hashlib.sha256(text.encode()).hexdigest()


class PaperQuerySet(models.QuerySet["Paper"]):
    """Papers, narrowed by who asks and by what is known about them."""

    def visible_to(self, reader: int | None) -> PaperQuerySet:
        """The papers of everyone, and those in the library of the user with this primary key."""
        return self.filter(Q(owner=None) | Q(owner=reader)) if reader is not None else self.filter(owner=None)

    def named(self, key: str, reader: int | None) -> Paper | None:
        """The reader's own paper with this citation key, else everyone's, else None."""
        if "\0" in key:  # PostgreSQL has no NUL in texts
            return None
        return self.visible_to(reader).filter(key=key).order_by(F("owner").asc(nulls_last=True)).first()

    def filter_facets(self, facets: Facets, reader: int | None = None) -> PaperQuerySet:
        """The papers for which every stated value holds: exact labels, years inclusive. No facets: all papers.

        The labels are the shipped ones as the reader has corrected them: what they added counts, what they struck out
        does not; what others did is not seen.
        """
        papers = self
        for facet, values in facets.labels().items():
            if any("\0" in value for value in values):
                return papers.none()  # PostgreSQL refuses the question, SQLite would say the same in effect
            for value in values:  # one subquery each: a paper may carry both labels in two rows
                rows = Label.objects.filter(facet=facet, value=value)
                papers = papers.filter(pk__in=rows.standing(reader).values("paper_id"))
                if reader is not None:
                    papers = papers.exclude(pk__in=rows.filter(owner=reader, rejected=True).values("paper_id"))
        if facets.year_min is not None:
            papers = papers.filter(year__gte=facets.year_min)
        if facets.year_max is not None:
            papers = papers.filter(year__lte=facets.year_max)
        return papers

    def matching_words(self, query: str) -> PaperQuerySet:
        """The papers whose title, name, key or annotation contains every word of the query: the plain SQL search."""
        papers = self
        for word in query.replace("\0", " ").split():
            papers = papers.filter(
                Q(title__icontains=word)
                | Q(model_name__icontains=word)
                | Q(annotation__icontains=word)
                | Q(abstract__icontains=word)
                | Q(key__iexact=word)
            )
        return papers


class Paper(models.Model):
    """One entry of the literature. Lists hold strings, `results` holds {dataset, metric, value, note?}.

    `owner` is whose library it stands in; nobody's is everyone's: the bundled corpus and what staff has shared.
    `abstract` is the paper's own text, `annotation` is ours. `csl` is the record as it was imported (CSL-JSON), kept so
    that an export loses nothing. `versions` are further publications of the same work (a preprint beside its journal
    version): {kind: preprint | published, year, venue, doi, arxiv_id, url}.
    """

    class Evidence(models.TextChoices):
        """What the annotation was written from. An annotation is ours: it is not the paper's text."""

        ABSTRACT = "abstract", "annotation written from the abstract"
        KNOWN = "known", "annotation written from general knowledge of a well-known work"
        TITLE = "title", "annotation written from the title alone"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True)
    key = models.CharField(max_length=80)
    title = models.CharField(max_length=500)
    model_name = models.CharField(max_length=120, blank=True)
    authors = models.JSONField(default=list)
    authors_complete = models.BooleanField(default=True)
    year = models.PositiveSmallIntegerField(null=True, blank=True, db_index=True)
    venue = models.CharField(max_length=200, blank=True)
    doi = models.CharField(max_length=200, blank=True)
    arxiv_id = models.CharField(max_length=40, blank=True)
    pmcid = models.CharField(max_length=20, blank=True)
    url = models.URLField(max_length=500, blank=True)
    code_url = models.URLField(max_length=500, blank=True)
    source_url = models.URLField(max_length=500, blank=True)
    annotation = models.TextField(blank=True)
    evidence = models.CharField(max_length=20, choices=Evidence.choices, blank=True)
    abstract = models.TextField(blank=True)
    list_sections = models.JSONField(default=list)
    natural_or_medical = models.CharField(max_length=20, blank=True)
    backbones = models.JSONField(default=list)
    datasets = models.JSONField(default=list)
    results = models.JSONField(default=list)
    asked = models.JSONField(default=list)  # other words by which people ask for it: found by, never shown or cited
    csl = models.JSONField(default=dict)
    versions = models.JSONField(default=list)
    origin = models.CharField(max_length=200, blank=True)  # what it was imported from, for people
    added_at = models.DateTimeField(default=timezone.now)

    objects = PaperQuerySet.as_manager()

    class Meta:
        ordering = [F("year").desc(nulls_last=True), "title"]
        constraints = [
            models.UniqueConstraint(fields=["key"], condition=Q(owner=None), name="one_key_for_everyone"),
            models.UniqueConstraint(fields=["owner", "key"], name="one_key_per_library"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.year or 'no year'})"

    def get_absolute_url(self) -> str:
        """The paper's page."""
        return reverse("corpus:paper", args=[self.key])

    @property
    def name(self) -> str:
        """What people call it: the model's name, else the title."""
        return self.model_name or self.title

    @property
    def byline(self) -> str:
        """The first author, as in a citation: "Li et al."; empty where the authors are unknown."""
        if not self.authors:
            return ""
        first = str(self.authors[0])
        return first if len(self.authors) == 1 and self.authors_complete else f"{first} et al."

    def text_of(self, kind: str) -> str:
        """The text that passages of this kind are cut from; their offsets count its characters.

        Full text has one of its own in each file (`PaperFile.text`).
        """
        texts = {Passage.Kind.ANNOTATION.value: self.annotation, Passage.Kind.ABSTRACT.value: self.abstract}
        return texts[kind] if kind in texts else self.facts()

    def facts(self) -> str:
        """Backbones, data sets and reported results as sentences, or an empty string where none is known."""
        lines = []
        if self.backbones:
            lines.append(f"Backbones: {', '.join(self.backbones)}.")
        if self.datasets:
            lines.append(f"Data sets: {', '.join(self.datasets)}.")
        for result in self.results:
            note = f" ({result['note']})" if result.get("note") else ""
            lines.append(f"{result['metric']} on {result['dataset']}: {result['value']}{note}.")
        return "\n".join(lines)


class LabelQuerySet(models.QuerySet["Label"]):
    """Labels, as one reader sees them."""

    def visible_to(self, reader: int | None) -> LabelQuerySet:
        """The shipped labels and the reader's own corrections, the rejections among them."""
        return self.filter(Q(owner=None) | Q(owner=reader)) if reader is not None else self.filter(owner=None)

    def standing(self, reader: int | None) -> LabelQuerySet:
        """The labels that say something holds. Whether the reader struck a shipped one out is a second question."""
        return self.visible_to(reader).filter(rejected=False)


class Label(models.Model):
    """One facet value of one paper, and who says so.

    A row with an `owner` is that user's correction and concerns nobody else: one more label, or, with `rejected`, a
    shipped one struck out.
    """

    class Facet(models.TextChoices):
        """The directions in which the literature can be cut."""

        TASK = "task", "task"
        LEARNING_STRATEGY = "learning_strategy", "learning strategy"
        TECHNIQUE = "technique", "technique"
        MODALITY = "modality", "modality"
        DIMENSION = "dimension", "dimension"
        ANATOMY = "anatomy", "anatomy"

    paper = models.ForeignKey(Paper, on_delete=models.CASCADE, related_name="labels")
    facet = models.CharField(max_length=20, choices=Facet.choices)
    value = models.CharField(max_length=80)
    source = models.CharField(max_length=80)
    confidence = models.FloatField(null=True, blank=True)  # 0..1; null where a person assigned the label
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True)
    rejected = models.BooleanField(default=False)

    objects = LabelQuerySet.as_manager()

    class Meta:
        ordering = ["facet", "value"]
        constraints = [
            models.UniqueConstraint(
                fields=["paper", "facet", "value", "source"], condition=Q(owner=None), name="one_label_per_source"
            ),
            models.UniqueConstraint(fields=["paper", "facet", "value", "owner"], name="one_correction_per_reader"),
        ]
        indexes = [models.Index(fields=["facet", "value"], name="label_facet_value")]

    def __str__(self) -> str:
        return f"{self.facet}: {self.value}"


class PassageQuerySet(models.QuerySet["Passage"]):
    """Passages, as one reader may see them."""

    def visible_to(self, reader: int | None) -> PassageQuerySet:
        """Those of everyone's texts, and those of the reader's own papers and files."""
        return self.filter(Q(owner=None) | Q(owner=reader)) if reader is not None else self.filter(owner=None)


class Passage(models.Model):
    """A stretch of a paper's text: what is retrieved, quoted and cited.

    `owner` is whose it is: nobody's for everyone's texts. It need not be the paper's: the full text that a user adds to
    a shared paper is their own.

    Its primary key never changes and its text is never edited, because the citations of old answers point at it. A
    passage whose text has gone from the paper is kept with `current` false: it still opens, and is no longer found.
    """

    class Kind(models.TextChoices):
        """Which text of the paper it is cut from (`Paper.text_of`)."""

        ANNOTATION = "annotation", "annotation"
        RESULTS = "results", "results and data"
        ABSTRACT = "abstract", "abstract"
        FULL_TEXT = "full_text", "full text"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True)
    paper = models.ForeignKey(Paper, on_delete=models.CASCADE, related_name="passages")
    file = models.ForeignKey("corpus.PaperFile", on_delete=models.CASCADE, null=True, blank=True)  # of full text
    kind = models.CharField(max_length=20, choices=Kind.choices)
    ordinal = models.PositiveIntegerField()
    section = models.CharField(max_length=200, blank=True)  # the heading it stands under, in full text
    page = models.PositiveIntegerField(null=True, blank=True)  # counted from 1, where the passage begins
    text = models.TextField()
    start = models.PositiveIntegerField()  # characters, in paper.text_of(kind) or file.text; end is exclusive
    end = models.PositiveIntegerField()
    content_hash = models.CharField(max_length=64)
    current = models.BooleanField(default=True)

    objects = PassageQuerySet.as_manager()

    class Meta:
        ordering = ["paper", "kind", "ordinal"]
        constraints = [
            models.UniqueConstraint(
                fields=["paper", "kind", "content_hash"], condition=Q(file=None), name="one_passage_per_text"
            ),
            models.UniqueConstraint(fields=["file", "content_hash", "start"], name="one_passage_per_place"),
        ]

    def __str__(self) -> str:
        return f"{self.paper_id}/{self.kind}/{self.ordinal}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Saves, with the hash of the text."""
        self.content_hash = content_hash(self.text)
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        """The paper's page at this passage; of full text, the PDF at its page."""
        if self.kind == self.Kind.FULL_TEXT and self.file_id:
            return f"{reverse('corpus:file', args=[self.file_id])}?page={self.page or 1}&passage={self.pk}"
        return f"{self.paper.get_absolute_url()}#p{self.pk}"

    @property
    def is_ours(self) -> bool:
        """True for words of ours about the paper, False for the paper's own."""
        return self.kind in (self.Kind.ANNOTATION, self.Kind.RESULTS)

    @property
    def basis(self) -> str:
        """What a citation of this passage rests on, for people: whose words they are, and from where."""
        if self.kind == self.Kind.FULL_TEXT:
            return f"full text, page {self.page}" if self.page else "full text"
        if self.kind == self.Kind.ANNOTATION:
            return self.paper.get_evidence_display() or "annotation"
        return "data and results as recorded" if self.kind == self.Kind.RESULTS else "abstract"
