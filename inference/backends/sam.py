"""Segment Anything (Kirillov et al. 2023), SAM 2 (Ravi et al. 2024) and MedSAM: the region that a box or points mark.

The folder is in the Hugging Face layout with safetensors; config.json says which of the two architectures it is. A
published SAM 2 checkpoint holds its parts for video too, which are left out here.

The images of SAM are prepared by the processor of its folder. transformers has a processor for SAM 2 only where
torchvision is installed, so its images are prepared here by the same steps: brought to a square by bilinear
interpolation, scaled to 0..1, normalised by the mean and deviation that the folder gives.

Options of the entry in the catalogue: `prompts`, what it takes of "box" and "points" (both where it is not said),
`multimask` (true): take the best of several regions by the model's own estimate, and `preparation`: "medsam" prepares
images as MedSAM's authors do (MedSAM_Inference.py of their repository), who also take its one output.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.checkpoints import Checkpoint
from inference.classify import eight_bit_rgb
from inference.errors import BadInput, Unavailable
from inference.prompted import check
from inference.torch_models import NO_FOLDER, from_folder, part_of
from inference.types import Image, Mask, Prompts, Result, Score

SAM, SAM2 = frozenset({"sam"}), frozenset({"sam2", "sam2_video"})
PREDICTED_IOU = "predicted IoU"
OTHER_MODEL = "{name} is no Segment Anything model: its config.json says {kind!r}. Check its folder."
NO_LASSO = "{name} takes {known}, not a lasso. Draw a box, or let the baseline outline the lasso."
NO_POINTS = "{name} takes a box only, no points."
NO_BOX = "{name} takes points only, no box."
NO_REGION = "{name} found no region from these marks. Draw the box closer around it, or set a point in it."
FAILED = "{name} cannot take this image: {why}"
LIMIT = "The outline is {name}'s from your marks: check it. It does not know what the region is; the name is yours."
ESTIMATE = "The predicted IoU is the model's own estimate of its outline, not measured, and no probability."

Bits = NDArray[np.bool_]


class Sam:
    """`segment` takes one image and the options `prompts` (as `Prompts.as_dict`) and `label`."""

    def __init__(self, name: str, model: Any, processor: Any, takes: tuple[str, ...], several: bool) -> None:
        self._name = name
        self._model = model
        self._processor = processor
        self._takes = takes
        self._several = several

    def segment(self, images: Sequence[Image], options: Mapping[str, Any]) -> Result:
        """One mask of the image's own size, and the score "predicted IoU". Raises BadInput with the reason."""
        image, prompts = images[0], Prompts.from_dict(options["prompts"])
        self._check(prompts, image)
        try:
            inside, score = self._best(image, prompts)
        except (RuntimeError, ValueError, TypeError) as error:
            raise BadInput(FAILED.format(name=self._name, why=str(error)[:120])) from error
        if not inside.any():
            raise BadInput(NO_REGION.format(name=self._name))
        area = float(inside.sum()) * image.spacing.pixel_area_cm2 if image.spacing else None
        mask = Mask(str(options.get("label") or "marked region"), np.where(inside, 255, 0).astype(np.uint8), area)
        notes = (LIMIT.format(name=self._name), ESTIMATE)
        return Result(masks=(mask,), scores=(Score(PREDICTED_IOU, score),), notes=notes)

    def _check(self, prompts: Prompts, image: Image) -> None:
        if prompts.lasso:
            known = " and ".join({"box": "a box", "points": "points"}[one] for one in self._takes)
            raise BadInput(NO_LASSO.format(name=self._name, known=known))
        if (prompts.add or prompts.remove) and "points" not in self._takes:
            raise BadInput(NO_POINTS.format(name=self._name))
        if prompts.box and "box" not in self._takes:
            raise BadInput(NO_BOX.format(name=self._name))
        check(prompts, image.width, image.height)

    def _best(self, image: Image, prompts: Prompts) -> tuple[Bits, float]:
        """(H, W) of the region with the highest predicted IoU, and that number."""
        import torch

        inputs = self._processor(eight_bit_rgb(image.pixels), _marks(prompts)).to(self._model.device)
        sizes = {name: inputs.pop(name) for name in ("original_sizes", "reshaped_input_sizes") if name in inputs}
        with torch.inference_mode():
            found = self._model(**inputs, multimask_output=self._several)
            best = int(found.iou_scores[0, 0].argmax())
            low = found.pred_masks[:, 0, best : best + 1].float()
            inside = self._processor.at_full_size(low, **sizes)
        return inside.cpu().numpy(), float(found.iou_scores[0, 0, best])


def _marks(prompts: Prompts) -> dict[str, Any]:
    """Prompts as transformers takes them. Its pixels are counted from the centre of the first, ours from its edge."""
    points = (*prompts.add, *prompts.remove)
    marks: dict[str, Any] = {}
    if points:
        marks["input_points"] = [[[[x - 0.5, y - 0.5] for x, y in points]]]
        marks["input_labels"] = [[[1] * len(prompts.add) + [0] * len(prompts.remove)]]
    if prompts.box:
        marks["input_boxes"] = [[[edge - 0.5 for edge in prompts.box]]]
    return marks


