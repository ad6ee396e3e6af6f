"""Registration of two images or volumes by SimpleITK (`inference.registration`): image processing without weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inference import registration
from inference.checkpoints import Checkpoint
from inference.errors import BadInput
from inference.types import Image, Result, Volume

TWO = "A registration takes two images: the fixed one, then the one that is moved."
NO_SUCH = "There is no {what} {given!r}. Choose one of: {known}."


class SimpleITK:
    """`register` takes the fixed and the moving image, and the options `transform` and `metric`."""

    def register(self, images: Sequence[Image | Volume], options: Mapping[str, Any]) -> Result:
        """As `inference.registration.register`. Raises BadInput."""
        if len(images) != 2:
            raise BadInput(TWO)
        kind = _one_of(registration.KINDS, "transform", options.get("transform", "rigid"))
        metric = _one_of(registration.METRICS, "metric", options.get("metric", "mutual-information"))
        return registration.register(images[0], images[1], kind, metric)


def _one_of(known: Sequence[Any], what: str, given: object) -> Any:
    if given not in known:
        raise BadInput(NO_SUCH.format(what=what, given=given, known=", ".join(known)))
    return given


def load(_checkpoint: Checkpoint, _folder: Path, _device: str) -> SimpleITK:
    """Nothing to load."""
    return SimpleITK()
