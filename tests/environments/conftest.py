"""Environments of models, built for real (make environments-test). LIGHTBOX_TEST_ENVIRONMENTS names where they are."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.site import ROOT
from inference import environments
from tests.conftest import missing

NOT_BUILT = "The environment {name} is not built: manage.py models environment {name}"


@pytest.fixture
def environment(settings: Any) -> Callable[..., str]:
    """The interpreter of a built environment: environment("example", required=True) fails in CI where it is not built,
    as that one is by `make environments-test`; others are skipped there too."""
    settings.ENVIRONMENTS_DIR = Path(os.environ.get("LIGHTBOX_TEST_ENVIRONMENTS", str(ROOT / "var" / "environments")))

    def environment(name: str, required: bool = False) -> str:
        if name not in environments.built(settings.ENVIRONMENTS_DIR):
            (missing if required else pytest.skip)(NOT_BUILT.format(name=name))
        return str(environments.python_of(settings.ENVIRONMENTS_DIR, name))

    return environment
