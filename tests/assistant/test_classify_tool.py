"""The classify tool: a baseline with lines on the image, trained classifiers by choice, labels in words, heat maps."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image as Picture

from assistant import uploads, viewing
from assistant.models import Artifact, Conversation, ConversationImage, Image, Message, Run, ToolCall
from assistant.results import keep_artifacts
from assistant.tools import Outcome, execute, queue_of
from tests.assistant.pages import HTMX, text_of
from tests.inference.test_chest import thorax

pytestmark = pytest.mark.django_db(transaction=True)
LABELS = ["Effusion", "Nodule", "Hernia"]
CATALOGUE = """
[[checkpoint]]
key = "skin-classifier"
name = "Skin"
roles = ["classify"]
backend = "hf-classifier"
licence = "CC-BY-NC-4.0"
commercial = false
source = "folder:{folder}"
works_on = "dermoscopy"
modalities = ["DMS"]
label_set = "three labels"
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(3)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    names = dict(enumerate(LABELS))
    config = ViTConfig(
        **sizes, image_size=32, patch_size=8, id2label=names, label2id={name: n for n, name in names.items()}
    )
    folder = tmp_path_factory.mktemp("weights")
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def stored(user: User, pixels: np.ndarray, name: str = "film.png") -> Image:
    out = io.BytesIO()
    Picture.fromarray((pixels / max(pixels.max(), 1) * 255).astype(np.uint8)).save(out, "PNG")
    return uploads.store(user, SimpleUploadedFile(name, out.getvalue()))


@pytest.fixture
def film(alice: User, eager_celery: Any) -> Image:
    image = stored(alice, thorax(0.46).pixels)
    Image.objects.filter(pk=image.pk).update(text_check=Image.CLEAR)
    image.refresh_from_db()
    return image


@pytest.fixture
def classify(alice: User, film: Image) -> Callable[..., tuple[ToolCall, Outcome]]:
    """Carry out a call as a worker does, and keep what it leaves."""
    chat = Conversation.objects.create(owner=alice)
    ConversationImage.attach(chat, film)
    asked = Message.objects.create(conversation=chat, role=Message.USER, text="Classify img1")
    run = Run.objects.create(conversation=chat, message=asked)

    def classify(**arguments: Any) -> tuple[ToolCall, Outcome]:
        number = ToolCall.objects.count() + 1
        call = ToolCall.objects.create(
            run=run,
            number=number,
            call_id=str(number),
            name="classify",
            arguments={"image": "img1", **arguments},
            queue="vision",
        )
        outcome = execute(call)
        keep_artifacts(call, run, outcome)
        return call, outcome

    return classify


def test_without_weights_a_baseline_measures_a_chest_and_is_named_as_one(classify: Any):
    _, outcome = classify()
    assert outcome.state == ToolCall.DONE
    assert "baseline" in outcome.model
    first = outcome.result["statements"][0]
    assert first["text"].startswith("Cardiac silhouette wider than half the thorax (CTR 0.6")
    assert first["ref"] == "c1.1"
    assert not any("probability" in line["text"] for line in outcome.result["statements"])
    assert outcome.result["records"][0]["licence"]


def test_its_lines_are_layers_of_the_viewer_as_lengths_are(classify: Any, film: Image):
    call, _ = classify()
    made = list(Artifact.objects.filter(tool_call=call))
    assert [(one.kind, one.label) for one in made] == [("line", "cardiac diameter"), ("line", "thoracic diameter")]
    layers = viewing.layers(call.run.conversation, film, lit=made[0])
    assert [(layer.type, layer.shown, layer.lit) for layer in layers] == [
        ("length", True, True),
        ("length", True, False),
    ]
    assert layers[0].points == made[0].data["points"]
    assert layers[0].measured.endswith(" px")
    assert layers[0].overlay is None


def test_the_folder_of_the_setting_is_a_checkpoint_and_comes_first(classify: Any, weights: Path, settings: Any):
    settings.CLASSIFY_MODEL = str(weights)
    call, outcome = classify(top_k=2)
    assert queue_of("classify", call.arguments, call.run.conversation) == "expert"
    assert outcome.model == weights.name
    lines = [line["text"] for line in outcome.result["statements"]]
    assert len(lines) == 2
    assert "score 0." in lines[0]
    assert weights.name in lines[0]
    assert any("not a probability of disease" in note for note in outcome.result["notes"])


def test_a_heat_map_is_shown_in_colour_to_its_owner_only(
    classify: Any, weights: Path, settings: Any, client_of: Any, alice: User, bob: User, film: Image
):
    settings.CLASSIFY_MODEL = str(weights)
    call, outcome = classify(saliency=True)
    (heat,) = Artifact.objects.filter(tool_call=call)
    assert heat.kind == "heatmap"
    assert outcome.result["statements"][0]["ref"] == heat.ref
    address = reverse("artifact-overlay", args=[heat.pk])
    with Picture.open(io.BytesIO(client_of(alice).get(address).content)) as shown:
        assert shown.size == (film.width, film.height)
        alpha = np.asarray(shown.convert("RGBA"))[..., 3]
    assert alpha.max() > 100
    assert alpha.min() < 30
    assert client_of(bob).get(address).status_code == 404
    layer = viewing.layers(call.run.conversation, film)[0]
    assert (layer.overlay, layer.nifti, layer.box) == (address, None, None)


def test_a_checkpoint_for_other_images_is_declined_with_the_reason(classify: Any, weights: Path, settings: Any):
    path = weights / "catalogue.toml"
    path.write_text(CATALOGUE.format(folder=weights))
    settings.CATALOGUES = [str(path)]
    _, outcome = classify(model="skin-classifier")
    assert outcome.state == ToolCall.DECLINED
    assert "dermoscopy" in outcome.summary
    _, outcome = classify()
    assert "baseline" in outcome.model  # not asked for by name, the one that suits the image answers


def test_words_need_a_model_of_words(classify: Any):
    _, outcome = classify(labels=["pleural effusion", "normal"])
    assert outcome.state == ToolCall.DECLINED
    assert "Zero-shot classification is not configured" in outcome.summary


def test_a_line_lights_up_from_its_chip(classify: Any, client_of: Any, alice: User, film: Image):
    from assistant.evidence import references

    call, outcome = classify()
    ToolCall.objects.filter(pk=call.pk).update(state=ToolCall.DONE, result=outcome.result)
    chat = call.run.conversation
    text = "The heart is wide [[c1.1]]."
    message = Message.objects.create(
        conversation=chat, role=Message.ASSISTANT, text=text, references=references(text, chat)
    )
    page = client_of(alice).get(reverse("evidence", args=[message.pk, 1]), headers=HTMX)
    line = Artifact.objects.get(tool_call=call, number=1)
    assert f'class="layer lit" data-artifact="{line.pk}"' in page.content.decode()
    assert "cardiac diameter" in text_of(page)
