"""Text burned into pixels: looked for before any model may see an image, then masked or accepted by its owner.

A worker looks and paints; the row says how far it has come (`Image.text_check`). While it is not settled, the image is
held: tools that hand pixels to a model decline it, and no chat model gets it.
"""

import logging
import tempfile
import uuid
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db.models.fields.files import FieldFile
from django.utils import timezone

from assistant import tasks
from assistant.files import copied
from assistant.models import Image
from inference.errors import InferenceError
from inference.types import Decoded

log = logging.getLogger("lightbox.burned_in")

HELD = {
    Image.WAITING: "{name} is still being searched for burned-in text. Try again in a moment.",
    Image.MASKING: "The text in {name} is being masked. Try again in a moment.",
    Image.FOUND: "{name} has text burned into it, which may name a person: mask it or accept it under the image first.",
    Image.FAILED: "{name} could not be searched for burned-in text: look at it, and accept it under the image first.",
}
QUEUE = "decode"
SILENT = timedelta(seconds=60)  # after which the sweep asks again


def needed(decoded: Decoded) -> bool:
    """Whether this kind of image is searched without being asked to."""
    from inference.burned_in import needs_check

    return settings.DEIDENTIFY != "off" and needs_check(decoded)


def why_held(image: Image, name: str) -> str:
    """One line when no model may see this image yet, else nothing."""
    return HELD.get(image.text_check, "").format(name=name)


def ask(image: Image) -> None:
    """Search this image, again if need be."""
    Image.objects.filter(pk=image.pk).update(text_check=Image.WAITING, text_boxes=[])
    enqueue(image)


def enqueue(image: Image) -> None:
    tasks.enqueue(tasks.settle_text, image.pk, queue=QUEUE)


def accept(image: Image) -> bool:
    """The owner has looked: what stands there names nobody. False when there is nothing to accept."""
    unsettled = Image.objects.filter(pk=image.pk, text_check__in=(Image.FOUND, Image.FAILED))
    return bool(unsettled.update(text_check=Image.ACCEPTED))


def mask(image: Image) -> bool:
    """Paint over the boxes that were found. False when none were."""
    if not Image.objects.filter(pk=image.pk, text_check=Image.FOUND).update(text_check=Image.MASKING):
        return False
    enqueue(image)
    return True


def settle(image_id: uuid.UUID | str) -> None:
    """A worker's step: search an image that waits for it, or paint over what was found. Twice is as once."""
    image = Image.objects.filter(pk=image_id).first()
    if image is not None and image.text_check == Image.WAITING:
        _search(image)
    elif image is not None and image.text_check == Image.MASKING:
        _paint(image)


def sweep() -> None:
    """Ask again for what nobody took up: a broker that was down, a worker that died."""
    silent = timezone.now() - SILENT
    for image in Image.objects.filter(text_check__in=(Image.WAITING, Image.MASKING), created_at__lt=silent):
        enqueue(image)


def _search(image: Image) -> None:
    from inference.burned_in import find_text_in_file

    try:
        with tempfile.TemporaryDirectory(prefix="lightbox-text-") as folder:
            boxes = find_text_in_file(copied(image.pixels, Path(folder)), image.facts)
    except InferenceError as error:
        log.warning("%s could not be searched for text: %s", image.pk, error)
        Image.objects.filter(pk=image.pk, text_check=Image.WAITING).update(text_check=Image.FAILED)
        return
    found = [[box.x0, box.y0, box.x1, box.y1] for box in boxes]
    state = Image.FOUND if found else Image.CLEAR
    Image.objects.filter(pk=image.pk, text_check=Image.WAITING).update(text_check=state, text_boxes=found)


def _paint(image: Image) -> None:
    from inference.burned_in import mask_text_in_files

    files = [image.pixels, image.preview, *filter(None, [image.cleaned])]
    try:
        with tempfile.TemporaryDirectory(prefix="lightbox-mask-") as folder, tempfile.TemporaryDirectory() as out:
            copies = [copied(file, Path(folder)) for file in files]
            clean = copies[2] if image.cleaned else None
            mask_text_in_files(copies[0], copies[1], clean, image.text_boxes, Path(out))
            _replace(image, [Path(out) / copy.name for copy in copies], files)
    except InferenceError as error:
        log.warning("the text in %s could not be masked: %s", image.pk, error)
        Image.objects.filter(pk=image.pk, text_check=Image.MASKING).update(text_check=Image.FAILED)


def _replace(image: Image, painted: list[Path], files: list[FieldFile]) -> None:
    """Put painted files in place of the ones they were made from; an original that was kept has the text, and goes."""
    old = [str(file.name) for file in files] + ([str(image.original.name)] if image.original else [])
    for file, path in zip(files, painted, strict=True):
        with path.open("rb") as opened:
            file.save(path.name, File(opened), save=False)
    image.original = ""
    image.text_check = Image.MASKED
    image.bytes = sum(path.stat().st_size for path in painted)
    kept = ["pixels", "preview", "cleaned", "original", "text_check", "bytes"]
    if Image.objects.filter(pk=image.pk, text_check=Image.MASKING).exists():
        image.save(update_fields=kept)
        for name in old:
            default_storage.delete(name)
