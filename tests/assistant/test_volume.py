"""Volumes and masks as NIfTI: what nibabel reads is what was decoded, where it lies in the patient."""

import gzip
import io
from collections.abc import Callable
from typing import Any

import nibabel
import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.test import Client
from nibabel.orientations import aff2axcodes, apply_orientation
from PIL import Image as Picture

from assistant import nifti
from assistant.models import Artifact, Image, Run, ToolCall
from inference.errors import BadInput
from tests import phantom

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]


def body(response: Any) -> bytes:
    return b"".join(response)


def read(data: bytes) -> nibabel.Nifti1Image:
    raw = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    return nibabel.Nifti1Image.from_bytes(raw)


def fetched(client: Client, image: Image, query: str = "") -> nibabel.Nifti1Image:
    response = client.get(f"/images/{image.pk}/volume.nii{query}")
    assert response.status_code == 200, response.content
    data = body(response)
    assert int(response["Content-Length"]) == len(data)
    return read(data)


def test_nibabel_reads_the_volume_as_it_was_decoded(alice: User, client_of: ClientOf):
    array = phantom.voxels()
    found = fetched(client_of(alice), phantom.store(alice, array))
    assert found.shape == (phantom.COLUMNS, phantom.ROWS, phantom.SLICES)
    assert np.array_equal(np.asarray(found.dataobj), array.transpose(2, 1, 0))
    assert np.allclose(found.affine, phantom.AFFINE)
    assert aff2axcodes(found.affine) == ("L", "P", "S")
    assert found.header.get_data_dtype() == np.int16
    assert found.header.get_zooms() == (1.5, 1.0, 2.5)
    assert found.header["sform_code"] == 1
    assert found.header["qform_code"] == 0
    assert found.header.get_xyzt_units()[0] == "mm"


@pytest.mark.parametrize("dtype", sorted(nifti.CODES))
def test_every_type_that_is_decoded_to_arrives_exactly(alice: User, client_of: ClientOf, dtype: str):
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(dtype)
    if dtype.startswith("float"):
        array += 0.25
    found = fetched(client_of(alice), phantom.store(alice, array))
    assert found.header.get_data_dtype() == np.dtype(dtype)
    assert np.array_equal(np.asarray(found.dataobj), array.transpose(2, 1, 0))


def test_an_oblique_volume_keeps_its_place(alice: User, client_of: ClientOf):
    turn = np.array([[0.9, -0.3, 0.1], [0.3, 0.92, -0.2], [-0.05, 0.2, 0.97]]) @ np.diag([-1.5, -1.0, 2.5])
    affine = tuple((*map(float, row), shift) for row, shift in zip(turn, (10.0, -4.0, 7.0), strict=True))
    found = fetched(client_of(alice), phantom.store(alice, phantom.voxels(), (*affine, (0.0, 0.0, 0.0, 1.0))))
    assert np.allclose(found.affine[:3], affine, atol=1e-5)


def test_a_time_point_is_one_volume(alice: User, client_of: ClientOf):
    times = np.stack([phantom.voxels() + 100 * t for t in range(3)])
    image, client = phantom.store(alice, times), client_of(alice)
    assert np.array_equal(np.asarray(fetched(client, image).dataobj), times[0].transpose(2, 1, 0))
    assert np.array_equal(np.asarray(fetched(client, image, "?t=2").dataobj), times[2].transpose(2, 1, 0))
    for wrong in ("3", "-1", "x", "9" * 40, "²"):
        assert client.get(f"/images/{image.pk}/volume.nii?t={wrong}").status_code == 404, wrong


def test_what_is_no_placed_grey_volume_is_declined_with_a_reason(alice: User, client_of: ClientOf):
    client, array = client_of(alice), phantom.voxels()
    colour = np.zeros((4, 5, 6, 3), np.uint8)
    for image, reason in (
        (phantom.store(alice, array, layout="frames"), nifti.NO_VOLUME),
        (phantom.store(alice, array, None), nifti.NO_PLACE),
        (phantom.store(alice, colour), nifti.COLOUR),
    ):
        response = client.get(f"/images/{image.pk}/volume.nii")
        assert (response.status_code, response.content.decode()) == (404, reason)


