"""What is read from a PDF, and how much reading it may cost. Plain values: both processes use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference import disposable

OUTPUT = "document.json"


@dataclass(frozen=True, slots=True)
class Limits(disposable.Limits):
    """What reading one PDF may use. Beyond `pages` and `characters` the rest is left out, and a note says so."""

    cpu_s: int = 60
    wall_s: float = 90.0
    file_bytes: int = 60_000_000
    pages: int = 400
    characters: int = 3_000_000


@dataclass(frozen=True, slots=True)
class Details:
    """Bibliography from the first page and the file's own data; empty or None where nothing trustworthy stands."""

    title: str = ""
    authors: tuple[str, ...] = ()
    year: int | None = None
    doi: str = ""
    arxiv_id: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """The text between two headings, `text[start:end]` of the document; the heading itself stands before `start`."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Document:
    """A PDF as text. `page_starts[n]` is the offset at which page n + 1 begins; `notes` are sentences for the reader.

    `sections` cover the text in order, except for the headings.
    """

    pages: int
    text: str
    page_starts: tuple[int, ...]
    sections: tuple[Section, ...]
    details: Details
    notes: tuple[str, ...]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Document:
        """The inverse of `dataclasses.asdict`. Raises KeyError, TypeError or ValueError on anything else."""
        details = data["details"]
        return cls(
            pages=int(data["pages"]),
            text=str(data["text"]),
            page_starts=tuple(int(start) for start in data["page_starts"]),
            sections=tuple(Section(**section) for section in data["sections"]),
            details=Details(**{**details, "authors": tuple(details["authors"])}),
            notes=tuple(str(note) for note in data["notes"]),
        )
