"""Images as vectors: made once for each checkpoint, kept in ImageVector, of the user's own images only.

What is looked at is the preview: the window that the user sees first, and the middle slice of a volume.
"""

from collections.abc import Sequence
from uuid import UUID

import numpy as np
from django.conf import settings
from PIL import Image as Picture

from assistant import model_calls
from assistant.models import Image, ImageVector
from assistant.tools.base import Context
from inference import types
from inference.checkpoints import Checkpoint
from inference.errors import BadInput
from inference.jobs import Record
from inference.perform import revision_of
from inference.types import Embedding

AT_ONCE = 16  # images in one call of a model
MOST_NEW = 400  # images that one call of a tool makes vectors of
LATER = "{count} of your images have not been looked at yet: ask again to include them."
HELD = "{count} of your images are left out until the text in their pixels is settled (under each image)."
GONE = "The preview of this image is missing or damaged."


def model_name(found: Checkpoint) -> str:
    """The name that its vectors are kept under: weights of another revision make other vectors."""
    revision = revision_of(found, found.folder(settings.MODELS_DIR))
    return f"{found.key}@{revision}"[:200]


def seen(image: Image) -> types.Image:
    """The preview as an image. Raises BadInput."""
    try:
        with image.preview.open("rb") as file, Picture.open(file, formats=["PNG"]) as opened:
            pixels = np.asarray(opened.convert("L" if opened.mode in ("1", "L", "I;16", "I") else "RGB"))
    except (OSError, ValueError) as error:
        raise BadInput(GONE) from error
    kind = image.kind_of()
    return types.Image(pixels, None, kind.modality or "unknown", kind.body_part or None, kind.view or None)


def of(context: Context, found: Checkpoint, images: Sequence[Image]) -> tuple[dict[UUID, Embedding], list[Record]]:
    """The vectors of these images by primary key, and the records of the calls that made the new ones."""
    name = model_name(found)
    kept = dict(ImageVector.objects.filter(model=name, image__in=images).values_list("image_id", "vector"))
    made = {key: np.frombuffer(vector, "<f4") for key, vector in kept.items()}
    records: list[Record] = []
    new = [image for image in images if image.pk not in made]
    for start in range(0, len(new), AT_ONCE):
        some = new[start : start + AT_ONCE]
        done = model_calls.perform(context, found, "embed_images", [seen(image) for image in some])
        assert done.result.vectors is not None
        vectors = done.result.vectors.astype("<f4")
        records.append(done.record)
        rows = [
            ImageVector(image=image, model=name, vector=vector.tobytes())
            for image, vector in zip(some, vectors, strict=True)
        ]
        ImageVector.objects.bulk_create(rows, ignore_conflicts=True)
        made |= {image.pk: vector for image, vector in zip(some, vectors, strict=True)}
    return made, records


def candidates(context: Context, found: Checkpoint, without: Image | None = None) -> tuple[list[Image], list[str]]:
    """The user's own images that can be compared now, and notes on those that cannot."""
    mine = Image.objects.filter(owner=context.reader).exclude(preview="")
    notes = []
    if not found.built_in:  # a model may not see them yet
        if held := mine.filter(text_check__in=Image.HELD).count():
            notes.append(HELD.format(count=held))
        mine = mine.exclude(text_check__in=Image.HELD)
    others = list(mine.exclude(pk=without.pk) if without else mine)
    known = set(
        ImageVector.objects.filter(model=model_name(found), image__in=others).values_list("image_id", flat=True)
    )
    new = [image for image in others if image.pk not in known]
    if left := max(0, len(new) - MOST_NEW):
        notes.append(LATER.format(count=left))
    allowed = known | {image.pk for image in new[:MOST_NEW]}
    return [image for image in others if image.pk in allowed], notes
