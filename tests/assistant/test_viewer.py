"""What the viewer is given: the values themselves, greys as the file wants them, layers, and nothing of another's."""

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image as Picture

from assistant import runs, tiles, uploads, viewing
from assistant.models import Annotation, Artifact, Conversation, Image, Message
from inference.tiles import Geometry
from tests.assistant.pages import text_of
from tests.inference import files

pytestmark = pytest.mark.django_db(transaction=True)
CINE = files.PYDICOM_IMAGES / "examples_ybr_color.dcm"  # 30 frames of ultrasound in colour
CT = files.PYDICOM_IMAGES / "CT_small.dcm"


@pytest.fixture
def client(alice: User, client_of: Any) -> Client:
    return client_of(alice)


def stored(user: User, content: bytes | Path, name: str = "file") -> Image:
    body = content.read_bytes() if isinstance(content, Path) else content
    return uploads.store(user, SimpleUploadedFile(name, body))


def written(user: User, folder: Path, pixels: np.ndarray, **elements: Any) -> Image:
    return stored(user, files.write_dicom(folder / "a.dcm", pixels, **elements))


def pixels_of(image: Image) -> np.ndarray:
    with image.pixels.open("rb") as file:
        return np.load(io.BytesIO(file.read()))


def get(client: Client, name: str, *arguments: Any, **query: Any) -> Any:
    return client.get(reverse(name, args=arguments), query)


def described(client: Client, image: Image, **query: Any) -> dict[str, Any]:
    response = get(client, "image-viewer", image.pk, **query)
    assert response.status_code == 200
    return dict(response.json())


def picture(response: Any) -> np.ndarray:
    assert response.status_code == 200
    return np.asarray(Picture.open(io.BytesIO(response.content)))


# Values


def test_a_frame_is_sent_as_the_values_of_the_file(client, alice):
    image = stored(alice, CT)
    facts = described(client, image)
    sent = get(client, "image-frame-raw", image.pk, 0)
    values = np.frombuffer(sent.content, facts["dtype"]).reshape(facts["height"], facts["width"])
    assert np.array_equal(values, pixels_of(image))
    assert (facts["unit"], facts["low"], facts["high"]) == ("HU", values.min(), values.max())
    assert sent["Cache-Control"].startswith("private")


def test_of_a_cine_only_the_frame_is_read_and_it_is_the_right_one(client, alice):
    image = stored(alice, CINE)
    whole = pixels_of(image)
    facts = described(client, image)
    assert (facts["layout"], facts["frames"], facts["channels"]) == ("frames", 30, 3)
    for number in (0, 17, 29):
        sent = get(client, "image-frame-raw", image.pk, number)
        assert np.array_equal(np.frombuffer(sent.content, np.uint8).reshape(whole.shape[1:]), whole[number])
    path = Path(image.pixels.path)
    path.write_bytes(path.read_bytes()[: -12 * whole[0].nbytes])  # what comes after frame 17 is gone
    assert get(client, "image-frame-raw", image.pk, 17).content == whole[17].tobytes()
    assert get(client, "image-frame-raw", image.pk, 18).status_code == 404


@pytest.mark.parametrize("number", [30, 999_999_999, 10**20])
def test_a_frame_that_is_not_there_is_not_found(client, alice, number):
    image = stored(alice, CINE)
    for name in ("image-frame-raw", "image-frame-png"):
        assert get(client, name, image.pk, number).status_code == 404
    assert get(client, "image-frame-raw", image.pk, 0, t=1).status_code == 404
    assert get(client, "image-frame-raw", image.pk, 0, t="x").status_code == 404


def test_an_image_without_its_pixels_is_not_found(client, alice):
    image = stored(alice, CT)
    image.pixels.storage.delete(image.pixels.name)
    for name, more in (("image-viewer", []), ("image-frame-raw", [0]), ("image-frame-png", [0])):
        assert get(client, name, image.pk, *more).status_code == 404


