"""What may be uploaded, by both ways in; what may not gets one line, and the next good file works."""

import hashlib
import html
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings as lightbox
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image as Picture
from skimage import data as skimage_data

from assistant import uploads
from assistant.models import Annotation, ApiToken, Image, Study
from inference.errors import Unavailable
from tests.inference import files
from tests.inference.test_malformed import huge_png, mutate, zipped

pytestmark = pytest.mark.django_db
Answer = tuple[int, str]
Upload = Callable[[bytes, str], Answer]


def encoded(kind: str, side: int = 48) -> bytes:
    """A small real photograph (skimage's camera man) as PNG or JPEG."""
    out = io.BytesIO()
    Picture.fromarray(skimage_data.camera()).resize((side, side + 8)).save(out, kind)
    return out.getvalue()


@pytest.fixture
def dicom(tmp_path: Path) -> bytes:
    return files.write_dicom(tmp_path / "a.dcm", files.ramp(), PixelSpacing=[0.5, 0.25]).read_bytes()


@pytest.fixture
def by_api(alice: User) -> Upload:
    headers, client = {"Authorization": f"Bearer {ApiToken.issue(alice)}"}, Client(raise_request_exception=False)

    def upload(content: bytes, name: str) -> Answer:
        response = client.post("/api/images", {"file": SimpleUploadedFile(name, content)}, headers=headers)
        body = response.json()
        return response.status_code, str(body.get("detail", body.get("id")))

    return upload


@pytest.fixture
def by_script(alice: User, client_of: Any) -> Upload:
    """The composer of the page, with htmx."""
    client = client_of(alice)
    client.raise_request_exception = False

    def upload(content: bytes, name: str) -> Answer:
        file = SimpleUploadedFile(name, content)
        response = client.post(reverse("image-upload"), {"file": file}, headers={"HX-Request": "true"})
        return response.status_code, response.content.decode()

    return upload


@pytest.fixture
def by_form(alice: User, client_of: Any) -> Upload:
    """The same page without script: the line stands on a page of its own."""
    client = client_of(alice)
    client.raise_request_exception = False

    def upload(content: bytes, name: str) -> Answer:
        response = client.post(reverse("image-upload"), {"file": SimpleUploadedFile(name, content)})
        line = response.context["line"] if response.status_code >= 400 else ""
        assert html.escape(line) in response.content.decode()
        return response.status_code, line

    return upload


@pytest.fixture
def ways(by_api: Upload, by_script: Upload, by_form: Upload) -> list[Upload]:
    return [by_api, by_script, by_form]


def is_one_line(line: str) -> bool:
    return bool(line) and "\n" not in line and len(line) < 300 and "Traceback" not in line and "<" not in line


# What is refused


