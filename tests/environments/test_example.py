"""The example of docs/adding-a-tool.md, built and used: a backend in an environment with an older transformers."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from assistant import checkpoints_in_use, model_calls
from inference.types import Image
from tests.model_worker import running

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

MAKE = """
import sys, torch, transformers
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor
torch.manual_seed(5)
names = {0: "disc", 1: "ring", 2: "neither"}
sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48)
numbers = {name: number for number, name in names.items()}
config = ViTConfig(**sizes, image_size=32, patch_size=8, id2label=names, label2id=numbers)
ViTForImageClassification(config).save_pretrained(sys.argv[1])
ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(sys.argv[1])
"""
DIRECTLY = """
import json, sys, torch, transformers
from PIL import Image
model = transformers.ViTForImageClassification.from_pretrained(sys.argv[1]).eval()
processor = transformers.ViTImageProcessor.from_pretrained(sys.argv[1])
inputs = processor(images=Image.open(sys.argv[2]), return_tensors="pt")
with torch.inference_mode():
    values = torch.softmax(model(**inputs).logits[0], -1).tolist()
print(json.dumps({"version": transformers.__version__, "scores": dict(zip(model.config.id2label.values(), values))}))
"""
CATALOGUE = """
[[checkpoint]]
key = "shapes"
name = "Shapes"
roles = ["classify"]
backend = "example"
environment = "example"
licence = "Apache-2.0"
source = "folder:{folder}"
"""


def test_an_extra_tool_is_one_file_and_one_entry(environment: Any, tmp_path: Path, settings: Any):
    python = environment("example", required=True)
    weights = tmp_path / "shapes"
    subprocess.run([python, "-c", MAKE, str(weights)], check=True)
    settings.CATALOGUES = [str(tmp_path / "catalogue.toml")]
    (tmp_path / "catalogue.toml").write_text(CATALOGUE.format(folder=weights))
    pixels = np.random.default_rng(5).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    Picture.fromarray(pixels).save(tmp_path / "picture.png")
    said = subprocess.run([python, "-c", DIRECTLY, str(weights), str(tmp_path / "picture.png")], stdout=-1, check=True)
    directly = json.loads(said.stdout)
    found = checkpoints_in_use.catalogue()["shapes"]
    with running("example", python, LIGHTBOX_CATALOGUE=settings.CATALOGUES[0]):
        done = model_calls.carry_out(found, "classify", [Image(pixels)], {}, name="shapes")
    assert {score.label: score.value for score in done.result.scores} == pytest.approx(directly["scores"], abs=1e-5)
    assert done.record.versions["transformers"] == directly["version"] == "4.40.2"
    assert done.record.load_seconds > 0
