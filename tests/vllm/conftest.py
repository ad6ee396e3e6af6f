"""A real vLLM that serves the small model, and a site that uses it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.vllm_server import DidNotStart, Vllm, start_vllm
from tests.conftest import missing


@pytest.fixture(scope="session")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vllm]:
    """One server for the session; that of LIGHTBOX_TEST_VLLM, if there is one (python -m bench.vllm_server)."""
    log: Path = tmp_path_factory.mktemp("vllm") / "vllm.log"
    try:
        server = start_vllm(log)
    except DidNotStart as error:
        if "Make it first" in str(error):
            missing(str(error))
        pytest.fail(str(error))
    yield server
    server.stop()
