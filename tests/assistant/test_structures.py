"""What is measured on the structures that a model outlines on a chest radiograph."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from assistant import model_calls
from assistant.models import Artifact, Conversation
from inference import thorax
from inference.jobs import Record
from inference.types import Mask, Result
from tests import phantom
from tests.assistant.test_ground import call
from tests.assistant.test_marks import stored
from tests.inference import files
from tests.inference.test_thorax import masks

pytestmark = pytest.mark.django_db(transaction=True)
ENTRY = """
[[checkpoint]]
key = "structures"
name = "Structures"
roles = ["segment"]
backend = "lungs"
source = "built-in"
licence = "MIT"
labels = ["Heart", "Left Lung", "Right Lung"]
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> list[list[str]]:
    """The structures that were asked for; in place of the model's worker stands what it would have found."""
    (tmp_path / "mine.toml").write_text(ENTRY)
    settings.CATALOGUES = [str(tmp_path / "mine.toml")]
    wanted: list[list[str]] = []
    record = Record(
        checkpoint="structures", name="Structures", revision="", licence="MIT", device="cpu", started=0.0, ended=1.0
    )

    def perform(_context: object, _found: object, _task: str, _given: object, options: dict[str, Any]) -> Any:
        wanted.append(options["structures"])
        found: tuple[Mask, ...] = tuple(one for one in masks() if one.label in options["structures"])
        return model_calls.Performed(Result(masks=found), record)

    monkeypatch.setattr(model_calls, "perform", perform)
    return wanted


@pytest.fixture
def chat(alice: User, tmp_path: Path) -> Conversation:
    elements = {"Modality": "DX", "BodyPartExamined": "CHEST", "ViewPosition": "PA", "PixelSpacing": [1.5, 1.5]}
    path = files.write_dicom(tmp_path / "a.dcm", files.ramp(side=240)[:200], **elements)
    return phantom.chat_with(alice, stored(alice, path.read_bytes(), "a.dcm"))


def test_with_the_heart_comes_the_cardiothoracic_ratio_and_its_lines(chat: Conversation, asked: list[list[str]]):
    done = call(chat, "segment", image="img1", structure="heart")
    assert asked == [["Heart", "Left Lung", "Right Lung"]]
    assert done.result["summary"].startswith("1 mask")
    (_, ratio) = done.result["statements"]
    assert ratio["text"] == "By these masks the cardiothoracic ratio on img1 is 0.45: heart 135 mm, thorax 300 mm wide."
    lines = Artifact.objects.filter(kind=Artifact.LINE)
    assert [line.label for line in lines] == ["heart", "thorax"]
    assert lines[0].ref == ratio["ref"]
    assert thorax.BY_MASKS in done.result["notes"]


def test_where_masks_give_none_the_reason_is_said(
    chat: Conversation, asked: list[list[str]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(thorax, "LEAST_HEART", 0.5)
    done = call(chat, "segment", image="img1", structure="heart")
    assert len(done.result["statements"]) == 1
    why = "No cardiothoracic ratio: what was found of the heart is too small to be all of it."
    assert why in done.result["notes"]


def test_who_asks_for_the_lungs_gets_the_lungs(chat: Conversation, asked: list[list[str]]):
    done = call(chat, "segment", image="img1", structure="lungs", model="structures")
    assert asked == [["Left Lung", "Right Lung"]]
    assert [one["ref"] for one in done.result["statements"]] == ["c1.1", "c1.2"]
