"""A classifier is calibrated on its owner's labelled images, and from then on her results are probabilities."""

import html
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone
from PIL import Image as Picture

from assistant import calibration, labelled_sets, uploads
from assistant.models import Calibration, Image, ImageSet, ImageSetItem
from assistant.tools.base import load
from inference.classify import HuggingFaceClassifier
from inference.errors import BadInput
from inference.jobs import Record
from inference.types import Score
from tests.assistant.pages import HTMX, text_of

pytestmark = pytest.mark.django_db(transaction=True)
COUNT = 24


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(3)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    names = {0: "Effusion", 1: "Nodule", 2: "Hernia"}
    problem = "multi_label_classification"
    config = ViTConfig(
        **sizes,
        image_size=32,
        patch_size=8,
        id2label=names,
        label2id={name: n for n, name in names.items()},
        problem_type=problem,
    )
    model = ViTForImageClassification(config)
    with torch.no_grad():
        model.classifier.weight *= 20
    folder = tmp_path_factory.mktemp("weights")
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def png(number: int) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 255, (40, 40, 3)) * (number + 4) // (COUNT + 4)
    Picture.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def pictures(alice: User, eager_celery: Any, weights: Path, settings: Any) -> list[Image]:
    """Rows made from one upload, each with pixels of its own."""
    settings.CLASSIFY_MODEL = str(weights)
    first = uploads.store(alice, SimpleUploadedFile("picture-0.png", png(0)))
    Image.objects.filter(pk=first.pk).update(text_check=Image.CLEAR)
    first.refresh_from_db()
    made = [first]
    for number in range(1, COUNT):
        row = Image.objects.get(pk=first.pk)
        row.pk, row.name = None, f"picture-{number}.png"
        row._state.adding = True
        row.id = Image._meta.pk.get_default()
        out = io.BytesIO()
        np.save(out, np.asarray(Picture.open(io.BytesIO(png(number)))))
        row.pixels.save("pixels.npy", ContentFile(out.getvalue()), save=False)
        row.save(force_insert=True)
        made.append(row)
    return made


