"""From the file to the screen and back: a block on one side of a phantom, marked, stored and saved, stays where it was.

The phantom is not symmetric: the block lies on the patient's left, in front and below the middle, so that every flip of
an axis would move it. What is saved is read back by nibabel, pydicom and highdicom, and compared with the source files.
"""

import io
import itertools
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from highdicom.seg import segread
from numpy.typing import NDArray
from PIL import Image as Picture
from pydicom import dcmread
from pydicom.uid import CTImageStorage, generate_uid

from assistant import downloads, uploads
from assistant.models import Annotation, Artifact, Conversation, Image
from tests.inference import files

pytestmark = pytest.mark.django_db(transaction=True)

LEVEL = 1000
# Voxels (i, j, k) of a RAS+ grid of 40 x 30 x 6, and the block in them: i grows to the patient's right.
SHAPE, SPACING = (40, 30, 6), np.array([2.0, 3.0, 5.0])
BLOCK = (slice(4, 12), slice(18, 25), slice(1, 3))


def uploaded(user: User, *contents: bytes) -> Image:
    sent = [SimpleUploadedFile(f"{n}.bin", content) for n, content in enumerate(contents)]
    (image,) = uploads.receive(user, sent).images
    return image


def phantom() -> NDArray[np.int16]:
    voxels = np.zeros(SHAPE, np.int16)
    voxels[BLOCK] = LEVEL
    return voxels


def turned(axes: tuple[int, ...], signs: tuple[int, ...]) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """The phantom stored along other axes and in other directions, with the affine that says so."""
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = (-39, -40, -11)
    orientation = np.array(list(zip(axes, signs, strict=True)))
    image = nibabel.Nifti1Image(phantom(), affine).as_reoriented(orientation)
    return np.asarray(image.dataobj), image.affine


def series(folder: Path) -> list[bytes]:
    """Axial slices as a scanner writes them, from head to feet and in no order; columns grow to the patient's left."""
    voxels = phantom()[::-1, ::-1]  # RAS+ to (left, posterior, superior)
    study, group, place = generate_uid(), generate_uid(), generate_uid()
    slices = []
    for k in (3, 0, 5, 1, 4, 2):
        path = files.write_dicom(
            folder / f"{k}.dcm",
            np.ascontiguousarray(voxels[:, :, k].T),
            SOPClassUID=CTImageStorage,
            Modality="CT",
            BodyPartExamined="CHEST",
            StudyInstanceUID=study,
            SeriesInstanceUID=group,
            FrameOfReferenceUID=place,
            InstanceNumber=k + 1,
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[-39.0, -47.0, -11.0 + 5.0 * k],
            PixelSpacing=[3.0, 2.0],
            SliceThickness=5.0,
            RescaleSlope=1,
            RescaleIntercept=0,
            RescaleType="HU",
        )
        slices.append(path.read_bytes())
    return slices


class Viewer:
    """What the page does: marks what it shows, and saves what was made of it."""

    def __init__(self, client: Client, user: User, image: Image) -> None:
        self.client, self.image = client, image
        self.chat = Conversation.objects.create(owner=user)
        self.chat.add("user", "A phantom", [image])

    def shown(self) -> NDArray[Any]:
        """(F, H, W) as it is on the screen."""
        with self.image.pixels.open("rb") as file:
            pixels: NDArray[Any] = np.load(io.BytesIO(file.read()))
        return pixels if pixels.ndim == 3 else pixels[np.newaxis]

    def segment(self, frame: int) -> Artifact:
        """A lasso round what is bright on this frame."""
        rows, columns = np.nonzero(self.shown()[frame] >= LEVEL)
        x0, x1, y0, y1 = int(columns.min()), int(columns.max()) + 1, int(rows.min()), int(rows.max()) + 1
        lasso = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]
        body = {"image": str(self.image.pk), "frame": frame, "lasso": lasso, "refine": False, "label": "block"}
        sent = self.client.post(reverse("chat-segment", args=[self.chat.pk]), body, content_type="application/json")
        assert sent.status_code == 202, sent.content
        return Artifact.objects.latest("tool_call__number")

    def keep(self, frame: int, mask: bytes, **corrects: str) -> Annotation:
        form = {"png": SimpleUploadedFile("mask.png", mask), "frame": frame, **corrects}
        sent = self.client.post(reverse("mask-add", args=[self.image.pk]), form)
        assert sent.status_code == 201, sent.content
        return Annotation.objects.get(pk=sent.json()["id"])

    def saved(self, mark: Annotation, form: str, query: str = "") -> bytes:
        response = self.client.get(reverse("annotation-saved", args=[mark.pk, form]) + query)
        assert response.status_code == 200, response.content
        return bytes(response.content)

    def block(self) -> Annotation:
        """The whole block: outlined slice by slice by prompts, each slice sent back as a correction."""
        frames = np.flatnonzero((self.shown() >= LEVEL).any(axis=(1, 2))).tolist()
        mark: Annotation | None = None
        for frame in frames:
            outlined = self.segment(frame)
            png = self.client.get(reverse("artifact", args=[outlined.pk])).content
            corrects = {"corrects": str(mark.pk)} if mark else {"corrects_artifact": str(outlined.pk)}
            mark = self.keep(frame, png, **corrects)
        assert mark is not None
        assert mark.version == len(frames) + 1
        return mark


