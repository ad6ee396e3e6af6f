"""A heat map lies where the answer provably comes from, at the image's own size."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from inference import saliency
from inference.errors import BadInput
from inference.types import Image

WHOLE = SimpleNamespace(do_center_crop=False)
IMAGE = Image(np.random.default_rng(1).integers(1, 255, (60, 80), dtype=np.uint8))


def test_grad_cam_of_a_model_that_sees_one_quadrant_lies_in_it() -> None:
    import torch

    torch.manual_seed(0)

    class OneQuadrant(torch.nn.Module):
        """Whatever lies outside the quadrant at the top right is multiplied by zero."""

        def forward(self, grid: torch.Tensor) -> torch.Tensor:
            kept = torch.zeros_like(grid)
            kept[:, :, :8, 8:] = 1
            return grid * kept

    tower = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Sigmoid(), OneQuadrant())
    inputs = {"pixel_values": torch.rand(1, 3, 16, 16)}
    found = saliency.explain(tower, lambda given: tower(given["pixel_values"]).sum(), inputs, IMAGE, WHOLE, "x")
    assert found.pixels.shape == (60, 80)
    assert found.method == saliency.GRAD_CAM
    assert found.pixels[:28, 44:].min() > 0.3
    assert found.pixels[34:].max() == 0
    assert found.pixels[:, :36].max() == 0


def test_a_rollout_of_attention_to_one_patch_lies_on_it() -> None:
    import torch

    class ToOnePatch(torch.nn.Module):
        """A class token and four patches; every token attends by weights that the picture makes."""

        def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            toward = torch.full((1, 1, 5, 5), -9.0)
            toward[..., 3] = 9.0  # the patch at the bottom left
            weights = torch.softmax(toward + 0 * tokens.sum(), dim=-1)
            return weights[:, 0] @ tokens, weights

    tower = ToOnePatch()

    def target(given: dict[str, torch.Tensor]) -> torch.Tensor:
        tokens = given["pixel_values"].reshape(1, 3, 2, 8, 2, 8).mean((1, 3, 5)).reshape(1, 4, 1)
        return tower(torch.cat([torch.ones(1, 1, 1), tokens], dim=1))[0][0, 0, 0]

    found = saliency.explain(tower, target, {"pixel_values": torch.rand(1, 3, 16, 16)}, IMAGE, WHOLE, "x")
    assert found.method == saliency.ROLLOUT
    assert found.pixels[50:, :15].min() > 0.9
    assert found.pixels[:12].max() < 0.1
    assert found.pixels[:, 65:].max() < 0.1


def test_only_the_part_that_was_cropped_out_for_the_model_is_covered() -> None:
    crop = SimpleNamespace(do_center_crop=True, size={"shortest_edge": 30}, crop_size={"height": 30, "width": 30})
    assert saliency.seen(IMAGE, crop) == (0, 10, 60, 60)
    assert saliency.seen(IMAGE, WHOLE) == (0, 0, 60, 80)


def test_a_model_without_a_grid_or_attention_has_no_map() -> None:
    import torch

    tower = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 1))
    with pytest.raises(BadInput, match="No saliency map"):
        saliency.explain(
            tower, lambda g: tower(g["pixel_values"]).sum(), {"pixel_values": torch.rand(1, 3, 2, 2)}, IMAGE, WHOLE, "x"
        )
