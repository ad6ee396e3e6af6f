"""Files of the storage, which need not be a disk."""

import shutil
from pathlib import Path

from django.db.models.fields.files import FieldFile


def copied(file: FieldFile, folder: Path) -> Path:
    """A copy in `folder` under the file's own name, for a reader that wants a path."""
    path = folder / Path(str(file.name)).name
    with file.open("rb") as source, path.open("wb") as out:
        shutil.copyfileobj(source, out)
    return path