def bad_files(dicom: bytes) -> dict[str, tuple[bytes, str]]:
    png, jpeg = encoded("PNG"), encoded("JPEG")
    return {
        "empty": (b"", "a.png"),
        "text": (b"Dear colleague, please find attached", "letter.dcm"),
        "page": (b"<html><script>alert(1)</script></html>", "a.png"),
        "archive": (zipped(), "study.dcm"),
        "tiff": (b"II*\0" + bytes(200), "a.tif"),
        "bomb": (huge_png(), "bomb.png"),
        "cut png": (png[: len(png) // 2], "a.png"),
        "cut jpeg": (jpeg[: len(jpeg) // 2], "a.jpg"),
        "cut dicom": (dicom[: len(dicom) // 2], "a.dcm"),
        "only a magic word": (bytes(128) + b"DICM", "a.dcm"),
    }


@pytest.mark.parametrize("kind", list(bad_files(b"")))
def test_what_is_no_image_is_refused_in_one_line(ways: list[Upload], dicom: bytes, kind: str) -> None:
    content, name = bad_files(dicom)[kind]
    way = list(bad_files(b"")).index(kind) % 3
    for upload in {ways[0], ways[1 + way % 2]}:
        status, line = upload(content, name)
        assert status == 422, line
        assert is_one_line(line)
    assert not Image.objects.exists()


@pytest.mark.parametrize("kind", ["dicom", "png", "jpeg"])
def test_a_mutated_file_is_kept_or_refused_and_the_next_good_one_works(
    ways: list[Upload], dicom: bytes, kind: str
) -> None:
    content = {"dicom": dicom, "png": encoded("PNG"), "jpeg": encoded("JPEG")}[kind]
    answers = [ways[seed % 3](mutate(content, 7000 + seed), f"a.{kind}") for seed in range(15)]
    refused = [line for status, line in answers if status >= 400]
    assert {status for status, _ in answers} <= {200, 201, 302, 422}
    assert all(is_one_line(line) for line in refused)
    assert Image.objects.count() == len(answers) - len(refused)
    for image in Image.objects.all():
        with Picture.open(image.preview.path, formats=["PNG"]) as preview:
            assert preview.size == (image.width, image.height)
    assert ways[0](content, "good")[0] == 201
    assert ways[1](content, "good")[0] == 200
    assert ways[2](content, "good")[0] == 302


def test_over_the_size_limit_is_413(ways: list[Upload], settings: Any) -> None:
    settings.UPLOAD_LIMIT = 1024**2
    for upload in ways:
        assert upload(b"\0" * (1024**2 + 1), "big.dcm") == (413, "This file is larger than the limit of 1 MB.")


def test_when_too_many_are_read_at_once_it_says_try_again(ways: list[Upload], monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def acquire(self, timeout: float) -> bool:
            return False

    monkeypatch.setattr(uploads, "_slots", Full())
    for upload in ways:
        status, line = upload(encoded("PNG"), "a.png")
        assert status == 503
        assert line == "Too many images are being read at the moment. Try again in a minute."


def test_a_refusal_leaves_no_file_behind(by_api: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    files_before = set((lightbox.DATA_DIR / "files").rglob("*.*"))
    assert by_api(b"no image", "a.png")[0] == 422
    assert set((lightbox.DATA_DIR / "files").rglob("*.*")) == files_before


def test_a_sample_that_cannot_be_read_says_so(alice: User, client_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*_: Any) -> None:
        raise Unavailable("Too many images are being read at the moment.")

    monkeypatch.setattr(uploads, "_keep", unavailable)
    response = client_of(alice).post(reverse("image-sample"), headers={"HX-Request": "true"})
    assert (response.status_code, response.content) == (503, b"Too many images are being read at the moment.")


# Names


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("/absolute/film.dcm", "film.dcm"),
        ("<script>alert(1)<.png", None),
        ("Müller, Jörg - Thorax (2).png", "Müller, Jörg - Thorax (2).png"),
        ("胸部.png", "胸部.png"),
        ("a" * 1000 + ".png", None),
        ("%00.png", "%00.png"),
        ("&lt;b&gt;.png", None),
        ("no extension", "no extension"),
        ("picture.exe", "picture.exe"),
        ("picture.dcm", "picture.dcm"),
    ],
)
def test_a_name_is_shown_and_never_used(by_api: Upload, by_script: Upload, name: str, kept: str | None) -> None:
    content = encoded("PNG", 24)
    assert by_api(content, name)[0] == 201
    status, chip = by_script(content, name)
    assert status == 200
    assert "<script>" not in chip
    assert "<b>" not in chip
    for image in Image.objects.all():
        assert 0 < len(image.name) <= 200
        assert kept is None or image.name == kept
        for file in (image.original, image.preview, image.pixels):
            path = Path(file.path).resolve()
            assert path.is_relative_to((lightbox.DATA_DIR / "files" / "images").resolve())
            assert path.name in ("original.png", "preview.png", "pixels.npy")
            assert path.stat().st_mode & 0o077 == 0


# What is kept


def content_of(image: Image) -> bytes:
    with image.original.open("rb") as file:
        return bytes(file.read())


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_is_kept_as_it_came(by_api: Upload, kind: str) -> None:
    content = encoded(kind)
    assert by_api(content, "wrong.dcm")[0] == 201
    image = Image.objects.get()
    assert content_of(image) == content
    assert image.sha256 == hashlib.sha256(content).hexdigest()
    assert (image.kind, image.modality, image.width, image.height) == (kind.lower(), "unknown", 48, 56)
    assert image.spacing_mm is None


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_dicom_is_kept_clean_and_shown_the_right_way(by_script: Upload, tmp_path: Path, photometric: str) -> None:
    source = files.write_dicom(
        tmp_path / "a.dcm", files.ramp(), PhotometricInterpretation=photometric, ImagerPixelSpacing=[0.5, 0.25]
    )
    assert by_script(source.read_bytes(), "thorax.dcm")[0] == 200
    image = Image.objects.get()
    assert not image.original
    assert (image.kind, image.modality, image.spacing_mm) == ("dicom", "DX", [0.5, 0.25])
    with Picture.open(image.preview.path, formats=["PNG"]) as preview:
        row = np.asarray(preview)[0]
    assert (int(row[0]) < int(row[-1])) == (photometric == "MONOCHROME2")


CANARIES = ("Doe", "SECRET-17", "20200102", "Smith-Jones")


def everything_kept() -> bytes:
    """Every file of the images that there are (other tests leave theirs in the same storage), and every row."""
    folders = [Path(image.pixels.path).parent for image in Image.objects.all()]
    contents = [path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()]
    rows = [*Image.objects.values(), *Study.objects.values()]
    return b"".join(contents) + str(rows).encode()


@pytest.mark.parametrize("dates", ["shift", "remove"])
def test_nothing_that_names_a_person_is_kept(by_api: Upload, dicom: bytes, settings: Any, dates: str) -> None:
    """Not in a row, not in a file, not in a name: the uploaded file's own name holds the patient's too."""
    settings.DEIDENTIFY_DATES = dates
    assert by_api(dicom, "Smith-Jones, Mary 1970.dcm")[0] == 201
    kept = everything_kept()
    assert b"DX" in kept
    assert [canary for canary in CANARIES if canary.encode() in kept] == []


def test_an_original_is_kept_for_its_owner_when_that_is_the_setting(
    by_api: Upload, alice: User, client_of: Any, dicom: bytes, settings: Any
) -> None:
    settings.DEIDENTIFY = "keep"
    by_api(dicom, "a.dcm")
    image = Image.objects.get()
    assert content_of(image) == dicom
    assert b"Doe" not in image.cleaned.open("rb").read()
    assert client_of(alice).get(reverse("image-original", args=[image.pk])).content == dicom


def test_nothing_is_cleaned_when_that_is_the_setting(by_api: Upload, dicom: bytes, settings: Any) -> None:
    settings.DEIDENTIFY = "off"
    by_api(dicom, "a.dcm")
    image = Image.objects.get()
    assert not image.cleaned
    assert content_of(image) == dicom
    assert image.name == "a.dcm"


def test_the_files_are_for_their_owner_only(
    by_api: Upload, alice: User, bob: User, staff: User, client_of: Any, dicom: bytes, settings: Any
) -> None:
    settings.DEIDENTIFY = "keep"
    by_api(dicom, "a.dcm")
    image = Image.objects.get()
    for name in ("image-original", "image-preview"):
        address = reverse(name, args=[image.pk])
        assert client_of(alice).get(address).status_code == 200
        assert client_of(bob).get(address).status_code == 404
        assert client_of(staff).get(address).status_code == 404
        anonymous = Client().get(address)
        assert (anonymous.status_code, anonymous["Location"].split("?")[0]) == (302, "/sign-in/")
    download = client_of(alice).get(reverse("image-original", args=[image.pk]))
    assert download.content == dicom
    assert download["X-Content-Type-Options"] == "nosniff"
    assert download["Content-Disposition"].startswith("attachment")


def test_the_sample_is_alices_own_and_comes_once(alice: User, bob: User) -> None:
    first, again, bobs = uploads.sample(alice), uploads.sample(alice), uploads.sample(bob)
    assert first == again
    assert bobs.owner == bob
    assert bobs.pixels.path != first.pixels.path


# What belongs together


def slices(folder: Path, series: str, count: int = 4, study: str = "1.2.9") -> list[Path]:
    return [
        files.write_dicom(
            folder / f"{series}-{z}.dcm",
            files.ramp(np.int16, side=16) + z,
            Modality="CT",
            StudyInstanceUID=study,
            SeriesInstanceUID=series,
            FrameOfReferenceUID="1.2.8",
            SOPInstanceUID=f"{series}.{z + 1}",
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, 2.5 * ((7 * z) % count)],
            PixelSpacing=[1, 1],
            SliceThickness=2.5,
            **dict.fromkeys(("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyTime"), ""),
            ReferringPhysicianName="",
        )
        for z in range(count)
    ]


def sent(client: Client, *paths: Path) -> Any:
    together = [SimpleUploadedFile(path.name, path.read_bytes()) for path in paths]
    return client.post(reverse("image-upload"), {"file": together}, headers={"HX-Request": "true"})


def test_the_slices_of_a_series_become_one_volume_in_the_order_of_the_patient(
    alice: User, client_of: Any, tmp_path: Path
) -> None:
    assert sent(client_of(alice), *slices(tmp_path, "1.2.3")).status_code == 200
    image = Image.objects.get()
    assert (image.layout, image.frames, image.modality) == ("volume", 4, "CT")
    assert "4 slices" in image.name
    pixels = np.load(image.pixels.path)
    assert pixels.shape == (4, 16, 16)
    assert pixels[:, 0, 0].tolist() == [0, 3, 2, 1]  # slice z lies at position 7 z modulo 4
    assert image.cleaned.name.endswith("clean.zip")


def test_two_series_of_one_study_stand_together_and_a_stranger_s_apart(
    alice: User, bob: User, client_of: Any, tmp_path: Path
) -> None:
    sent(client_of(alice), *slices(tmp_path, "1.2.3"), *slices(tmp_path, "1.2.4"))
    sent(client_of(bob), *slices(tmp_path, "1.2.3"))
    hers, his = Study.objects.get(owner=alice), Study.objects.get(owner=bob)
    assert hers.series.count() == 2
    assert his.series.count() == 1
    assert "1.2.9" not in (hers.uid, his.uid)
    assert hers.uid != his.uid


def test_a_damaged_slice_is_named_and_the_others_are_read(alice: User, client_of: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Dear colleague")
    response = sent(client_of(alice), *slices(tmp_path, "1.2.3"), tmp_path / "notes.txt")
    assert response.status_code == 200
    assert "notes.txt" in response.content.decode()
    assert "looks like text" in response.content.decode()
    assert Image.objects.get().frames == 4


def test_a_segmentation_lands_on_the_series_it_was_drawn_on(alice: User, client_of: Any, tmp_path: Path) -> None:
    """Drawn elsewhere on the original series: its UIDs are mapped as those of the images were."""
    import highdicom
    from highdicom import seg
    from pydicom import dcmread
    from pydicom.sr.codedict import codes

    paths = slices(tmp_path, "1.2.3")
    mask = np.zeros((4, 16, 16), np.uint8)
    mask[1, 2:5, 9:15] = 1
    described = seg.SegmentDescription(1, "liver", codes.SCT.Organ, codes.SCT.Liver, "MANUAL")
    sources = [dcmread(path) for path in paths]
    new = highdicom.UID
    made = seg.Segmentation(sources, mask, "BINARY", [described], new(), 1, new(), 1, "Maker", "Model", "1", "7")
    made.save_as(tmp_path / "seg.dcm")
    assert sent(client_of(alice), tmp_path / "seg.dcm").status_code == 422  # no series there yet
    response = sent(client_of(alice), tmp_path / "seg.dcm", *paths)
    assert response.status_code == 200, response.content
    annotation = Annotation.objects.get()
    assert (annotation.label, annotation.author, annotation.image.owner) == ("liver", Annotation.FILE, alice)
    pixels = np.load(annotation.image.pixels.path)
    marked = np.argwhere(annotation.mask() > 0)
    assert len(marked) == 18
    assert set(pixels[tuple(marked.T)] - pixels[0, 2, 9:15].repeat(3).reshape(6, 3).T.ravel()) == {1}
    assert marked.min(axis=0).tolist()[1:] == [2, 9]


def test_the_quota_of_a_user_is_theirs_alone(alice: User, bob: User, client_of: Any, settings: Any) -> None:
    settings.QUOTA = 60_000
    picture = SimpleUploadedFile("a.png", encoded("PNG", 150))
    assert client_of(alice).post(reverse("image-upload"), {"file": picture}).status_code == 302
    for _ in range(3):
        picture = SimpleUploadedFile("a.png", encoded("PNG", 150))
        response = client_of(alice).post(reverse("image-upload"), {"file": picture}, headers={"HX-Request": "true"})
    assert response.status_code in (413, 422)
    assert "Your images may take 0 MB in all" in response.content.decode()
    assert uploads.used(alice) <= 60_000
    picture = SimpleUploadedFile("a.png", encoded("PNG", 150))
    assert client_of(bob).post(reverse("image-upload"), {"file": picture}).status_code == 302
