"""A classifier in a file of TorchScript gives what torch.jit called directly gives. The models are untrained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inference import backends
from inference.errors import BadInput, Unavailable
from inference.pull import described
from inference.types import Image
from tests.inference import plain
from tests.inference.plain import COLOUR, GREY, LABELS

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


class Network(torch.nn.Module):
    """A convolution, dropout and a linear layer; `many` gives its features beside its logits."""

    def __init__(self, channels: int = 3, many: bool = False) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.convolution = torch.nn.Conv2d(channels, 4, 3)
        self.dropout = torch.nn.Dropout(0.5)
        self.linear = torch.nn.Linear(4, len(LABELS))
        self.many = many

    def forward(self, pixels: torch.Tensor) -> Any:
        features = self.dropout(self.convolution(pixels).relu().mean((2, 3)))
        logits = self.linear(features)
        return (logits, features) if self.many else logits


def write(path: Path, channels: int = 3, how: str = "traced") -> Path:
    network = Network(channels, many=how == "a tuple")
    example = torch.zeros(1, channels, plain.SIDE, plain.SIDE)
    if how == "half":
        network, example = network.half(), example.half()
    made: Any = (
        torch.jit.script(Network(channels)) if how == "in training" else torch.jit.trace(network.eval(), example)
    )
    torch.jit.save(torch.jit.freeze(made) if how == "frozen" else made, path)
    return path


def classified(folder: Path, pixels: np.ndarray, **changed: Any) -> dict[str, float]:
    hashes = {path.name: described(path)["sha256"] for path in folder.glob("*.p*")}
    entry = plain.entry(folder, "torchscript", **{"sha256": hashes, **changed})
    found = backends.load(entry, folder, "cpu").classify([Image(pixels)], {"top_k": 0})
    return {score.label: score.value for score in found.scores}


def directly(path: Path, batch: np.ndarray) -> np.ndarray:
    module = torch.jit.load(path)
    half = any(one.dtype == torch.float16 for one in module.parameters())
    given = torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))
    if hasattr(module, "training"):
        module.eval()
    with torch.inference_mode():
        made = module(given.half() if half else given)
    return (made[0] if isinstance(made, tuple) else made)[0].float().numpy()


@pytest.mark.parametrize("how", ["traced", "in training", "frozen", "a tuple", "half"])
def test_scores_are_those_of_the_module_however_it_was_saved(tmp_path: Path, how: str) -> None:
    raw = directly(write(tmp_path / "model.pt", how=how), plain.given(COLOUR))
    assert classified(tmp_path, COLOUR) == pytest.approx(plain.scores(raw, "softmax"), abs=1e-5)


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_logits_become_what_the_entry_says(tmp_path: Path, output: str) -> None:
    raw = directly(write(tmp_path / "model.pth"), plain.given(GREY))
    found = classified(tmp_path, GREY, options={"output": output})
    assert found == pytest.approx(plain.scores(raw, output), abs=1e-5)


def test_one_value_in_its_mean_makes_it_a_model_of_greys(tmp_path: Path) -> None:
    norm = {"mean": (0.5,), "std": (0.25,)}
    raw = directly(write(tmp_path / "model.pt", channels=1), plain.given(GREY, **norm))
    assert classified(tmp_path, GREY, **norm) == pytest.approx(plain.scores(raw, "softmax"), abs=1e-5)
    with pytest.raises(BadInput, match="reads grey images"):
        classified(tmp_path, COLOUR, **norm)


def test_a_program_without_its_hash_in_the_entry_is_not_loaded(tmp_path: Path) -> None:
    path = write(tmp_path / "model.pt")
    hash_ = described(path)["sha256"]
    refused(tmp_path, f'give its hash in the catalogue: sha256 = {{ "model.pt" = "{hash_}" }}', sha256={})
    refused(tmp_path, f"is not the program .* its SHA-256 is {hash_}", sha256={"model.pt": "1" * 64})
    assert path.is_file()


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"labels": LABELS[:2]}, r"does not fit its 2 labels: .* shape \(1, 3\)"),
        ({"mean": (0.5,), "std": (0.25,)}, "does not take an image of 1 x 8 x 8: .*to have 3 channels"),
        ({"mean": (0.5, 0.5), "std": (0.25, 0.25)}, "takes 2 channels"),
        ({"input_size": 0}, "input_size in its entry"),
        ({"input_size": 2}, "does not take an image of 3 x 2 x 2"),
        ({"options": {}}, 'options = { output = "softmax" }'),
    ],
)
def test_an_entry_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, changed: dict[str, Any], line: str) -> None:
    write(tmp_path / "model.pt")
    refused(tmp_path, line, **changed)


@pytest.mark.parametrize(
    ("content", "line"), [(b"{ not this", "no whole file of TorchScript"), (None, r"no file \*\.pt")]
)
def test_a_file_that_is_damaged_or_missing_is_said_in_one_line(
    tmp_path: Path, content: bytes | None, line: str
) -> None:
    if content is not None:
        (tmp_path / "model.pt").write_bytes(content)
    refused(tmp_path, line)


def test_plain_tensors_and_pickles_are_no_programs(tmp_path: Path) -> None:
    torch.save(Network().state_dict(), tmp_path / "model.pt")
    refused(tmp_path, "no whole file of TorchScript")


def refused(folder: Path, line: str, **changed: Any) -> None:
    with pytest.raises(Unavailable, match=line) as caught:
        classified(folder, GREY, **changed)
    assert "\n" not in str(caught.value)
    assert str(folder) not in str(caught.value)
