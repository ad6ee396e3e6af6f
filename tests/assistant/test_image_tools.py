"""Tools that make pictures of images or find them: asked in a chat, answered by the guide, opened as evidence."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image as Picture

from assistant import checkpoints_in_use, runs, uploads
from assistant.models import Artifact, Conversation, Image, ImageSet, ImageVector, Run
from inference import backends, pictures, types
from inference.types import Result
from tests import phantom
from tests.assistant.pages import HTMX, text_of
from tests.inference.test_clip import make as make  # a fixture
from tests.inference.test_registration import film, moved

pytestmark = pytest.mark.django_db(transaction=True)


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    low, high = float(pixels.min()), float(pixels.max())
    Picture.fromarray(((pixels - low) / max(high - low, 1) * 255).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def stored(user: User, pixels: np.ndarray, name: str = "film.png") -> Image:
    return uploads.store(user, SimpleUploadedFile(name, png(pixels)))


def asked(conversation: Conversation, text: str, images: list[Image]) -> Run:
    run = runs.ask(conversation, text, images)
    run.refresh_from_db()
    return run


def answer(run: Run) -> str:
    assert run.answer is not None
    return run.answer.text


@pytest.fixture
def chat(alice: User, eager_celery: Any) -> Conversation:
    return Conversation.objects.create(owner=alice)


@pytest.fixture
def client(alice: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(alice)


def test_two_films_are_aligned_and_their_pictures_open(alice: User, chat: Conversation, client: Client):
    run = asked(chat, "Align img2 to img1", [stored(alice, film()), stored(alice, moved(film()))])
    said = answer(run)
    assert "To lie on img1, img2 is turned by 7.0 degrees clockwise and shifted by 9." in said
    assert "after the alignment" in said
    assert "not millimetres" in said
    pictures = list(Artifact.objects.filter(tool_call__run=run, kind=Artifact.PICTURE))
    assert [made.label for made in pictures] == ["moving image, aligned", "checkerboard of both", "difference of both"]
    page = client.get(reverse("evidence", args=[run.answer_id, 2]), headers=HTMX)
    assert "Checkerboard of both" in text_of(page)
    assert "img2 laid on img1 by a rigid transform. 231 x 245 pixels" in text_of(page)
    assert "Research use only" in text_of(page)
    address = reverse("artifact-picture", args=[pictures[1].pk])
    assert address in page.content.decode()
    served = client.get(address)
    assert served["Content-Type"] == "image/png"
    with Picture.open(io.BytesIO(served.content)) as shown:
        assert shown.size == (pictures[1].data["width"], pictures[1].data["height"])
        assert shown.text["Source"] == "img2 laid on img1 by a rigid transform"


def test_two_volumes_are_aligned_in_millimetres(alice: User, chat: Conversation):
    voxels = phantom.voxels()
    shifted = np.roll(voxels, 3, axis=2)  # three columns of 1.5 mm to the patient's left
    images = [phantom.store(alice, voxels), phantom.store(alice, shifted)]
    run = asked(chat, "Register these volumes by correlation", images)
    assert "4.5 mm to the patient's right" in answer(run)
    made = Artifact.objects.filter(tool_call__run=run, kind=Artifact.PICTURE).first()
    assert made is not None
    assert made.data["planes"]


def test_an_image_and_a_volume_are_not_aligned(alice: User, chat: Conversation):
    run = asked(chat, "Align img1 with img2", [stored(alice, film()), phantom.store(alice, phantom.voxels())])
    assert "img2 is a volume and img1 is a single image" in answer(run)


def test_a_picture_is_its_owners(alice: User, bob: User, chat: Conversation, client_of: Callable[[User], Client]):
    run = asked(chat, "Align img2 to img1", [stored(alice, film()), stored(alice, moved(film()))])
    made = Artifact.objects.filter(tool_call__run=run, kind=Artifact.PICTURE)[0]
    assert client_of(bob).get(reverse("artifact-picture", args=[made.pk])).status_code == 404


def stripes(step: int, turned: bool = False) -> np.ndarray:
    pixels = np.tile((np.arange(96) // step % 2 * 200 + 20).astype(np.float64), (96, 1))
    return pixels.T if turned else pixels


def test_similar_images_are_the_owners_own(alice: User, bob: User, chat: Conversation, client: Client):
    query, near, far = (stored(alice, stripes(*how)) for how in ((8,), (9,), (8, True)))
    other = stored(bob, stripes(8), "bob.png")
    run = asked(chat, "Find images similar to img1", [query])
    assert "Of 2 of your images, the most similar to img1 has a similarity of" in answer(run)
    assert "a baseline, not a trained model" in answer(run)
    assert "film.png" not in answer(run)  # a file name is for the user alone
    made = Artifact.objects.get(tool_call__run=run)
    assert [row["id"] for row in made.data["images"]] == [str(near.pk), str(far.pk)]
    assert not other.vectors.exists()
    page = client.get(reverse("evidence", args=[run.answer_id, 1]), headers=HTMX)
    assert near.name in text_of(page)
    assert f"?image={near.pk}" in page.content.decode()
    assert "similarity" in text_of(page)


def test_a_listed_image_that_is_not_the_owners_is_not_shown(alice: User, bob: User, chat: Conversation, client: Client):
    run = asked(chat, "Find images similar to img1", [stored(alice, stripes(8)), stored(alice, stripes(9))])
    made = Artifact.objects.get(tool_call__run=run)
    made.data["images"][0]["id"] = str(stored(bob, stripes(8), "bob.png").pk)
    made.save()
    page = client.get(reverse("evidence", args=[run.answer_id, 1]), headers=HTMX)
    assert "bob.png" not in page.content.decode()


def test_a_vector_is_made_once(alice: User, chat: Conversation):
    images = [stored(alice, stripes(8)), stored(alice, stripes(9))]
    asked(chat, "Find images similar to img1", images)
    before = set(ImageVector.objects.values_list("pk", flat=True))
    assert len(before) == 2
    asked(chat, "Find images similar to img2", [])
    assert set(ImageVector.objects.values_list("pk", flat=True)) == before


def test_search_by_text_says_what_configures_it(alice: User, chat: Conversation):
    run = asked(chat, "Find my images with a pleural effusion", [stored(alice, stripes(8))])
    assert "Search for images by text is not configured" in answer(run)
    assert "manage.py models pull" in answer(run)


def normal_set(user: User, count: int, name: str = "normal") -> ImageSet:
    made = ImageSet.objects.create(owner=user, name=name)
    for seed in range(count):
        image = stored(user, stripes(8) + np.random.default_rng(seed).normal(0, 12, (96, 96)))
        made.items.create(image=image)
    return made


def test_an_odd_image_scores_higher_than_the_normal_set(alice: User, bob: User, chat: Conversation):
    normal_set(alice, 8)
    normal_set(bob, 1, "bob's")
    noise = np.random.default_rng(2).normal(0, 12, (96, 96))  # that of one of the set
    odd, usual = stored(alice, stripes(3, True)), stored(alice, stripes(8) + noise)
    said = answer(asked(chat, "How normal is img1?", [odd]))
    assert "img1 has a distance score of" in said
    assert "higher than 8 of 8 normal images" in said
    assert "no probability of disease" in said
    assert "bob's" not in said
    assert "higher than 8 of 8" not in answer(asked(chat, "How normal is img2?", [usual]))


def test_too_small_a_set_is_declined_with_the_number(alice: User, chat: Conversation):
    normal_set(alice, 3)
    said = answer(asked(chat, "Is img1 unusual?", [stored(alice, stripes(8))]))
    assert "The set has 3 images that can be compared; at least 8 normal ones are needed." in said


def test_without_a_set_the_page_for_it_is_named(alice: User, bob: User, chat: Conversation):
    normal_set(bob, 1)
    said = answer(asked(chat, "How normal is img1?", [stored(alice, stripes(8))]))
    assert "You have no set of normal images yet. Make one of at least 8 on the page Image sets" in said


def test_a_set_is_made_filled_and_deleted(alice: User, bob: User, client: Client):
    mine, other = [stored(alice, stripes(step)) for step in (4, 8)], stored(bob, stripes(8))
    made = client.post(reverse("image-sets"), {"name": "Normal  films"})
    found = ImageSet.objects.get(owner=alice, name="Normal films")
    address = reverse("image-set", args=[found.pk])
    assert made["Location"] == address
    everything = [str(image.pk) for image in (*mine, other)]
    client.post(address, {"shown": everything, "image": [*everything, "no-uuid"]})
    assert set(found.items.values_list("image_id", flat=True)) == {image.pk for image in mine}
    client.post(address, {"shown": everything, "image": [str(mine[1].pk)]})
    assert [item.image_id for item in found.items.all()] == [mine[1].pk]
    assert "1 image in this set; at least 8 are needed" in text_of(client.get(address))
    assert client.post(reverse("image-sets"), {"name": "Normal films"}).status_code == 422
    assert client.post(reverse("image-sets"), {"name": " "}).status_code == 422
    client.post(reverse("image-set-delete", args=[found.pk]))
    assert not ImageSet.objects.filter(pk=found.pk).exists()
    assert Image.objects.filter(owner=alice).count() == 2


def test_an_image_is_enlarged_by_the_baseline_with_its_figures(alice: User, chat: Conversation):
    run = asked(chat, "Enlarge img1 twofold", [stored(alice, film())])
    said = answer(run)
    assert "img1 was enlarged to 462 x 490 pixels by Lanczos resampling (Pillow), a baseline, PSNR" in said
    assert "making this image smaller by the same factor" in said
    assert "No trained model that enlarges by 2 is configured" in said
    made = Artifact.objects.get(tool_call__run=run)
    assert made.kind == Artifact.PICTURE
    assert made.data["values"].keys() == {"psnr_db", "ssim"}


class _Made:
    """Stands where a diffusers pipeline would: the real one is tested in its own environment."""

    def synthesise(self, _images: Any, _options: Any) -> Result:
        pixels = pictures.watermarked(np.zeros((96, 128, 3), np.uint8))
        return Result(pictures=(types.Picture("synthetic image", pixels, synthetic=True),))


SYNTHESIS = """
[[checkpoint]]
key = "tiny"
name = "Tiny"
roles = ["synthesis"]
backend = "diffusers"
licence = "MIT"
source = "folder:{folder}"
"""


@pytest.fixture
def synthesis(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.safetensors").touch()
    (tmp_path / "catalogue.toml").write_text(SYNTHESIS.format(folder=tmp_path / "weights"))
    settings.CATALOGUES = [str(tmp_path / "catalogue.toml")]
    backend = ModuleType("inference.backends.diffusers")
    backend.load = lambda *_: _Made()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "inference.backends.diffusers", backend)


@pytest.mark.usefixtures("synthesis")
def test_a_synthetic_picture_says_so_everywhere_and_joins_nothing(alice: User, chat: Conversation, client: Client):
    run = asked(chat, "Generate a synthetic chest x-ray with an effusion", [])
    assert "it joins no study" in answer(run)
    made = Artifact.objects.get(tool_call__run=run)
    assert made.data["synthetic"]
    assert made.image is None
    assert not Image.objects.filter(owner=alice).exists()
    page = text_of(client.get(reverse("evidence", args=[run.answer_id, 1]), headers=HTMX))
    assert "Generated by a model: it shows no patient" in page
    served = client.get(reverse("artifact-picture", args=[made.pk]))
    assert "synthetic-" in served["Content-Disposition"]
    with Picture.open(io.BytesIO(served.content)) as shown:
        assert shown.text["Synthetic"] == "true"
        assert np.asarray(shown)[-12:].max() > 200  # the band below
    report = asked(chat, "Draft a report", [])
    assert "There is nothing to report yet" in answer(report)


def test_synthesis_is_not_configured_by_default(chat: Conversation):
    said = answer(asked(chat, "Generate a synthetic chest x-ray", []))
    assert "Image synthesis is not configured" in said


@pytest.mark.parametrize("shape", [(64, 64), (200, 120, 3), (9, 9)])
@pytest.mark.parametrize("grey", [0, 255])
def test_the_mark_is_in_every_quarter_of_the_pixels(shape: tuple[int, ...], grey: int):
    plain = np.full(shape, grey, np.uint8)
    marked = pictures.watermarked(plain)
    assert marked.shape == shape
    height, width = shape[0] // 2, shape[1] // 2
    if height > 30:
        for top, left in ((0, 0), (0, width), (height, 0), (height, width)):
            part = slice(top, top + height), slice(left, left + width)
            assert not np.array_equal(marked[part], plain[part])
    assert not np.array_equal(marked, plain)


CLIP = """
[[checkpoint]]
key = "tiny-clip"
name = "Tiny CLIP"
roles = ["zero-shot", "retrieve", "anomaly"]
backend = "clip"
licence = "MIT"
source = "folder:{folder}"
"""


@pytest.fixture
def clip(make: Callable[[str], Path], tmp_path: Path, settings: Any) -> Path:
    """A CLIP with random weights in its makers' layout, configured."""
    folder = make("clip")
    (tmp_path / "clip.toml").write_text(CLIP.format(folder=folder))
    settings.CATALOGUES = [str(tmp_path / "clip.toml")]
    return folder


