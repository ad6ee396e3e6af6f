"""CLIP and SigLIP from a folder: what the library called directly says. The models are made here, untrained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from inference import backends
from inference.checkpoints import Checkpoint
from inference.errors import BadInput, Unavailable
from inference.types import Image

LABELS = ["lung", "heart", "bone"]
TEMPLATES = ["{}", "a picture of {}"]
rng = np.random.default_rng(2)
PICTURES = [rng.integers(0, 255, shape, dtype=np.uint8) for shape in ((40, 50), (64, 64, 3))]


def entry(folder: Path) -> Checkpoint:
    return Checkpoint("tiny", "Tiny", ("zero-shot",), "clip", "MIT", f"folder:{folder}")


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder with a tiny model of a family, saved by the library."""
    import torch
    import transformers as t
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    def tokenizer(folder: Path, longest: int) -> None:
        words = ["<pad>", "<end>", "<unk>", *LABELS, "a", "picture", "of"]
        made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.Whitespace()
        made.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 1)])
        names = {"pad_token": "<pad>", "eos_token": "<end>", "unk_token": "<unk>"}
        t.PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=longest, **names).save_pretrained(folder)

    def make(family: str) -> Path:
        folder = tmp_path_factory.mktemp(family)
        torch.manual_seed(4)
        small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        text = small | {"vocab_size": 16, "max_position_embeddings": 12, "eos_token_id": 1, "bos_token_id": 1}
        text |= {"pad_token_id": 0}
        vision = small | {"image_size": 32, "patch_size": 8}
        if family == "clip":
            config = t.CLIPConfig(text_config=text | {"projection_dim": 8}, vision_config=vision, projection_dim=8)
            t.CLIPModel(config).save_pretrained(folder)
            t.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(
                folder
            )
        else:
            t.SiglipModel(t.SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
            t.SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
        tokenizer(folder, 12)
        return folder

    return make


@pytest.fixture(scope="module", params=["clip", "siglip"])
def folder(make: Callable[[str], Path], request: pytest.FixtureRequest) -> Path:
    return make(request.param)


def directly(folder: Path, pixels: np.ndarray, texts: list[str]) -> np.ndarray:
    """Scores of one picture and these texts, by the library's own forward."""
    import torch
    import transformers as t

    model = t.AutoModel.from_pretrained(folder).eval()
    rgb = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    pictures = t.AutoImageProcessor.from_pretrained(folder)(images=Picture.fromarray(rgb), return_tensors="pt")
    padding = {"padding": "max_length", "max_length": 12} if "siglip" in model.config.model_type else {"padding": True}
    tokens = t.AutoTokenizer.from_pretrained(folder)(texts, return_tensors="pt", **padding)
    with torch.inference_mode():
        ids = {"input_ids": tokens["input_ids"]}
        if "siglip" not in model.config.model_type:
            ids["attention_mask"] = tokens["attention_mask"]
        logits = model(**ids, pixel_values=pictures["pixel_values"]).logits_per_image[0]
    made = torch.sigmoid(logits) if "siglip" in model.config.model_type else torch.softmax(logits, -1)
    return np.asarray(made.numpy())


def test_scores_are_those_of_the_library_for_each_template_and_their_mean(folder: Path) -> None:
    model = backends.load(entry(folder), folder, "cpu")
    found = model.zero_shot([Image(PICTURES[0])], {"labels": LABELS, "templates": TEMPLATES, "top_k": 0})
    expected = np.stack([directly(folder, PICTURES[0], [one.format(label) for label in LABELS]) for one in TEMPLATES])
    assert found.arrays["scores_by_template"] == pytest.approx(expected, abs=1e-5)
    mean = dict(zip(LABELS, expected.mean(axis=0).tolist(), strict=True))
    assert {score.label: score.value for score in found.scores} == pytest.approx(mean, abs=1e-5)
    assert [score.value for score in found.scores] == sorted((score.value for score in found.scores), reverse=True)
    assert {score.kind for score in found.scores} == {"score"}


def test_images_and_texts_are_unit_vectors_of_one_space(folder: Path) -> None:
    model = backends.load(entry(folder), folder, "cpu")
    images = model.embed_images([Image(one) for one in PICTURES], {}).vectors
    texts = model.embed_texts([], {"texts": ["lung", "a picture of bone"]}).vectors
    assert images.shape[1] == texts.shape[1]
    assert np.linalg.norm(images, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(texts, axis=1) == pytest.approx(1, abs=1e-5)
    assert images[1] == pytest.approx(model.embed_images([Image(PICTURES[1])], {}).vectors[0], abs=1e-5)


def test_the_best_labels_only_and_a_map_of_the_image_for_the_best(folder: Path) -> None:
    model = backends.load(entry(folder), folder, "cpu")
    found = model.zero_shot([Image(PICTURES[0])], {"labels": LABELS, "top_k": 1, "saliency": True})
    assert len(found.scores) == 1
    (heat,) = found.heatmaps
    assert heat.label == found.scores[0].label
    assert heat.pixels.shape == (40, 50)
    assert "rollout" in heat.method
    assert heat.pixels.min() >= 0 <= heat.pixels.max() <= 1


@pytest.mark.parametrize("options", [{"labels": []}, {"labels": ["lung"], "templates": ["no place"]}, {}])
def test_what_cannot_be_asked_is_refused(make: Callable[[str], Path], options: dict[str, list[str]]) -> None:
    folder = make("clip")
    with pytest.raises(BadInput):
        backends.load(entry(folder), folder, "cpu").zero_shot([Image(PICTURES[0])], options)


def test_a_label_with_braces_is_taken_as_it_is(make: Callable[[str], Path]) -> None:
    folder = make("clip")
    found = backends.load(entry(folder), folder, "cpu").zero_shot([Image(PICTURES[0])], {"labels": ["{0.x}", "bone"]})
    assert {score.label for score in found.scores} == {"{0.x}", "bone"}


def test_pickled_weights_are_not_loaded(make: Callable[[str], Path]) -> None:
    folder = make("clip")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(Unavailable, match="no safetensors"):
        backends.load(entry(folder), folder, "cpu")


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="models pull"):
        backends.load(entry(tmp_path), tmp_path, "cpu")
