"""Environments are built from their folders, once, and rebuilt when what they are made from changes."""

from pathlib import Path

import pytest

from inference import environments
from inference.errors import BadInput, Unavailable


class Installer:
    """Stands in for pip and venv, which the test of the real example runs (tests/environments)."""

    def __init__(self, failing: str = "nothing") -> None:
        self.steps: list[str] = []
        self.failing = failing

    def __call__(self, step: list[str]) -> int:
        line = " ".join(step)
        self.steps.append(line)
        if step[1:3] == ["-m", "venv"]:
            (Path(step[3]) / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
        return 3 if self.failing in line else 0


def test_it_is_built_once_from_its_own_pins_and_those_of_every_worker(tmp_path):
    run = Installer()
    assert environments.build("example", tmp_path, "python3", run)
    assert len(run.steps) == 2
    assert "base.txt" in run.steps[1]
    assert "example/requirements.txt" in run.steps[1]
    assert environments.built(tmp_path) == ["example"]
    assert not environments.build("example", tmp_path, "python3", run)
    assert len(run.steps) == 2


def test_it_is_built_again_when_its_files_have_changed(tmp_path):
    environments.build("example", tmp_path, "python3", Installer())
    (tmp_path / "example" / environments.STAMP).write_text("of an older release")
    assert environments.build("example", tmp_path, "python3", Installer())


def test_one_that_was_built_half_is_not_there(tmp_path):
    with pytest.raises(Unavailable, match="could not be built"):
        environments.build("example", tmp_path, "python3", Installer(failing="requirements"))
    assert environments.built(tmp_path) == []
    assert environments.build("example", tmp_path, "python3", Installer())


@pytest.mark.parametrize("name", ["", "nowhere", "../main", "example/../example"])
def test_what_is_no_environment_is_refused(tmp_path, name):
    with pytest.raises(BadInput, match="There is no environment"):
        environments.build(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_pin_of_an_environment_is_exact():
    """What resolves otherwise next year is another environment."""
    for name in environments.known():
        for line in (environments.HERE / name / "requirements.txt").read_text().splitlines():
            package = line.partition("#")[0].strip()
            assert not package or "==" in package or package.startswith("-"), f"{name}: {package}"
