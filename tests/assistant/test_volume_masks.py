"""A tool's mask of a whole volume: outlined, measured, shown on its slices, saved, and corrected."""

import gzip
import io
from typing import Any

import nibabel
import numpy as np
import pytest
from django.contrib.auth.models import User
from PIL import Image as Picture

from assistant import downloads, marks, runs, viewing
from assistant.models import Artifact, Conversation, Image, Run
from inference.types import Affine, Gate
from tests import phantom

pytestmark = pytest.mark.django_db(transaction=True)

# Columns grow towards the patient's left; the right lung is the larger one, so that a mirrored result would be seen.
AFFINE: Affine = ((-4.0, 0.0, 0.0, 100.0), (0.0, -4.0, 0.0, 80.0), (0.0, 0.0, 8.0, -100.0), (0.0, 0.0, 0.0, 1.0))
RIGHT, LEFT = (slice(4, 22), slice(14, 30), slice(10, 22)), (slice(4, 18), slice(14, 28), slice(30, 40))
CM3 = 4 * 4 * 8 / 1000


def chest() -> np.ndarray:
    """(26, 44, 50) HU: air around a body with two lungs, (slices, rows, columns)."""
    found = np.full((26, 44, 50), -1000, np.int16)
    found[:, 6:38, 5:45] = 40
    found[RIGHT], found[LEFT] = -820, -840
    return found


@pytest.fixture
def ct(alice: User) -> Image:
    return phantom.store(alice, chest(), AFFINE, gate=Gate("CT", "CHEST", confidence=1.0, source="header"))


@pytest.fixture
def run(alice: User, ct: Image, eager_celery: object) -> Run:
    found = runs.ask(Conversation.objects.create(owner=alice), "Segment the lungs", [ct])
    found.refresh_from_db()
    return found


def expected(where: tuple[slice, ...]) -> np.ndarray:
    mask = np.zeros((26, 44, 50), np.uint8)
    mask[where] = 255
    return mask


def test_the_lungs_of_a_ct_are_outlined_and_their_volume_is_said(run: Run):
    right, left = Artifact.objects.filter(kind=Artifact.MASK, tool_call__run=run)
    for artifact, where in ((right, RIGHT), (left, LEFT)):
        assert np.array_equal(downloads.mask_of(artifact), expected(where))
    assert (right.label, left.label) == ("right lung", "left lung")
    size = 18 * 16 * 12 * CM3
    assert right.data["volume_cm3"] == pytest.approx(size)
    assert right.data["frames"] == list(range(4, 22))
    assert f"The right lung was outlined on img1: {size:,.0f} cm3." in run.answer.text
    assert run.tool_calls.get().result["records"][0]["checkpoint"] == "baseline-ct-lungs"


def test_each_slice_is_shown_and_no_more_than_there_are(run: Run, client_of: Any, alice: User, bob: User):
    right = Artifact.objects.filter(kind=Artifact.MASK)[0]
    address = f"/artifacts/{right.pk}/overlay.png"
    client = client_of(alice)
    for frame, any_of_it in ((4, True), (3, False)):
        with Picture.open(io.BytesIO(client.get(f"{address}?frame={frame}").content)) as picture:
            assert np.asarray(picture.convert("RGBA"))[..., 3].any() == any_of_it
    assert client.get(address).status_code == 200
    for frame in ("26", "-1", "x", "9" * 30):
        assert client.get(f"{address}?frame={frame}").status_code == 404
    assert client_of(bob).get(f"{address}?frame=4").status_code == 404
    (layer, _) = viewing.layers(right.tool_call.run.conversation, right.image)
    assert (layer.frame, layer.frames) == (None, list(range(4, 22)))


def test_it_is_saved_on_the_grid_of_the_file(run: Run, client_of: Any, alice: User):
    right = Artifact.objects.filter(kind=Artifact.MASK)[0]
    content = client_of(alice).get(f"/artifacts/{right.pk}/mask.nii.gz").content
    saved = nibabel.Nifti1Image.from_bytes(gzip.decompress(content))
    voxels = np.asarray(saved.dataobj) > 0
    assert voxels.sum() == 18 * 16 * 12
    middle = nibabel.affines.apply_affine(saved.affine, np.argwhere(voxels).mean(axis=0))
    assert middle[0] > 0  # the patient's right, in R-A-S+


def test_a_person_corrects_one_slice_and_the_others_stay(run: Run, alice: User):
    right = Artifact.objects.filter(kind=Artifact.MASK)[0]
    drawn = np.zeros((44, 50), np.uint8)
    drawn[20:24, 12:16] = 255
    png = io.BytesIO()
    Picture.fromarray(drawn).save(png, "PNG")
    made = marks.add_mask(right.image, png.getvalue(), 10, "", None, right)
    mask = made.mask()
    assert np.array_equal(mask[10], drawn)
    assert np.array_equal(np.delete(mask, 10, axis=0), np.delete(expected(RIGHT), 10, axis=0))
