"""Which index is in use, as a short text that changes when a search may answer differently. Reads two small files."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from corpus.index import current

LENGTH = 80  # characters; what SavedSearch has room for


def index_version() -> str:
    """The texts and the embedder of the index in use, or an empty text where there is none."""
    found = current(Path(settings.DATA_DIR) / "index")
    # Not the folder's name: building the same texts again gives another folder and the same answers.
    return f"{found[1].corpus[:12]} {found[1].embedder}"[:LENGTH] if found else ""
