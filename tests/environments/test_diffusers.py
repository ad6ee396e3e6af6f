"""A tiny Stable Diffusion with random weights, made, loaded by our backend and compared with diffusers itself."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.site import ROOT

pytestmark = pytest.mark.timeout(300)

MAKE = """
import sys, torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
torch.manual_seed(3)
vocab = {"<|startoftext|>": 0, "<|endoftext|>": 1}
for letter in "abcdefghijklmnopqrstuvwxyz":
    vocab[letter] = len(vocab)
    vocab[letter + "</w>"] = len(vocab)
text = CLIPTextConfig(vocab_size=len(vocab), hidden_size=16, intermediate_size=24, num_hidden_layers=2,
    num_attention_heads=2, max_position_embeddings=77, bos_token_id=0, eos_token_id=1, pad_token_id=1)
unet = UNet2DConditionModel(block_out_channels=(8, 16), layers_per_block=1, sample_size=16, cross_attention_dim=16,
    norm_num_groups=4, attention_head_dim=2, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"))
vae = AutoencoderKL(block_out_channels=(8, 16, 16, 16), norm_num_groups=4, sample_size=128,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
tokenizer = CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77)
StableDiffusionPipeline(vae=vae, text_encoder=CLIPTextModel(text), tokenizer=tokenizer,
    unet=unet, scheduler=DDIMScheduler(), safety_checker=None, feature_extractor=None,
    requires_safety_checker=False).save_pretrained(sys.argv[1])
"""
COMPARE = """
import sys
from pathlib import Path
import numpy as np, torch
from diffusers import StableDiffusionPipeline
from inference import backends, pictures
from inference.checkpoints import Checkpoint
from inference.errors import BadInput, Unavailable
folder = Path(sys.argv[1])
known = Checkpoint("tiny", "tiny diffusion", ("synthesis",), "diffusers", "MIT", f"folder:{folder}")
model = backends.load(known, folder, "cpu")
options = {"prompt": "a chest film", "seed": 7, "steps": 3}
(picture,) = model.synthesise([], options).pictures
pipeline = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
seed = torch.Generator("cpu").manual_seed(7)
direct = pipeline("a chest film", num_inference_steps=3, generator=seed, output_type="np").images[0]
direct = np.rint(np.clip(direct, 0, 1) * 255).astype(np.uint8)
assert picture.synthetic
assert np.array_equal(picture.pixels, pictures.watermarked(direct))
assert not np.array_equal(picture.pixels, direct)
try:
    model.synthesise([], {"prompt": " "})
except BadInput:
    print("refused without words")
try:
    backends.load(known, folder / "nothing", "cpu")
except Unavailable as error:
    print(error)
print("the same", picture.pixels.shape)
"""


def test_the_backend_gives_what_diffusers_gives_with_the_mark_upon_it(environment: Any, tmp_path: Path):
    python = environment("diffusers")
    subprocess.run([python, "-c", MAKE, str(tmp_path / "tiny")], check=True)
    said = subprocess.run([python, "-c", COMPARE, str(tmp_path / "tiny")], cwd=ROOT, stdout=-1, check=True, text=True)
    assert "refused without words" in said.stdout
    assert "tiny diffusion cannot be loaded from its folder" in said.stdout
    assert "the same (128, 128, 3)" in said.stdout
