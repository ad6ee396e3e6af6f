"""The form in which a user corrects what was read from a PDF."""

from __future__ import annotations

from typing import Any

from django import forms

from corpus.documents.references import doi
from corpus.documents.shelf import storable
from corpus.models import Paper

AUTHORS_LIMIT = 20_000


class DetailsForm(forms.Form):
    """Title, authors (one a line), year, venue and DOI of a paper of one's own."""

    title = forms.CharField(max_length=500)
    authors = forms.CharField(required=False, max_length=AUTHORS_LIMIT, widget=forms.Textarea(attrs={"rows": 4}))
    year = forms.IntegerField(required=False, min_value=1800, max_value=2100)
    venue = forms.CharField(required=False, max_length=200)
    doi = forms.CharField(required=False, max_length=250, label="DOI")

    @classmethod
    def of(cls, paper: Paper) -> DetailsForm:
        """Filled with what is known."""
        values: dict[str, Any] = {name: getattr(paper, name) for name in ("title", "year", "venue", "doi")}
        return cls(initial={**values, "authors": "\n".join(map(str, paper.authors))})

    def clean_title(self) -> str:
        """One line."""
        title = " ".join(storable(self.cleaned_data["title"]).split())
        if not title:
            raise forms.ValidationError("The paper needs a title.")
        return title

    def clean_authors(self) -> list[str]:
        """The names, one a line."""
        lines = storable(self.cleaned_data["authors"]).splitlines()
        return [" ".join(line.split())[:200] for line in lines if line.strip()]

    def clean_venue(self) -> str:
        """One line."""
        return " ".join(storable(self.cleaned_data["venue"]).split())

    def clean_doi(self) -> str:
        """The DOI itself, also out of an address."""
        given = self.cleaned_data["doi"].strip()
        found = doi(given)
        if given and not found:
            raise forms.ValidationError("A DOI looks like 10.1000/182.")
        return found[:200]

    def save(self, paper: Paper) -> None:
        """Into the paper."""
        for name, value in self.cleaned_data.items():
            setattr(paper, name, value)
        paper.authors_complete = True
        paper.save(update_fields=[*self.cleaned_data, "authors_complete"])
