"""Each of the review's eleven tasks has a tool, and the page that says so names them all."""

import json
from pathlib import Path

import corpus
from assistant.tasks_of_the_review import TOOLS_OF
from assistant.tools import TOOLS
from bench.site import ROOT

VOCABULARY = Path(corpus.__file__).parent / "data" / "vocabulary.json"


def test_each_task_has_a_tool():
    labels = json.loads(VOCABULARY.read_text(encoding="utf-8"))["tasks"]["labels"]
    assert set(TOOLS_OF) == set(labels)
    assert len(labels) == 11
    assert {name for names in TOOLS_OF.values() for name in names} <= set(TOOLS)


def test_the_page_of_tasks_names_every_task_and_its_tools():
    page = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    for task, names in TOOLS_OF.items():
        line = next(line for line in page.splitlines() if line.startswith(f"| {task} |"))
        assert all(f"`{name}`" in line for name in names)
