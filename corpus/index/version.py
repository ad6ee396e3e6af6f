"""Which build is in use. Reads two small files and imports no engine, so web processes may ask too."""

from __future__ import annotations

import json
from pathlib import Path

from corpus.index.types import IndexBuild

POINTER = "current.json"
MANIFEST = "manifest.json"


def current_version(root: Path) -> str:
    """The name of the build in use, another after every build and refresh; empty without one."""
    try:
        return str(json.loads((root / POINTER).read_text())["folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def current(root: Path) -> tuple[Path, IndexBuild] | None:
    """The folder and manifest of the complete build in use, or None. Cheap: reads two small files."""
    if not (version := current_version(root)):
        return None
    try:
        return root / version, IndexBuild(**json.loads((root / version / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError):  # absent, damaged, or of a format that knew other fields
        return None
