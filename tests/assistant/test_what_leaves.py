"""What a served model is sent of an image: pixels, made anew, and technical facts. No name, no header, no tracing."""

import base64
import json
import os
import subprocess
import sys
from io import BytesIO

import httpx
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image as Pillow

from assistant import runs, uploads
from assistant.chat import chat_model
from assistant.models import Conversation, Run
from inference.fake import FakeOpenAI, Reply
from tests.inference import files

pytestmark = pytest.mark.django_db(transaction=True)


def test_neither_a_files_name_nor_its_header_reaches_a_served_model(alice, settings, tmp_path, eager_celery):
    source = files.write_dicom(
        tmp_path / "a.dcm",
        files.ramp(),
        PatientName="Zwetschge^Jane",
        BodyPartExamined="ZWETSCHGE JANE",
        ViewPosition="ZWETSCHGE",
        StudyDescription="Zwetschge follow-up",
        Manufacturer="Zwetschge & Sons",
        InstitutionName="Zwetschge Hospital",
    )
    image = uploads.store(alice, SimpleUploadedFile("Zwetschge_Jane_1956.dcm", source.read_bytes()))
    calls = [("describe_image", {"image": "img1"}), ("ask_image", {"image": "img1", "question": "What is this?"})]
    script = [Reply(tool_calls=calls), "Nothing to see.", "Here it is [[c1]].", "And again."]
    with FakeOpenAI(script) as server:
        settings.CHAT_MODEL = settings.VQA_MODEL = f"openai:{server.base_url}#{server.model}"
        conversation = Conversation.objects.create(owner=alice)
        for question in ("", "And now?"):
            run = runs.ask(conversation, question, [image] if not question else [])
            run.refresh_from_db()
            assert run.state == Run.DONE
            conversation.refresh_from_db()
    assert conversation.title == "DX"  # not the name of the file
    assert len(server.requests) == 4
    sent = json.dumps(server.requests)
    assert "DX" in sent
    assert "64 x 64" in sent
    assert "zwetschge" not in sent.lower()
    assert "jane" not in sent.lower()
    pictures = [part["image_url"]["url"] for part in parts(server.requests) if part["type"] == "image_url"]
    assert pictures
    for picture in pictures:
        with Pillow.open(BytesIO(base64.b64decode(picture.partition("base64,")[2])), formats=["PNG"]) as opened:
            assert opened.info == {}


def parts(requests):
    for request in requests:
        for message in request["messages"]:
            if isinstance(message["content"], list):
                yield from message["content"]


def test_no_proxy_of_the_environment_sees_what_is_said_to_the_model(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("OPENAI_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with FakeOpenAI(["Hello."]) as server:
        chat_model.cache_clear()
        assert chat_model(f"openai:{server.base_url}#{server.model}").invoke("Hi").text == "Hello."


def test_a_redirect_of_the_model_server_is_not_followed():
    model = chat_model("openai:http://127.0.0.1:9/v1#x")
    assert isinstance(model.http_client, httpx.Client)
    assert not model.http_client.follow_redirects


def test_prompts_are_never_traced_to_another_company():
    code = "import assistant.settings; from langsmith.utils import tracing_is_enabled; print(tracing_is_enabled())"
    asked = {"LANGSMITH_TRACING": "true", "LANGCHAIN_TRACING_V2": "true", "LANGSMITH_TRACING_V2": "true"}
    said = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "False"
