"""The pages as alice meets them: chats, answers, evidence, uploads; with script and without."""

import hashlib
import io
import re
import uuid
from pathlib import Path
from typing import Any

import data_store
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image as Picture

from assistant import events, uploads
from assistant.access import sign_in_link
from assistant.models import Artifact, Conversation, Image, Message, Report, Run
from assistant.templatetags import lightbox
from corpus.models import Paper, Passage
from tests.assistant.pages import HTMX, running, text_of

pytestmark = pytest.mark.django_db(transaction=True)
RADIOGRAPH = Path(data_store.__file__).parent / "data" / "RG1_UNCR.dcm"


@pytest.fixture
def client(alice: User, client_of: Any) -> Client:
    return client_of(alice)


@pytest.fixture
def conversation(alice: User) -> Conversation:
    return Conversation.objects.create(owner=alice, title="Chest film")


@pytest.fixture
def radiograph(alice: User) -> Image:
    return uploads.store(alice, SimpleUploadedFile("film.dcm", RADIOGRAPH.read_bytes()))


# Chats


def test_the_first_page_offers_three_things_to_try_and_names_the_model(client):
    page = text_of(client.get(reverse("home")))
    assert page.count('class="tries"') == 1
    assert page.count("<strong>") >= 3
    assert "Guide, on this machine" in page
    assert "Research use only, not for diagnosis" in page


def test_alice_asks_and_lands_in_a_chat_named_after_her_question(client, alice):
    response = client.post(reverse("chat-create"), {"text": "What is CLIP?"})
    chat = Conversation.objects.get(owner=alice)
    assert response.url == reverse("chat", args=[chat.pk])
    assert "What is CLIP?" in text_of(client.get(response.url))
    assert chat.title == "What is CLIP?"


def test_the_sample_radiograph_is_one_click(client, alice):
    client.post(reverse("chat-create"), {"text": "Segment the lungs in this radiograph", "sample": "1"})
    chat = Conversation.objects.get(owner=alice)
    assert chat.numbered_images.get().image.modality != "unknown"


def test_with_htmx_a_new_chat_is_a_redirect_of_the_window(client):
    response = client.post(reverse("chat-create"), {"text": "Hello"}, headers=HTMX)
    assert response["HX-Redirect"].startswith("/chats/")


def test_an_empty_question_is_refused_in_one_line(client, conversation):
    response = client.post(reverse("chat-send", args=[conversation.pk]), {"text": "  "}, headers=HTMX)
    assert response.status_code == 422
    assert text_of(response) == "Write a question, or attach an image."


def test_a_question_while_one_is_being_answered_is_refused_and_starts_nothing(client, conversation):
    running(conversation)
    response = client.post(reverse("chat-send", args=[conversation.pk]), {"text": "And?"}, headers=HTMX)
    assert response.status_code == 409
    assert "\n" not in text_of(response)
    assert conversation.runs.count() == 1


def test_sending_appends_the_question_the_live_answer_and_the_stop_button(client, conversation):
    response = client.post(reverse("chat-send", args=[conversation.pk]), {"text": "What is <CLIP>?"}, headers=HTMX)
    page = text_of(response)
    run = conversation.runs.get()
    assert "What is &lt;CLIP&gt;?" in page
    assert f'sse-connect="/runs/{run.pk}/events/?after=0"' in page
    assert f"/runs/{run.pk}/cancel/" in page
    assert "<html" not in page


def test_the_images_of_a_question_stand_in_order_under_their_names(client, conversation, alice):
    images = [uploads.store(alice, SimpleUploadedFile(f"{i}.dcm", RADIOGRAPH.read_bytes())) for i in range(3)]
    images.sort(key=lambda image: image.pk, reverse=True)
    data = {"text": "Compare", "images": [str(image.pk) for image in images]}
    for page in (
        text_of(client.post(reverse("chat-send", args=[conversation.pk]), data, headers=HTMX)),
        text_of(client.get(reverse("chat", args=[conversation.pk]))),
    ):
        question = page.split('<article class="turn question"')[1].split("</article>")[0]
        places = [question.index(f"/images/{image.pk}/preview.png") for image in images]
        assert places == sorted(places)
        assert re.findall(r">(img\d)<", question) == ["img1", "img2", "img3"]


