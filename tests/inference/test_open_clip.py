"""A folder in open_clip's layout by this product's code says what open_clip says. Small and untrained, of BiomedCLIP's
kind: a vision transformer of timm, BERT, a tokenizer of transformers.

Needs open_clip, which lives in the environment openclip: LIGHTBOX_TEST_OPENCLIP names a folder of packages that has it,
timm and torchvision, else the built environment is used, and without one this is skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inference import backends
from inference.checkpoints import Checkpoint, load_catalogue
from inference.environments import HERE
from inference.errors import Unavailable

ROOT = Path(__file__).parents[2]
LABELS = ["lung", "heart", "bone"]
TEMPLATES = ["{}", "a picture of {}"]
BOTH = """
import copy, json, shutil, socket, sys
def no_network(*_): raise OSError("the network was asked for")
socket.socket.connect = no_network
import torchvision_operators
import numpy as np, open_clip, torch, transformers
from pathlib import Path
from PIL import Image as Pillow
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from inference import backends
from inference.checkpoints import Checkpoint
from inference.errors import InferenceError
from inference.types import Image

folder, labels, templates = Path(sys.argv[1]), *map(json.loads, sys.argv[2:])
words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *labels, "a", "picture", "of"]
made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
made.pre_tokenizer = pre_tokenizers.Whitespace()
marks = [("[CLS]", 1), ("[SEP]", 2)]
made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=marks)
names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
transformers.PreTrainedTokenizerFast(tokenizer_object=made, **names).save_pretrained(folder)
transformers.BertConfig(vocab_size=16, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
                        max_position_embeddings=12).save_pretrained(folder)
