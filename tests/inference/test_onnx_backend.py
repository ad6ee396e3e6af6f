"""A classifier in a file of ONNX gives what onnxruntime called directly gives. The models are made here, untrained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from inference import backends
from inference.errors import BadInput, Unavailable
from inference.types import Image
from tests.inference import plain
from tests.inference.plain import COLOUR, GREY, LABELS

TYPES = {np.float32: TensorProto.FLOAT, np.float16: TensorProto.FLOAT16}


def write(
    path: Path,
    shape: tuple[Any, ...] = ("n", 3, plain.SIDE, plain.SIDE),
    *,
    channels: int = 3,
    dtype: Any = np.float32,
    ends_in: str = "",
    domain: str = "",
) -> Path:
    """A linear model over the whole image: flatten, multiply, and what `ends_in` names."""
    weights = np.random.default_rng(1).normal(0, 0.1, (channels * plain.SIDE**2, len(LABELS))).astype(dtype)
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["linear" if ends_in else "scores"], domain=domain),
    ]
    nodes += [helper.make_node(ends_in, ["linear"], ["scores"])] if ends_in else []
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pixels", TYPES[dtype], shape)],
        [helper.make_tensor_value_info("scores", TYPES[dtype], ("n", len(LABELS)))],
        [numpy_helper.from_array(weights, "weights")],
    )
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


def classified(folder: Path, pixels: np.ndarray, **changed: Any) -> dict[str, float]:
    model = backends.load(plain.entry(folder, "onnx", **changed), folder, "cpu")
    return {score.label: score.value for score in model.classify([Image(pixels)], {"top_k": 0}).scores}


def directly(path: Path, batch: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"pixels": batch})[0][0].astype(np.float32)


@pytest.mark.parametrize("pixels", [COLOUR, GREY], ids=["colour", "grey"])
@pytest.mark.parametrize(
    ("output", "ends_in"),
    [("softmax", ""), ("sigmoid", ""), ("probabilities", "Sigmoid"), ("probabilities", "Softmax")],
)
def test_scores_are_those_of_onnxruntime(tmp_path: Path, pixels: np.ndarray, output: str, ends_in: str) -> None:
    path = write(tmp_path / "model.onnx", ends_in=ends_in)
    raw = directly(path, plain.given(pixels).transpose(0, 3, 1, 2))
    found = classified(tmp_path, pixels, options={"output": output})
    assert found == pytest.approx(plain.scores(raw, output), abs=1e-5)
    assert list(found.values()) == sorted(found.values(), reverse=True)


@pytest.mark.parametrize(
    ("shape", "last", "size"),
    [
        ((1, 3, 8, 8), False, 0),
        (("n", 8, 8, 3), True, 0),
        (("n", "rows", "columns", 3), True, 8),
        (("n", "channels", "rows", "columns"), False, 8),
    ],
)
def test_the_shape_of_the_input_tells_the_layout_and_the_size(
    tmp_path: Path, shape: tuple[Any, ...], last: bool, size: int
) -> None:
    path = write(tmp_path / "model.onnx", shape)
    batch = plain.given(COLOUR)
    raw = directly(path, batch if last else batch.transpose(0, 3, 1, 2))
    assert classified(tmp_path, COLOUR, input_size=size) == pytest.approx(plain.scores(raw, "softmax"), abs=1e-5)


def test_a_model_of_greys_takes_greys_and_colour_that_is_grey(tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", ("n", 1, 8, 8), channels=1)
    norm = {"mean": (0.5,), "std": (0.25,)}
    raw = directly(path, plain.given(GREY, **norm).transpose(0, 3, 1, 2))
    for pixels in (GREY, np.repeat(GREY[..., None], 3, axis=2)):
        assert classified(tmp_path, pixels, **norm) == pytest.approx(plain.scores(raw, "softmax"), abs=1e-5)
    with pytest.raises(BadInput, match="in colour; Tiny reads grey images"):
        classified(tmp_path, COLOUR, **norm)


def test_a_model_of_half_precision_gets_it(tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", dtype=np.float16)
    raw = directly(path, plain.given(COLOUR).transpose(0, 3, 1, 2).astype(np.float16))
    assert classified(tmp_path, COLOUR) == pytest.approx(plain.scores(raw, "softmax"), abs=1e-3)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("labels.txt", "Effusion\nNodule\n\nHernia\n"),
        ("labels.json", '["Effusion", "Nodule", "Hernia"]'),
        ("labels.json", '{"0": "Effusion", "1": "Nodule", "2": "Hernia"}'),
    ],
)
def test_labels_may_lie_beside_the_file(tmp_path: Path, file: str, text: str) -> None:
    write(tmp_path / "model.onnx")
    (tmp_path / file).write_text(text, encoding="utf-8")
    assert classified(tmp_path, GREY, labels=()) == classified(tmp_path, GREY)


def test_only_the_best_are_returned_as_scores_and_a_heat_map_is_said_to_be_missing(tmp_path: Path) -> None:
    write(tmp_path / "model.onnx")
    model = backends.load(plain.entry(tmp_path, "onnx"), tmp_path, "cpu")
    found = model.classify([Image(GREY)], {"top_k": 2, "saliency": True})
    assert [score.kind for score in found.scores] == ["score", "score"]
    assert found.heatmaps == ()
    assert "cannot show where it looked" in found.notes[0]


def test_one_of_several_files_is_meant(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    write(tmp_path / "onnx" / "model.onnx")
    (tmp_path / "onnx" / "model_quantized.onnx").write_bytes(b"not this")
    with pytest.raises(
        Unavailable, match=r"several files .*onnx/model\.onnx, onnx/model_quantized\.onnx.*options\.file"
    ):
        classified(tmp_path, GREY)
    assert classified(tmp_path, GREY, options={"output": "sigmoid", "file": "onnx/model.onnx"})


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"labels": LABELS[:2]}, r"does not fit its 2 labels: .* shape \(1, 3\)"),
        ({"labels": ()}, r"no labels: its entry names none"),
        ({"mean": (0.5,), "std": (0.2,)}, "takes 3 channels"),
        ({"std": (1.0, 0.0, 1.0)}, "std no zero"),
        ({"input_size": 16}, "takes images of 8 x 8 pixels, and its entry says 16 x 16"),
        ({"options": {}}, 'options = { output = "softmax" }'),
        ({"options": {"output": "argmax"}}, 'options = { output = "softmax" }'),
        ({"options": {"output": "softmax", "file": "other.onnx"}}, r"no file other\.onnx"),
    ],
)
def test_an_entry_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, changed: dict[str, Any], line: str) -> None:
    write(tmp_path / "model.onnx")
    refused(tmp_path, line, **changed)


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (
            {"shape": ("n", 4, 8, 8), "channels": 4},
            r"no classifier of single images: its input is tensor\(float\) \['n', 4, 8, 8\]",
        ),
        ({"shape": ("n", 192)}, "no classifier of single images"),
        ({"shape": (4, 3, 8, 8)}, "no classifier of single images"),
        ({"shape": ("n", 3, "rows", "columns"), "channels": 1}, "does not take an image of 3 x 8 x 8"),
        ({"domain": "somebody.else"}, "cannot be loaded: .*somebody.else"),
    ],
)
def test_a_model_that_is_no_classifier_of_images_is_refused(tmp_path: Path, made: dict[str, Any], line: str) -> None:
    write(tmp_path / "model.onnx", **made)
    refused(tmp_path, line)


@pytest.mark.parametrize(("content", "line"), [(b"{ not this", "cannot be loaded"), (None, r"no file \*\.onnx")])
def test_a_file_that_is_damaged_or_missing_is_said_in_one_line(
    tmp_path: Path, content: bytes | None, line: str
) -> None:
    if content is not None:
        (tmp_path / "model.onnx").write_bytes(content)
    refused(tmp_path, line)


def test_numbers_that_are_no_probabilities_are_not_passed_on(tmp_path: Path) -> None:
    write(tmp_path / "model.onnx")
    with pytest.raises(Unavailable, match="beyond 0 and 1"):
        classified(tmp_path, COLOUR, options={"output": "probabilities"})


def test_what_is_not_finite_is_no_score(tmp_path: Path) -> None:
    write(tmp_path / "model.onnx", ends_in="Log")
    with pytest.raises(BadInput, match="no finite numbers"):
        classified(tmp_path, COLOUR)


def test_tensors_outside_its_folder_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    model = onnx.load(write(tmp_path / "inside" / "model.onnx"))
    onnx.external_data_helper.convert_model_to_external_data(model, location="data", size_threshold=0)
    onnx.save(model, tmp_path / "inside" / "model.onnx")
    (tmp_path / "inside" / "data").rename(tmp_path / "data")
    for told in model.graph.initializer[0].external_data:
        told.value = "../data" if told.key == "location" else told.value
    (tmp_path / "inside" / "model.onnx").write_bytes(model.SerializeToString())
    refused(tmp_path / "inside", "cannot be loaded")


def refused(folder: Path, line: str, **changed: Any) -> None:
    with pytest.raises(Unavailable, match=line) as caught:
        classified(folder, GREY, **changed)
    assert "\n" not in str(caught.value)
    assert str(folder) not in str(caught.value)