def test_a_tab_that_has_fallen_behind_is_loaded_anew(client, conversation):
    def ask(known: str) -> Any:
        url = reverse("chat-send", args=[conversation.pk])
        return client.post(url, {"text": "And?", "known": known}, headers=HTMX)

    first = conversation.add(Message.USER, "First")
    assert "And?" in text_of(ask(str(first.pk)))
    busy = ask(str(first.pk))
    assert busy.status_code == 409
    assert "Reload the page" in text_of(busy)
    Run.objects.update(state=Run.DONE)
    assert ask(str(first.pk))["HX-Refresh"] == "true"
    assert conversation.messages.filter(role=Message.USER).count() == 3


def test_without_script_sending_shows_the_page_again(client, conversation):
    response = client.post(reverse("chat-send", args=[conversation.pk]), {"text": "What is CLIP?"})
    assert response.status_code == 302
    assert response.url == reverse("chat", args=[conversation.pk]) + "#end"


def test_another_persons_image_cannot_be_attached(client, conversation, bob):
    theirs = uploads.store(bob, SimpleUploadedFile("film.dcm", RADIOGRAPH.read_bytes()))
    data = {"text": "Look", "images": str(theirs.pk)}
    response = client.post(reverse("chat-send", args=[conversation.pk]), data, headers=HTMX)
    assert response.status_code == 422
    assert not conversation.numbered_images.exists()


def test_rename(client, conversation):
    client.post(reverse("chat-rename", args=[conversation.pk]), {"title": "Follow-up"})
    conversation.refresh_from_db()
    assert conversation.title == "Follow-up"
    refused = client.post(reverse("chat-rename", args=[conversation.pk]), {"title": "x" * 121}, headers=HTMX)
    assert refused.status_code == 422
    assert text_of(refused) == "A title has at most 120 characters."


def test_delete_takes_the_chat_and_its_images_with_it(client, conversation, radiograph):
    conversation.add(Message.USER, "Look", [radiograph])
    path = radiograph.cleaned.path
    client.post(reverse("chat-delete", args=[conversation.pk]))
    assert not Conversation.objects.exists()
    assert not Path(path).exists()


def test_deleting_a_chat_that_is_being_answered_stops_it_first(client, conversation):
    running(conversation, events.TextDelta("Some"))
    assert client.post(reverse("chat-delete", args=[conversation.pk])).status_code == 302
    assert not Run.objects.exists()


def test_search_finds_words_of_titles_and_messages(client, conversation, alice):
    conversation.add(Message.USER, "Is there an effusion?")
    Conversation.objects.create(owner=alice, title="Retina")
    page = text_of(client.get(reverse("chat-search"), {"q": "effusion"}))
    assert "Chest film" in page.split("<main")[1]
    assert "Retina" not in page.split("<main")[1]
    part = text_of(client.get(reverse("chat-search"), {"q": "retina"}, headers=HTMX | {"HX-Target": "chat-list"}))
    assert "Retina" in part
    assert "<html" not in part
    assert "No chat has these words" in text_of(client.get(reverse("chat-search"), {"q": "zzz"}))


# Evidence


@pytest.fixture
def answered(client, conversation, radiograph, eager_celery) -> Run:
    """Alice's radiograph, segmented by the real tools."""
    data = {"text": "Segment the lungs", "images": str(radiograph.pk)}
    client.post(reverse("chat-send", args=[conversation.pk]), data)
    return Run.objects.select_related("answer").get()


def test_a_mask_chip_opens_the_image_with_that_layer_lit(client, answered):
    page = text_of(client.get(reverse("evidence", args=[answered.answer_id, 2]), headers=HTMX))
    lit = Artifact.objects.get(number=2)
    assert f'class="overlay lit" id="overlay-{lit.pk}"' in page
    assert page.count('class="overlay') == 2
    assert "<html" not in page
    assert "<html" in text_of(client.get(reverse("evidence", args=[answered.answer_id, 2])))


