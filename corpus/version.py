"""Which index is in use, as a short text that changes when a search may answer differently. Reads two small files.

For web processes, which may not import `corpus.index`: it brings FAISS.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings

LENGTH = 80  # characters; what SavedSearch has room for


def index_version() -> str:
    """The texts and the embedder of the index in use, or an empty text where there is none."""
    root = Path(settings.DATA_DIR) / "index"
    try:
        folder = str(json.loads((root / "current.json").read_text())["folder"])
        manifest: dict[str, Any] = json.loads((root / folder / "manifest.json").read_text())
        # Not the folder's name: building the same texts again gives another folder and the same answers.
        return f"{str(manifest['corpus'])[:12]} {manifest['embedder']}"[:LENGTH]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
