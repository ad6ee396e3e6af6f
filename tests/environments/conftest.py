"""Environments of models, built for real (make environments-test). LIGHTBOX_TEST_ENVIRONMENTS names where they are."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.site import ROOT
from inference import environments
from tests.conftest import missing


@pytest.fixture
def environment(settings: Any) -> Callable[[str], str]:
    """The interpreter of a built environment: environment("example")."""
    settings.ENVIRONMENTS_DIR = Path(os.environ.get("LIGHTBOX_TEST_ENVIRONMENTS", str(ROOT / "var" / "environments")))

    def environment(name: str) -> str:
        if name not in environments.built(settings.ENVIRONMENTS_DIR):
            missing(f"The environment {name} is not built: manage.py models environment {name}")
        return str(environments.python_of(settings.ENVIRONMENTS_DIR, name))

    return environment
