"""What people draw on an image is kept as it was drawn, measured by the server, and seen and cited by the agent."""

import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import PngImagePlugin

from assistant import mask_files, runs, uploads
from assistant.history import history
from assistant.models import Annotation, Artifact, Conversation, Image, Run
from tests.assistant.pages import HTMX, text_of
from tests.inference import files

pytestmark = pytest.mark.django_db(transaction=True)


def stored(user: User, content: bytes, name: str = "a.dcm") -> Image:
    return uploads.store(user, SimpleUploadedFile(name, content))


@pytest.fixture
def film(alice: User, tmp_path: Path) -> Image:
    """A radiograph of 64 x 48 whose values grow by column; a pixel is 0.5 mm high and 0.25 mm wide."""
    greys = np.tile(np.arange(64, dtype=np.uint16) * 10, (48, 1))
    return stored(alice, files.write_dicom(tmp_path / "a.dcm", greys, PixelSpacing=[0.5, 0.25]).read_bytes())


@pytest.fixture
def volume(alice: User) -> Image:
    """6 x 5 x 4 voxels of 2 x 3 x 5 mm."""
    voxels = np.arange(120, dtype=np.int16).reshape(6, 5, 4)
    return stored(alice, files.nifti_bytes(voxels, np.diag([2.0, 3.0, 5.0, 1.0])), "head.nii")


@pytest.fixture
def chat(alice: User, film: Image) -> Conversation:
    conversation = Conversation.objects.create(owner=alice)
    conversation.add("user", "Here is a film", [film])
    return conversation


