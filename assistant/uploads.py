"""From uploaded files to `Image` rows: sorted into series, each decoded in a disposable process, kept under our names.

Files sent together are one upload: the slices of a series, or a zip of them, become one image. What cannot be read is
one line about that file, and the others go on. The size limit is enforced while the body streams in, before Django sees
it: `assistant.asgi.BodyLimit`.
"""

import hashlib
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files import File
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Sum
from django.utils.crypto import salted_hmac

from assistant import burned_in, kinds
from assistant.models import Annotation, Image, Study
from inference.decode import PIXELS, PREVIEW, Limits, decode
from inference.decoder import NAMES
from inference.errors import BadInput, InferenceError, Unavailable
from inference.overlays import Reference, read_overlays, referenced
from inference.sorting import Received, Refused, Series, sort
from inference.types import Cleaning, Decoded

SAMPLE = "RG1_UNCR.dcm"
SUFFIX = {"png": ".png", "jpeg": ".jpg", "tiff": ".tif", "dicom": ".dcm", "nifti": ".nii.gz"}
BUSY = "Too many images are being read at the moment. Try again in a minute."
EMPTY = "This file is empty."
NO_IMAGE = "The image that this segmentation was drawn on is not here. Upload the series first, or both together."

# Each decoder may use its full memory limit; more than this many at once wait their turn.
_slots = threading.BoundedSemaphore(2)


class TooLarge(Exception):
    """A file is over the size limit, or over what its owner may still keep. The text is one line for the user."""


@dataclass(slots=True)
class Stored:
    """What became of an upload. `annotations` are what SEG and RTSTRUCT files laid on images that were there."""

    images: list[Image] = field(default_factory=list)
    annotations: list[Annotation] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def store(user: User, file: "UploadedFile[bytes]") -> Image:
    """Keep one upload that makes one image. Raises TooLarge, or an InferenceError whose text is one line."""
    stored = receive(user, [file])
    if not stored.images:
        raise BadInput(stored.refused[0].reason if stored.refused else EMPTY)
    return stored.images[0]


def receive(user: User, files: "Sequence[UploadedFile[bytes]]") -> Stored:
    """Sort, decode and keep what came together. Raises TooLarge, and Unavailable when too much is read at once."""
    sizes = [file.size or 0 for file in files]
    _check_sizes(user, sizes)
    with tempfile.TemporaryDirectory(prefix="lightbox-upload-") as folder:
        received, stored = [], Stored()
        for number, (file, size) in enumerate(zip(files, sizes, strict=True)):
            name = _plain(file.name or "image")
            if size:
                received.append(Received(_write(file, Path(folder) / f"{number:06}"), name))
            else:
                stored.refused.append(Refused(name, EMPTY))
        unpacked = Path(folder) / "unpacked"
        unpacked.mkdir()
        with _slot():
            found = sort(received, unpacked, limits())
        stored.refused += found.refused
        for series in found.series:
            if series.kind != "overlay":
                _keep(user, series, stored)
        for series in found.series:  # after the images that they may belong to
            if series.kind == "overlay":
                _overlay(user, series, stored)
    return stored


def sample(user: User) -> Image:
    """The bundled sample radiograph (from the pydicom-data wheel) as this user's own image."""
    import data_store  # the package of the wheel pydicom-data

    source = Path(data_store.__file__).parent / "data" / SAMPLE
    existing = Image.objects.visible_to(user).filter(sha256=_digest([source])).first()
    if existing:
        return existing
    stored = Stored()
    _keep(user, Series("dicom", (source,), SAMPLE), stored, "sample chest radiograph")
    if not stored.images:
        raise Unavailable(stored.refused[0].reason)
    return stored.images[0]


def summary(stored: Stored, files: int) -> str:
    """One line about what could not be read: the reason, and of which file when there were several."""
    if not stored.refused:
        return EMPTY
    first = stored.refused[0]
    if files == 1:
        return first.reason
    more = len(stored.refused) - 1
    return f"{first.name}: {first.reason}" + (f" (and {more} more could not be read)" if more else "")


def cleaning_of(user: User) -> Cleaning | None:
    """How this user's files are de-identified: with a key of their own, so that two users' files cannot be matched."""
    if settings.DEIDENTIFY == "off":
        return None
    key = salted_hmac("lightbox.deidentify", str(user.pk), algorithm="sha256").hexdigest()
    return Cleaning(key, settings.DEIDENTIFY_DATES)


def limits() -> Limits:
    """Those of the decoder, for files as large as may be uploaded."""
    usual = Limits()
    return replace(usual, file_bytes=max(settings.UPLOAD_LIMIT, usual.file_bytes))


def used(user: User) -> int:
    """Bytes that this user's images take."""
    return Image.objects.filter(owner=user).aggregate(sum=Sum("bytes"))["sum"] or 0


def _check_sizes(user: User, sizes: Sequence[int]) -> None:
    if any(size > settings.UPLOAD_LIMIT for size in sizes):
        raise TooLarge(f"This file is larger than the limit of {settings.UPLOAD_LIMIT // 1024**2} MB.")
    _check_quota(user, sum(sizes))


