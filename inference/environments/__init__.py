"""Environments: groups of models whose libraries cannot live beside others', each a folder here with its own worker.

    inference/environments/NAME/requirements.txt   pinned; `base.txt` beside this file (what a worker needs) comes along
    inference/environments/NAME/no-deps.txt        optional: installed without their dependencies
    inference/environments/NAME/site/              optional: files copied beside the installed packages

`build` makes NAME in a folder of environments, from the package registries that pip is set to. It does nothing the
second time, until a file here changes. The worker's start line is `assistant.supervisor.models_argv`.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from inference.errors import BadInput, Unavailable

HERE = Path(__file__).parent
STAMP = "lightbox-environment"
UNKNOWN = "There is no environment {name}. There are: {known}."
FAILED = "The environment {name} could not be built: {step} ended with {code}. The lines above say why."


def known() -> list[str]:
    """Names of those that can be built."""
    return sorted(path.parent.name for path in HERE.glob("*/requirements.txt"))


def python_of(folder: Path, name: str) -> Path:
    """The interpreter of an environment, whether it is there or not."""
    return folder / name / "bin" / "python"


def built(folder: Path) -> list[str]:
    """Names of those that are there."""
    return [name for name in known() if (folder / name / STAMP).is_file()]


def build(name: str, folder: Path, python: str = sys.executable, run: Callable[[list[str]], int] | None = None) -> bool:
    """Make the environment `folder/NAME`; False when it was there already. Raises BadInput or Unavailable."""
    if name not in known():
        raise BadInput(UNKNOWN.format(name=name, known=", ".join(known()) or "none"))
    target, mark = folder / name, fingerprint(name)
    stamp = target / STAMP
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == mark:
        return False
    shutil.rmtree(target, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    for step in _steps(name, target, python):
        if code := (run or subprocess.call)(step):
            raise Unavailable(FAILED.format(name=name, step=" ".join(step[1:4]), code=code))
    _copy_site(name, target)
    stamp.write_text(mark, encoding="utf-8")  # last: it says that the environment is whole
    return True


def fingerprint(name: str) -> str:
    """Changes with the files that the environment is made from."""
    found = hashlib.sha256((HERE / "base.txt").read_bytes())
    for path in sorted(path for path in (HERE / name).rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        found.update(path.relative_to(HERE).as_posix().encode() + path.read_bytes())
    return found.hexdigest()


def _steps(name: str, target: Path, python: str) -> Iterator[list[str]]:
    yield [python, "-m", "venv", str(target)]
    pip = [str(target / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install"]
    yield [*pip, "-r", str(HERE / "base.txt"), "-r", str(HERE / name / "requirements.txt")]
    if (HERE / name / "no-deps.txt").is_file():
        yield [*pip, "--no-deps", "-r", str(HERE / name / "no-deps.txt")]


def _copy_site(name: str, target: Path) -> None:
    packages = next(target.glob("lib/python3*/site-packages"))
    for path in (HERE / name / "site").glob("*"):
        if path.is_file():
            shutil.copyfile(path, packages / path.name)
