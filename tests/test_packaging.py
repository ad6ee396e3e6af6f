"""What holds the house together: light web processes, pinned versions, documented settings, containers like `serve`."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from assistant.supervisor import start_lines

ROOT = Path(__file__).resolve().parent.parent
HEAVY = (
    *("torch", "faiss", "tantivy", "pymilvus", "grpc", "transformers", "sentence_transformers"),
    *("sklearn", "skimage", "langchain", "langgraph"),
    *("nibabel", "tifffile", "openslide", "cv2"),
)

WALK = """
import sys
import assistant.asgi
from django.urls import URLPattern, get_resolver

def walk(patterns):
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield pattern.callback
        else:
            yield from walk(pattern.url_patterns)

views = list(walk(get_resolver().url_patterns))
assert len(views) > 20, len(views)
from assistant.api import api
assert api.get_openapi_schema()["paths"]
print([name for name in {heavy!r} if name in sys.modules])
"""


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


def test_a_web_process_loads_no_model_library() -> None:
    code = WALK.replace("{heavy!r}", repr(HEAVY))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_every_dependency_is_pinned_and_fits_its_range() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    pinned = {canonicalize_name(name): version for name, version in pins.items()}
    extras = project()["optional-dependencies"]
    wanted = [*project()["dependencies"], *extras["cpu"], *extras["postgres"], *extras["dev"]]
    for requirement in map(Requirement, wanted):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement} but pinned at {version}"


def test_cpu_and_gpu_never_meet() -> None:
    extras = project()["optional-dependencies"]
    both = {name for name, wanted in extras.items() if any(line.startswith("faiss") for line in wanted)}
    assert both == {"cpu", "gpu"}


def test_every_setting_is_in_the_readme() -> None:
    read = (ROOT / "assistant" / "settings.py").read_text()
    serve = (ROOT / "assistant" / "management" / "commands" / "serve.py").read_text()
    names = set(re.findall(r'env(?:\.\w+)?\(\s*"([A-Z_]+)"', read))
    names |= set(re.findall(r'os\.environ\.get\("([A-Z_]+)"', serve + (ROOT / "assistant/supervisor.py").read_text()))
    table = "\n".join(line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `"))
    assert {name for name in names if f"`{name}`" not in table} == set()


@pytest.mark.parametrize(
    "target", ["run", "test", "lint", "browser-test", "services-test", "bench", "clean", "setup", "constraints"]
)
def test_every_target_has_its_line_of_help(target: str) -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.search(rf"^  make {target} +\w", done.stdout, re.MULTILINE)


def test_the_licence_is_apache_2() -> None:
    assert project()["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_each_process_of_a_test_run_has_data_and_a_queue_of_its_own() -> None:
    assert str(settings.DATA_DIR) == os.environ["LIGHTBOX_DATA"]
    assert os.environ["REDIS_URL"] == settings.REDIS_URL
    assert settings.DATA_DIR != settings.BASE_DIR / "var"


# Containers. No engine runs here, so what can be read is read.


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
    return found


def test_each_process_of_the_supervisor_has_a_container_with_the_same_start_line(tmp_path: Path) -> None:
    services = compose()["services"]
    for name in start_lines("127.0.0.1", 8000, tmp_path):
        assert services[name]["command"] == ["serve", name]
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    assert dockerfile.count('ENTRYPOINT ["python", "manage.py"]') == 2


def test_containers_have_accounts_since_they_face_a_network() -> None:
    environment = compose()["services"]["agent"]["environment"]
    assert environment["LIGHTBOX_MULTI_USER"] == "1"
    published = [name for name, service in compose()["services"].items() if "ports" in service]
    assert published == ["nginx"]


def test_images_do_not_run_as_root() -> None:
    stages = (ROOT / "docker" / "Dockerfile").read_text().split("\nFROM ")
    final = [stage for stage in stages if "ENTRYPOINT" in stage]
    assert [stage.splitlines()[0].split(" AS ")[1] for stage in final] == ["cpu", "gpu"]
    assert all("\nUSER lightbox\n" in stage for stage in final)


def test_the_gpu_profile_points_the_site_at_its_vllm() -> None:
    vllm = compose()["services"]["vllm"]
    assert vllm["profiles"] == ["gpu"]
    model = next(part.partition("=")[2] for part in vllm["command"] if part.startswith("--model"))
    lines = (ROOT / "docker" / "gpu.env").read_text().split()
    assert f"LIGHTBOX_CHAT=openai:http://vllm:8000/v1#{model}" in lines
    assert {"--enable-auto-tool-choice", "--tool-call-parser=hermes"} <= set(vllm["command"])


def test_nginx_does_not_buffer_event_streams() -> None:
    text = (ROOT / "docker" / "nginx.conf").read_text()
    pattern = re.search(r"location ~ (\S+) \{([^}]*)\}", text)
    assert pattern is not None
    assert "proxy_buffering off" in pattern[2]
    key = "0c7a6a3e-4d3e-4e1b-9a55-0d3f2c8b1a11"
    assert re.search(pattern[1], f"/api/runs/{key}/events")
    assert re.search(pattern[1], f"/runs/{key}/events/")