@pytest.fixture
def truth(pictures: list[Image], weights: Path) -> dict[str, int]:
    """Labels that the model's own scores rank well, with two of each class exchanged. Nodule is hardly ever there."""
    model = HuggingFaceClassifier(weights)
    scores = [next(s.value for s in model.classify(load(one), 0) if s.label == "Effusion") for one in pictures]
    order = np.argsort(scores)
    present = np.zeros(COUNT, dtype=int)
    present[order[COUNT // 2 :]] = 1
    present[[order[3], order[6], order[-4], order[-7]]] ^= 1
    return {one.name: int(value) for one, value in zip(pictures, present, strict=True)}


def table(truth: dict[str, int]) -> bytes:
    rows = [f"{name},{value},{int(n == 0)}" for n, (name, value) in enumerate(truth.items())]
    return "\n".join(["image,Effusion,Nodule", *rows]).encode("utf-8-sig")


@pytest.fixture
def row(alice: User, truth: dict[str, int]) -> Calibration:
    made, _ = labelled_sets.from_csv(alice, "My films", table(truth))
    row = calibration.start(alice, made, "own-classifier", "temperature")
    row.refresh_from_db()
    return row


def test_a_csv_becomes_a_set_and_a_calibration_with_its_page(alice: User, truth: Any, client_of: Any):
    client = client_of(alice)
    sent = {
        "file": SimpleUploadedFile("labels.csv", table(truth)),
        "name": "My films",
        "checkpoint": "own-classifier",
        "method": "isotonic",
        "sensitivity": "0.9",
    }
    page = client.post(reverse("calibrations"), sent, follow=True)
    row = Calibration.objects.get()
    assert row.state == Calibration.DONE, row.line
    assert ImageSet.objects.get().items.count() == COUNT
    said = text_of(page)
    assert "AUROC 0." in said
    assert "DeLong" in said
    assert "sensitivity of at least 0.9" in said
    assert "Nodule: 1 images with it and 23 without it; at least 10 of each are needed" in said
    assert page.content.decode().count("<svg") == 2
    assert row.found["labels"]["Effusion"]["point"]["sensitivity"] >= 0.9
    assert "style=" not in page.content.decode().split("<h1>")[1]


def test_results_are_probabilities_from_then_on_until_it_is_switched_off(
    alice: User, bob: User, row: Any, client_of: Any
):
    record = Record("own-classifier", "Tiny", row.revision, "MIT", "cpu", 0, 1)
    scores = [Score("Effusion", 0.9), Score("Hernia", 0.4)]
    assert calibration.applied(alice.pk, record, scores) == (scores, [])
    client = client_of(alice)
    page = client.post(reverse("calibration-use", args=[row.pk]), {"on": "1"}, follow=True)
    assert "In use." in text_of(page)
    made, notes = calibration.applied(alice.pk, record, scores)
    assert [one.kind for one in made] == ["probability", "score"]
    assert made[0].value != pytest.approx(0.9)
    assert "My films" in notes[0]
    assert calibration.applied(bob.pk, record, scores) == (scores, [])
    other = Record("own-classifier", "Tiny", "another", "MIT", "cpu", 0, 1)
    made, notes = calibration.applied(alice.pk, other, scores)
    assert made == scores
    assert "another revision" in notes[0]
    client.post(reverse("calibration-use", args=[row.pk]), {"on": "0"})
    assert calibration.applied(alice.pk, record, scores) == (scores, [])


def test_only_one_of_a_model_is_in_use(row: Calibration, alice: User):
    second = calibration.start(alice, row.image_set, "own-classifier", "isotonic")
    second.refresh_from_db()
    for one in (row, second):
        calibration.use(one, True)
    assert list(Calibration.objects.filter(in_use=True)) == [second]


def test_a_killed_step_goes_on_where_it_was(row: Calibration):
    kept = dict(list(row.found["scores"].items())[:-1])
    kept[next(iter(kept))] = {"Effusion": 0.123}  # would be another if it were scored again
    found = {"scores": kept, "skipped": {}, "sensitivity": None}
    values = {"state": Calibration.RUNNING, "found": found, "fitted": {}}
    late = timezone.now() - timedelta(seconds=1)
    Calibration.objects.filter(pk=row.pk).update(**values, lease_until=timezone.now() + timedelta(seconds=60))
    calibration.carry_out(row.pk)
    row.refresh_from_db()
    assert len(row.found["scores"]) == COUNT - 1  # another worker has it
    Calibration.objects.filter(pk=row.pk).update(lease_until=late)
    calibration.sweep()
    row.refresh_from_db()
    assert row.state == Calibration.DONE
    assert len(row.found["scores"]) == COUNT
    assert row.found["scores"][next(iter(kept))] == {"Effusion": 0.123}


def test_progress_is_a_part_of_the_page_that_reloads_at_the_end(row: Calibration, alice: User, client_of: Any):
    client = client_of(alice)
    Calibration.objects.filter(pk=row.pk).update(state=Calibration.RUNNING, done=7, line="7 of 24 images scored.")
    part = client.get(reverse("calibration", args=[row.pk]), headers=HTMX)
    assert "7 of 24" in text_of(part)
    assert "<progress" in part.content.decode()
    assert "HX-Refresh" not in part.headers
    Calibration.objects.filter(pk=row.pk).update(state=Calibration.DONE)
    assert client.get(reverse("calibration", args=[row.pk]), headers=HTMX)["HX-Refresh"] == "true"


def test_too_few_images_end_it_with_the_reason(alice: User, truth: dict[str, int]):
    made, _ = labelled_sets.from_csv(alice, "Few", table(dict(list(truth.items())[:12])))
    row = calibration.start(alice, made, "own-classifier", "temperature")
    row.refresh_from_db()
    assert row.state == Calibration.FAILED
    assert "at least 10 of each are needed" in row.line
    with pytest.raises(BadInput, match="done"):
        calibration.use(row, True)


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"", "first row"),
        (b"image,Effusion", "first row"),
        (b"\xff\xfe\x00x", "UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0", "UTF-8"),
        (b"what,Effusion\na,1", "first row"),
        (b"image,Effusion,Effusion\na,1,1", "stands twice"),
        (b"image,Effusion\nfilm.png,yes", "Row 2: Effusion is 'yes'"),
        (b"image,Effusion\nfilm.png,1,0", "Row 2 has 3 cells"),
        (b'image,Effusion\n"film.png,1', "CSV"),
        (b"image,Effusion\nnot-there.png,1", "None of the 1 images"),
        (b"x" * (labelled_sets.MAX_BYTES + 1), "larger than 2 MB"),
    ],
)
def test_a_malformed_csv_is_one_clear_line(alice: User, client_of: Any, raw: bytes, line: str):
    sent = {
        "file": SimpleUploadedFile("labels.csv", raw),
        "name": "Set",
        "checkpoint": "baseline-chest",
        "method": "isotonic",
    }
    answer = client_of(alice).post(reverse("calibrations"), sent)
    assert answer.status_code in (422, 413)
    assert line in html.unescape(text_of(answer))
    assert not ImageSet.objects.exists()


def test_two_images_of_one_name_are_told_apart_by_id(alice: User, pictures: list[Image]):
    Image.objects.filter(pk__in=[pictures[0].pk, pictures[1].pk]).update(name="film.png")
    with pytest.raises(BadInput, match="Row 2: 2 of your images are called film"):
        labelled_sets.from_csv(alice, "Set", b"image,Effusion\nfilm.png,1")
    made, missing = labelled_sets.from_csv(alice, "Set", f"id,Effusion\n{pictures[0].pk},1\ngone.png,0".encode())
    assert missing == 1
    assert [item.image_id for item in made.items.all()] == [pictures[0].pk]


def test_another_users_images_and_sets_are_not_there(alice: User, bob: User, pictures: list[Image], client_of: Any):
    with pytest.raises(BadInput, match="None of the 1 images"):
        labelled_sets.from_csv(bob, "Set", f"id,Effusion\n{pictures[0].pk},1".encode())
    hers = ImageSet.objects.create(owner=alice, name="Hers")
    ImageSetItem.objects.create(image_set=hers, image=pictures[0], labels={"Effusion": 1})
    sent = {"set": str(hers.pk), "checkpoint": "own-classifier", "method": "isotonic"}
    assert client_of(bob).post(reverse("calibrations"), sent).status_code == 422
    assert not Calibration.objects.exists()


def test_a_set_without_any_label_of_the_model_is_refused(alice: User, pictures: list[Image]):
    made, _ = labelled_sets.from_csv(alice, "Other", f"id,Fracture\n{pictures[0].pk},1".encode())
    with pytest.raises(BadInput, match="wide cardiac silhouette"):
        calibration.start(alice, made, "baseline-chest", "temperature")
