"""manage.py models: what a person at a terminal reads."""

import json
import shlex
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from assistant.models import ModelSwitch
from inference import environments

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(settings: Any, tmp_path: Path) -> Any:
    """run("list"): what the command prints."""
    settings.MODELS_DIR, settings.ENVIRONMENTS_DIR = tmp_path / "models", tmp_path / "environments"

    def run(*line: str) -> str:
        out = StringIO()
        call_command("models", *line, stdout=out, stderr=out)
        return out.getvalue()

    return run


def test_the_list_names_roles_licences_and_states(run):
    lines = run("list").splitlines()
    assert lines[0].split() == ["KEY", "ROLES", "LICENCE", "MB", "STATE"]
    row = next(line for line in lines if line.startswith("maira-2"))
    assert "report, ground" in row
    assert "not for commercial use" in row
    assert next(line for line in lines if line.startswith("baseline-lungs")).endswith("ready")
    assert "deepbet" not in run("list", "--role", "vqa")


def test_check_says_of_each_what_to_do_and_fails_for_one_that_cannot_be_used(run, settings):
    said = run("check")
    assert "baseline-lungs: ready" in said
    assert "manage.py models serve lingshu-7b" in said
    assert run("check", "baseline-lungs") == "baseline-lungs: ready\n"
    with pytest.raises(SystemExit) as ended:
        run("check", "lingshu-7b")
    assert ended.value.code == 1
    settings.SERVERS = "openai:http://127.0.0.1:8001/v1#lingshu-medical-mllm/Lingshu-7B"
    assert run("check", "lingshu-7b") == "lingshu-7b: ready\n"
    with pytest.raises(CommandError, match="no checkpoint 'cook'"):
        run("check", "cook")


def test_check_says_what_staff_switched_off(run):
    ModelSwitch.objects.create(key="baseline-lungs", on=False)
    assert "has been switched off here" in run("check")


def test_serve_prints_the_exact_line_for_this_machine_only(run, settings, tmp_path):
    line = shlex.split(run("serve", "qwen3-vl-8b-instruct", "--port", "8005").splitlines()[0])
    assert line[:3] == ["vllm", "serve", "Qwen/Qwen3-VL-8B-Instruct"]
    assert line[line.index("--host") + 1] == "127.0.0.1"
    assert line[line.index("--port") + 1] == "8005"
    assert line[line.index("--tool-call-parser") + 1] == "hermes"
    weights = tmp_path / "origin"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"1")
    run("pull", "qwen3-vl-8b-instruct", "--from", str(weights))
    program = environments.python_of(settings.ENVIRONMENTS_DIR, "vllm").with_name("vllm")
    program.parent.mkdir(parents=True)
    program.touch()
    line = shlex.split(run("serve", "qwen3-vl-8b-instruct").splitlines()[0])
    assert line[:3] == [str(program), "serve", str(settings.MODELS_DIR / "qwen3-vl-8b-instruct")]
    assert line[line.index("--served-model-name") + 1] == "Qwen/Qwen3-VL-8B-Instruct"


def test_every_served_model_has_a_start_line_and_others_have_none(run):
    from assistant.checkpoints_in_use import catalogue

    served = [found.key for found in catalogue().values() if found.served]
    assert len(served) >= 5
    assert all(run("serve", key).startswith("vllm serve ") for key in served)
    with pytest.raises(CommandError, match="Lightbox loads it itself"):
        run("serve", "sam-vit-base")
    with pytest.raises(CommandError, match="models environment vllm"):
        run("serve", "lingshu-7b", "--run")


def test_pull_from_a_folder_says_revision_and_licence_and_then_that_nothing_changed(run, tmp_path):
    origin = tmp_path / "origin"
    origin.mkdir()
    (origin / "model.safetensors").write_bytes(b"1")
    (origin / "REVISION").write_text("v2")
    said = run("pull", "ms-marco-minilm-l6-v2", "--from", str(origin))
    assert "1 files, 0.0 MB, verified, pulled." in said
    assert "Revision v2. Licence: Apache-2.0." in said
    assert "nothing changed" in run("pull", "ms-marco-minilm-l6-v2")
    assert run("check", "ms-marco-minilm-l6-v2") == "ms-marco-minilm-l6-v2: ready (revision v2)\n"
    with pytest.raises(CommandError, match="There is no folder"):
        run("pull", "clip-vit-base-patch32", "--from", str(tmp_path / "nowhere"))


def test_a_trial_shows_result_time_and_memory(run, tmp_path, settings):
    entry = tmp_path / "mine.toml"
    entry.write_text(
        '[[checkpoint]]\nkey="mine"\nname="Mine"\nroles=["prompted-segment"]\nbackend="random-walker"\n'
        f'licence="MIT"\nsource="folder:{Path(__file__).parent}"\n'
    )
    settings.CATALOGUES = [str(entry)]
    picture = tmp_path / "a.png"
    _picture(picture)
    said = run("test", "mine", str(picture))
    assert "a box: mask of" in said
    assert "Mine on cpu" in said
    assert "memory of its process" in said
    box = {"prompts": {"box": [8, 8, 40, 40]}, "label": "square"}
    assert "square: mask of" in run("test", "mine", str(picture), "--options", json.dumps(box))
    with pytest.raises(CommandError, match="cannot do this: register"):
        run("test", "mine", str(picture), "--task", "register")
    with pytest.raises(CommandError, match="no backend maira-2"):
        run("test", "maira-2")
    (tmp_path / "words.png").write_text("words")
    with pytest.raises(CommandError):
        run("test", "mine", str(tmp_path / "words.png"))


def test_a_trial_of_a_served_model_asks_its_server(run, tmp_path, settings):
    from inference.fake import FakeOpenAI, Reply

    _picture(tmp_path / "a.png")
    with FakeOpenAI(lambda _request: Reply("A square.")) as server:
        settings.SERVERS = f"openai:{server.base_url}#lingshu-7b"
        said = run("test", "lingshu-7b", str(tmp_path / "a.png"))
    assert "says: A square." in said
    assert "answered in" in said


def test_an_environment_that_is_not_known_is_named(run):
    with pytest.raises(CommandError, match="no environment cook"):
        run("environment", "cook")


def _picture(path: Path) -> None:
    from PIL import Image

    square = Image.new("L", (64, 64), 20)
    square.paste(200, (16, 16, 40, 40))
    square.save(path)


def test_the_command_runs_from_a_shell():
    import subprocess

    done = subprocess.run(
        [sys.executable, "manage.py", "models", "serve", "lingshu-7b"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("vllm serve lingshu-medical-mllm/Lingshu-7B ")
    assert "LIGHTBOX_SERVERS=openai:http://127.0.0.1:8001/v1#lingshu-medical-mllm/Lingshu-7B" in done.stderr