def test_damaged_pixels_are_not_found(client, alice):
    image = stored(alice, CT)
    Path(image.pixels.path).write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': 'O'}  \n")
    assert get(client, "image-frame-raw", image.pk, 0).status_code == 404


def test_what_shrinks_is_compressed_and_noise_is_not(client, alice, tmp_path):
    flat = written(alice, tmp_path, np.zeros((512, 512), np.uint16))
    noise = written(alice, tmp_path, np.random.default_rng(0).integers(0, 65535, (512, 512), np.uint16))
    zipped = client.get(reverse("image-frame-raw", args=[flat.pk, 0]), headers={"accept-encoding": "gzip"})
    assert zipped["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.content) == pixels_of(flat).tobytes()
    plain = client.get(reverse("image-frame-raw", args=[noise.pk, 0]), headers={"accept-encoding": "gzip"})
    assert "Content-Encoding" not in plain
    assert plain.content == pixels_of(noise).tobytes()


# Greys


@pytest.mark.parametrize("function", [None, "LINEAR_EXACT", "SIGMOID"])
def test_the_first_look_is_the_preview(client, alice, tmp_path, function):
    more = {"VOILUTFunction": function, "WindowCenter": [400, 100], "WindowWidth": [300, 50]}
    image = written(alice, tmp_path, files.ramp(), **more)
    preview = picture(get(client, "image-preview", image.pk))
    shown = picture(get(client, "image-frame-png", image.pk, 0))
    assert np.abs(shown.astype(int) - preview).max() <= 1
    facts = described(client, image)
    assert facts["window"] == {"centre": 400, "width": 300}
    assert [(w["centre"], w["width"]) for w in facts["windows"]] == [(400, 300), (100, 50)]
    assert facts["function"] == (function or "LINEAR")


def test_a_window_that_is_asked_for_is_used_and_nonsense_is_not(client, alice, tmp_path):
    image = written(alice, tmp_path, files.ramp(), WindowCenter=500, WindowWidth=1000)
    narrow = picture(get(client, "image-frame-png", image.pk, 0, c="100", w="2"))
    values = pixels_of(image)
    assert narrow[values < 98].max() == 0
    assert narrow[values > 102].min() == 255
    usual = picture(get(client, "image-frame-png", image.pk, 0))
    for c, w in (("nan", "2"), ("1", "0"), ("1", "-3"), ("inf", "1"), ("1e999", "5"), ("a", "b")):
        assert np.array_equal(picture(get(client, "image-frame-png", image.pk, 0, c=c, w=w)), usual), (c, w)


def test_eight_bits_and_colours_are_shown_as_they_are(client, alice):
    image = stored(alice, files.COLOUR_ULTRASOUND)
    facts = described(client, image)
    assert (facts["window"], facts["channels"], facts["as_file"]) == (None, 3, False)
    assert np.array_equal(picture(get(client, "image-frame-png", image.pk, 0)), pixels_of(image))


def test_a_table_of_the_files_own_is_said_to_be_no_window(client, alice, tmp_path):
    image = written(alice, tmp_path, files.ramp(), VOILUTSequence=[files.voi_lut_item(np.arange(1001) * 65)])
    facts = described(client, image)
    assert (facts["window"], facts["as_file"]) == (None, True)


# The patient


def test_the_edges_are_those_of_the_patient(client, alice, tmp_path):
    film = written(alice, tmp_path, files.ramp(), PatientOrientation=["L", "F"])
    assert described(client, film)["edges"] == {"left": "R", "right": "L", "top": "H", "bottom": "F"}
    unsaid = written(alice, tmp_path, files.ramp())
    assert described(client, unsaid)["edges"] is None
    assert described(client, stored(alice, CT))["edges"] == {"left": "R", "right": "L", "top": "A", "bottom": "P"}


def test_spacing_says_where_it_comes_from(client, alice, tmp_path):
    film = written(alice, tmp_path, files.ramp(), ImagerPixelSpacing=[0.2, 0.1])
    spacing = described(client, film)["spacing"]
    assert spacing == {"row_mm": 0.2, "column_mm": 0.1, "source": "ImagerPixelSpacing"}
    assert described(client, written(alice, tmp_path, files.ramp()))["spacing"] is None


def test_the_planes_of_a_volume_stand_upright_with_square_pixels(client, alice):
    voxels = np.zeros((20, 30, 10), np.int16)
    voxels[4, 21, 8] = 1000  # towards the right of the patient, the front and the head
    image = stored(alice, files.nifti_bytes(voxels, np.diag([1.0, 1.0, 3.0, 1.0])), "a.nii")
    spot = np.argwhere(pixels_of(image) == 1000)[0]
    coronal = picture(get(client, "image-frame-png", image.pk, int(spot[1]), plane="coronal"))
    assert coronal.shape == (30, 20)  # ten slices, 3 mm apart
    row, column = np.unravel_index(coronal.argmax(), coronal.shape)
    assert row < 6, "the head is up"
    assert column == spot[2]
    sagittal = picture(get(client, "image-frame-png", image.pk, int(spot[2]), plane="sagittal"))
    assert np.unravel_index(sagittal.argmax(), sagittal.shape)[1] == spot[1]
    assert get(client, "image-frame-png", image.pk, 30, plane="coronal").status_code == 404
    assert get(client, "image-frame-png", stored(alice, CT).pk, 0, plane="coronal").status_code == 404


# Layers


@pytest.fixture
def answered(alice: User, eager_celery: Any) -> tuple[Conversation, Image]:
    """Alice's radiograph, its lungs outlined by the tool in one chat."""
    image = stored(alice, files.CHEST)
    conversation = Conversation.objects.create(owner=alice)
    runs.ask(conversation, "Segment the lungs", [image])
    return conversation, image


def drawn(image: Image, **fields: Any) -> Annotation:
    mask = np.zeros((image.height, image.width), np.uint8)
    mask[5:9, 2:4] = 255
    known = {"kind": Annotation.MASK, "author": Annotation.PERSON, "label": "spot"}
    return Annotation.add(image, mask, **(known | fields))


def test_the_tools_masks_and_the_persons_are_layers_with_their_names(client, answered):
    conversation, image = answered
    drawn(image)
    found = described(client, image, chat=conversation.pk)
    assert found["name"] == "img1"
    assert [(one["ref"], one["author"], one["by"]) for one in found["layers"]] == [
        ("c1.1", "tool", "segment"),
        ("c1.2", "tool", "segment"),
        ("img1.1", "person", "drawn by you"),
    ]
    for one in found["layers"]:
        assert client.get(one["overlay"]).status_code == 200
    assert [one["author"] for one in described(client, image)["layers"]] == ["person"], "tools belong to a chat"


def test_what_was_corrected_waits_behind_its_newest_version(answered):
    conversation, image = answered
    tools = Artifact.objects.get(number=1)
    first = drawn(image, corrects_artifact=tools, version=2)
    second = drawn(image, corrects=first, version=3)
    shown = {layer.id: layer.shown for layer in viewing.layers(conversation, image)}
    assert (shown[tools.pk], shown[first.pk], shown[second.pk]) == (False, False, True)
    opened = {layer.id: layer.shown for layer in viewing.layers(conversation, image, lit=tools)}
    assert opened[tools.pk], "whose claim was opened is shown"


def test_a_persons_mask_is_seen_in_colour_on_its_frame_only(client, alice):
    image = stored(alice, CINE)
    mask = np.zeros((30, image.height, image.width), np.uint8)
    mask[3, 10:20, 30:50] = 255
    kept = Annotation.add(image, mask, kind=Annotation.MASK, author=Annotation.PERSON, label="spot")
    seen = Picture.open(io.BytesIO(get(client, "annotation-overlay", kept.pk, frame=3).content)).convert("RGBA")
    assert np.array_equal(np.asarray(seen)[..., 3] > 0, mask[3] > 0)
    empty = Picture.open(io.BytesIO(get(client, "annotation-overlay", kept.pk, frame=4).content)).convert("RGBA")
    assert np.asarray(empty)[..., 3].max() == 0
    assert get(client, "annotation-overlay", kept.pk, frame=30).status_code == 404


def test_earlier_studies_are_named(client, alice):
    image, before = stored(alice, CT), stored(alice, files.CHEST)
    image.study.priors.add(before.study)
    assert [one["image"] for one in described(client, image)["priors"]] == [str(before.pk)]


# Access


def test_a_chat_that_is_not_hers_or_has_not_the_image_is_not_found(client, alice, bob):
    image = stored(alice, CT)
    hers, his = (Conversation.objects.create(owner=user) for user in (alice, bob))
    for chat in (hers.pk, his.pk, "nonsense"):
        assert get(client, "image-viewer", image.pk, chat=chat).status_code == 404
    hers.add(Message.USER, "Look", [image])
    assert get(client, "image-viewer", image.pk, chat=hers.pk).status_code == 200


# Slides


@pytest.fixture
def slide(alice: User) -> Image:
    return stored(alice, files.sample_slide(), "tissue.svs")


def test_a_slide_comes_by_tiles_for_its_owner_only(client, slide, bob, client_of):
    facts = described(client, slide)
    geometry = Geometry(slide.width, slide.height)
    assert facts["slide"] == {"tile": 254, "overlap": 1, "levels": geometry.levels}
    last = geometry.levels - 1
    tile = picture(get(client, "image-tile", slide.pk, last, 1, 1))
    assert tile.shape[:2] == geometry.tile_size(last, 1, 1)[::-1]
    part = files.tissue(1500, 1000)[253:509, 253:509]
    assert np.abs(tile.astype(int) - part).mean() < 12, "JPEG of the place that was asked for"
    assert get(client, "image-tile", slide.pk, last, 99, 0).status_code == 404
    assert get(client, "image-tile", slide.pk, 99, 0, 0).status_code == 404
    assert get(client, "image-frame-raw", slide.pk, 0).status_code == 404
    assert get(client_of(bob), "image-tile", slide.pk, last, 1, 1).status_code == 404


def test_tiles_go_with_their_slide_and_when_there_are_too_many(client, slide, alice, monkeypatch):
    get(client, "image-tile", slide.pk, 0, 0, 0)
    assert list(slide.tile_folder.rglob("*.jpg"))
    monkeypatch.setattr(tiles, "LIMIT", 10)
    other = stored(alice, files.sample_slide(), "other.svs")
    get(client, "image-tile", other.pk, 0, 0, 0)
    assert not slide.tile_folder.exists(), "the slide that was looked at longest ago"
    folder = other.tile_folder
    assert folder.exists()
    other.delete_with_files()
    assert not folder.exists()


# Without script


def test_without_script_frames_are_turned_by_links(client, alice):
    image = stored(alice, CINE)
    conversation = Conversation.objects.create(owner=alice)
    conversation.add(Message.USER, "Look", [image])
    page = text_of(get(client, "chat-image", conversation.pk, image.pk, frame=4))
    assert f'src="{reverse("image-frame-png", args=[image.pk, 4])}"' in page
    assert 'rel="prev" href="' + reverse("chat-image", args=[conversation.pk, image.pk]) + '?frame=3"' in page
    assert "Frame 5 of 30" in page
    assert "Frame 30 of 30" in text_of(get(client, "chat-image", conversation.pk, image.pk, frame=9999))


def test_an_image_with_text_in_it_says_so_and_is_still_shown_to_its_owner(client, alice):
    image = stored(alice, CINE)
    assert image.held
    conversation = Conversation.objects.create(owner=alice)
    conversation.add(Message.USER, "Look", [image])
    page = text_of(get(client, "chat-image", conversation.pk, image.pk))
    assert "No model sees it" in page or "no model sees it" in page
    assert described(client, image)["held"]
    Image.objects.filter(pk=image.pk).update(text_check=Image.FOUND, text_boxes=[[1, 2, 30, 40]])
    assert described(client, image)["text_boxes"] == [[1, 2, 30, 40]]
