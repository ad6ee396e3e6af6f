"""Files of a call for a worker on another machine: by signed reference only, one file each, for a while."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client

from inference import exchange, jobs, references
from inference.errors import BadInput, Unavailable
from inference.references import Reference
from inference.types import Image, Result, Score

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.EXCHANGE_DIR = tmp_path / "exchange"
    (settings.EXCHANGE_DIR / "call").mkdir(parents=True)
    return settings.EXCHANGE_DIR / "call"


@pytest.fixture
def sign(settings: Any, folder: Path) -> Any:
    def sign(name: str, write: bool = False, ends: float = 60.0) -> str:
        return references.sign(settings.EXCHANGE_KEY, Reference(f"call/{name}", time.time() + ends, write))

    return sign


@pytest.fixture
def elsewhere(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process as a worker on a machine that does not see the folder."""
    monkeypatch.delenv("LIGHTBOX_EXCHANGE", raising=False)
    monkeypatch.setenv("LIGHTBOX_EXCHANGE_URL", f"{live_server.url}/exchange/")


def test_a_worker_elsewhere_fetches_its_inputs_and_leaves_its_result(elsewhere, folder, sign):
    image = Image(np.arange(6, dtype=np.int16).reshape(2, 3), modality="CR")
    jobs.write_input(folder / "in-0.npz", image)
    with exchange.inputs((sign("in-0.npz"),)) as paths:
        read = jobs.read_input(paths[0])
    assert np.array_equal(read.pixels, image.pixels)
    assert not exchange.there(sign("out.npz", write=True))
    with exchange.output(sign("out.npz", write=True)) as path:
        jobs.write_result(path, Result(scores=(Score("a", 0.5),)))
    assert jobs.read_result(folder / "out.npz").scores == (Score("a", 0.5),)
    assert exchange.there(sign("out.npz", write=True))


def test_what_is_not_signed_has_ended_or_is_only_to_be_read_is_not_there(elsewhere, folder, sign):
    (folder / "in-0.npz").write_bytes(b"secret")
    for reference in ("call/in-0.npz", "x.y", sign("in-0.npz", ends=-1), sign("in-1.npz")):
        with pytest.raises(Unavailable, match="404"), exchange.inputs((reference,)):
            pass
    with pytest.raises(Unavailable, match="404"), exchange.output(sign("in-0.npz")) as path:
        path.write_bytes(b"over it")
    assert (folder / "in-0.npz").read_bytes() == b"secret"


def test_a_result_that_is_too_large_leaves_no_file(folder, sign, settings):
    settings.UPLOAD_LIMIT = 1000
    client = Client(enforce_csrf_checks=True)
    address = f"/exchange/{sign('out.npz', write=True)}"
    assert client.put(address, b"x" * 1001, content_type="application/octet-stream").status_code == 413
    assert list(folder.iterdir()) == []
    assert client.put(address, b"x" * 1000, content_type="application/octet-stream").status_code == 204


def test_a_call_that_is_over_takes_nothing(folder, sign):
    address = f"/exchange/{sign('out.npz', write=True)}"
    folder.rmdir()
    assert Client().put(address, b"late", content_type="application/octet-stream").status_code == 404


def test_here_the_folder_itself_is_used_and_the_signature_is_still_asked_for(folder, sign, settings, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_EXCHANGE", str(settings.EXCHANGE_DIR))
    monkeypatch.setenv("LIGHTBOX_EXCHANGE_KEY", settings.EXCHANGE_KEY)
    with exchange.output(sign("out.npz", write=True)) as path:
        path.write_bytes(b"whole")
        assert not (folder / "out.npz").exists()
    assert (folder / "out.npz").read_bytes() == b"whole"
    with pytest.raises(BadInput), exchange.inputs(("call/out.npz",)):
        pass


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x93NUMPY", b"x" * 100])
def test_a_file_that_is_not_ours_is_refused(tmp_path, content):
    path = tmp_path / "in.npz"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="not one that Lightbox has written"):
        jobs.read_input(path)