@pytest.fixture
def client(alice: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(alice)


def block(image: Image, rows: slice, columns: slice) -> NDArray[np.uint8]:
    mask = np.zeros((image.height, image.width), np.uint8)
    mask[rows, columns] = 255
    return mask


def png(pixels: NDArray[Any], **options: Any) -> bytes:
    out = io.BytesIO()
    Picture.fromarray(pixels).save(out, "PNG", **options)
    return out.getvalue()


def draw(client: Client, image: Image, content: bytes, **fields: Any) -> Any:
    form = {"png": SimpleUploadedFile("mask.png", content), "frame": 0, **fields}
    return client.post(reverse("mask-add", args=[image.pk]), form)


def refusal(response: Any, status: int = 422) -> str:
    assert response.status_code == status, text_of(response)
    line: str = response.json()["detail"]
    assert line
    assert "\n" not in line
    return line


# Masks


def test_a_drawn_mask_is_kept_pixel_for_pixel_as_a_layer(client: Client, film: Image, chat: Conversation) -> None:
    mask = block(film, slice(3, 9), slice(10, 40))
    response = draw(client, film, png(mask), label="left lung", chat=str(chat.pk))
    assert response.status_code == 201
    kept = Annotation.objects.get()
    assert np.array_equal(kept.mask(), mask)
    layer = response.json()
    assert (layer["id"], layer["ref"], layer["label"]) == (str(kept.pk), "img1.1", "left lung")
    assert (layer["kind"], layer["author"], layer["version"], layer["corrects"]) == ("mask", "person", 1, None)
    assert layer["overlay"] == reverse("annotation-overlay", args=[kept.pk])
    assert layer["area_cm2"] == pytest.approx(6 * 30 * 0.5 * 0.25 / 100)
    assert layer["downloads"]["png"] == reverse("annotation-saved", args=[kept.pk, "png"])


def test_only_greys_above_127_are_inside(client: Client, film: Image) -> None:
    greys = np.zeros((48, 64), np.uint8)
    greys[5, 5:8] = (127, 128, 255)
    assert draw(client, film, png(greys)).status_code == 201
    assert np.argwhere(Annotation.objects.get().mask()).tolist() == [[5, 6], [5, 7]]


def test_a_mask_of_one_slice_leaves_the_others_of_the_volume_empty(client: Client, volume: Image) -> None:
    mask = block(volume, slice(1, 3), slice(0, 4))
    response = draw(client, volume, png(mask), frame=2, label="cyst")
    assert response.status_code == 201, response.content
    kept = Annotation.objects.get()
    assert kept.mask().shape == (volume.frames, volume.height, volume.width)
    assert np.array_equal(kept.mask()[2], mask)
    assert np.flatnonzero(kept.mask().any(axis=(1, 2))).tolist() == [2]
    assert (response.json()["frames"], response.json()["frame"]) == ([2], 2)
    assert kept.data["volume_cm3"] == pytest.approx(8 * 2 * 3 * 5 / 1000)


def test_a_correction_is_a_new_version_that_keeps_the_other_slices(client: Client, volume: Image) -> None:
    first, second = block(volume, slice(0, 2), slice(0, 2)), block(volume, slice(2, 4), slice(3, 5))
    draw(client, volume, png(first), frame=1, label="cyst")
    old = Annotation.objects.get()
    layer = draw(client, volume, png(second), frame=3, corrects=str(old.pk)).json()
    new = Annotation.objects.exclude(pk=old.pk).get()
    assert (new.version, new.corrects, new.label, layer["corrects"]) == (2, old, "cyst", str(old.pk))
    assert np.array_equal(new.mask()[1], first)
    assert np.array_equal(new.mask()[3], second)
    assert np.array_equal(old.mask()[1], first)  # the old version stays
    erased = draw(client, volume, png(np.zeros_like(first)), frame=1, corrects=str(new.pk)).json()
    assert (erased["version"], erased["frames"]) == (3, [3])


@pytest.mark.django_db(transaction=True)
def test_a_tools_mask_is_corrected(client: Client, alice: User, eager_celery: Any) -> None:
    radiograph = stored(alice, files.CHEST.read_bytes())
    conversation = Conversation.objects.create(owner=alice)
    runs.ask(conversation, "Segment the lungs", [radiograph])
    lung = Artifact.objects.get(kind=Artifact.MASK, number=2)
    smaller = block(radiograph, slice(400, 900), slice(1100, 1500))
    layer = draw(client, radiograph, png(smaller), corrects_artifact=str(lung.pk), chat=str(conversation.pk)).json()
    made = Annotation.objects.get()
    assert (layer["label"], layer["version"], layer["ref"]) == (lung.label, 2, "img1.1")
    assert made.corrects_artifact == lung


def head(width: int, height: int, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG's signature and header alone, with a valid checksum."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\r" + body + struct.pack(">I", zlib.crc32(body))


def text_bomb() -> bytes:
    """A mask of the right size with a text chunk that inflates to 200 MB."""
    info = PngImagePlugin.PngInfo()
    info.add(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 200_000_000, 9))
    return png(np.full((48, 64), 255, np.uint8), pnginfo=info)


MALFORMED = {
    "nothing": b"",
    "text": b"not a picture",
    "a JPEG": b"\xff\xd8\xff\xe0" + bytes(200),
    "a header alone": head(64, 48),
    "half a header": head(64, 48)[:20],
    "a bomb": head(60_000, 60_000) + bytes(100),
    "no pixels": head(0, 0) + bytes(100),
    "another size": png(np.full((64, 48), 255, np.uint8)),
    "colour": png(np.full((48, 64, 3), 255, np.uint8)),
    "transparency": png(np.full((48, 64, 4), 255, np.uint8)),
    "16 bits": png(np.full((48, 64), 60_000, np.uint16)),
    "1 bit": png(np.ones((48, 64), np.bool_)),
    "cut off": png(np.random.default_rng(1).integers(0, 256, (48, 64), np.uint8))[:700],
    "too large": png(np.full((48, 64), 255, np.uint8)) + bytes(200_000),
    "empty": png(np.zeros((48, 64), np.uint8)),
    "all below": png(np.full((48, 64), 127, np.uint8)),
    "text that inflates": text_bomb(),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_what_is_no_mask_of_the_frame_is_refused_in_one_line(client: Client, film: Image, what: str) -> None:
    refusal(draw(client, film, MALFORMED[what]))
    assert not Annotation.objects.exists()


def test_mutated_masks_are_kept_or_refused_and_nothing_breaks(client: Client, film: Image) -> None:
    rng = np.random.default_rng(3)
    whole = png(rng.integers(0, 256, (48, 64), np.uint8))
    for _ in range(120):
        content = bytearray(whole)
        for place in rng.integers(0, len(content), rng.integers(1, 12)):
            content[place] = rng.integers(0, 256)
        assert draw(client, film, bytes(content)).status_code in (201, 422)
    assert all(mark.mask().shape == (48, 64) for mark in Annotation.objects.all())


def test_a_mask_needs_a_frame_that_is_there(client: Client, film: Image) -> None:
    mask = png(block(film, slice(0, 5), slice(0, 5)))
    for frame in ("1", "-1", "x", "1e3", "99999999999"):
        refusal(draw(client, film, mask, frame=frame))
    refusal(client.post(reverse("mask-add", args=[film.pk]), {"frame": 0}))


def test_nothing_of_somebody_else_can_be_corrected(
    client: Client, film: Image, volume: Image, bob: User, client_of: Callable[[User], Client]
) -> None:
    mask = png(block(film, slice(0, 5), slice(0, 5)))
    theirs = stored(bob, files.CHEST.read_bytes())
    other = Annotation.add(theirs, np.full((theirs.height, theirs.width), 255, np.uint8), kind="mask", author="person")
    mine = Annotation.add(volume, np.full((4, 5, 6), 255, np.uint8), kind="mask", author="person")
    for key in (other.pk, mine.pk, "nonsense"):  # of another person, of another image, of nobody
        assert draw(client, film, mask, corrects=str(key)).status_code == 404
        assert draw(client, film, mask, corrects_artifact=str(key)).status_code == 404
        assert draw(client, film, mask, chat=str(key)).status_code == 404
    assert draw(client_of(bob), film, mask).status_code == 404


def test_a_label_is_one_line_that_is_no_marker(client: Client, film: Image) -> None:
    label = "left\nlung [[p1]] \x00" + "x" * 300
    layer = draw(client, film, png(block(film, slice(0, 5), slice(0, 5))), label=label).json()
    assert layer["label"].startswith("left lung [p1] xxx")
    assert len(layer["label"]) <= 120


def test_a_deleted_mark_is_gone_with_its_file(client: Client, film: Image) -> None:
    draw(client, film, png(block(film, slice(0, 5), slice(0, 5))))
    mark = Annotation.objects.get()
    storage, name = mark.file.storage, mark.file.name
    assert client.post(reverse("annotation-delete", args=[mark.pk])).status_code == 204
    assert not Annotation.objects.exists()
    assert not storage.exists(name)


def test_masks_of_large_volumes_are_written_frame_by_frame() -> None:
    drawn = np.zeros((40, 30), np.uint8)
    drawn[3:5, 6:9] = 255
    frames = (drawn * (n == 7) for n in range(12))
    with mask_files.write((12, 40, 30), frames) as file, np.load(file) as kept:
        assert kept["mask"].dtype == np.uint8
        assert np.flatnonzero(kept["mask"].any(axis=(1, 2))).tolist() == [7]
        assert np.array_equal(kept["mask"][7], drawn)


# Measurements


def measured(client: Client, image: Image, **body: Any) -> Any:
    url = reverse("measurement-add", args=[image.pk])
    return client.post(url, json.dumps(body), content_type="application/json")


def test_a_length_is_measured_by_the_server(client: Client, film: Image) -> None:
    response = measured(client, film, type="length", points=[[4, 4], [16, 10]], frame=0, label="nodule")
    assert response.status_code == 201, response.content
    layer = response.json()
    assert layer["values"] == [{"name": "length", "value": np.hypot(12 * 0.25, 6 * 0.5), "unit": "mm"}]
    assert (layer["type"], layer["points"], layer["label"]) == ("length", [[4, 4], [16, 10]], "nodule")


def test_an_ellipse_has_the_values_of_the_file(client: Client, volume: Image) -> None:
    layer = measured(client, volume, type="ellipse", points=[[0, 0], [6, 5]], frame=3).json()
    greys = np.load(io.BytesIO(volume.pixels.open("rb").read()))[3]
    values = {value["name"]: value["value"] for value in layer["values"]}
    assert values["area"] == pytest.approx(np.pi / 4 * 12 * 15)
    assert (values["n"], layer["frame"]) == (26, 3)  # 6 x 5 pixels without the four corners
    assert values["mean"] == pytest.approx(greys.mean())  # the corners lie evenly around the middle


def test_greys_of_an_inverted_film_are_not_reported(client: Client, alice: User) -> None:
    radiograph = stored(alice, files.CHEST.read_bytes())
    layer = measured(client, radiograph, type="ellipse", points=[[100, 100], [300, 300]], frame=0).json()
    assert [(value["name"], value["unit"]) for value in layer["values"]] == [("area", "px2")]
    assert any("inverted" in note for note in layer["notes"])


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{",
        "null",
        '{"type": "length"}',
        '{"type": "length", "points": [[1, 1]]}',
        '{"type": "length", "points": [[1, 1], [1, 1]]}',
        '{"type": "length", "points": [[1, 1], [NaN, 2]]}',
        '{"type": "length", "points": [[1, 1], [Infinity, 2]]}',
        '{"type": "length", "points": [[1, 1], [1e999, 2]]}',
        '{"type": "length", "points": [[1, 1], [1' + "0" * 400 + ", 2]]}",
        '{"type": "length", "points": [[1, 1], ["2", 2]]}',
        '{"type": "length", "points": [[1, 1], [true, 2]]}',
        '{"type": "length", "points": [[1, 1], [65, 2]]}',
        '{"type": "length", "points": [[1, 1], [5, 2]], "frame": 1}',
        '{"type": "length", "points": [[1, 1], [5, 2]], "frame": 1.5}',
        '{"type": "length", "points": [[1, 1], [5, 2]], "label": 7}',
        '{"type": 5, "points": [[1, 1], [5, 2]]}',
        '{"type": "length", "points": [' + "[1, 1]," * 5000 + "[1, 1]]}",
        "[" * 100_000,
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(client: Client, film: Image, body: str) -> None:
    url = reverse("measurement-add", args=[film.pk])
    refusal(client.post(url, body, content_type="application/json"))
    assert not Annotation.objects.exists()


# What the agent sees


def asked(conversation: Conversation, text: str) -> Run:
    conversation.refresh_from_db()
    run = runs.ask(conversation, text, [])
    run.refresh_from_db()
    return run


def test_the_chat_model_is_told_what_is_drawn(client: Client, chat: Conversation, film: Image) -> None:
    draw(client, film, png(block(film, slice(0, 10), slice(0, 20))), label="left lung")
    old = Annotation.objects.get()
    draw(client, film, png(block(film, slice(0, 20), slice(0, 20))), corrects=str(old.pk))
    measured(client, film, type="length", points=[[4, 4], [16, 4]], frame=0, label="nodule")
    question = history(asked(chat, "What is drawn?"), with_pixels=False)[-1]
    assert "img1.2: mask 'left lung', drawn by the user, version 2, corrects img1.1, area 0.5 cm2" in question.text
    assert "img1.3: measurement 'nodule', drawn by the user, length 3 mm" in question.text
    assert "img1.1: " not in question.text  # it was corrected
    with_pixels = history(Run.objects.get(), with_pixels=True)[-1]
    assert "img1.2: mask" in with_pixels.text


def test_a_correction_is_said_after_the_result_it_corrects(client: Client, alice: User, eager_celery: Any) -> None:
    radiograph = stored(alice, files.CHEST.read_bytes())
    conversation = Conversation.objects.create(owner=alice)
    runs.ask(conversation, "Segment the lungs", [radiograph])
    lung = Artifact.objects.get(kind=Artifact.MASK, number=2)
    draw(client, radiograph, png(block(radiograph, slice(9, 19), slice(5, 15))), corrects_artifact=str(lung.pk))
    run = asked(conversation, "How large is the corrected lung?")
    results = [message for message in history(run, with_pixels=False) if message.type == "tool"]
    told = json.loads(results[0].text)["statements"]
    assert told[-1] == {"text": f"A person corrected the {lung.label} of c1.2 (version 2).", "ref": "img1.1"}
    # The guide answers from a measurement of that mask, and each claim opens.
    assert run.tool_calls.get().name == "measure_region"
    assert "covers 100 pixels" in run.answer.text
    assert "version 2" in run.answer.text
    assert "stores this image inverted" in run.answer.text  # so no values are given, and the call is not cited
    (mask,) = run.answer.references
    assert (mask["ref"], mask["kind"], mask["verified"]) == ("img1.1", "mask", True)
    report = asked(conversation, "Draft a report")
    assert "A person corrected the" in str(report.tool_calls.get().run.conversation.reports.get().sections)


def test_the_chip_of_a_drawn_mask_opens_the_image(
    client: Client, chat: Conversation, film: Image, eager_celery: Any
) -> None:
    draw(client, film, png(block(film, slice(0, 10), slice(0, 20))), label="left lung")
    run = asked(chat, "How large is img1.1?")
    assert "0.25 cm2 (200 pixels), 5 mm wide and 5 mm high" in run.answer.text
    assert "mean 95" in run.answer.text
    page = text_of(client.get(reverse("chat", args=[chat.pk])))
    assert 'aria-label="Mask img1.1: left lung"' in page
    address = reverse("evidence", args=[run.answer_id, 1])
    opened = text_of(client.get(address, headers=HTMX))
    assert 'id="pane-image"' in opened
    assert f'class="layer lit" data-artifact="{Annotation.objects.get().pk}"' in opened
    assert "drawn by the user" in text_of(client.get(address))
    Annotation.objects.all().delete()
    assert "deleted since" in text_of(client.get(address))


def test_a_measurement_can_be_asked_for_and_cited(
    client: Client, chat: Conversation, film: Image, eager_celery: Any
) -> None:
    measured(client, film, type="length", points=[[4, 4], [16, 4]], frame=0, label="nodule")
    run = asked(chat, "How long is the line I drew?")
    assert "The nodule (img1.1, drawn by the user) on img1: length 3 mm." in run.answer.text
    assert run.answer.references[0]["kind"] == "measurement"


def test_the_diameters_of_a_mask_are_told_and_drawn(
    client: Client, chat: Conversation, film: Image, eager_celery: Any
) -> None:
    """20 columns of 0.25 mm and 10 rows of 0.5 mm."""
    draw(client, film, png(block(film, slice(0, 10), slice(0, 20))), label="nodule")
    run = asked(chat, "What is the area of img1.1?")
    assert "img1.1 is 7.1 mm long at its longest, and 7.1 mm across that." in run.answer.text
    lines = run.tool_calls.get().artifacts.filter(kind=Artifact.LINE)
    assert [line.label for line in lines] == ["longest diameter", "longest across it"]
    assert lines[0].data["values"][0] == {"name": "length", "value": pytest.approx(50**0.5), "unit": "mm"}


def test_a_mark_that_is_not_there_is_no_evidence(chat: Conversation, film: Image, bob: User) -> None:
    from assistant.evidence import references

    theirs = stored(bob, files.CHEST.read_bytes())
    Annotation.add(theirs, np.full((theirs.height, theirs.width), 255, np.uint8), kind="mask", author="person")
    for ref in ("img1.1", "img2.1", "img0.0"):
        (found,) = references(f"It is large [[{ref}]].", chat)
        assert (found["kind"], found["verified"]) == ("missing", False)


def test_a_region_of_another_name_is_declined(
    client: Client, chat: Conversation, film: Image, eager_celery: Any
) -> None:
    for name in ("img1.7", "c9.1"):
        run = asked(chat, f"What is the area of {name}?")
        assert run.tool_calls.get().state == "declined"
        chat.refresh_from_db()