def test_an_overlay_is_see_through_outside_its_mask(client, answered, radiograph):
    mask = Artifact.objects.get(number=1)
    raw = Picture.open(io.BytesIO(client.get(reverse("artifact", args=[mask.pk])).content))
    overlay = Picture.open(io.BytesIO(client.get(reverse("artifact-overlay", args=[mask.pk])).content)).convert("RGBA")
    assert overlay.size == raw.size == (radiograph.width, radiograph.height)
    alpha = overlay.getchannel("A")
    assert alpha.getbbox() == raw.convert("L").getbbox()
    assert overlay.getpixel((0, 0))[3] == 0


def test_a_preview_comes_in_small_for_a_first_look(client, radiograph):
    url = reverse("image-preview", args=[radiograph.pk])
    small = Picture.open(io.BytesIO(client.get(url, {"w": "96"}).content))
    assert small.width == 96
    assert Picture.open(io.BytesIO(client.get(url, {"w": "7777"}).content)).width == radiograph.width


def test_a_clean_copy_is_saved_and_never_shown(client, radiograph):
    refused = client.get(reverse("image-original", args=[radiograph.pk]))
    assert refused.status_code == 410
    assert "Save the clean copy instead" in refused.content.decode()
    response = client.get(reverse("image-deidentified", args=[radiograph.pk]))
    assert response["Content-Disposition"] == f'attachment; filename="image-{radiograph.pk.hex[:8]}-clean.dcm"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response.content == radiograph.cleaned.open("rb").read()


def test_a_source_chip_opens_the_passage_with_the_quote_marked(client, conversation):
    paper = Paper.objects.create(key="a2024b", title="A paper", year=2024, annotation="x", evidence="abstract")
    text = "Before it. The <quoted> words. After it."
    passage = Passage.objects.create(paper=paper, kind="annotation", ordinal=0, text=text, start=0, end=len(text))
    reference = {
        "n": 1,
        "ref": f"p{passage.pk}",
        "kind": "passage",
        "passage_id": passage.pk,
        "key": paper.key,
        "title": paper.title,
        "quote": "The <quoted> words.",
        "start": 11,
        "end": 30,
        "verified": True,
    }
    answer = conversation.add(Message.ASSISTANT, f"The quoted words. [[p{passage.pk}]]", references=[reference])
    page = text_of(client.get(reverse("evidence", args=[answer.pk, 1]), headers=HTMX))
    assert "<mark>The &lt;quoted&gt; words.</mark>" in page
    assert reverse("corpus:paper", args=["a2024b"]) in page
    assert "annotation written from the abstract" in page
    assert client.get(reverse("evidence", args=[answer.pk, 2])).status_code == 404


def test_a_step_opens_to_its_arguments_and_result(client, answered):
    call = answered.tool_calls.get()
    page = text_of(client.get(reverse("run-call", args=[answered.pk, call.number]), headers=HTMX))
    assert "img1" in page
    assert "classical baseline" in page
    assert "<html" not in page


def test_a_report_has_a_page_and_a_word_file(client, answered, conversation, eager_celery):
    client.post(reverse("chat-send", args=[conversation.pk]), {"text": "Draft a report"})
    report = Report.objects.get()
    page = text_of(client.get(reverse("report", args=[report.pk])))
    assert "Findings" in page
    assert "not reviewed by anyone" in page
    draft = conversation.messages.filter(role=Message.ASSISTANT).last()
    n = next(reference["n"] for reference in draft.references if reference["kind"] == "report")
    pane = text_of(client.get(reverse("evidence", args=[draft.pk, n]), headers=HTMX))
    assert f'href="{reverse("report", args=[report.pk])}"' in pane
    assert "Impression" in pane
    word = client.get(reverse("report-docx", args=[report.pk]))
    assert word.content.startswith(b"PK")
    assert "attachment" in word["Content-Disposition"]
    assert report.title in text_of(client.get(reverse("reports")))


