"""A checkpoint in a folder gives scores; anything else says what to configure. The model is made here, untrained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference.classify import HuggingFaceClassifier, eight_bit_rgb
from inference.errors import BadInput, Unavailable
from inference.types import Image

LABELS = ["Atelectasis", "Cardiomegaly", "Effusion"]


@pytest.fixture(scope="module")
def save(tmp_path_factory: pytest.TempPathFactory):
    """Save a tiny ViT of this problem type, by the library's own saving code."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    def save(problem_type: str | None, channels: int = 3) -> Path:
        torch.manual_seed(3)
        config = ViTConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            image_size=32,
            patch_size=8,
            num_channels=channels,
            id2label=dict(enumerate(LABELS)),
            label2id={label: index for index, label in enumerate(LABELS)},
            problem_type=problem_type,
        )
        folder = tmp_path_factory.mktemp("model")
        ViTForImageClassification(config).save_pretrained(folder)
        ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
        return folder

    return save


PICTURE = Image(np.tile(np.arange(0, 4000, 40, dtype=np.uint16), (100, 1)))


def test_scores_are_a_softmax_best_first_and_never_called_probabilities(save) -> None:
    scores = HuggingFaceClassifier(save(None), "tiny").classify(PICTURE)
    assert {score.label for score in scores} == set(LABELS)
    assert [score.value for score in scores] == sorted((score.value for score in scores), reverse=True)
    assert sum(score.value for score in scores) == pytest.approx(1, abs=1e-5)
    assert {score.kind for score in scores} == {"score"}


def test_a_multi_label_model_scores_each_label_on_its_own(save) -> None:
    scores = HuggingFaceClassifier(save("multi_label_classification")).classify(PICTURE)
    assert all(0 < score.value < 1 for score in scores)
    assert sum(score.value for score in scores) != pytest.approx(1, abs=1e-3)


def test_only_the_best_are_returned(save) -> None:
    classifier = HuggingFaceClassifier(save(None))
    assert len(classifier.classify(PICTURE, top_k=2)) == 2
    assert classifier.classify(PICTURE)[0] == classifier.classify(PICTURE, top_k=1)[0]


def test_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="not installed"):
        HuggingFaceClassifier(tmp_path / "none").classify(PICTURE)


def test_pickled_weights_are_not_loaded(save) -> None:
    folder = save(None)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(Unavailable, match="no safetensors"):
        HuggingFaceClassifier(folder).classify(PICTURE)


@pytest.mark.parametrize("broken", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_a_damaged_checkpoint_is_unavailable_in_one_line(save, broken: str) -> None:
    folder = save(None)
    (folder / broken).write_bytes(b"{ not this")
    with pytest.raises(Unavailable) as caught:
        HuggingFaceClassifier(folder, "tiny").classify(PICTURE)
    assert "\n" not in str(caught.value)
    assert str(folder) not in str(caught.value)


def test_an_image_that_the_model_cannot_take_is_bad_input(save) -> None:
    with pytest.raises(BadInput, match="cannot take this image"):
        HuggingFaceClassifier(save(None, channels=1)).classify(PICTURE)


def test_pixels_become_eight_bit_colour_without_changing_eight_bit_values() -> None:
    grey = np.arange(0, 250, dtype=np.uint8).reshape(10, 25)
    assert np.array_equal(eight_bit_rgb(grey)[..., 1], grey)
    assert eight_bit_rgb(PICTURE.pixels).max() == 255
    assert eight_bit_rgb(np.zeros((4, 4, 3), np.uint16)).shape == (4, 4, 3)
