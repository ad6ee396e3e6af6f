"""torchxrayvision's DenseNet by this product's code says what the library says. Untrained tensors, as safetensors.

Needs torchxrayvision, which lives in the environment xray: LIGHTBOX_TEST_XRAY names a folder of packages that has it
and torchvision, else the built environment is used, and without one this is skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inference.environments import HERE

ROOT = Path(__file__).parents[2]
BOTH = """
import json, sys
import torchvision_operators
import numpy as np, torch, torchxrayvision as xrv
from safetensors.torch import save_file
from pathlib import Path
from inference import backends
from inference.checkpoints import Checkpoint
from inference.types import Image
folder = Path(sys.argv[1])
torch.manual_seed(1)
known = xrv.models.model_urls["densenet121-res224-nih"]
made = xrv.models.DenseNet(num_classes=18, weights=None).eval()
save_file({k: v.contiguous() for k, v in made.state_dict().items()}, folder / "model.safetensors")
pixels = np.random.default_rng(1).integers(0, 255, (224, 224), dtype=np.uint8)
made.op_threshs = torch.tensor(known["op_threshs"])
with torch.inference_mode():
    direct = made(torch.from_numpy(xrv.utils.normalize(pixels, 255)[None, None])).numpy()[0]
entry = Checkpoint("x", "X", ("classify",), "torchxrayvision", "Apache-2.0", f"folder:{folder}",
                   options={"weights": "densenet121-res224-nih"})
ours = backends.load(entry, folder, "cpu").classify([Image(pixels)], {"top_k": 0, "saliency": True})
print(json.dumps({
    "direct": {label: float(value) for label, value in zip(known["labels"], direct) if label},
    "ours": {score.label: score.value for score in ours.scores},
    "kinds": sorted({score.kind for score in ours.scores}),
    "map": [list(ours.heatmaps[0].pixels.shape), ours.heatmaps[0].method],
    "notes": list(ours.notes),
}))
"""


@pytest.mark.timeout(300)
def test_only_trained_labels_with_the_scores_of_the_library(tmp_path: Path) -> None:
    extra = os.environ.get("LIGHTBOX_TEST_XRAY", "")
    built = Path(os.environ.get("LIGHTBOX_TEST_ENVIRONMENTS", ROOT / "var" / "environments")) / "xray/bin/python"
    if not extra and not built.exists():
        pytest.skip("The environment xray is not built: manage.py models environment xray")
    python = sys.executable if extra else str(built)
    paths = [str(HERE / "xray" / "site"), str(ROOT), *([extra] if extra else [])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    said = subprocess.run([python, "-c", BOTH, str(tmp_path)], stdout=-1, check=True, env=environment).stdout
    found = json.loads(said.splitlines()[-1])
    assert len(found["ours"]) == 14  # 18 outputs, of which these weights were trained for 14
    assert found["ours"] == pytest.approx(found["direct"], abs=1e-4)
    assert found["kinds"] == ["score"]
    assert found["map"] == [[224, 224], "Grad-CAM on the last convolutional stage"]
    assert any("operating point" in note for note in found["notes"])
