"""Reading a PDF without parsing it here: the child `corpus.documents.reader` does, within limits."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from corpus.documents.document import OUTPUT, Document, Limits
from inference import disposable
from inference.errors import BadInput

FIRST = Limits(pages=2, cpu_s=8, wall_s=12.0)


def read(source: Path, limits: Limits | None = None) -> Document:
    """The document in the PDF file `source`. Raises BadInput or Exhausted, nothing else."""
    limits = limits or Limits()
    if not source.is_file():
        raise BadInput("The PDF is no longer there. Upload it again.")
    with tempfile.TemporaryDirectory(prefix="lightbox-pdf-") as folder:
        workplace = Path(folder)
        request = {"source": str(source.resolve()), "folder": str(workplace.resolve())}
        disposable.ask("corpus.documents.reader", request, workplace, limits)
        try:
            return Document.from_dict(json.loads((workplace / OUTPUT).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(disposable.NO_ANSWER) from error


def peek(source: Path) -> Document:
    """The first pages only, for their details; quick enough for a request. Raises as `read` does."""
    return read(source, FIRST)