# Uploads


def test_an_upload_becomes_an_attachment_with_a_thumbnail(client):
    file = SimpleUploadedFile("../../film.dcm", RADIOGRAPH.read_bytes())
    part = text_of(client.post(reverse("image-upload"), {"file": file}, headers=HTMX))
    image = Image.objects.get()
    assert f'name="images" value="{image.pk}"' in part
    assert "?w=96" in part


@pytest.mark.parametrize("body", [b"hello", b"%PDF-1.7 no image", b"\x89PNG\r\n\x1a\nbroken"])
def test_a_bad_file_is_refused_in_one_line(client, body):
    response = client.post(reverse("image-upload"), {"file": SimpleUploadedFile("x.png", body)}, headers=HTMX)
    assert response.status_code == 422
    assert text_of(response).strip().count("\n") == 0
    assert "<" not in text_of(response)


def test_a_file_over_the_limit_is_413(client, settings):
    settings.UPLOAD_LIMIT = 1024
    file = SimpleUploadedFile("film.dcm", RADIOGRAPH.read_bytes())
    response = client.post(reverse("image-upload"), {"file": file}, headers=HTMX)
    assert response.status_code == 413


def test_without_script_an_upload_comes_back_to_the_composer(client):
    file = SimpleUploadedFile("film.dcm", RADIOGRAPH.read_bytes())
    page = text_of(client.post(reverse("image-upload"), {"file": file}, follow=True))
    assert f'name="images" value="{Image.objects.get().pk}"' in page


# Coming in, and what every answer carries


def test_the_sign_in_link_works_once(db):
    link = sign_in_link("http://testserver")
    first, second = Client(), Client()
    assert first.get(link).url == reverse("home")
    refused = second.get(link)
    assert refused.status_code == 403
    assert "manage.py signin" in text_of(refused)


def test_a_preview_of_the_link_does_not_use_it_up(db):
    link = sign_in_link("http://testserver")
    assert Client().head(link).status_code == 403
    assert Client().get(link).status_code == 302


def test_with_accounts_there_is_a_login_page(settings, alice):
    settings.MULTI_USER = True
    client = Client()
    assert "password" in text_of(client.get(reverse("sign-in")))
    data = {"username": "alice", "password": "alice"}
    assert client.post(reverse("sign-in"), data).url == reverse("home")


def test_the_models_page_says_what_is_not_configured_and_how_to(client):
    page = text_of(client.get(reverse("models")))
    assert "not configured" in page
    assert "LIGHTBOX_VQA" in page


def test_pages_carry_no_inline_script_or_style(client, answered, conversation):
    for url in (reverse("home"), reverse("chat", args=[conversation.pk]), reverse("models"), reverse("chat-search")):
        response = client.get(url)
        assert "script-src 'self'" in response["Content-Security-Policy"]
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", text_of(response)), url


def test_a_page_that_is_not_there_says_so_calmly(client):
    response = client.get(f"/chats/{uuid.uuid4()}/")
    assert response.status_code == 404
    assert "Nothing is here" in text_of(response)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.06, "60 ms"), (0.0001, "1 ms"), (0.41, "0.4 s"), (12.3, "12 s"), (180, "3 min"), (None, "")],
)
def test_times_are_short(seconds, words):
    assert lightbox.took(seconds) == words


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("VQA is not configured. Set LIGHTBOX_VQA=x.y and start again.", "VQA is not configured."),
        ("Version 1.2 of it", "Version 1.2 of it"),
        ("", ""),
    ],
)
def test_a_step_says_the_first_sentence_of_why_it_was_declined(text, line):
    assert lightbox.first_sentence(text) == line


def test_vendored_files_are_those_of_the_table():
    folder = settings.BASE_DIR / "static" / "vendor"
    rows = re.findall(r"\| (\S+/\S+) \| ([0-9a-f]{64}) \|", (folder / "README.md").read_text())
    assert {name for name, _ in rows} == {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in (".js", ".mjs", ".wasm", ".css")
    }
    for name, expected in rows:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected, name
