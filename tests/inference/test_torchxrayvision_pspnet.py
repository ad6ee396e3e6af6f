"""torchxrayvision's PSPNet here says what the library says. Untrained tensors, in the form of its own file.

Needs torchxrayvision, as tests/inference/test_torchxrayvision.py does.
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
import json, pickle, sys
import torchvision_operators
import numpy as np, torch
from pathlib import Path
from safetensors.torch import save_file
from torchxrayvision.baseline_models import chestx_det
from inference import backends
from inference.checkpoints import checkpoint
from inference.errors import BadInput, Unavailable
from inference.types import Image, Spacing
folder = Path(sys.argv[1])
known = checkpoint("torchxrayvision-pspnet")
def refused(act):
    try:
        act()
    except (BadInput, Unavailable) as error:
        return str(error)
(folder / "empty").mkdir(); (folder / "pickle").mkdir(); (folder / "safe").mkdir()
torch.manual_seed(2)
made = chestx_det.pspnet(14)
tensors = {"module." + name: tensor.contiguous() for name, tensor in made.state_dict().items()}
torch.save(tensors, folder / "pspnet_chestxray_best_model_4.pth")
pixels = np.random.default_rng(1).integers(0, 255, (512, 512), dtype=np.uint8)
pixels[100:300, 100:300] //= 4
with torch.inference_mode():
    given = torch.from_numpy((2 * pixels.astype(np.float32) / 255 - 1) * 1024)[None, None]
    logits = chestx_det.PSPNet(cache_dir=str(folder))(given)[0]
    middle = logits.flatten(1).median(dim=1).values  # half of the pixels above 0.5, half below
    direct = torch.sigmoid(logits - middle[:, None, None]).numpy() > 0.5
tensors["module.classification.bias"] -= middle
torch.save(tensors, folder / "pspnet_chestxray_best_model_4.pth")
ours = backends.load(known, folder, "cpu")
spacing = Spacing(0.2, 0.3, "PixelSpacing")
result = ours.segment([Image(pixels, spacing)], {})
masks = {mask.label: mask for mask in result.masks}
labels = chestx_det.PSPNet.targets
empty = np.zeros((512, 512), bool)
same = [float(np.mean((masks[label].pixels > 0 if label in masks else empty) == one))
        for label, one in zip(labels, direct)]
first = result.masks[0]
wide = Image(np.pad(pixels.astype(np.int16) * 16, ((0, 0), (40, 50))))
picked = ours.segment([wide], {"structures": [mask.label.lower() for mask in result.masks[:2]]})
save_file(tensors, folder / "safe" / "model.safetensors")
again = backends.load(known, folder / "safe", "cpu")._model.state_dict()
(folder / "pickle" / "a.pth").write_bytes(pickle.dumps(Path))
print(json.dumps({
    "labels": list(known.labels) == labels,
    "found": len(masks), "same": min(same), "notes": list(result.notes), "values": np.unique(first.pixels).tolist(),
    "area": [first.area_cm2, int((first.pixels > 0).sum()) * 0.2 * 0.3 / 100],
    "picked": [mask.label for mask in picked.masks] == [mask.label for mask in result.masks[:2]],
    "shape": list(picked.masks[0].pixels.shape), "beside": int(picked.masks[0].pixels[:, :40].max()),
    "wide": list(picked.notes), "no_area": picked.masks[0].area_cm2 is None,
    "safe": all(torch.equal(tensor, again[name]) for name, tensor in ours._model.state_dict().items()),
    "unknown": refused(lambda: ours.segment([wide], {"structures": ["Liver"]})),
    "colour": refused(lambda: ours.segment([Image(np.zeros((9, 9, 3), np.uint8))], {})),
    "empty": refused(lambda: backends.load(known, folder / "empty", "cpu")),
    "pickle": refused(lambda: backends.load(known, folder / "pickle", "cpu")),
}))
"""


@pytest.mark.timeout(400)
def test_the_structures_are_those_of_the_library_and_only_tensors_are_read(tmp_path: Path) -> None:
    extra = os.environ.get("LIGHTBOX_TEST_XRAY", "")
    built = Path(os.environ.get("LIGHTBOX_TEST_ENVIRONMENTS", ROOT / "var" / "environments")) / "xray/bin/python"
    if not extra and not built.exists():
        pytest.skip("The environment xray is not built: manage.py models environment xray")
    python = sys.executable if extra else str(built)
    paths = [str(HERE / "xray" / "site"), str(ROOT), *([extra] if extra else [])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    said = subprocess.run([python, "-c", BOTH, str(tmp_path)], stdout=-1, check=True, env=environment).stdout
    found = json.loads(said.splitlines()[-1])
    assert found["labels"]
    assert found["found"] == 14
    assert found["same"] > 0.9999
    assert found["values"] == [0, 255]
    assert found["area"][0] == pytest.approx(found["area"][1])
    assert "above 0.5" in found["notes"][0]
    assert found["picked"]
    assert (found["shape"], found["beside"], found["no_area"]) == ([512, 602], 0, True)
    assert any("centre square" in note for note in found["wide"])
    assert found["safe"]
    assert "does not know Liver" in found["unknown"]
    assert "in colour" in found["colour"]
    assert "has no weights in its folder" in found["empty"]
    assert "cannot be loaded" in found["pickle"]
