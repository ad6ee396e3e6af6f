"""Reports as files that leave Lightbox."""

import io

from docx import Document
from docx.shared import Pt

from assistant.models import Report

NOTICE = "Research use only, not for diagnosis."


def report_docx(report: Report) -> bytes:
    """The draft as a Word file: sections, each sentence with the numbers of its evidence, and the list of evidence."""
    document = Document()
    document.core_properties.title = report.title
    document.core_properties.author = "Lightbox (machine draft)"
    document.styles["Normal"].font.size = Pt(11)
    document.add_heading(report.title, level=0)
    document.add_paragraph(f"{NOTICE} Machine draft of {report.created_at:%d %B %Y}, not reviewed by anyone.")
    for section in report.sections:
        document.add_heading(section["heading"], level=1)
        for sentence in section["sentences"]:
            paragraph = document.add_paragraph(sentence["text"])
            for number in dict.fromkeys(sentence.get("numbers", [])):
                paragraph.add_run(f" [{number}]").font.superscript = True
    if report.references:
        document.add_heading("Evidence", level=1)
    for reference in report.references:
        document.add_paragraph(f"[{reference['n']}] {_evidence(reference)}")
    document.add_paragraph(NOTICE)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def _evidence(reference: dict[str, object]) -> str:
    if reference["kind"] == "passage":
        state = "" if reference["verified"] else " (not found in the passage)"
        return f"{reference['title']} ({reference['key']}): “{reference['quote']}”{state}"
    return f"{reference['kind']}: {reference.get('label', reference['ref'])}"
