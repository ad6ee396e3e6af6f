"""What is said of an image of many frames is said of the frame that was looked at."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile

from assistant import runs, tools, uploads
from assistant.models import Conversation, ToolCall
from tests.inference import files

pytestmark = pytest.mark.django_db(transaction=True)


def described(owner: User, path: Path) -> str:
    image = uploads.store(owner, SimpleUploadedFile(path.name, path.read_bytes()))
    run = runs.ask(Conversation.objects.create(owner=owner), "hello", [image])
    call = ToolCall(run=run, number=1, call_id="x", name="describe_image", arguments={"image": "img1"})
    statements: list[dict[str, Any]] = tools.execute(call).result["statements"]
    return " ".join(statement["text"] for statement in statements)


def test_a_volume_is_judged_by_its_middle_since_its_ends_are_air(alice: User, tmp_path: Path) -> None:
    voxels = np.zeros((20, 24, 9), np.int16)
    voxels[5:15, 6:18, 3:6] = 700
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([2, 2, 3, 1.0])), tmp_path / "head.nii.gz")
    said = described(alice, tmp_path / "head.nii.gz")
    assert "20 x 24 pixels and 9 slices" in said
    assert "By its pixel values (slice 5 of 9)" in said
    assert "values run from 0 to 700" in said


def test_a_cine_says_which_frame_was_looked_at(alice: User) -> None:
    said = described(alice, files.PYDICOM_IMAGES / "examples_ybr_color.dcm")
    assert "320 x 240 pixels and 30 frames" in said
    assert "(frame 1 of 30)" in said


def test_an_image_of_one_frame_needs_no_such_words(alice: User) -> None:
    said = described(alice, files.CHEST)
    assert "frame" not in said
    assert "1841 x 1955 pixels (" in said
