"""Weights come whole and as they were promised, from a hub, an address or a folder, or they are not used."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inference import checkpoints, pull, sources
from inference.checkpoints import PARTIAL, Checkpoint
from inference.errors import BadInput, Exhausted, Unavailable
from tests.inference.hub import COMMIT, Hub

WEIGHTS = bytes(range(256)) * 400
FILES = {
    "config.json": b'{"model_type": "vit"}',
    "vocab.txt": b"a\nb\n",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"a pickle",
    "modeling_vit.py": b"print('code of theirs')",
    "README.md": b"# A model",
    ".gitattributes": b"*.bin filter=lfs",
}
TAKEN = ["config.json", "model.safetensors", "vocab.txt"]


def entry(**more: Any) -> Checkpoint:
    usual = {"key": "m", "name": "Model", "roles": ["classify"], "backend": "lungs", "licence": "MIT"}
    return checkpoints.parse({**usual, "source": "hf:a/model", **more})


def sha(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Hub]]:
    """hub(**more): a hub that answers on this machine, and is the one that is asked."""
    from huggingface_hub import constants

    started: list[Hub] = []

    def start(**more: Any) -> Hub:
        made = Hub(**({"files": FILES} | more)).__enter__()
        started.append(made)
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        return made

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield start
    for one in started:
        one.__exit__()


def quiet(_line: str) -> None:
    pass


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def state(found: Checkpoint, models: Path) -> str:
    return checkpoints.why_not(found, models, models)


def test_tensors_and_text_are_pulled_and_code_and_pickles_are_not(hub, tmp_path):
    hub()
    lines: list[str] = []
    made = pull.pull(entry(), tmp_path / "m", lines.append)
    assert made.changed
    assert made.revision == COMMIT
    assert names(tmp_path / "m") == sorted([*TAKEN, "MANIFEST.json", "REVISION"])
    assert (tmp_path / "m" / "REVISION").read_text().strip() == COMMIT
    assert json.loads((tmp_path / "m" / "MANIFEST.json").read_text())["files"]["model.safetensors"] == {
        "bytes": len(WEIGHTS),
        "sha256": sha(WEIGHTS),
    }
    assert "3 files, 0.1 MB" in lines[0]
    assert state(entry(), tmp_path) == ""


def test_a_second_pull_verifies_without_asking_the_hub(hub, tmp_path):
    made = hub()
    pull.pull(entry(), tmp_path / "m", quiet)
    asked = len(made.asked)
    assert not pull.pull(entry(), tmp_path / "m", quiet).changed
    assert len(made.asked) == asked


def test_a_file_that_was_changed_is_pulled_again(hub, tmp_path):
    hub()
    pull.pull(entry(), tmp_path / "m", quiet)
    (tmp_path / "m" / "model.safetensors").write_bytes(WEIGHTS[::-1])
    lines: list[str] = []
    assert pull.pull(entry(), tmp_path / "m", lines.append).changed
    assert lines[0].startswith("model.safetensors is not as it was pulled (its hash is another)")
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == WEIGHTS


OUTSIDE = '{"files": {"../x": {"bytes": 1, "sha256": ""}}, "revision": ""}'


@pytest.mark.parametrize("text", ["{", "[]", '{"files": {}}', OUTSIDE])
def test_a_manifest_that_says_nothing_sensible_is_no_proof(hub, tmp_path, text):
    hub()
    pull.pull(entry(), tmp_path / "m", quiet)
    (tmp_path / "m" / "MANIFEST.json").write_text(text)
    assert pull.whole(tmp_path / "m") is None
    assert pull.pull(entry(), tmp_path / "m", quiet).changed


def test_what_is_not_what_the_hub_promised_is_removed(hub, tmp_path):
    hub(promised={"model.safetensors": "0" * 64})
    with pytest.raises(BadInput, match=r"model\.safetensors of Model is not the file"):
        pull.pull(entry(), tmp_path / "m", quiet)
    assert not (tmp_path / "m" / "model.safetensors").exists()
    assert "in part" in state(entry(), tmp_path)


def test_what_is_not_what_the_catalogue_says_is_removed(hub, tmp_path):
    hub()
    with pytest.raises(BadInput, match="its hash is"):
        pull.pull(entry(sha256={"model.safetensors": "1" * 64}), tmp_path / "m", quiet)
    assert not (tmp_path / "m" / "model.safetensors").exists()
    with pytest.raises(BadInput, match=r"lacks other\.safetensors"):
        pull.pull(entry(sha256={"other.safetensors": "1" * 64}), tmp_path / "m", quiet)
    good = entry(sha256={"model.safetensors": sha(WEIGHTS)})
    assert pull.pull(good, tmp_path / "m", quiet).changed


def test_a_download_that_was_cut_off_is_not_ready_and_goes_on(hub, tmp_path, monkeypatch):
    from huggingface_hub import file_download

    monkeypatch.setattr(file_download.time, "sleep", lambda _seconds: None)
    made = hub(stop_after=60_000)
    with pytest.raises(Unavailable):
        pull.pull(entry(), tmp_path / "m", quiet)
    assert "in part" in state(entry(), tmp_path)
    made.stop_after = 0
    assert pull.pull(entry(), tmp_path / "m", quiet).changed
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == WEIGHTS
    assert state(entry(), tmp_path) == ""


def test_without_a_network_the_line_says_how_else_and_the_folder_stays_as_it_was(hub, tmp_path, monkeypatch):
    from huggingface_hub import constants

    made = hub()
    made.__exit__()
    with pytest.raises(Unavailable, match=r"cannot be reached .*models pull m --from FOLDER"):
        pull.pull(entry(), tmp_path / "m", quiet)
    assert not (tmp_path / "m").exists()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Unavailable, match="cannot be reached"):
        pull.pull(entry(), tmp_path / "m", quiet)


def test_a_gated_one_says_that_its_licence_must_be_accepted_and_takes_the_token(hub, tmp_path, monkeypatch):
    hub(gated=True)
    with pytest.raises(Unavailable, match=r"licence to be accepted \(MIT\).*HF_TOKEN="):
        pull.pull(entry(gated=True), tmp_path / "m", quiet)
    monkeypatch.setenv("HF_TOKEN", "hf_accepted")
    assert pull.pull(entry(gated=True), tmp_path / "m", quiet).revision == COMMIT


def test_a_repository_or_revision_that_is_not_there_is_named(hub, tmp_path):
    hub()
    with pytest.raises(BadInput, match="no repository b/none"):
        pull.pull(entry(source="hf:b/none"), tmp_path / "m", quiet)
    with pytest.raises(BadInput, match="no revision v9 of a/model"):
        pull.pull(entry(revision="v9"), tmp_path / "m", quiet)


def test_only_where_there_is_nothing_safer_are_tensors_of_pytorch_taken(hub, tmp_path):
    hub(files={"config.json": b"{}", "pytorch_model.bin": b"tensors", "training_args.bin": b"a pickle"})
    pull.pull(entry(), tmp_path / "m", quiet)
    assert names(tmp_path / "m") == ["MANIFEST.json", "REVISION", "config.json", "pytorch_model.bin"]


def test_a_repository_without_weights_is_refused(hub, tmp_path):
    hub(files={"config.json": b"{}", "modeling.py": b""})
    with pytest.raises(BadInput, match="holds no weights that Lightbox reads"):
        pull.pull(entry(), tmp_path / "m", quiet)
    assert not (tmp_path / "m").exists()


def test_no_name_leads_out_of_the_folder():
    offered = ["model.safetensors", "../up.safetensors", "/etc/x.json", "a\\..\\b.json", "in/model.json", ".x.json"]
    assert pull.chosen(entry(), offered) == ["in/model.json", "model.safetensors"]


def test_what_the_entry_leaves_is_left_and_a_backend_gets_its_kind():
    offered = ["unet/a.fp16.safetensors", "unet/a.safetensors", "model.onnx", "c.json"]
    assert pull.chosen(entry(leave=["*.fp16.*"]), offered) == ["c.json", "unet/a.safetensors"]
    assert pull.chosen(entry(backend="onnx"), offered) == ["c.json", "model.onnx"]
    assert pull.chosen(entry(backend="torchxrayvision"), ["whole-module.pt"]) == []  # a pickle of a module


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    folder = tmp_path / "origin" / "snapshots" / COMMIT
    (folder / "sub").mkdir(parents=True)
    for name, body in FILES.items():
        (folder / name).write_bytes(body)
    blobs = tmp_path / "origin" / "blobs"
    blobs.mkdir()
    (folder / "model.safetensors").rename(blobs / "1")
    (folder / "model.safetensors").symlink_to(blobs / "1")  # as the hub's cache keeps them
    return folder


def test_a_folder_or_a_snapshot_of_the_hubs_cache_will_do(tmp_path, origin):
    made = pull.pull(entry(), tmp_path / "m", quiet, origin)
    assert sorted(made.files) == TAKEN
    assert made.revision == COMMIT
    assert not (tmp_path / "m" / "model.safetensors").is_symlink()
    assert not pull.pull(entry(), tmp_path / "m", quiet, origin).changed


def test_a_folder_that_says_no_revision_gets_one_from_its_content(tmp_path, origin):
    plain = origin.rename(tmp_path / "plain")
    assert pull.pull(entry(), tmp_path / "m", quiet, plain).revision.startswith("content ")
    (plain / "REVISION").write_text("v2\n")
    assert pull.pull(entry(key="n"), tmp_path / "n", quiet, plain).revision == "v2"


def test_a_folder_is_checked_as_strictly(tmp_path, origin):
    with pytest.raises(BadInput, match="is not the file"):
        pull.pull(entry(sha256={"model.safetensors": "1" * 64}), tmp_path / "m", quiet, origin)
    assert "in part" in state(entry(), tmp_path)
    assert (origin / "model.safetensors").read_bytes() == WEIGHTS  # the source is not ours to remove
    with pytest.raises(BadInput, match="There is no folder"):
        pull.pull(entry(), tmp_path / "n", quiet, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="holds no weights"):
        pull.pull(entry(), tmp_path / "n", quiet, tmp_path / "empty")


def test_another_folder_replaces_what_is_there(tmp_path, origin):
    pull.pull(entry(), tmp_path / "m", quiet, origin)
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "model.safetensors").write_bytes(WEIGHTS[::-1])
    lines: list[str] = []
    assert pull.pull(entry(), tmp_path / "m", lines.append, newer).changed
    assert lines[0].startswith("What the folder holds is not what is there")
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == WEIGHTS[::-1]
    assert names(tmp_path / "m") == ["MANIFEST.json", "REVISION", "model.safetensors"]
    assert (origin / "model.safetensors").read_bytes() == WEIGHTS
    with pytest.raises(BadInput, match="There is no folder"):
        pull.pull(entry(), tmp_path / "m", quiet, tmp_path / "nowhere")


def test_a_script_needs_its_hash_in_the_catalogue(tmp_path):
    origin = tmp_path / "origin"
    origin.mkdir()
    (origin / "model.pt").write_bytes(WEIGHTS)
    script = entry(backend="torchscript")
    with pytest.raises(BadInput, match=f'give its hash in the catalogue: sha256 = {{ "model.pt" = "{sha(WEIGHTS)}" }}'):
        pull.pull(script, tmp_path / "m", quiet, origin)
    assert "in part" in checkpoints.unready(script, tmp_path / "m")
    trusted = entry(backend="torchscript", sha256={"model.pt": sha(WEIGHTS)})
    assert pull.pull(trusted, tmp_path / "m", quiet, origin).changed


def test_a_folder_on_another_disk_is_copied(tmp_path, origin, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(18, "Invalid cross-device link")))
    pull.pull(entry(), tmp_path / "m", quiet, origin)
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == WEIGHTS


def test_an_address_needs_a_hash_and_is_held_to_it(hub, tmp_path):
    url = f"url:{hub().url}/files/model.safetensors"
    with pytest.raises(BadInput, match="gives no SHA-256"):
        pull.pull(entry(source=url), tmp_path / "m", quiet)
    assert not (tmp_path / "m").exists()
    with pytest.raises(BadInput, match="is not the file"):
        pull.pull(entry(source=url, sha256={"model.safetensors": "1" * 64}), tmp_path / "m", quiet)
    good = entry(source=url, sha256={"model.safetensors": sha(WEIGHTS)})
    made = pull.pull(good, tmp_path / "m", quiet)
    assert names(tmp_path / "m") == ["MANIFEST.json", "REVISION", "model.safetensors"]
    assert made.revision.startswith("content ")


def test_an_address_that_was_cut_off_goes_on_where_it_stopped(hub, tmp_path):
    made = hub(stop_after=60_000)
    found = entry(source=f"url:{made.url}/files/model.safetensors", sha256={"model.safetensors": sha(WEIGHTS)})
    with pytest.raises(Unavailable):
        pull.pull(found, tmp_path / "m", quiet)
    assert (tmp_path / "m" / "model.safetensors.part").stat().st_size == 60_000
    assert (tmp_path / "m" / PARTIAL).exists()
    made.stop_after = 0
    pull.pull(found, tmp_path / "m", quiet)
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == WEIGHTS


def test_an_address_gives_no_more_than_the_limit(hub, tmp_path):
    found = entry(source=f"url:{hub().url}/files/model.safetensors", sha256={"model.safetensors": sha(WEIGHTS)})
    with pytest.raises(Exhausted, match="larger than"):
        sources.from_address(found, tmp_path / "m", quiet, largest=50_000)


@pytest.mark.parametrize("source", ["built-in", "package:deepbet", "folder:/models/mine"])
def test_what_is_there_already_says_so(tmp_path, source):
    with pytest.raises(BadInput, match=r"nothing to pull|come with a package"):
        pull.pull(entry(source=source), tmp_path / "m", quiet)