def test_with_a_clip_model_images_are_found_by_text_and_scored_by_words(
    clip: Path, alice: User, bob: User, chat: Conversation
):
    images = [stored(alice, stripes(step)) for step in (3, 8, 24)]
    stored(bob, stripes(5), "bob.png")
    run = asked(chat, "Find my images with stripes", [])
    assert "Of 3 of your images, the nearest to “stripes” has a similarity of" in answer(run)
    rows = Artifact.objects.get(tool_call__run=run).data["images"]
    model = backends.load(checkpoints_in_use.catalogue()["tiny-clip"], clip, "cpu")
    pixels = [types.Image(np.asarray(Picture.open(image.preview).convert("L"))) for image in images]
    text = model.embed_texts([], {"texts": ["stripes"]}).vectors[0]
    cosines = model.embed_images(pixels, {}).vectors @ text
    expected = sorted(zip(cosines, images, strict=True), key=lambda pair: -pair[0])
    assert [row["id"] for row in rows] == [str(image.pk) for _, image in expected]
    assert [row["similarity"] for row in rows] == pytest.approx([float(c) for c, _ in expected], abs=2e-3)
    said = answer(asked(chat, "How normal is img1?", images[:1]))
    assert said.count("by words: “") == 3
    assert "nobody has calibrated" in said