@pytest.fixture
def viewer(alice: User, client_of: Callable[[User], Client], eager_celery: Any) -> Callable[[Image], Viewer]:
    return lambda image: Viewer(client_of(alice), alice, image)


def picture(content: bytes) -> NDArray[np.bool_]:
    with Picture.open(io.BytesIO(content)) as opened:
        return np.asarray(opened) > 127


@pytest.mark.parametrize(
    ("axes", "signs"),
    [
        *(((0, 1, 2), signs) for signs in itertools.product((1, -1), repeat=3)),
        ((2, 0, 1), (1, -1, 1)),
        ((1, 2, 0), (-1, 1, -1)),
    ],
)
def test_a_block_in_a_nifti_file_of_any_orientation_comes_back_voxel_for_voxel(
    alice: User, viewer: Callable[[Image], Viewer], tmp_path: Path, axes: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    voxels, affine = turned(axes, signs)
    page = viewer(uploaded(alice, files.nifti_bytes(voxels, affine)))
    mark = page.block()
    (tmp_path / "mask.nii.gz").write_bytes(page.saved(mark, "nii.gz"))
    saved = nibabel.load(tmp_path / "mask.nii.gz")
    assert np.allclose(saved.affine, affine, atol=1e-4)
    assert np.array_equal(np.asarray(saved.dataobj) > 0, voxels >= LEVEL)
    middle = saved.affine @ [*np.argwhere(np.asarray(saved.dataobj) > 0).mean(axis=0), 1]
    assert middle[0] < 0 < middle[1]  # the patient's left, and in front
    # On the screen the patient's left is on the right.
    frame = mark.data["frames"][0]
    across = np.nonzero(picture(page.saved(mark, "png", f"?frame={frame}")))[1]
    assert across.mean() > page.image.width / 2


def test_a_block_in_a_series_comes_back_on_the_instances_it_lies_on(
    alice: User, viewer: Callable[[Image], Viewer], tmp_path: Path
) -> None:
    page = viewer(uploaded(alice, *series(tmp_path)))
    assert (page.image.layout, page.image.frames) == ("volume", 6)
    mark = page.block()
    path = tmp_path / "mask.dcm"
    path.write_bytes(page.saved(mark, "dcm"))
    segmentation = segread(path)
    clean = tmp_path / "clean"
    clean.mkdir()
    sources = {str(source.SOPInstanceUID): source for source in clean_files(page.image, clean)}
    marked = segmentation.get_pixels_by_source_instance(
        list(sources), ignore_spatial_locations=True, combine_segments=True
    )
    for mask, source in zip(marked, sources.values(), strict=True):
        assert np.array_equal(mask > 0, source.pixel_array >= LEVEL)
    # The same block as NIfTI, at the same place: the patient's left is at negative x.
    (tmp_path / "mask.nii.gz").write_bytes(page.saved(mark, "nii.gz"))
    saved = nibabel.load(tmp_path / "mask.nii.gz")
    places = nibabel.affines.apply_affine(saved.affine, np.argwhere(np.asarray(saved.dataobj) > 0))
    expected = nibabel.affines.apply_affine(truth_affine(), np.argwhere(phantom() >= LEVEL))
    assert np.allclose(np.sort(places, axis=0), np.sort(expected, axis=0), atol=1e-3)


def truth_affine() -> NDArray[np.float64]:
    """Of the phantom as `series` places it: its first voxel is the slices' last column and last row."""
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = (39 - 2 * 39, 47 - 3 * 29, -11)
    return affine


def clean_files(image: Image, folder: Path) -> list[Any]:
    """The clean DICOM files that are kept of an image."""
    path = folder / "source"
    with image.source.open("rb") as file:
        path.write_bytes(file.read())
    if not zipfile.is_zipfile(path):
        return [dcmread(path)]
    with zipfile.ZipFile(path) as archive:
        return [dcmread(io.BytesIO(archive.read(name))) for name in archive.namelist()]


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_a_block_on_a_radiograph_stays_on_its_side(
    alice: User, viewer: Callable[[Image], Viewer], tmp_path: Path, photometric: str
) -> None:
    greys = np.zeros((60, 80), np.uint16)
    greys[10:20, 55:70] = LEVEL  # rows grow to the patient's left: this is on the left
    stored = greys if photometric == "MONOCHROME2" else LEVEL - greys
    path = files.write_dicom(
        tmp_path / "a.dcm",
        stored,
        PhotometricInterpretation=photometric,
        PatientOrientation=["L", "F"],
        StudyInstanceUID=generate_uid(),
        SeriesInstanceUID=generate_uid(),
    )
    page = viewer(uploaded(alice, path.read_bytes()))
    mark = page.block()
    assert np.array_equal(picture(page.saved(mark, "png")), greys >= LEVEL)
    (tmp_path / "mask.dcm").write_bytes(page.saved(mark, "dcm"))
    segmentation = segread(tmp_path / "mask.dcm")
    assert np.array_equal(np.squeeze(segmentation.pixel_array) > 0, greys >= LEVEL)
    (source,) = clean_files(page.image, tmp_path)
    assert {uid for _, _, uid in segmentation.get_source_image_uids()} == {source.SOPInstanceUID}
    assert downloads.file_name(page.image, mark.label, "dcm").endswith("-block.dcm")
