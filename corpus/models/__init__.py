"""The rows of the literature: what everyone reads, and what each user has in a library of their own."""

from corpus.models.library import Citation, Import, Lookup, Note, PaperFile, SavedSearch, Selected
from corpus.models.papers import Label, Paper, PaperQuerySet, Passage, content_hash

__all__ = [
    "Citation",
    "Import",
    "Label",
    "Lookup",
    "Note",
    "Paper",
    "PaperFile",
    "PaperQuerySet",
    "Passage",
    "SavedSearch",
    "Selected",
    "content_hash",
]
