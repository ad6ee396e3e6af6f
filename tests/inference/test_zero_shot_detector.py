"""Grounding DINO and OWLv2 from a folder: what the library itself says. The models are made here, untrained."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from inference import backends
from inference.checkpoints import Checkpoint
from inference.errors import BadInput, Unavailable
from inference.jobs import read_result, write_result
from inference.types import Image

LABELS = ["left lung", "heart", "tube"]
PIXELS = np.random.default_rng(5).integers(0, 255, (60, 90), dtype=np.uint8)
RGB = np.repeat(PIXELS[..., None], 3, axis=2)


def entry(folder: Path) -> Checkpoint:
    return Checkpoint("tiny", "Tiny", ("detect",), "zero-shot-detector", "MIT", f"folder:{folder}")


def make_dino(folder: Path) -> Path:
    """A Grounding DINO of random weights. The places of its special words are those of BERT, which its code names."""
    import torch
    import transformers as t

    torch.manual_seed(7)
    words = [f"[unused{n}]" for n in range(1040)]
    for place, word in {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 1012: ".", 1029: "?"}.items():
        words[place] = word
    words[200:205] = ["left", "lung", "heart", "tube", "line"]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    tokenizer = t.BertTokenizerFast(str(folder / "vocab.txt"))
    swin = t.SwinConfig(
        window_size=7, embed_dim=12, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], image_size=64, out_indices=[2, 3, 4]
    )
    bert = t.BertConfig(
        vocab_size=1040, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    sizes = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    config = t.GroundingDinoConfig(backbone_config=swin, text_config=bert, num_queries=6, **sizes)
    t.GroundingDinoForObjectDetection(config).save_pretrained(folder)
    pictures = t.GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 128})
    t.GroundingDinoProcessor(pictures, tokenizer).save_pretrained(folder)
    return folder


def make_owl(folder: Path) -> Path:
    import torch
    import transformers as t
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    torch.manual_seed(8)
    words = ["<pad>", "<end>", "<unk>", "left", "lung", "heart", "tube", "line"]
    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 1)])
    names = {"pad_token": "<pad>", "eos_token": "<end>", "unk_token": "<unk>"}
    tokenizer = t.PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=8, **names)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = small | {"vocab_size": 16, "max_position_embeddings": 8, "eos_token_id": 1, "bos_token_id": 1}
    text |= {"pad_token_id": 0}
    vision = small | {"image_size": 48, "patch_size": 8}  # 36 places, so as many boxes
    config = t.Owlv2Config(text_config=text, vision_config=vision, projection_dim=16)
    t.Owlv2ForObjectDetection(config).save_pretrained(folder)
    t.Owlv2Processor(t.Owlv2ImageProcessor(size={"height": 48, "width": 48}), tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dino(tmp_path_factory.mktemp("dino"))


@pytest.fixture(scope="module")
def owl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_owl(tmp_path_factory.mktemp("owl"))


@cache
def loaded(folder: Path) -> Any:
    return backends.load(entry(folder), folder, "cpu")


def directly(folder: Path, threshold: float) -> dict[str, Any]:
    """What the library says of the picture and the labels."""
    import torch
    import transformers as t

    model = t.AutoModelForZeroShotObjectDetection.from_pretrained(folder).eval()
    processor = t.AutoProcessor.from_pretrained(folder)
    inputs = processor(images=Picture.fromarray(RGB), text=[LABELS], return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**inputs)
    more = {"text_labels": [LABELS]} if "owl" in model.config.model_type else {"input_ids": inputs["input_ids"]}
    return processor.post_process_grounded_object_detection(
        outputs, threshold=threshold, target_sizes=[(60, 90)], **more
    )[0]


def clipped(found: dict[str, Any]) -> list[tuple[float, list[float]]]:
    """(score, corners within the picture), highest score first."""
    rows = []
    for score, box in zip(found["scores"].tolist(), found["boxes"].tolist(), strict=True):
        x0, y0, x1, y1 = max(box[0], 0), max(box[1], 0), min(box[2], 90), min(box[3], 60)
        if x0 < x1 and y0 < y1:
            rows.append((score, [x0, y0, x1, y1]))
    return sorted(rows, key=lambda row: -row[0])[:20]


@pytest.mark.parametrize("which", ["dino", "owl"])
def test_boxes_and_scores_are_those_of_the_library_within_the_picture(which: str, request: pytest.FixtureRequest):
    folder = request.getfixturevalue(which)
    found = loaded(folder).detect([Image(PIXELS)], {"labels": LABELS, "threshold": 0.0})
    expected = clipped(directly(folder, 0.0))
    assert len(found.boxes) == len(expected) > 3
    assert [box.score for box in found.boxes] == pytest.approx([score for score, _ in expected], abs=1e-4)
    corners = [value for box in found.boxes for value in (box.x0, box.y0, box.x1, box.y1)]
    assert corners == pytest.approx([value for _, box in expected for value in box], abs=1e-2)
    assert {box.label for box in found.boxes} <= set(LABELS)


def test_a_box_of_grounding_dino_has_a_whole_label_and_never_a_part_of_one(dino: Path):
    import torch
    import transformers as t

    found = loaded(dino).detect([Image(PIXELS)], {"labels": LABELS, "threshold": 0.0})
    model = t.AutoModelForZeroShotObjectDetection.from_pretrained(dino).eval()
    processor = t.AutoProcessor.from_pretrained(dino)
    inputs = processor(images=Picture.fromarray(RGB), text=[LABELS], return_tensors="pt")
    with torch.inference_mode():
        words = torch.sigmoid(model(**inputs).logits[0])  # [CLS] left lung . heart . tube . [SEP]
    by_label = torch.stack([words[:, 1:3].max(-1).values, words[:, 4], words[:, 6]], dim=1)
    order = words.max(-1).values.argsort(descending=True)
    assert [box.label for box in found.boxes] == [LABELS[at] for at in by_label[order].argmax(-1).tolist()]


def test_nothing_above_the_threshold_is_no_box(dino: Path, owl: Path):
    for folder in (dino, owl):
        model = loaded(folder)
        assert model.detect([Image(PIXELS)], {"labels": LABELS, "threshold": 1.0}).boxes == ()


def test_of_many_boxes_the_best_are_given_and_it_is_said_how_many_there_were(owl: Path):
    found = loaded(owl).detect([Image(PIXELS)], {"labels": LABELS, "threshold": 0.0})
    assert len(found.boxes) == 20
    assert "boxes above the threshold the 20 with the highest scores" in found.notes[0]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "needs labels"),
        ({"labels": []}, "needs labels"),
        ({"labels": [" . "]}, "needs labels"),
        ({"labels": [f"thing {n}" for n in range(21)]}, "needs labels"),
        ({"labels": ["heart " * 400]}, "at most"),
        ({"labels": ["heart"], "threshold": 2}, "between 0 and 1"),
        ({"labels": ["heart"], "threshold": float("nan")}, "between 0 and 1"),
        ({"labels": ["heart"], "threshold": True}, "between 0 and 1"),
    ],
)
@pytest.mark.parametrize("which", ["dino", "owl"])
def test_what_cannot_be_asked_is_refused(which: str, options: dict[str, Any], why: str, request: pytest.FixtureRequest):
    folder = request.getfixturevalue(which)
    with pytest.raises(BadInput, match=why):
        loaded(folder).detect([Image(PIXELS)], options)


def test_full_stops_in_a_label_do_not_part_it(dino: Path):
    model = loaded(dino)
    found = model.detect([Image(PIXELS)], {"labels": ["left. lung.", "Heart"], "threshold": 0.0})
    assert {box.label for box in found.boxes} <= {"left lung", "Heart"}


def test_the_result_travels_between_processes(dino: Path, tmp_path: Path):
    found = loaded(dino).detect([Image(PIXELS)], {"labels": LABELS, "threshold": 0.0})
    write_result(tmp_path / "out.npz", found)
    assert read_result(tmp_path / "out.npz").boxes == found.boxes


def test_pickled_weights_are_not_loaded(tmp_path: Path):
    folder = make_owl(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(Unavailable, match="no safetensors"):
        backends.load(entry(folder), folder, "cpu")


def test_an_empty_folder_says_what_to_do(tmp_path: Path):
    with pytest.raises(Unavailable, match="models pull"):
        backends.load(entry(tmp_path), tmp_path, "cpu")
