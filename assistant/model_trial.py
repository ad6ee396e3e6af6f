"""One call of a checkpoint on a sample image, for whoever has just configured it: what it says and what it took."""

import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings

from assistant import checkpoints_in_use, model_calls
from assistant.model_calls import Performed
from inference import perform
from inference.checkpoints import MAIN, Checkpoint
from inference.decode import PIXELS, PREVIEW, as_image, decode
from inference.errors import BadInput
from inference.types import Image, Prompts, Result, Volume

TASKS = {
    "classify": "classify",
    "zero-shot": "zero_shot",
    "segment": "segment",
    "prompted-segment": "segment",
    "retrieve": "embed_images",
    "anomaly": "anomaly",
    "detect": "detect",
    "register": "register",
    "super-resolution": "enlarge",
    "synthesis": "synthesise",
}
WORDS = ["a chest radiograph", "a photograph of a cat"]
QUESTION = "What kind of image is this? Answer in one sentence."
NO_TASK = "{name} ({roles}) is used by Lightbox itself and cannot be tried alone. Name its task with --task."
SHOWN = 5  # of each kind of result


def lines(found: Checkpoint, file: Path | None, task: str, options: Mapping[str, Any] | None) -> Iterator[str]:
    """What it says of a file, or of the bundled radiograph. Raises any InferenceError, Declined."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = _read(file or sample(), folder)
        if found.served and not task:
            yield from _answered(found, (folder / PREVIEW).read_bytes())
            return
        task = task or next((TASKS[role] for role in found.roles if role in TASKS), "")
        if not task:
            raise BadInput(NO_TASK.format(name=found.name, roles=", ".join(found.roles)))
        images = [] if task == "synthesise" else [image, image] if task == "register" else [image]
        done = _done(found, task, images, options if options is not None else _usual(task, found, image))
    yield from said(done.result)
    yield took(done)


def sample() -> Path:
    """The radiograph of the wheel pydicom-data."""
    import data_store

    return Path(data_store.__file__).parent / "data" / "RG1_UNCR.dcm"


def _read(file: Path, folder: Path) -> Image | Volume:
    decoded = decode(file.expanduser(), folder)
    pixels = np.load(folder / PIXELS, allow_pickle=False)
    if decoded.layout == "volume":
        pixels = pixels[0] if decoded.volumes > 1 else pixels
        return Volume(pixels, decoded.affine, decoded.modality, decoded.body_part)
    return as_image(pixels, decoded)


def _usual(task: str, found: Checkpoint, image: Image | Volume) -> dict[str, Any]:
    """Options that show that it works: words to tell apart, a box in the middle, or nothing."""
    if task in ("zero_shot", "detect", "anomaly"):
        return {"labels": WORDS, "normal": WORDS[:1], "abnormal": WORDS[1:]}
    if task == "synthesise":
        return {"prompt": WORDS[0]}
    if task == "segment" and "prompted-segment" in found.roles and isinstance(image, Image):
        height, width = image.pixels.shape[:2]
        return {"prompts": Prompts(box=(width / 4, height / 4, width / 2, height / 2)).as_dict(), "label": "a box"}
    return {}


def _done(found: Checkpoint, task: str, images: list[Image | Volume], options: Mapping[str, Any]) -> Performed:
    """In this process where its environment is this one, else by the worker of its environment."""
    if found.environment == MAIN:
        return Performed(*perform.perform(found, found.folder(settings.MODELS_DIR), task, images, options))
    return model_calls.carry_out(found, task, images, options, name=f"trial-{uuid.uuid4().hex[:16]}", batch=True)


def _answered(found: Checkpoint, preview: bytes) -> Iterator[str]:
    import time

    from inference.vllm import OpenAIAnswerer

    server = checkpoints_in_use.server_of(found)
    if server is None:
        raise BadInput(checkpoints_in_use.why_not(found))
    begun = time.monotonic()
    answer = OpenAIAnswerer(server.base_url, server.model, api_key=server.api_key).answer([preview], QUESTION)
    yield f"{server.where} says: {' '.join(answer.split())}"
    yield f"answered in {time.monotonic() - begun:.2f} s"


def said(result: Result) -> Iterator[str]:
    """A result in words."""
    for score in result.scores[:SHOWN]:
        yield f"{score.label}: {score.kind} {score.value:.3f}"
    for box in result.boxes[:SHOWN]:
        yield f"{box.label}: box {box.x0:.0f}, {box.y0:.0f} to {box.x1:.0f}, {box.y1:.0f}"
    for mask in result.masks[:SHOWN]:
        yield f"{mask.label}: mask of {int(np.count_nonzero(mask.pixels))} pixels of {mask.pixels.size}"
    for picture in result.pictures[:SHOWN]:
        yield f"{picture.label}: picture of {picture.pixels.shape[1]} x {picture.pixels.shape[0]}"
    for name, value in list(result.values.items())[: 2 * SHOWN]:
        yield f"{name}: {value:.4g}"
    if result.vectors is not None:
        yield f"{result.vectors.shape[0]} vector(s) of {result.vectors.shape[1]} numbers"
    if result.text:
        yield result.text[:500]
    yield from result.notes


def took(done: Performed) -> str:
    """Time, memory and device as the record has them."""
    record = done.record
    seconds = record.ended - record.started
    loading = f"loading {record.load_seconds:.2f} s, " if record.load_seconds else ""
    return (
        f"{record.name} on {record.device}: {loading}the call {seconds - record.load_seconds:.2f} s; "
        f"memory of its process {record.memory_mb:.0f} MB; licence {record.licence}"
    )
