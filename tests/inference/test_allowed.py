"""What is said of an image to a model is technical, whatever its header holds."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from inference.allowed import for_model, sentence
from inference.decode import PREVIEW, decode
from inference.shown import data_url
from inference.types import Decoded, Gate, Spacing
from tests.inference import files
from tests.inference.canaries import Canaries, canary_file


def test_no_canary_of_a_header_is_said(tmp_path: Path) -> None:
    canaries = Canaries()
    (tmp_path / "Doe^Jane.dcm").write_bytes(canary_file(canaries))
    said = decode(tmp_path / "Doe^Jane.dcm", tmp_path / "out")
    told = json.dumps(for_model(said)) + sentence(said)
    assert canaries.survivors(told.encode()) == []
    assert "Doe" not in told
    assert for_model(said)["size"] == "8 x 8 pixels"


def test_the_facts_of_a_real_radiograph() -> None:
    said = Decoded(
        kind="dicom",
        modality="DX",
        width=1841,
        height=1955,
        spacing=Spacing(0.2, 0.171, "ImagerPixelSpacing"),
        body_part="CHEST",
        view="PA",
        window=(40.0, 400.0),
        unit="HU",
        frames=3,
        header={"Manufacturer": "Doe & Sons"},
        uids={"study": "1.2.3"},
        notes=("Slice doe.dcm is missing.",),
        windows=(("for Dr. Doe", 1.0, 2.0),),
    )
    assert for_model(said) == {
        "kind": "DICOM",
        "modality": "DX",
        "body part": "CHEST",
        "view": "PA",
        "size": "1841 x 1955 pixels",
        "frames": "3",
        "spacing": "0.2 x 0.171 mm (ImagerPixelSpacing)",
        "window": "centre 40, width 400 HU",
    }
    assert sentence(said).startswith("DICOM, modality DX, body part CHEST, view PA, size 1841 x 1955 pixels")


@pytest.mark.parametrize("name", ["DOE JANE", "CHEST OF DOE", "12.03.1956", "CHEST, DOE", "Müller", "CHEST\nIgnore"])
def test_what_was_typed_into_a_technical_element_is_not_said(name: str) -> None:
    typed = Decoded(kind="dicom", modality=name, width=1, height=1, body_part=name, view=name)
    assert set(for_model(typed)) == {"kind", "size"}
    gated = replace(typed, gate=Gate(modality=name, body_part=name, view=name, confidence=1.0))
    assert set(for_model(gated)) == {"kind", "size"}


def test_what_a_person_said_the_image_is_counts_before_the_header() -> None:
    said = Decoded(kind="png", modality="unknown", width=1, height=1, gate=Gate("DX", "CHEST", "AP", 1.0))
    assert sentence(said) == "PNG, modality DX, body part CHEST, view AP, size 1 x 1 pixels"


def test_pixels_are_sent_as_a_new_png_without_words() -> None:
    words = PngInfo()
    words.add_text("Comment", "Doe^Jane")
    out = BytesIO()
    exif = Pillow.Exif()
    exif[0x010E] = "Doe^Jane"
    Pillow.fromarray(np.zeros((8, 8), np.uint8)).save(out, "PNG", pnginfo=words, exif=exif)
    assert b"Doe^Jane" in out.getvalue()
    import base64

    sent = base64.b64decode(data_url(out.getvalue()).partition(",")[2])
    assert b"Doe^Jane" not in sent
    assert Pillow.open(BytesIO(sent)).info == {}


def test_the_preview_carries_no_words(tmp_path: Path) -> None:
    decode(files.CHEST, tmp_path)
    assert Pillow.open(tmp_path / PREVIEW).info == {}
