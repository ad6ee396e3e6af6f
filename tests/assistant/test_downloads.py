"""What a user saves: masks that fit the image they were drawn on, measurements, clean copies."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from highdicom.seg import segread
from PIL import Image as Picture

from assistant import uploads
from assistant.models import Annotation, Image
from tests.inference import files

pytestmark = pytest.mark.django_db


def drawn(image: Image, label: str = "lesion", **fields: Any) -> Annotation:
    """A block that is no mirror image of itself, on one frame."""
    shape = (image.height, image.width) if image.layout == "image" else (image.frames, image.height, image.width)
    mask = np.zeros(shape, np.uint8)
    mask[(1, slice(5, 9), slice(20, 31)) if mask.ndim == 3 else (slice(5, 9), slice(20, 31))] = 255
    given = {"kind": Annotation.MASK, "author": Annotation.PERSON, "label": label} | fields
    return Annotation.add(image, mask, **given)


def uploaded(user: User, path: Path) -> Image:
    return uploads.store(user, SimpleUploadedFile(path.name, path.read_bytes()))


def test_a_mask_is_saved_as_png_of_the_images_own_size(alice: User, client_of: Any) -> None:
    image = uploaded(alice, files.PYDICOM_IMAGES / "CT_small.dcm")
    response = client_of(alice).get(reverse("annotation-saved", args=[drawn(image).pk, "png"]))
    with Picture.open(io.BytesIO(response.content)) as picture:
        mask = np.asarray(picture)
    assert mask.shape == (128, 128)
    assert np.argwhere(mask == 255).min(axis=0).tolist() == [5, 20]
    assert (mask > 0).sum() == 44
    assert response["Content-Disposition"] == f'attachment; filename="image-{image.pk.hex[:8]}-lesion.png"'


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm"])
def test_a_dicom_segmentation_refers_to_its_source_and_holds_the_same_pixels(
    alice: User, client_of: Any, tmp_path: Path, name: str
) -> None:
    image = uploaded(alice, files.PYDICOM_IMAGES / name)
    mask = drawn(image, "left lung")
    response = client_of(alice).get(reverse("annotation-saved", args=[mask.pk, "dcm"]))
    assert response.status_code == 200, response.content
    (tmp_path / "mask.dcm").write_bytes(response.content)
    segmentation = segread(tmp_path / "mask.dcm")
    assert np.array_equal(segmentation.pixel_array > 0, mask.mask() > 0)
    assert segmentation.get_segment_description(1).segment_label == "left lung"
    assert segmentation.get_segment_description(1).algorithm_type.value == "MANUAL"
    sources = {uid for _, _, uid in segmentation.get_source_image_uids()}
    assert sources == set(image.facts.uids["instances"])


def test_a_projection_without_a_place_in_the_patient_can_be_segmented_too(
    alice: User, client_of: Any, tmp_path: Path
) -> None:
    mask = drawn(uploaded(alice, files.CHEST))
    response = client_of(alice).get(reverse("annotation-saved", args=[mask.pk, "dcm"]))
    assert response.status_code == 200, response.content
    (tmp_path / "mask.dcm").write_bytes(response.content)
    assert np.array_equal(segread(tmp_path / "mask.dcm").pixel_array > 0, mask.mask() > 0)


def test_a_picture_has_no_dicom_segmentation_and_says_why(alice: User, client_of: Any) -> None:
    out = io.BytesIO()
    Picture.new("L", (64, 48)).save(out, "PNG")
    image = uploads.store(alice, SimpleUploadedFile("a.png", out.getvalue()))
    for form, why in (("dcm", "this image is none"), ("nii.gz", "no place in the patient")):
        response = client_of(alice).get(reverse("annotation-saved", args=[drawn(image).pk, form]))
        assert response.status_code == 422
        assert why in response.content.decode()


def test_a_mask_of_a_volume_goes_back_to_the_files_own_grid(alice: User, client_of: Any, tmp_path: Path) -> None:
    """Left-handed, oblique and with axes in another order than is shown."""
    rng = np.random.default_rng(2)
    turn = np.array([[0.1, -2.0, 0.2, 40], [0.05, 0.2, 3.0, -20], [-1.5, 0, 0.1, 11], [0, 0, 0, 1]])
    source = nibabel.Nifti1Image(rng.integers(0, 900, (24, 40, 10), dtype=np.int16), turn)
    nibabel.save(source, tmp_path / "head.nii.gz")
    image = uploaded(alice, tmp_path / "head.nii.gz")
    mask = drawn(image)
    address = reverse("annotation-saved", args=[mask.pk, "nii.gz"])
    (tmp_path / "mask.nii.gz").write_bytes(client_of(alice).get(address).content)
    (tmp_path / "view.nii.gz").write_bytes(client_of(alice).get(address + "?grid=view").content)
    saved, view = nibabel.load(tmp_path / "mask.nii.gz"), nibabel.load(tmp_path / "view.nii.gz")
    assert saved.shape == source.shape
    assert np.allclose(saved.affine, source.affine, atol=1e-4)
    shown = np.load(io.BytesIO(image.pixels.open("rb").read()))
    marked = np.sort(shown[mask.mask() > 0])
    assert np.array_equal(np.sort(np.asanyarray(source.dataobj)[np.asanyarray(saved.dataobj) > 0]), marked)

    def places(volume: Any) -> np.ndarray:
        voxels = np.argwhere(np.asanyarray(volume.dataobj) > 0)
        millimetres = nibabel.affines.apply_affine(volume.affine, voxels)
        return millimetres[np.lexsort(millimetres.T)]

    assert np.allclose(places(saved), places(view), atol=1e-3)


def test_measurements_are_saved_as_csv_and_json_and_no_cell_is_a_formula(alice: User, client_of: Any) -> None:
    image = uploaded(alice, files.PYDICOM_IMAGES / "CT_small.dcm")
    data = {
        "type": "length",
        "points": [[1, 2], [4, 6]],
        "frame": 0,
        "values": [{"name": "length", "value": 3.25, "unit": "mm"}],
    }
    given = {"kind": Annotation.MEASUREMENT, "author": Annotation.PERSON, "data": data}
    Annotation.add(image, label="=1+1", **given)
    client = client_of(alice)
    text = client.get(reverse("image-measurements", args=[image.pk, "csv"])).content.decode()
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["quantity"], row["value"], row["unit"], row["points"]) == ("length", "3.25", "mm", "1 2; 4 6")
    assert row["label"] == "'=1+1"
    saved = json.loads(client.get(reverse("image-measurements", args=[image.pk, "json"])).content)
    assert saved["measurements"][0]["value"] == 3.25
    assert saved["measurements"][0]["spacing"] == "PixelSpacing"
    assert client.get(reverse("image-measurements", args=[image.pk, "xls"])).status_code == 404


def test_a_clean_copy_of_a_photograph_has_no_metadata(alice: User, client_of: Any) -> None:
    exif = Picture.Exif()
    exif[0x010E] = "CANARY Jane Doe"
    out = io.BytesIO()
    Picture.new("RGB", (64, 48), "brown").save(out, "JPEG", exif=exif)
    assert b"CANARY" in out.getvalue()
    image = uploads.store(alice, SimpleUploadedFile("skin.jpg", out.getvalue()))
    saved = client_of(alice).get(reverse("image-deidentified", args=[image.pk]))
    assert b"CANARY" not in saved.content
    with Picture.open(io.BytesIO(saved.content)) as picture:
        assert picture.size == (64, 48)
        assert not picture.getexif()