def test_pixels_that_are_gone_are_not_an_error_page(alice: User, client_of: ClientOf):
    image = phantom.store(alice, phantom.voxels())
    image.pixels.storage.delete(image.pixels.name)
    assert client_of(alice).get(f"/images/{image.pk}/volume.nii").status_code == 404


def test_a_mask_lies_on_the_grid_of_its_volume(alice: User, client_of: ClientOf):
    image = phantom.store(alice, phantom.voxels())
    row, client = phantom.mark(image, phantom.block()), client_of(alice)
    found = read(body(client.get(f"/annotations/{row.pk}/mask.nii.gz")))
    data = np.asarray(found.dataobj)
    assert data.dtype == np.uint8
    assert set(np.unique(data)) == {0, 1}
    assert np.array_equal(data.transpose(2, 1, 0) * 255, phantom.block())
    assert np.allclose(found.affine, fetched(client, image).affine)


def test_a_mask_goes_back_to_the_grid_of_the_file(alice: User, client_of: ClientOf):
    """What was turned to be looked at (say, from R-A-S) is turned back, with the affine of the file."""
    back = ((1, -1), (0, -1), (2, 1))
    image = phantom.store(alice, phantom.voxels(), reoriented=back)
    row, client = phantom.mark(image, phantom.block()), client_of(alice)
    shown = read(body(client.get(f"/annotations/{row.pk}/mask.nii.gz")))
    of_file = read(body(client.get(f"/annotations/{row.pk}/mask.nii.gz?grid=file")))
    expected = apply_orientation(np.asarray(shown.dataobj), np.asarray(back))
    assert np.array_equal(np.asarray(of_file.dataobj), expected)
    centres = [np.argwhere(np.asarray(one.dataobj)).mean(axis=0) for one in (shown, of_file)]
    places = [one.affine @ (*centre, 1) for one, centre in zip((shown, of_file), centres, strict=True)]
    assert np.allclose(*places, atol=1e-4), "it moved in the patient"


def test_a_mask_of_one_frame_fills_that_slice_only(alice: User, client_of: ClientOf):
    image = phantom.store(alice, phantom.voxels())
    conversation = phantom.chat_with(alice, image)
    run = Run.objects.create(conversation=conversation, message=conversation.messages.create(role="user"))
    call = ToolCall.objects.create(run=run, number=1, call_id="a", name="segment", arguments={}, queue="vision")
    png = io.BytesIO()
    Picture.fromarray(phantom.block()[22]).save(png, "PNG")
    made = Artifact(tool_call=call, image=image, number=1, kind=Artifact.MASK, label="block", data={"frame": 22})
    made.file.save("mask.png", ContentFile(png.getvalue()), save=False)
    made.save()
    found = np.asarray(read(body(client_of(alice).get(f"/artifacts/{made.pk}/mask.nii.gz"))).dataobj).transpose(2, 1, 0)
    assert np.array_equal(found[22] * 255, phantom.block()[22])
    assert not np.delete(found, 22, axis=0).any()


def test_a_mask_of_another_size_or_on_no_volume_is_not_there(alice: User, client_of: ClientOf):
    client = client_of(alice)
    small = phantom.mark(phantom.store(alice, phantom.voxels()), phantom.block()[:5])
    flat = phantom.mark(phantom.store(alice, phantom.voxels(), layout="frames"), phantom.block())
    for row in (small, flat):
        assert client.get(f"/annotations/{row.pk}/mask.nii.gz").status_code == 404


def test_a_dimension_that_nifti_cannot_hold_is_refused():
    with pytest.raises(BadInput, match="32767"):
        nifti.header(np.dtype(np.uint8), (40_000, 1, 1), phantom.AFFINE)


def test_strangers_find_neither_volume_nor_mask(alice: User, bob: User, client_of: ClientOf):
    image = phantom.store(alice, phantom.voxels())
    row, client = phantom.mark(image, phantom.block()), client_of(bob)
    for path in (f"/images/{image.pk}/volume.nii", f"/annotations/{row.pk}/mask.nii.gz"):
        assert client.get(path).status_code == 404
