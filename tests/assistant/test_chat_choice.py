"""Choosing which chat model answers a chat, and seeing how the model servers are doing."""

import json
import re

import pytest
from django.core.exceptions import ImproperlyConfigured

from assistant import model_servers, runs, served
from assistant.models import ApiToken, Conversation, Run
from inference import routing, servers
from inference.fake import FakeOpenAI

pytestmark = pytest.mark.django_db(transaction=True)
FAR = "openai:https://models.example.org/v1#far"


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(routing, "FIRST_WAIT", 0.001)
    servers.forget()
    yield
    servers.forget()


@pytest.fixture
def near():
    with FakeOpenAI(lambda request: "From the near one.", model="near", load=(2, 1)) as server:
        yield server


@pytest.fixture
def two(near, settings):
    """The guide by default, a model on this machine, and one elsewhere."""
    settings.SERVERS = f"openai:{near.base_url}#near, {FAR}"
    return f"openai:{near.base_url}#near"


def options(page: str) -> dict[str, str]:
    """What the select offers: words by value; the selected one under ""."""
    found = re.findall(r'<option value="([^"]*)"( selected)?>([^<]*)', page)
    return {value: words for value, _, words in found} | {"": next(v for v, chosen, _ in found if chosen)}


def test_the_composer_offers_the_guide_and_the_served_models_and_says_where_each_runs(two, alice, client_of):
    page = client_of(alice).get("/").content.decode()
    assert options(page) == {
        "guide": "Guide, on this machine",
        "near": "near, on this machine",
        "far": "far, at models.example.org",
        "": "guide",
    }
    assert "is sent what you type and the images you ask about" in page
    assert "127.0.0.1" not in page, "the addresses of servers are for staff"


def test_with_one_model_there_is_nothing_to_choose(alice, client_of):
    page = client_of(alice).get("/").content.decode()
    assert 'name="chat_model"' not in page
    assert "Guide, on this machine" in page


def test_the_choice_answers_and_is_kept_with_the_chat(two, near, alice, client_of, eager_celery):
    client = client_of(alice)
    at = client.post("/chats/", {"text": "Hello", "chat_model": "near"})["Location"]
    run = Run.objects.get()
    assert (run.answer.text, run.chat_model) == ("From the near one.", two)
    page = client.get(at).content.decode()
    assert options(page)[""] == "near"
    client.post(f"{at}messages/", {"text": "And again"})
    assert len(near.requests) == 2, "a form without the choice, such as Ask again, changes nothing"
    client.post(f"{at}messages/", {"text": "Which papers adapt CLIP?", "chat_model": "guide"})
    assert Run.objects.latest("created_at").chat_model == "guide"
    assert Conversation.objects.get().chat_model == "", "the default is kept as such, and follows the settings"


@pytest.mark.parametrize("value", ["nonsense", "openai:http://169.254.169.254/v1#x", "x" * 301, "openai:", "#"])
def test_a_model_that_is_not_offered_is_refused(two, alice, client_of, value):
    answer = client_of(alice).post("/chats/", {"text": "Hello", "chat_model": value}, headers={"HX-Request": "true"})
    assert answer.status_code == 422
    assert not Conversation.objects.exists()


def test_a_chat_whose_model_is_gone_is_answered_by_the_default_and_says_so(alice, client_of, eager_celery):
    conversation = Conversation.objects.create(owner=alice, chat_model=FAR)
    page = client_of(alice).get(f"/chats/{conversation.pk}/").content.decode()
    assert "far is no longer served here, so Guide answers." in page
    run = runs.ask(conversation, "Which papers adapt CLIP?", [])
    run.refresh_from_db()
    assert (run.state, run.chat_model) == (Run.DONE, "guide")
    assert run.answer.note == "far is no longer served here, so Guide answers."


def test_a_model_that_has_moved_is_the_same_model(two, near, settings, alice):
    settings.SERVERS = f"openai:http://127.0.0.1:9/v1#other,openai:{near.base_url}#near"
    choice, line = served.chosen("openai:http://127.0.0.1:1/v1#near")
    assert (choice.value, line) == (two, "")


def test_what_leaves_the_machine_counts_every_server_of_the_model(near, settings):
    settings.SERVERS = f"openai:{near.base_url}#near,openai:https://models.example.org/v1#near"
    (_, choice) = served.choices()
    assert not choice.is_local
    assert choice.where == "on this machine or at models.example.org"


def test_a_server_for_images_alone_gets_no_chat(near, settings):
    settings.VQA_MODEL = f"openai:{near.base_url}#near"
    assert [choice.value for choice in served.choices()] == ["guide"]
    assert [str(server) for server in model_servers.all_servers()] == [settings.VQA_MODEL]


