"""Where a model looked, as a heat map over the image: Grad-CAM for convolutional models, gradient-weighted attention
rollout for transformers. It shows what moved the score, not what is there, and it is coarse.

Grad-CAM: Selvaraju et al., ICCV 2017 (the last stage with a spatial grid). Rollout: Chefer et al., ICCV 2021 ("Generic
attention-model explainability"), the self-attention rule: R <- R + mean over heads of (gradient x attention)+ R.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from inference.errors import BadInput
from inference.types import Heatmap, Image

GRAD_CAM = "Grad-CAM on the last convolutional stage"
ROLLOUT = "gradient-weighted attention rollout"
OF_TIMM = "attn_drop"  # the module whose output are attention weights, where they are not fused
NO_MAP = "No saliency map can be made of this model: it has neither a convolutional stage nor attention of its own."


def explain(tower: Any, target: Callable[[Any], Any], inputs: Any, image: Image, processor: Any, label: str) -> Heatmap:
    """A heat map of the image's own size for a number that depends on it.

    `tower` is the torch module that sees the image, `target(inputs)` runs the model and returns the scalar tensor to
    explain, `inputs` hold pixel_values (1, C, h, w), and `processor` says which part of the image they show. Raises
    BadInput.
    """
    import torch

    with torch.enable_grad():
        attentions, grids = _watched(tower, target, inputs)
    if attentions and len({one.shape for one in attentions}) == 1:
        grid, method = _rollout(attentions, _across(inputs)), ROLLOUT
    elif grids:
        grid, method = _grad_cam(grids[-1]), GRAD_CAM
    else:
        raise BadInput(NO_MAP)
    return Heatmap(label, _over(grid, image, processor), method)


def _watched(tower: Any, target: Callable[[Any], Any], inputs: Any) -> tuple[list[Any], list[Any]]:
    """Tensors with their gradients, in the order in which they were made: attention weights (1, heads, n, n) of square
    self-attention, and outputs with a spatial grid (1, C, h, w)."""
    attentions: list[Any] = []
    grids: list[Any] = []

    def watch(module: Any, _given: Any, made: Any) -> None:
        first = made[0] if isinstance(made, tuple) and made else made
        if hasattr(first, "dim") and first.dim() == 4 and min(first.shape[2:]) > 1 and first.requires_grad:
            grids.append(first)
        attentions.extend(one for one in (made[1:] if isinstance(made, tuple) else ()) if _square(one))

    def watch_weights(module: Any, _given: Any, made: Any) -> None:
        attentions.extend([made] if _square(made) else [])

    handles = [module.register_forward_hook(watch) for module in tower.modules()]
    handles += [m.register_forward_hook(watch_weights) for name, m in tower.named_modules() if name.endswith(OF_TIMM)]
    try:
        inputs["pixel_values"] = inputs["pixel_values"].detach().requires_grad_(True)
        value = target(inputs)
    finally:
        for handle in handles:
            handle.remove()
    for tensor in (*attentions, *grids[-1:]):
        tensor.retain_grad()
    tower.zero_grad(set_to_none=True)
    value.backward()
    return _unique(attentions), [grid for grid in grids[-1:] if grid.grad is not None]


def _square(one: Any) -> bool:
    """Whether it may be the weights of self-attention, (1, heads, n, n)."""
    if not hasattr(one, "dim") or one.dim() != 4:
        return False
    return bool(one.shape[0] == 1 and one.shape[2] == one.shape[3] and one.requires_grad)


def _unique(tensors: list[Any]) -> list[Any]:
    """Each once: a layer may hand on the weights of its attention."""
    return list({id(one): one for one in tensors if one.grad is not None}.values())


def _grad_cam(grid: Any) -> NDArray[np.float32]:
    """(h, w): the stage's channels, each weighted by its mean gradient, where they speak for the target."""
    weighted = (grid * grid.grad.mean(dim=(2, 3), keepdim=True)).sum(dim=1).clamp(min=0)[0]
    return np.asarray(weighted.detach().float().cpu().numpy(), dtype=np.float32)


def _rollout(attentions: list[Any], shape: tuple[int, int]) -> NDArray[np.float32]:
    """(h, w) of patches: what the class token (or, without one, the tokens together) took from each patch."""
    import torch

    tokens = attentions[0].shape[-1]
    relevance = torch.eye(tokens)
    for attention in attentions:
        gained = (attention.grad * attention).clamp(min=0).mean(dim=1)[0].detach().float().cpu()
        relevance = relevance + gained @ relevance
    relevance -= torch.eye(tokens)
    side = int((tokens * shape[0] / shape[1]) ** 0.5)
    columns = max(tokens // max(side, 1), 1)
    special = tokens - side * columns
    row = relevance[0, special:] if special else relevance.mean(dim=0)
    return np.asarray(row.reshape(side, columns).numpy(), dtype=np.float32)


def _across(inputs: Any) -> tuple[int, int]:
    height, width = inputs["pixel_values"].shape[2:]
    return int(height), int(width)


def _over(grid: NDArray[np.float32], image: Image, processor: Any) -> NDArray[np.float32]:
    """(H, W) in 0..1: the grid laid over the part of the image that the model saw."""
    top, left, height, width = seen(image, processor)
    scaled = grid / grid.max() if grid.max() > 0 else np.zeros_like(grid)
    laid = Pillow.fromarray(scaled.astype(np.float32)).resize((width, height), Pillow.Resampling.BILINEAR)
    whole = np.zeros((image.height, image.width), dtype=np.float32)
    whole[top : top + height, left : left + width] = np.clip(np.asarray(laid), 0.0, 1.0)
    return whole


def seen(image: Image, processor: Any) -> tuple[int, int, int, int]:
    """(top, left, height, width) in pixels of the image: all of it, unless the processor crops its centre."""
    crop = getattr(processor, "crop_size", None)
    if not (getattr(processor, "do_center_crop", False) and crop):
        return 0, 0, image.height, image.width
    size = dict(getattr(processor, "size", None) or {})
    if shortest := size.get("shortest_edge"):
        scales = (min(image.height, image.width) / shortest,) * 2
    elif size.get("height"):
        scales = image.height / size["height"], image.width / size["width"]
    else:
        scales = 1.0, 1.0
    crop = dict(crop)
    height = min(round(crop["height"] * scales[0]), image.height)
    width = min(round(crop["width"] * scales[1]), image.width)
    return (image.height - height) // 2, (image.width - width) // 2, height, width
