"""From an uploaded file to an `Image` row: judged by content, decoded in a disposable process, kept under our names.

The size limit is enforced while the body streams in, before Django sees it: `assistant.asgi.BodyLimit`.
"""

import hashlib
import tempfile
import threading
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files import File
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction

from assistant.models import Image, Study
from inference.decode import PIXELS, PREVIEW, decode
from inference.errors import BadInput, Unavailable
from inference.types import Decoded

SAMPLE = "RG1_UNCR.dcm"
SUFFIX = {"png": ".png", "jpeg": ".jpg", "dicom": ".dcm"}

# Each decoder may use its full memory limit; more than this many at once wait their turn.
_slots = threading.BoundedSemaphore(2)


class TooLarge(Exception):
    """The file is over the size limit. The text is one line for the user."""

    def __init__(self) -> None:
        super().__init__(f"This file is larger than the limit of {settings.UPLOAD_LIMIT // 1024**2} MB.")


def store(user: User, file: "UploadedFile[bytes]") -> Image:
    """Decode and keep one upload. Raises TooLarge, or an InferenceError whose text is one line for the user."""
    if (file.size or 0) > settings.UPLOAD_LIMIT:
        raise TooLarge
    if not file.size:
        raise BadInput("This file is empty.")
    with tempfile.TemporaryDirectory(prefix="lightbox-upload-") as folder:
        source = Path(folder) / "original"
        sha256 = hashlib.sha256()
        with source.open("wb") as out:
            for chunk in file.chunks():
                sha256.update(chunk)
                out.write(chunk)
        return _keep(user, file.name or "image", source, sha256.hexdigest())


def sample(user: User) -> Image:
    """The bundled sample radiograph (from the pydicom-data wheel) as this user's own image."""
    import data_store  # the package of the wheel pydicom-data

    source = Path(data_store.__file__).parent / "data" / SAMPLE
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    existing = Image.objects.visible_to(user).filter(sha256=sha256).first()
    return existing or _keep(user, "sample chest radiograph.dcm", source, sha256)


def _keep(user: User, name: str, source: Path, sha256: str) -> Image:
    with tempfile.TemporaryDirectory(prefix="lightbox-decoded-") as folder:
        out = Path(folder)
        if not _slots.acquire(timeout=60):
            raise Unavailable("Too many images are being read at the moment. Try again in a minute.")
        try:
            decoded = decode(source, out)
        finally:
            _slots.release()
        return _save(user, name, source, sha256, out, decoded)


def _save(user: User, name: str, source: Path, sha256: str, out: Path, decoded: Decoded) -> Image:
    image = Image(
        owner=user,
        name=Path(name.replace("\\", "/")).name[:200] or "image",
        sha256=sha256,
        kind=decoded.kind,
        modality=decoded.modality,
        width=decoded.width,
        height=decoded.height,
        frames=decoded.frames,
        decoded=decoded.as_dict(),
    )
    with source.open("rb") as original, (out / PREVIEW).open("rb") as preview, (out / PIXELS).open("rb") as pixels:
        image.original.save("original" + SUFFIX[decoded.kind], File(original), save=False)
        image.preview.save(PREVIEW, File(preview), save=False)
        image.pixels.save(PIXELS, File(pixels), save=False)
    image.bytes = sum(file.size for file in (image.original, image.preview, image.pixels))
    with transaction.atomic():
        image.study = Study.objects.create(owner=user, name=image.name)
        image.save()
    return image
