"""A tool's call of a checkpoint: in this worker for a baseline, else by the worker of the checkpoint's environment.

Whoever calls waits, in a thread of the worker of the queue `expert`, which holds nothing else. The run does not wait.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from assistant.tools.base import Context
from inference import perform as here
from inference.checkpoints import Checkpoint
from inference.jobs import Record
from inference.types import Image, Result, Volume

Given = Sequence[Image | Volume]


@dataclass(frozen=True, slots=True)
class Performed:
    """What came back, and what its worker recorded."""

    result: Result
    record: Record


def perform(
    context: Context, found: Checkpoint, task: str, images: Given, options: Mapping[str, Any] | None = None
) -> Performed:
    """Carry out one task of a checkpoint. Raises any InferenceError."""
    folder = found.folder(settings.MODELS_DIR)
    result, record = here.perform(found, folder, task, images, options or {})
    return Performed(result, record)
