"""The gate says what an image is, how sure it is and why, and rather nothing than a guess."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image as Pillow

from inference import decoder
from inference.decode import PREVIEW, Limits, decode
from inference.errors import Unavailable
from inference.gate import decide, decide_by_model
from inference.gate_samples import drawn
from inference.kinds import name_of
from inference.types import Decoded, Gate, Image
from tests.inference import files

SKIMAGE = Path(skimage.data.__file__).parent
PLAIN = Decoded("png", "unknown", 300, 300)


def picture(path: Path) -> tuple[Decoded, np.ndarray]:
    """As an upload without header: the preview alone."""
    pixels = np.asarray(Pillow.open(path))
    return replace(PLAIN, width=pixels.shape[1], height=pixels.shape[0]), pixels


@pytest.fixture
def chest_preview(tmp_path: Path) -> np.ndarray:
    decode(files.CHEST, tmp_path)
    return np.asarray(Pillow.open(tmp_path / PREVIEW))


def test_the_header_decides_where_it_says_something(tmp_path: Path) -> None:
    gate = decode(files.CHEST, tmp_path).gate
    assert gate
    assert (gate.modality, gate.body_part, gate.view, gate.source) == ("CR", "CHEST", "PA", "header")
    assert gate.reasons == ("The header says: chest radiograph, PA.",)


def test_a_chest_radiograph_is_told_without_its_header_but_not_its_view(chest_preview: np.ndarray) -> None:
    gate = decide(replace(PLAIN, width=1841, height=1955), chest_preview)
    assert (gate.modality, gate.body_part, gate.view, gate.source) == ("DX", "CHEST", "", "pixels")
    assert gate.confidence > 0.6
    assert "two dark fields side by side" in gate.reasons[0]


@pytest.mark.parametrize("vague", ["OT", "SC", "unknown", ""])
def test_a_header_that_leaves_it_open_is_not_the_answer(chest_preview: np.ndarray, vague: str) -> None:
    gate = decide(replace(PLAIN, modality=vague), chest_preview)
    assert (gate.modality, gate.source) == ("DX", "pixels")


def test_a_header_that_calls_a_colour_picture_ct_is_not_believed() -> None:
    decoded, pixels = picture(SKIMAGE / "retina.jpg")
    gate = decide(replace(decoded, modality="CT"), pixels)
    assert (gate.modality, gate.source) == ("OP", "pixels")
    assert "was not believed" in gate.reasons[0]


def test_what_the_header_names_beside_a_vague_modality_is_kept(chest_preview: np.ndarray) -> None:
    gate = decide(replace(PLAIN, modality="SC", body_part="CHEST", view="AP"), np.zeros_like(chest_preview))
    assert (gate.modality, gate.body_part, gate.view) == ("", "CHEST", "AP")


def test_the_body_part_that_a_header_leaves_out_is_told_by_the_looks(tmp_path: Path) -> None:
    gate = decode(files.WHEEL_IMAGES / "693_UNCR.dcm", tmp_path).gate
    assert gate
    assert (gate.modality, gate.body_part, gate.source) == ("CT", "HEAD", "header")
    assert gate.confidence < 0.95
    assert "names no body part" in gate.reasons[1]


@pytest.mark.parametrize(
    ("name", "modality", "part"),
    [("retina.jpg", "OP", "EYE"), ("ihc.png", "SM", ""), ("page.png", "DOC", ""), ("astronaut.png", "OT", "")],
)
def test_real_pictures_of_a_clear_kind_are_told(name: str, modality: str, part: str) -> None:
    gate = decide(*picture(SKIMAGE / name))
    assert (gate.modality, gate.body_part) == (modality, part)
    assert 0.6 <= gate.confidence < 0.95


@pytest.mark.parametrize(
    "name", ["camera.png", "moon.png", "coins.png", "grass.png", "chelsea.png", "clock_motion.png"]
)
def test_what_is_typical_of_nothing_is_not_told_and_says_so(name: str) -> None:
    gate = decide(*picture(SKIMAGE / name))
    assert (gate.modality, gate.body_part, gate.confidence) == ("", "", 0)
    assert gate.reasons


def test_ct_and_mr_sections_look_alike_and_are_not_guessed(tmp_path: Path) -> None:
    decode(files.WHEEL_IMAGES / "MR-SIEMENS-DICOM-WithOverlays.dcm", tmp_path)
    gate = decide(replace(PLAIN, width=484, height=484), np.asarray(Pillow.open(tmp_path / PREVIEW)))
    assert gate.modality == ""
    assert "CT and MR cannot be told apart" in gate.reasons[0]


def test_a_small_or_blank_picture_is_not_judged() -> None:
    rng = np.random.default_rng(0)
    small = decide(replace(PLAIN, width=40, height=40), rng.integers(0, 255, (40, 40), dtype=np.uint8))
    blank = decide(PLAIN, np.full((300, 300), 200, np.uint8))
    assert small.modality == blank.modality == ""
    assert "40 x 40" in small.reasons[0]
    assert blank.reasons == ("It is blank.",)


@pytest.mark.parametrize("shape", [(64, 64), (1, 900), (900, 1), (64, 64, 3), (3, 2000, 3)])
@pytest.mark.parametrize("value", [0, 9, 255, None])
def test_no_preview_makes_it_fail(shape: tuple[int, ...], value: int | None) -> None:
    pixels = np.full(shape, value, np.uint8) if value is not None else np.random.default_rng(1).integers(0, 256, shape)
    decoded = replace(PLAIN, width=shape[1], height=shape[0])
    assert 0 <= decide(decoded, pixels.astype(np.uint8), pixels).confidence <= 1


@pytest.mark.parametrize(("name", "modality", "part", "pixels"), drawn(), ids=[name for name, *_ in drawn()])
def test_drawn_pictures_of_kinds_without_a_sample_are_told(
    name: str, modality: str, part: str, pixels: np.ndarray
) -> None:
    gate = decide(replace(PLAIN, width=pixels.shape[1], height=pixels.shape[0]), pixels)
    assert (gate.modality, gate.body_part) == (modality, part), name


# Values


def head(outside: float, scalp: float, bone: float, brain: float) -> np.ndarray:
    """(40, 90, 80): a head of 150 x 180 x 195 mm on a grid of 2.5 x 2.5 x 5 mm."""
    z, y, x = np.mgrid[0:40, 0:90, 0:80]
    radius = np.sqrt(((z - 19.5) / 19.5) ** 2 + ((y - 44.5) / 36) ** 2 + ((x - 39.5) / 30) ** 2)
    rng = np.random.default_rng(2)
    values = np.select([radius < 0.85, radius < 0.93, radius < 1], [brain, bone, scalp], outside)
    return (values + rng.normal(0, 12, values.shape)).astype(np.int16)


AFFINE = ((-2.5, 0.0, 0.0, 0.0), (0.0, -2.5, 0.0, 0.0), (0.0, 0.0, 5.0, 0.0), (0.0, 0.0, 0.0, 1.0))
VOLUME = replace(PLAIN, layout="volume", frames=40, width=80, height=90, affine=AFFINE)
DARK = np.zeros((90, 80), np.uint8)


def test_values_on_the_hounsfield_scale_are_ct_and_the_extent_of_a_head_is_a_head() -> None:
    gate = decide(VOLUME, DARK, head(-1000, -90, 1100, 35))
    assert (gate.modality, gate.body_part) == ("CT", "HEAD")
    assert gate.confidence > 0.8


def test_another_volume_is_mr_with_the_least_confidence_since_pet_looks_alike() -> None:
    gate = decide(VOLUME, DARK, np.abs(head(0, 700, 60, 400)))
    assert (gate.modality, gate.body_part, gate.confidence) == ("MR", "HEAD", 0.6)
    assert "PET" in gate.reasons[0]


def test_a_volume_that_is_too_large_for_a_head_is_not_called_one() -> None:
    affine = tuple(tuple(2 * value for value in row) for row in AFFINE)
    assert decide(replace(VOLUME, affine=affine), DARK, head(-1000, -90, 1100, 35)).body_part == ""


def test_a_volume_of_a_few_whole_numbers_is_a_label_map() -> None:
    labels = np.zeros((40, 90, 80), np.uint8)
    labels[10:20, 30:60, 20:40] = 3
    gate = decide(VOLUME, DARK, labels)
    assert gate.modality == "OT"
    assert "label map" in gate.reasons[0]


def test_a_single_slice_in_hounsfield_units_is_ct(tmp_path: Path) -> None:
    decoded = decode(files.WHEEL_IMAGES / "explicit_VR-UN.dcm", tmp_path)
    hidden = replace(decoded, modality="unknown", unit="", body_part=None, header={})
    preview = np.asarray(Pillow.open(tmp_path / PREVIEW))
    assert decide(hidden, preview).modality == ""
    assert decide(hidden, preview, np.load(tmp_path / "pixels.npy")).modality == "CT"


# In the decoder


def test_the_gate_decides_for_every_decoded_file(tmp_path: Path) -> None:
    anatomical = files.package_folder("nibabel") / "tests/data/anatomical.nii"
    for source in (SKIMAGE / "retina.jpg", files.COLOUR_ULTRASOUND, anatomical):
        decoded = decode(source, tmp_path)
        assert decoded.gate
        assert decoded.gate.modality in ("OP", "US", "MR")
        assert Decoded.from_json(decoded.to_json()) == decoded


def test_an_image_that_the_gate_trips_over_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, since the child cannot be told to fail: the preview that the gate reads back is gone."""
    from inference.readers import raster

    def without_preview(*arguments: object) -> Decoded:
        decoded = read(*arguments)
        (tmp_path / PREVIEW).unlink()
        return decoded

    read = raster.read
    monkeypatch.setattr(raster, "read", without_preview)
    decoded = decoder.read("png", [SKIMAGE / "camera.png"], tmp_path, Limits())
    assert (decoded.width, decoded.gate) == (512, None)