def _check_quota(user: User, more: int) -> None:
    if settings.QUOTA and used(user) + more > settings.QUOTA:
        limit = settings.QUOTA / 1024**2
        raise TooLarge(
            f"Your images may take {limit:,.0f} MB in all, and this would pass it. Delete chats with images."
        )


def _plain(name: str) -> str:
    return Path(name.replace("\\", "/")).name[:200] or "image"


def _write(file: "UploadedFile[bytes]", path: Path) -> Path:
    with path.open("wb") as out:
        for chunk in file.chunks():
            out.write(chunk)
    return path


def _digest(sources: Sequence[Path]) -> str:
    """SHA-256 of the files' contents, one after another."""
    digest = hashlib.sha256()
    for source in sources:
        with source.open("rb") as file:
            for chunk in iter(lambda: file.read(1024**2), b""):
                digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _slot() -> Iterator[None]:
    if not _slots.acquire(timeout=60):
        raise Unavailable(BUSY)
    try:
        yield
    finally:
        _slots.release()


def _keep(user: User, series: Series, stored: Stored, name: str = "") -> None:
    """Decode one series into a row, or say why not. Without a `name` it gets one."""
    with tempfile.TemporaryDirectory(prefix="lightbox-decoded-") as folder:
        try:
            with _slot():
                decoded = decode(series.sources, Path(folder), limits(), cleaning_of(user))
            stored.images.append(_save(user, series, Path(folder), decoded, name))
        except Unavailable:
            raise
        except (InferenceError, TooLarge) as error:
            stored.refused.append(Refused(series.name, str(error)))


def _overlay(user: User, series: Series, stored: Stored) -> None:
    """Lay the regions of a SEG or RTSTRUCT file on the image it was drawn on, or say why not."""
    cleaning = cleaning_of(user)
    try:
        with _slot():
            reference = referenced(series.sources[0], cleaning, limits())
            image = _image_of(user, reference)
            if image is None:
                raise BadInput(NO_IMAGE)
            found = read_overlays(series.sources[0], image.facts, cleaning, limits())
    except Unavailable:
        raise
    except InferenceError as error:
        stored.refused.append(Refused(series.name, str(error)))
        return
    for one in found:
        made = Annotation.add(
            image, one.mask, kind=Annotation.MASK, author=Annotation.FILE, label=one.label, source=one.source
        )
        stored.annotations.append(made)


def _image_of(user: User, reference: Reference) -> Image | None:
    """The newest image of this user that was made of the series which the file names."""
    if not reference.series:
        return None
    return Image.objects.filter(owner=user, decoded__uids__series=reference.series).first()


def _save(user: User, series: Series, out: Path, decoded: Decoded, name: str = "") -> Image:
    decoded_row = decoded.as_dict() | {"notes": [*series.notes, *decoded.notes]}
    image = Image(
        owner=user,
        name=name or _name(series, decoded),
        sha256=_digest(series.sources),
        kind=decoded.kind,
        modality=decoded.modality,
        width=decoded.width,
        height=decoded.height,
        frames=decoded.frames,
        layout=decoded.layout,
        decoded=decoded_row,
    )
    kept = {"preview": out / PREVIEW}
    if decoded.layout != "slide":
        kept["pixels"] = out / PIXELS
    if decoded.clean:
        kept["cleaned"] = out / decoded.clean
    if not decoded.clean or settings.DEIDENTIFY == "keep":
        kept["original"] = _one_file(series, out)
    image.bytes = sum(path.stat().st_size for path in kept.values())
    _check_quota(user, image.bytes)
    for name, path in kept.items():
        with path.open("rb") as file:
            getattr(image, name).save(_file_name(name, path, series), File(file), save=False)
    with transaction.atomic():
        image.study = _study(user, decoded, image.name)
        if burned_in.needed(decoded):
            image.text_check = Image.WAITING
        image.save()
    if image.held:
        burned_in.enqueue(image)
    kinds.ask_model(image)
    return image


def _name(series: Series, decoded: Decoded) -> str:
    """The owner's file name; for a file that was cleaned what it is instead, since names of files name people too."""
    if not decoded.clean:
        return _plain(series.name)
    what = " ".join(filter(None, (decoded.modality.replace("unknown", ""), (decoded.body_part or "").lower())))
    count = {"volume": "slices", "frames": "frames"}.get(decoded.layout)
    return (what or NAMES[decoded.kind]) + (f", {decoded.frames} {count}" if count else "")


def _file_name(name: str, path: Path, series: Series) -> str:
    if name != "original":
        return path.name
    return "original" + (".zip" if len(series.sources) > 1 else SUFFIX.get(series.kind, ""))


def _one_file(series: Series, out: Path) -> Path:
    """The source itself, or a plain archive of the files of a series."""
    if len(series.sources) == 1:
        return series.sources[0]
    path = out / "original.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number, source in enumerate(series.sources, 1):
            with source.open("rb") as file, archive.open(f"{number:04}.dcm", "w") as entry:
                shutil.copyfileobj(file, entry)
    return path


def _study(user: User, decoded: Decoded, name: str) -> Study:
    uid = str(decoded.uids.get("study", ""))[:64]
    if not uid:
        return Study.objects.create(owner=user, name=name)
    study, _ = Study.objects.get_or_create(owner=user, uid=uid, defaults={"name": name})
    return study
