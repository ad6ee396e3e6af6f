"""The disposable child of `corpus.documents.extract`: `python -m corpus.documents.reader '{"source": ..., ...}'`.

Alone loads PDFium (pypdfium2). pypdf was tried beside it on typeset two-column papers: both follow the order in which
the file draws its text, which is not always the order of reading, and only PDFium tells where each character ends, so
that the order can be found from the page itself (tests/corpus/documents). Nothing in the file is run: this PDFium has
no JavaScript, and files attached to a PDF are counted, not opened.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from corpus.documents import details, flow, layout
from corpus.documents.document import OUTPUT, Document, Limits
from corpus.documents.glyphs import Page, page_of
from inference import disposable
from inference.errors import BadInput, Exhausted

EMPTY = "This file is empty."
NOT_PDF = "This is not a PDF file."
TOO_BIG = "This file is {size:.0f} MB; at most {limit:.0f} MB are read."
DAMAGED = "This PDF cannot be read: it is damaged or incomplete. Export it again and upload that."
LOCKED = "This PDF is protected by a password. Save a copy without one and upload that."
NO_PAGES = "This PDF has no pages."
SCANNED = "This PDF is a scan: its pages hold pictures and no text, so it can be read here but not searched or quoted."
PARTLY = "{count} of {pages} pages have no text (pictures or scans) and are not searched."
CUT = "Only the first {read} of {pages} pages are searched; the PDF is too long for more."
BROKEN = "{count} of {pages} pages are damaged and are not searched."
REFUSALS = {
    raw.FPDF_ERR_PASSWORD: LOCKED,
    raw.FPDF_ERR_SECURITY: LOCKED,
    raw.FPDF_ERR_SUCCESS: NO_PAGES,  # nothing wrong, and nothing there
}
ACTIVE = "The PDF carries {what}; they are never run or opened here."


def main() -> None:
    """Read the request from the command line, read the PDF, answer."""
    disposable.answer(work, lambda: DAMAGED)


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Write what is read into the folder of the request."""
    document = read(Path(request["source"]), Limits(**request["limits"]))
    line = json.dumps(asdict(document), ensure_ascii=False, allow_nan=False)
    (Path(request["folder"]) / OUTPUT).write_text(line, encoding="utf-8")
    return {"pages": document.pages}


def read(source: Path, limits: Limits) -> Document:
    """The whole document. Raises BadInput or Exhausted; PDFium may crash the process or take all of its memory."""
    _check(source, limits)
    file = _opened(source)
    count = len(file)
    if count == 0:
        raise BadInput(NO_PAGES)
    pages = list(_pages(file, limits))
    if not any(page.readable for page in pages):
        raise BadInput(DAMAGED)
    body, furniture = layout.without_furniture(pages)
    text = flow.assemble(body)
    found = details.of(_metadata(file), pages, furniture, text)
    return Document(
        pages=count,
        text=text.text,
        page_starts=tuple(text.page_starts),
        sections=tuple(text.sections),
        details=found,
        notes=tuple(_notes(file, pages, count, limits)),
    )


def _check(source: Path, limits: Limits) -> None:
    """A PDF may begin with other bytes (readers allow 1024), but not without its mark."""
    size = source.stat().st_size
    if size == 0:
        raise BadInput(EMPTY)
    if size > limits.file_bytes:
        raise Exhausted(TOO_BIG.format(size=size / 1e6, limit=limits.file_bytes / 1e6))
    with source.open("rb") as opened:
        if b"%PDF-" not in opened.read(1024):
            raise BadInput(NOT_PDF)


def _opened(source: Path) -> pdfium.PdfDocument:
    try:
        return pdfium.PdfDocument(source)
    except pdfium.PdfiumError as error:
        raise BadInput(REFUSALS.get(raw.FPDF_GetLastError(), DAMAGED)) from error


def _metadata(file: pdfium.PdfDocument) -> dict[str, str]:
    """What the file says of itself, without characters that no text has; nothing where it cannot be read."""
    try:
        said = file.get_metadata_dict()
    except (pdfium.PdfiumError, UnicodeError):
        return {}
    return {key: "".join(c for c in value if c.isprintable() or c.isspace()) for key, value in said.items()}


def _pages(file: pdfium.PdfDocument, limits: Limits) -> Iterator[Page]:
    """The pages up to the limits; one that cannot be read is empty, and says so."""
    characters = 0
    for number in range(min(len(file), limits.pages)):
        try:
            page = page_of(file, number, limits.characters - characters)
        except pdfium.PdfiumError:
            page = Page(number + 1, width=0, height=0, words=[], aside="", characters=0, readable=False)
        characters += page.characters
        yield page
        if characters >= limits.characters:
            return


def _notes(file: pdfium.PdfDocument, pages: list[Page], count: int, limits: Limits) -> Iterator[str]:
    """What the reader should know, one sentence each."""
    blank = [page for page in pages if page.readable and not page.words]
    broken = [page for page in pages if not page.readable]
    if len(blank) + len(broken) == len(pages):
        yield SCANNED
    elif blank:
        yield PARTLY.format(count=len(blank), pages=count)
    if broken:
        yield BROKEN.format(count=len(broken), pages=count)
    if len(pages) < count or sum(page.characters for page in pages) >= limits.characters:
        yield CUT.format(read=len(pages), pages=count)
    what = ["scripts"] if raw.FPDFDoc_GetJavaScriptActionCount(file) > 0 else []
    what += ["attached files"] if raw.FPDFDoc_GetAttachmentCount(file) > 0 else []
    if what:
        yield ACTIVE.format(what=" and ".join(what))


if __name__ == "__main__":
    main()