def test_kinds_are_said_in_words() -> None:
    assert name_of(Gate("CR", "CHEST", "PA")) == "chest radiograph, PA"
    assert name_of(Gate("DX", "ABDOMEN"), article=True) == "an abdomen radiograph"
    assert name_of(Gate("CT", "HEAD"), article=True) == "CT of the head"
    assert name_of(Gate("MG", "BREAST", "MLO")) == "mammogram, MLO"
    assert name_of(Gate()) == ""


# A learned model


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of two labels whose bias makes it sure of "chest"."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(3)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = ViTConfig(**sizes, image_size=32, patch_size=8, id2label={0: "chest", 1: "skin"})
    model = ViTForImageClassification(config)
    with torch.no_grad():
        model.classifier.bias[0] = 9
    folder = tmp_path_factory.mktemp("gate")
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def map_labels(folder: Path, labels: object) -> Path:
    (folder / "gate.json").write_text(json.dumps(labels))
    return folder


GREY = Image(np.tile(np.arange(0, 250, dtype=np.uint8), (100, 1)))


def test_a_classifier_decides_by_its_label_map(checkpoint: Path) -> None:
    folder = map_labels(checkpoint, {"chest": {"modality": "DX", "body_part": "CHEST"}})
    gate = decide_by_model(GREY, folder)
    assert (gate.modality, gate.body_part, gate.view, gate.source) == ("DX", "CHEST", "", "model")
    assert gate.confidence > 0.9
    assert "not calibrated" in gate.reasons[0]


def test_a_label_that_is_not_mapped_tells_nothing(checkpoint: Path) -> None:
    gate = decide_by_model(GREY, map_labels(checkpoint, {"skin": {"modality": "DMS"}}))
    assert (gate.modality, gate.source) == ("", "model")
    assert "leaves open" in gate.reasons[0]


@pytest.mark.parametrize("labels", [[], {"chest": "DX"}, None])
def test_without_a_usable_label_map_it_says_what_to_do(checkpoint: Path, labels: object) -> None:
    with pytest.raises(Unavailable, match=r"Put gate.json beside config.json"):
        decide_by_model(GREY, map_labels(checkpoint, labels))
