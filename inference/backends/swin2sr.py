"""Super-resolution by a Swin2SR checkpoint (Conde et al. 2022) of transformers, in a local folder.

Large images are enlarged in overlapping tiles, so that memory does not grow with the image. A grey image is given as
three equal channels, and the mean of what comes back is its grey.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference import enlarging
from inference.checkpoints import Checkpoint
from inference.enlarging import Pixels
from inference.errors import BadInput, Unavailable
from inference.types import Image, Result

TILE, MARGIN = 192, 16  # pixels of the input; margins are enlarged and thrown away
LONGEST = 1024
INVENTED = "A model makes up detail that looks likely: what it adds was not in the image; read nothing from it."
OTHER_SCALE = "{name} enlarges by {scale}, not by {wanted}. Choose another model, or the other factor."
NO_LOAD = "{name} cannot be loaded from its folder: {why}. It needs config.json and model.safetensors of a Swin2SR."


class Swin2SR:
    """`enlarge` takes one image and the option `scale`, which must be the checkpoint's own."""

    def __init__(self, name: str, model: Any, device: str) -> None:
        self._name = name
        self._model = model
        self._device = device

    def enlarge(self, images: Sequence[Image], options: Mapping[str, Any]) -> Result:
        """One picture; `values` psnr_db and ssim. Raises BadInput."""
        pixels = enlarging.eight_bit(images[0])
        own = int(self._model.config.upscale)
        wanted = options.get("scale", own)
        if wanted != own:
            raise BadInput(OTHER_SCALE.format(name=self._name, scale=own, wanted=wanted))
        enlarging.check(pixels, own, LONGEST)
        return enlarging.enlarged(pixels, own, self._enlarged, f"enlarged by {own}, {self._name}"[:120], (INVENTED,))

    def _enlarged(self, pixels: Pixels) -> Pixels:
        """(scale * H, scale * W), of as many channels as the input."""
        scale = int(self._model.config.upscale)
        colour = pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
        height, width = colour.shape[:2]
        made = np.empty((height * scale, width * scale, 3), np.uint8)
        for top in range(0, height, TILE):
            for left in range(0, width, TILE):
                self._tile(colour, made, top, left, scale)
        return made if pixels.ndim == 3 else np.rint(made.mean(axis=2)).astype(np.uint8)

    def _tile(self, colour: Pixels, made: Pixels, top: int, left: int, scale: int) -> None:
        """Enlarge one tile with its margins, and keep what lies within."""
        height, width = colour.shape[:2]
        bottom, right = min(top + TILE, height), min(left + TILE, width)
        above, before = max(0, top - MARGIN), max(0, left - MARGIN)
        given = colour[above : min(bottom + MARGIN, height), before : min(right + MARGIN, width)]
        found = self._run(given)
        rows = slice((top - above) * scale, (bottom - above) * scale)
        columns = slice((left - before) * scale, (right - before) * scale)
        made[top * scale : bottom * scale, left * scale : right * scale] = found[rows, columns]

    def _run(self, pixels: Pixels) -> NDArray[np.uint8]:
        """The model takes whole windows only: what is missing is mirrored, and cut off again."""
        import torch

        scale, window = int(self._model.config.upscale), int(self._model.config.window_size)
        height, width = pixels.shape[:2]
        padded = np.pad(pixels, ((0, -height % window), (0, -width % window), (0, 0)), "symmetric")
        given = torch.from_numpy(np.ascontiguousarray(padded.transpose(2, 0, 1))).float().div(255)[None]
        with torch.inference_mode():
            found = self._model(given.to(self._device)).reconstruction[0].float().cpu()
        made: NDArray[np.uint8] = found.clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        return made[: height * scale, : width * scale]


def load(checkpoint: Checkpoint, folder: Path, device: str) -> Swin2SR:
    """From config.json and model.safetensors. Raises Unavailable."""
    try:
        from transformers import Swin2SRForImageSuperResolution

        kind: Any = Swin2SRForImageSuperResolution
        model = kind.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        why = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise Unavailable(NO_LOAD.format(name=checkpoint.name, why=why)) from error
    return Swin2SR(checkpoint.name, model.eval().to(device), device)
