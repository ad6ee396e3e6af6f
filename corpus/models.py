"""Papers, the labels they carry, and the passages that answers cite."""

from __future__ import annotations

import hashlib
from typing import Any

from django.db import models
from django.urls import reverse

from corpus.results import Facets


def content_hash(text: str) -> str:
    """SHA-256 of the text in UTF-8, as 64 hexadecimal digits. Passages are told apart by it."""
    return hashlib.sha256(text.encode()).hexdigest()


class PaperQuerySet(models.QuerySet["Paper"]):
    """Papers, narrowed by what is known about them."""

    def filter_facets(self, facets: Facets) -> PaperQuerySet:
        """The papers for which every stated value holds: exact labels, years inclusive. No facets: all papers."""
        papers = self
        for facet, values in facets.labels().items():
            if any("\0" in value for value in values):
                return papers.none()  # PostgreSQL refuses the question, SQLite would say the same in effect
            for value in values:  # one subquery each: a paper may carry both labels in two rows
                papers = papers.filter(pk__in=Label.objects.filter(facet=facet, value=value).values("paper_id"))
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
                models.Q(title__icontains=word)
                | models.Q(model_name__icontains=word)
                | models.Q(annotation__icontains=word)
                | models.Q(key__iexact=word)
            )
        return papers


class Paper(models.Model):
    """One entry of the literature. Lists hold strings, `results` holds {dataset, metric, value, note?}."""

    class Evidence(models.TextChoices):
        """What the annotation was written from. An annotation is ours: it is not the paper's text."""

        ABSTRACT = "abstract", "annotation written from the abstract"
        KNOWN = "known", "annotation written from general knowledge of a well-known work"
        TITLE = "title", "annotation written from the title alone"

    key = models.CharField(max_length=80, unique=True)
    title = models.CharField(max_length=500)
    model_name = models.CharField(max_length=120, blank=True)
    authors = models.JSONField(default=list)
    authors_complete = models.BooleanField(default=True)
    year = models.PositiveSmallIntegerField(db_index=True)
    venue = models.CharField(max_length=200, blank=True)
    doi = models.CharField(max_length=200, blank=True)
    arxiv_id = models.CharField(max_length=40, blank=True)
    pmcid = models.CharField(max_length=20, blank=True)
    url = models.URLField(max_length=500, blank=True)
    code_url = models.URLField(max_length=500, blank=True)
    source_url = models.URLField(max_length=500, blank=True)
    annotation = models.TextField()
    evidence = models.CharField(max_length=20, choices=Evidence.choices)
    list_sections = models.JSONField(default=list)
    natural_or_medical = models.CharField(max_length=20, blank=True)
    backbones = models.JSONField(default=list)
    datasets = models.JSONField(default=list)
    results = models.JSONField(default=list)

    objects = PaperQuerySet.as_manager()

    class Meta:
        ordering = ["-year", "title"]

    def __str__(self) -> str:
        return f"{self.name} ({self.year})"

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
        """The text that passages of this kind are cut from; their offsets count its characters."""
        return self.annotation if kind == Passage.Kind.ANNOTATION else self.facts()

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


class Label(models.Model):
    """One facet value of one paper, and who says so."""

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

    class Meta:
        ordering = ["facet", "value"]
        constraints = [
            models.UniqueConstraint(fields=["paper", "facet", "value", "source"], name="one_label_per_source"),
        ]
        indexes = [models.Index(fields=["facet", "value"], name="label_facet_value")]

    def __str__(self) -> str:
        return f"{self.facet}: {self.value}"


class Passage(models.Model):
    """A stretch of a paper's text: what is retrieved, quoted and cited.

    Its primary key never changes and its text is never edited, because the citations of old answers point at it. A
    passage whose text has gone from the paper is kept with `current` false: it still opens, and is no longer found.
    """

    class Kind(models.TextChoices):
        """Which text of the paper it is cut from (`Paper.text_of`)."""

        ANNOTATION = "annotation", "annotation"
        RESULTS = "results", "results and data"

    paper = models.ForeignKey(Paper, on_delete=models.CASCADE, related_name="passages")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    ordinal = models.PositiveIntegerField()
    text = models.TextField()
    start = models.PositiveIntegerField()  # characters, in paper.text_of(kind); end is exclusive
    end = models.PositiveIntegerField()
    content_hash = models.CharField(max_length=64)
    current = models.BooleanField(default=True)

    class Meta:
        ordering = ["paper", "kind", "ordinal"]
        constraints = [
            models.UniqueConstraint(fields=["paper", "kind", "content_hash"], name="one_passage_per_text"),
        ]

    def __str__(self) -> str:
        return f"{self.paper_id}/{self.kind}/{self.ordinal}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Saves, with the hash of the text."""
        self.content_hash = content_hash(self.text)
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        """The paper's page at this passage."""
        return f"{self.paper.get_absolute_url()}#p{self.pk}"
