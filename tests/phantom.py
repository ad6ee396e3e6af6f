"""A head that no reader could turn over unnoticed: one bright block at the patient's left, front and top.

Written as decoded rows, since what is tested with it is how a volume is shown and sent, not how a file is read.
"""

import tempfile
from pathlib import Path

import numpy as np
from django.contrib.auth.models import User
from django.core.files import File
from numpy.typing import NDArray
from PIL import Image as Picture

from assistant.models import Annotation, Conversation, ConversationImage, Image, Study
from inference.types import Affine, Decoded, Gate, Spacing

SLICES, ROWS, COLUMNS = 30, 48, 40
# Columns grow towards the patient's left, rows towards the back, slices towards the head: an axial CT as it is read.
AFFINE: Affine = ((-1.5, 0.0, 0.0, 30.0), (0.0, -1.0, 0.0, 20.0), (0.0, 0.0, 2.5, -40.0), (0.0, 0.0, 0.0, 1.0))
BLOCK = (slice(20, 27), slice(8, 16), slice(26, 34))  # slices, rows, columns: high, front, left
AIR, TISSUE, BRIGHT = -1000, 40, 900


def voxels() -> NDArray[np.int16]:
    """(slices, rows, columns), and no two neighbours alike: the last digits tell the place."""
    k, r, c = np.mgrid[:SLICES, :ROWS, :COLUMNS]
    head = ((c - 19.5) / 18) ** 2 + ((r - 23.5) / 22) ** 2 + ((k - 14.5) / 14) ** 2 < 1
    found = np.where(head, TISSUE, AIR)
    found[BLOCK] = BRIGHT
    return (found + (c + 3 * r + 7 * k) % 23).astype(np.int16)


def block() -> NDArray[np.uint8]:
    mask = np.zeros((SLICES, ROWS, COLUMNS), np.uint8)
    mask[BLOCK] = 255
    return mask


def store(owner: User, array: NDArray[np.generic], affine: Affine | None = AFFINE, **facts: object) -> Image:
    """An image row with its files. `array` is (slices, rows, columns), (times, slices, rows, columns) or in colour."""
    volumes = array.shape[0] if array.ndim == 4 and array.shape[-1] != 3 else 1
    frames, height, width = (array[0] if volumes > 1 else array).shape[:3]
    decoded = Decoded(
        **{
            "kind": "nifti",
            "modality": "CT",
            "width": width,
            "height": height,
            "layout": "volume",
            "frames": frames,
            "volumes": volumes,
            "affine": affine,
            "spacing": Spacing(1.0, 1.5, "NIfTI header"),
            "orientation": ("L", "P"),
            "window": (200.0, 1400.0),
            "window_count": 1,
            "window_source": "file",
            "windows": (("all", 200.0, 1400.0),),
            "unit": "HU",
            "gate": Gate("CT", "HEAD", confidence=1.0, source="header"),
            **facts,
        }
    )
    image = Image(
        owner=owner,
        name="phantom",
        sha256="0" * 64,
        kind="nifti",
        modality="CT",
        width=width,
        height=height,
        frames=frames,
        layout=decoded.layout,
        decoded=decoded.as_dict(),
        study=Study.objects.create(owner=owner, name="phantom"),
    )
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "pixels.npy", array)
        middle = (array[0] if volumes > 1 else array)[frames // 2].astype(np.float64)
        grey = np.clip((middle + 500) / 1400 * 255, 0, 255).astype(np.uint8)
        Picture.fromarray(grey).save(Path(folder) / "preview.png")
        for field, name in (("pixels", "pixels.npy"), ("preview", "preview.png")):
            with (Path(folder) / name).open("rb") as file:
                getattr(image, field).save(name, File(file), save=False)
    image.save()
    return image


def chat_with(owner: User, *images: Image) -> Conversation:
    conversation = Conversation.objects.create(owner=owner, title="Phantom")
    for image in images:
        ConversationImage.attach(conversation, image)
    return conversation


def mark(image: Image, mask: NDArray[np.uint8], label: str = "bright block") -> Annotation:
    return Annotation.add(image, mask, kind=Annotation.MASK, author=Annotation.PERSON, label=label)
