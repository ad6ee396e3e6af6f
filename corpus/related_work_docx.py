"""The draft of related work as a Word file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from corpus.bibliography import MOST, references
from corpus.csl import items
from corpus.exports import one_line
from corpus.models import Paper
from corpus.related_work import NOTICE, Draft, Work, capital

if TYPE_CHECKING:
    from docx.document import Document

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def as_docx(drafted: Draft, papers: Sequence[Paper]) -> bytes:
    """The draft, and the references of its papers in APA. Citations are keys in square brackets."""
    import docx
    from docx.shared import Pt

    document = docx.Document()
    document.core_properties.title = "Related work (draft of quotations)"
    document.core_properties.author = "Lightbox (machine draft)"
    document.styles["Normal"].font.size = Pt(11)
    document.add_heading("Related work: a draft of quotations", level=0)
    document.add_paragraph(NOTICE)
    for section in drafted.sections:
        document.add_heading(capital(section.title), level=1)
        for group in section.groups:
            if group.title:
                document.add_heading(capital(group.title), level=2)
            for work in group.works:
                _add(document, work)
    _add_unplaced(document, drafted)
    document.add_heading("References", level=1)
    for reference in references(items(papers)[:MOST], "apa"):
        document.add_paragraph(f"[{reference.key}] {reference.text}")
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def _add(document: Document, work: Work) -> None:
    said = f"{work.facts} [{work.key}]."
    if work.passage is not None:
        said += f" \u201c{work.quote}\u201d ({work.passage.basis}) [{work.key}]."
    document.add_paragraph(one_line(said))


def _add_unplaced(document: Document, drafted: Draft) -> None:
    if drafted.unplaced:
        document.add_heading("Not placed", level=1)
        document.add_paragraph("No learning strategy is recorded of these papers.")
    for work in drafted.unplaced:
        _add(document, work)
    if drafted.unquoted:
        cited = ", ".join(f"[{work.key}]" for work in drafted.unquoted)
        document.add_paragraph(f"There is no text to quote of {cited}.")
