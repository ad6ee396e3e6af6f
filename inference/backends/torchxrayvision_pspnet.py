"""Fourteen structures of a frontal chest radiograph by torchxrayvision's PSPNet (Lian et al. 2021), in the environment
"xray".

The folder holds its tensors: as .safetensors, or as the published .pth, of which only plain tensors are read (that file
is a dictionary of them; one that is anything else is refused). The model sees the centre square of the image at 512 x
512, as the library's own preparation does; beside the square nothing is outlined. Right and left are the patient's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from inference.backends.torchxrayvision import COLOUR, NO_LIBRARY, NO_LOAD
from inference.checkpoints import Checkpoint
from inference.errors import BadInput, Unavailable
from inference.types import Image, Mask, Result

SIDE = 512
NO_WEIGHTS = "{name} has no weights in its folder: a .safetensors file, or the published .pth."
NO_STRUCTURE = "{name} does not know {unknown}. It knows: {known}."
NOTHING = "None of the structures that were asked for was found on this image: {labels}."
THRESHOLD = "A pixel belongs to a structure where the model's score (a sigmoid, no probability) is above 0.5."
ABSENT = "Not found: {labels}."
CROPPED = "The model saw the centre square of the image; what lies beside it has no outline."


class PSPNet:
    """`segment` takes one grey image and the option `structures` (names of labels; all when it is empty)."""

    def __init__(self, model: Any, labels: Sequence[str], name: str) -> None:
        self._model = model
        self._labels = list(labels)
        self._name = name

    def segment(self, images: Sequence[Image], options: Mapping[str, Any]) -> Result:
        """A mask of the image's own size for each structure that was found; they may overlap. Raises BadInput."""
        import torch

        image, wanted = images[0], self._wanted(options.get("structures") or self._labels)
        pixels = torch.from_numpy(prepared(image)).to(next(self._model.parameters()).device)
        with torch.inference_mode():
            logits = self._model(pixels)[:, wanted]
            side = min(image.height, image.width)
            full = torch.nn.functional.interpolate(logits, (side, side), mode="bilinear", align_corners=False)
            inside = (torch.sigmoid(full) > 0.5)[0].cpu().numpy()
        labels = [self._labels[index] for index in wanted]
        masks = [_mask(label, one, image) for label, one in zip(labels, inside, strict=True) if one.any()]
        if not masks:
            raise BadInput(NOTHING.format(labels=", ".join(labels)))
        return Result(masks=tuple(masks), notes=_notes(labels, masks, image))

    def _wanted(self, structures: Sequence[str]) -> list[int]:
        places = {label.casefold(): index for index, label in enumerate(self._labels)}
        if unknown := [name for name in structures if name.casefold() not in places]:
            known = ", ".join(self._labels)
            raise BadInput(NO_STRUCTURE.format(name=self._name, unknown=", ".join(unknown), known=known))
        return sorted({places[name.casefold()] for name in structures})


def prepared(image: Image) -> NDArray[np.float32]:
    """(1, 1, 512, 512) from -1024 to 1024, as the library's model takes it: greys stretched to the whole range (8-bit
    ones as they are), the centre square resized. Raises BadInput for colour."""
    if image.is_colour:
        raise BadInput(COLOUR)
    rows, columns = _square(image)
    low, high = (0.0, 255.0) if image.pixels.dtype == np.uint8 else (image.pixels.min(), image.pixels.max())
    square = Pillow.fromarray(image.pixels[rows, columns].astype(np.float32))
    resized = np.asarray(square.resize((SIDE, SIDE), Pillow.Resampling.BILINEAR))
    scaled = (resized - float(low)) / max(float(high) - float(low), 1e-6)
    return np.asarray((2.0 * np.clip(scaled, 0, 1) - 1.0) * 1024.0, dtype=np.float32)[None, None]


def _square(image: Image) -> tuple[slice, slice]:
    side = min(image.height, image.width)
    top, left = (image.height - side) // 2, (image.width - side) // 2
    return slice(top, top + side), slice(left, left + side)


def _mask(label: str, inside: NDArray[np.bool_], image: Image) -> Mask:
    pixels = np.zeros((image.height, image.width), dtype=np.uint8)
    pixels[_square(image)] = np.where(inside, 255, 0)
    area = float(inside.sum()) * image.spacing.pixel_area_cm2 if image.spacing else None
    return Mask(label, pixels, area)


def _notes(labels: Sequence[str], masks: Sequence[Mask], image: Image) -> tuple[str, ...]:
    absent = [label for label in labels if label not in {mask.label for mask in masks}]
    notes = [THRESHOLD]
    if absent:
        notes.append(ABSENT.format(labels=", ".join(absent)))
    if image.height != image.width:
        notes.append(CROPPED)
    return tuple(notes)


def load(checkpoint: Checkpoint, folder: Path, device: str) -> PSPNet:
    """Raises Unavailable."""
    try:
        from torchxrayvision.baseline_models import chestx_det
    except ImportError as error:
        raise Unavailable(NO_LIBRARY.format(name=checkpoint.name, why=error)) from error
    labels = chestx_det.PSPNet.targets
    network = chestx_det.pspnet(len(labels))
    tensors = _tensors(folder, checkpoint.name)
    try:
        network.load_state_dict({name.removeprefix("module."): tensor for name, tensor in tensors.items()})
    except (RuntimeError, AttributeError, TypeError) as error:
        raise Unavailable(NO_LOAD.format(name=checkpoint.name, why=str(error)[:120])) from error
    return PSPNet(_with_preparation(chestx_det, network).to(device).eval(), labels, checkpoint.name)


def _with_preparation(chestx_det: Any, network: Any) -> Any:
    """The library's own model around a network, whose constructor would look for a download."""
    import torch

    model = chestx_det.PSPNet.__new__(chestx_det.PSPNet)
    torch.nn.Module.__init__(model)
    model.transform = chestx_det.torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    model.model = network
    return model


def _tensors(folder: Path, name: str) -> Any:
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    safe, published = sorted(folder.glob("*.safetensors")), sorted(folder.glob("*.pth"))
    try:
        if safe:
            return load_file(safe[0])
        if published:
            return torch.load(published[0], map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise Unavailable(NO_LOAD.format(name=name, why=str(error).splitlines()[0][:120])) from error
    raise Unavailable(NO_WEIGHTS.format(name=name))