def test_each_key_goes_to_its_own_server(near, settings, alice, eager_celery):
    with FakeOpenAI(lambda request: "Hello.", model="other") as other:
        settings.CHAT_MODEL = f"openai:{near.base_url}#near"
        settings.CHAT_API_KEY = "key-of-the-default"
        settings.SERVERS = f"openai:{other.base_url}#other"
        for chosen in ("", "other"):
            runs.ask(Conversation.objects.create(owner=alice, chat_model=served.kept(chosen)), "Hello", [])
        assert (near.keys, other.keys) == (["Bearer key-of-the-default"], [""])
        settings.SERVER_KEYS = f"{other.base_url}=its-own"
        runs.ask(Conversation.objects.create(owner=alice, chat_model=served.kept("other")), "Hello", [])
        assert other.keys[-1] == "Bearer its-own"


def test_settings_that_are_no_server_say_how_to_write_one(settings):
    settings.SERVERS = "http://127.0.0.1:8001"
    with pytest.raises(ImproperlyConfigured, match="write openai:<base_url>#<model>"):
        served.choices()


def test_the_api_lists_the_models_and_starts_a_chat_with_one(two, near, alice, client, eager_celery):
    headers = {"Authorization": f"Bearer {ApiToken.issue(alice)}"}
    listed = client.get("/api/chat-models", headers=headers).json()
    assert [(one["name"], one["is_local"]) for one in listed] == [("guide", True), ("near", True), ("far", False)]

    def post(path: str, body: object) -> object:
        return client.post(path, json.dumps(body), content_type="application/json", headers=headers)

    made = post("/api/conversations", {"chat_model": "near"}).json()["id"]
    asked = post(f"/api/conversations/{made}/messages", {"text": "Hello"}).json()
    run = client.get(f"/api/runs/{asked['run_id']}", headers=headers).json()
    assert (run["chat_model"], run["output_tokens"]) == (two, 4)
    assert post("/api/conversations", {"chat_model": "nonsense"}).status_code == 422
    assert client.generic("POST", "/api/conversations", headers=headers).status_code == 201


def test_staff_see_how_each_server_is_doing_and_others_whether_it_is_up(
    two, near, settings, alice, staff, client_of, eager_celery
):
    settings.SERVERS = f"{two},openai:http://127.0.0.1:9/v1#away,openai:{near.base_url}#misspelt"
    settings.MULTI_USER = True
    page = client_of(staff).get("/models/servers/").content.decode()
    for words in ("2 running, 1 waiting, key-value cache 25 % in use", "version 0.0-scripted", "127.0.0.1:9."):
        assert words in page
    assert "Last error: does not answer (ConnectError)" in page
    assert "it does not list misspelt" in page
    assert re.findall(r">(up|down)<", page) == ["up", "down", "down"]
    page = client_of(alice).get("/models/servers/", headers={"HX-Request": "true"}).content.decode()
    assert re.findall(r">(up|down)<", page) == ["up", "down", "down"]
    assert "127.0.0.1" not in page
    assert "<h1>" not in page


def test_a_server_that_is_left_alone_says_so(two, near, settings, staff, client_of, eager_celery):
    server = servers.Server.parse(two)
    for _ in range(servers.FAILURES):
        servers.state_of(server).failed("status 500")
    page = client_of(staff).get("/models/servers/").content.decode()
    assert "Left alone for some seconds" in page
    assert "Last error: status 500" in page


@pytest.mark.parametrize("answer", ["[]", "{}", '{"data": [1]}', '{"data": {"id": 1}}', "<html>", "\x00"])
def test_a_server_that_answers_oddly_is_down_and_the_page_lives(answer):
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    from inference.server_health import look

    class Odd(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Odd) as http:
        Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        (found,) = look([servers.Server(f"http://127.0.0.1:{http.server_address[1]}/v1", "m")])
        http.shutdown()
    assert (found.up, found.models, found.version, found.running) == (False, (), "", None)


def test_the_models_page_does_not_wait_for_the_servers(settings, alice, client_of):
    settings.SERVERS = "openai:http://127.0.0.1:9/v1#away"
    page = client_of(alice).get("/models/").content.decode()
    assert 'hx-get="/models/servers/"' in page
    assert "127.0.0.1:9" not in page


def test_without_a_server_the_page_says_how_to_have_one(alice, client_of):
    assert "LIGHTBOX_SERVERS" in client_of(alice).get("/models/servers/").content.decode()


def test_without_a_worker_the_page_says_so(settings, alice, client_of, monkeypatch):
    settings.SERVERS = "openai:http://127.0.0.1:9/v1#away"
    monkeypatch.setattr(served, "PATIENCE", 0.1)
    assert "agent worker did not answer in time" in client_of(alice).get("/models/servers/").content.decode()