hub = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract"
config = {
    "embed_dim": 8,
    "vision_cfg": {"timm_model_name": "test_vit", "timm_model_pretrained": False, "timm_pool": "",
                   "timm_proj": "linear", "image_size": 160},
    "text_cfg": {"hf_model_name": hub, "hf_tokenizer_name": hub, "hf_proj_type": "mlp",
                 "hf_pooler_type": "cls_last_hidden_state_pooler", "context_length": 12},
}
seen = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
(folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": seen}))

here = copy.deepcopy(config)
here["text_cfg"] |= {"hf_model_name": str(folder), "hf_model_pretrained": False}
torch.manual_seed(4)
model = open_clip.CustomTextCLIP(**here).eval()
transform = open_clip.image_transform(160, is_train=False, **seen)
tokenizer = open_clip.tokenizer.HFTokenizer(str(folder), context_length=12)
pixels = np.random.default_rng(2).integers(0, 255, (200, 300), dtype=np.uint8)
with torch.inference_mode():
    picture = transform(Pillow.fromarray(pixels))[None]
    direct = []
    for template in templates:
        image, text, scale = model(picture, tokenizer([template.format(label) for label in labels]))
        direct.append((scale * image @ text.T).softmax(-1)[0].tolist())

def entry(where):
    return Checkpoint("x", "X", ("zero-shot",), "open-clip", "MIT", f"folder:{where}")

def ours(where):
    asked = {"labels": labels, "templates": templates, "top_k": 0, "saliency": True}
    found = backends.load(entry(where), where, "cpu")
    return found, found.zero_shot([Image(pixels)], asked)

def refusal(name, change):
    where = folder.with_name(name)
    shutil.copytree(folder, where)
    change(where)
    try:
        ours(where)
    except InferenceError as error:
        return [type(error).__name__, str(error)]

def told(where, **changed):
    path = where / "open_clip_config.json"
    whole = json.loads(path.read_text())
    for tower, values in changed.items():
        whole["model_cfg"][tower] |= values
    path.write_text(json.dumps(whole))

said = {"direct": direct}
save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
loaded, found = ours(folder)
said["safetensors"] = found.arrays["scores_by_template"].tolist()
said["mean"] = {score.label: score.value for score in found.scores}
said["kinds"] = sorted({score.kind for score in found.scores})
heat = found.heatmaps[0].pixels
said["map"] = [list(heat.shape), found.heatmaps[0].method, float(heat[:, :45].max()), float(heat.max())]
with torch.inference_mode():
    alone = model.encode_image(picture, normalize=True)[0].numpy()
said["image_cosine"] = float(loaded.embed_images([Image(pixels)], {}).vectors[0] @ alone)
(folder / "open_clip_model.safetensors").unlink()
torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
said["bin"] = ours(folder)[1].arrays["scores_by_template"].tolist()
said["refused"] = {
    "pickle": refusal("pickle", lambda at: torch.save(model, at / "open_clip_pytorch_model.bin")),
    "rubbish": refusal("rubbish", lambda at: (at / "open_clip_pytorch_model.bin").write_bytes(b"{ not this")),
    "others": refusal("others", lambda at: (at / "config.json").unlink()),
    "tower": refusal("tower", lambda at: told(at, text_cfg={"hf_model_name": "o/x"}) or (at / "config.json").unlink()),
    "tokenizer": refusal("tokenizer", lambda at: (at / "tokenizer.json").unlink()),
    "elsewhere": refusal("elsewhere", lambda at: told(at, vision_cfg={"timm_model_name": "hf-hub:o/n"})),
    "config": refusal("config", lambda at: (at / "open_clip_config.json").write_text("{ not this")),
}
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the library and the backend said, in one process that has the library."""
    extra = os.environ.get("LIGHTBOX_TEST_OPENCLIP", "")
    built = Path(os.environ.get("LIGHTBOX_TEST_ENVIRONMENTS", ROOT / "var" / "environments")) / "openclip/bin/python"
    if not extra and not built.exists():
        pytest.skip("The environment openclip is not built: manage.py models environment openclip")
    python = sys.executable if extra else str(built)
    paths = [str(HERE / "openclip" / "site"), str(ROOT), *([extra] if extra else [])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    folder = tmp_path_factory.mktemp("openclip") / "model"
    folder.mkdir()
    asked = [python, "-c", BOTH, str(folder), json.dumps(LABELS), json.dumps(TEMPLATES)]
    return json.loads(subprocess.run(asked, stdout=-1, check=True, env=environment).stdout.splitlines()[-1])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("weights", ["safetensors", "bin"])
def test_scores_are_those_of_open_clip_for_each_template(said: Any, weights: str) -> None:
    for ours, direct in zip(said[weights], said["direct"], strict=True):
        assert ours == pytest.approx(direct, abs=1e-5)


def test_the_mean_over_templates_is_a_score_and_images_lie_where_open_clip_puts_them(said: Any) -> None:
    mean = {label: sum(column) / 2 for label, column in zip(LABELS, zip(*said["direct"], strict=True), strict=True)}
    assert said["mean"] == pytest.approx(mean, abs=1e-5)
    assert said["kinds"] == ["score"]
    assert said["image_cosine"] == pytest.approx(1, abs=1e-5)


def test_a_heat_map_covers_the_square_that_the_model_saw(said: Any) -> None:
    shape, method, beside, most = said["map"]
    assert (shape, method) == ([200, 300], "gradient-weighted attention rollout")
    assert beside == 0 < most <= 1


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("pickle", "cannot be loaded: Weights only load failed"),
        ("rubbish", "cannot be loaded"),
        ("others", "cannot be loaded: Error"),  # without a config.json BERT's base is meant, and these are smaller
        ("tower", "put the config.json of o/x into its folder"),
        ("tokenizer", "cannot be loaded"),
        ("elsewhere", "lies elsewhere (hf-hub:o/n); nothing is downloaded"),
        ("config", "cannot be loaded"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line_and_nothing_is_downloaded(said: Any, what: str, line: str) -> None:
    kind, told = said["refused"][what]
    assert kind == "Unavailable"
    assert line in told
    assert "/tmp" not in told
    assert "network" not in told


def test_an_empty_folder_and_one_without_weights_say_what_to_do(tmp_path: Path) -> None:
    entry = Checkpoint("x", "X", ("zero-shot",), "open-clip", "MIT", f"folder:{tmp_path}")
    with pytest.raises(Unavailable, match=r"manage\.py models pull"):
        backends.load(entry, tmp_path, "cpu")
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(Unavailable, match="has no weights"):
        backends.load(entry, tmp_path, "cpu")


def test_clip_says_which_backend_reads_this_layout(tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text("{}")
    entry = Checkpoint("x", "X", ("zero-shot",), "clip", "MIT", f"folder:{tmp_path}")
    with pytest.raises(Unavailable, match='backend = "open-clip" and environment = "openclip"'):
        backends.load(entry, tmp_path, "cpu")


def test_biomedclip_is_read_as_it_is_published() -> None:
    found = load_catalogue()["biomedclip"]
    assert (found.backend, found.environment) == ("open-clip", "openclip")