class _Sam1:
    """The processor that the folder names."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def __call__(self, pixels: NDArray[np.uint8], marks: Mapping[str, Any]) -> Any:
        import torch

        inputs = self._processor(pixels, return_tensors="pt", **marks)
        for name in ("input_points", "input_boxes"):
            if name in inputs:
                inputs[name] = inputs[name].to(torch.float32)  # a GPU of some kinds has no doubles
        return inputs

    def at_full_size(self, masks: Any, original_sizes: Any, reshaped_input_sizes: Any) -> Any:
        return self._processor.post_process_masks(masks[None], original_sizes, reshaped_input_sizes)[0][0, 0]


class _MedSam:
    """As MedSAM's authors do it: a square by cubic interpolation, whatever the shape of the image, whose greys are
    stretched to 0..1, without the mean and deviation of everyday pictures; the probability of a region is brought to
    full size and cut at a half."""

    def __init__(self, side: int) -> None:
        self._side = side

    def __call__(self, pixels: NDArray[np.uint8], marks: Mapping[str, Any]) -> Any:
        import torch
        from skimage import transform
        from transformers import BatchFeature

        resize: Any = transform.resize
        rows, columns = pixels.shape[:2]
        square = resize(pixels, (self._side, self._side), order=3, preserve_range=True, anti_aliasing=True)
        square = square.astype(np.uint8).astype(np.float32)
        square = (square - square.min()) / max(float(np.ptp(square)), 1e-8)
        scale = torch.tensor([self._side / columns, self._side / rows])
        inputs: dict[str, Any] = {"pixel_values": torch.from_numpy(square.transpose(2, 0, 1)[None])}
        for name, marked in marks.items():
            values = torch.tensor(marked)
            if name != "input_labels":  # counted from the edge, as theirs are
                values = (values + 0.5) * scale.repeat(values.shape[-1] // 2)
            inputs[name] = values
        return BatchFeature({**inputs, "original_sizes": torch.tensor([[rows, columns]])})

    def at_full_size(self, masks: Any, original_sizes: Any) -> Any:
        import torch

        size = tuple(original_sizes[0].tolist())
        found = torch.nn.functional.interpolate(masks.sigmoid(), size, mode="bilinear", align_corners=False)
        return found[0, 0] > 0.5


class _Sam2:
    """What Sam2Processor does, without torchvision."""

    def __init__(self, images: Any) -> None:
        self._images = images

    def __call__(self, pixels: NDArray[np.uint8], marks: Mapping[str, Any]) -> Any:
        import torch

        inputs = self._images(pixels, return_tensors="pt")
        rows, columns = inputs["pixel_values"].shape[-2:]
        scale = torch.tensor([columns / pixels.shape[1], rows / pixels.shape[0]])
        for name, marked in marks.items():
            values = torch.tensor(marked)
            if name == "input_points":
                values = values * scale
            elif name == "input_boxes":
                values = values * scale.repeat(2)
            inputs[name] = values
        inputs["original_sizes"] = torch.tensor([pixels.shape[:2]])
        return inputs

    def at_full_size(self, masks: Any, original_sizes: Any) -> Any:
        import torch

        size = tuple(original_sizes[0].tolist())
        return torch.nn.functional.interpolate(masks, size, mode="bilinear", align_corners=False)[0, 0] > 0


def load(checkpoint: Checkpoint, folder: Path, device: str) -> Sam:
    """Reads the weights. Raises Unavailable."""
    name, kind = checkpoint.name, _kind(folder, checkpoint.name)
    takes = tuple(checkpoint.options.get("prompts", ("box", "points")))
    several = bool(checkpoint.options.get("multimask", True))
    if kind in SAM:
        model = from_folder(folder, name, "SamModel", device)
        medsam = checkpoint.options.get("preparation") == "medsam"
        side = model.config.vision_config.image_size
        processor = _MedSam(side) if medsam else _Sam1(_sam_processor(folder, name))
        return Sam(name, model, processor, takes, several)
    if kind in SAM2:
        model = from_folder(folder, name, "Sam2Model", device)
        return Sam(name, model, _Sam2(_sam2_images(folder, name, model.config)), takes, several)
    raise Unavailable(OTHER_MODEL.format(name=name, kind=kind))


def _kind(folder: Path, name: str) -> str:
    try:
        return str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unavailable(NO_FOLDER.format(name=name)) from error


def _sam_processor(folder: Path, name: str) -> Any:
    import transformers

    around: Any = transformers.SamProcessor
    return around(part_of(folder, name, "SamImageProcessorPil"))


def _sam2_images(folder: Path, name: str, config: Any) -> Any:
    """A processor of plain resizing, with the numbers of the folder's preprocessor_config.json."""
    images = part_of(folder, name, "ViTImageProcessorPil")
    side = config.prompt_encoder_config.image_size
    height, width = (side, side) if isinstance(side, int) else side
    images.size = {"height": height, "width": width}
    return images
