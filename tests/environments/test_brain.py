"""deepbet by our backend, on a real head of Debian's mricron-data (ch2, and its published brain, ch2bet).

LIGHTBOX_TEST_HEADS names the folder that holds both, where the package is not installed.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.site import ROOT

pytestmark = pytest.mark.timeout(600)

HEADS = Path(os.environ.get("LIGHTBOX_TEST_HEADS", "/usr/share/mricron/templates"))
RUN = """
import json, sys
from pathlib import Path
import nibabel, numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from inference import backends
from inference.checkpoints import checkpoint
from inference.errors import BadInput
from inference.types import Volume
def volume(image, placed=True):
    affine = tuple(map(tuple, image.affine.tolist())) if placed else None
    return Volume(np.asarray(image.dataobj).transpose(2, 1, 0), affine, "MR", "HEAD")
def refused(what):
    try:
        model.segment([what], {})
    except BadInput as error:
        return str(error)
head, bet = (nibabel.load(Path(sys.argv[1]) / name) for name in ("ch2.nii.gz", "ch2bet.nii.gz"))
known = checkpoint("deepbet")
model = backends.load(known, Path(sys.argv[1]), "cpu")
truth = volume(bet).pixels > 0
(mask,) = model.segment([volume(head)], {}).masks
inside = mask.pixels > 0
turn = ornt_transform(io_orientation(head.affine), axcodes2ornt("LIP"))
(turned,) = model.segment([volume(head.as_reoriented(turn))], {}).masks
grid = nibabel.Nifti1Image(mask.pixels.transpose(2, 1, 0), head.affine).as_reoriented(turn)
blank = Volume(np.zeros((30, 30, 30), np.int16), volume(head).affine)
print(json.dumps({
    "label": mask.label, "shape": mask.pixels.shape == truth.shape, "values": np.unique(mask.pixels).tolist(),
    "cm3": mask.volume_cm3, "counted": int(inside.sum()) / 1000,
    "dice": 2 * int((inside & truth).sum()) / int(inside.sum() + truth.sum()),
    "turned": bool(np.array_equal(turned.pixels, np.asarray(grid.dataobj).transpose(2, 1, 0))),
    "blank": refused(blank), "unplaced": refused(volume(head, placed=False)),
}))
"""


def test_a_real_head_has_the_brain_that_deepbet_finds_however_its_grid_lies(environment: Any):
    python = environment("brain")
    if not (HEADS / "ch2bet.nii.gz").is_file():
        pytest.skip("No head to look at: install Debian's mricron-data, or name its templates in LIGHTBOX_TEST_HEADS")
    said = subprocess.run([python, "-c", RUN, str(HEADS)], cwd=ROOT, stdout=-1, check=True, text=True)
    found = json.loads(said.stdout.splitlines()[-1])
    print(f"Dice against ch2bet: {found['dice']:.3f}, {found['cm3']:.0f} cm3")
    assert (found["label"], found["shape"], found["values"]) == ("brain", True, [0, 255])
    assert found["dice"] > 0.92
    assert found["cm3"] == pytest.approx(found["counted"])  # voxels of 1 mm
    assert found["turned"]
    assert "No brain was found" in found["blank"]
    assert "does not say how the patient lies" in found["unplaced"]
