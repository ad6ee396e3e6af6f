"""Getting the weights of a checkpoint: from a hub, an address or a folder into a folder of its own, with their hashes.

What is taken are tensors and text, never code. Safetensors come first, then ONNX; only where there is neither are files
of PyTorch taken, which backends read as plain tensors (weights_only). While a folder is not whole it holds the file
PARTIAL and is not used; then it holds REVISION and MANIFEST, the size and SHA-256 of each file.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from inference.checkpoints import PARTIAL, Checkpoint
from inference.errors import BadInput, Exhausted, Unavailable
from inference.perform import REVISION_FILE

MANIFEST = "MANIFEST.json"
TEXT = ("*.json", "*.txt", "*.jinja", "tokenizer.model", "spiece.model", "*/tokenizer.model", "*/spiece.model")
TENSORS = ("*.bin", "*.pth", "*.pt")
WEIGHTS = (("*.safetensors",), ("*.onnx", "*.onnx_data"), TENSORS)  # the first that is there
SCRIPTS = "torchscript"
FIRST = {"onnx": WEIGHTS[1], "torchxrayvision": WEIGHTS[0], SCRIPTS: TENSORS}  # backends that ask for a kind
NEVER = ("training_args.bin", "optimizer*", "scheduler.pt", "rng_state*", "*/optimizer*", f"*{MANIFEST}", ".*", "*/.*")
COMMIT = re.compile(r"[0-9a-f]{40}")

NOTHING = {
    "built-in": "{name} is image processing of ours: there is nothing to pull.",
    "package": "The weights of {name} come with a package of its environment: manage.py models environment {env}",
    "server": "{name} is kept by the server that serves it: there is nothing to pull.",
    "folder": "{name} lies in a folder that its entry names: there is nothing to pull.",
}
NO_WEIGHTS = "{where} holds no weights that Lightbox reads (.safetensors, .onnx, or plain tensors of PyTorch)."
NOT_THERE = "There is no folder {folder}."
WRONG_HASH = (
    "{file} of {name} is not the file it should be: its hash is {found}, not {wanted}. It was removed; pull again."
)
NO_HASH = (
    "{file} of {name} is a TorchScript program: once you trust it, give its hash in the catalogue: "
    'sha256 = {{ "{file}" = "{hash}" }}'
)
CUT_OFF = "{file} of {name} did not come whole ({why}). Pull again: what is there is kept."
NO_ROOM = "{name} needs {needed} MB, and {free} MB are free there."
NOT_WHOLE = "{file} is not as it was pulled ({why})"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that a source offers. `sha256` or `blob` (git's SHA-1 of it) is "" where the source does not say it."""

    name: str
    size: int
    sha256: str = ""
    blob: str = ""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What is there now. `changed` is False when it was there already, whole."""

    revision: str
    files: dict[str, dict[str, Any]]
    changed: bool

    @property
    def megabytes(self) -> float:
        return float(sum(file["bytes"] for file in self.files.values())) / 1e6


def pull(found: Checkpoint, folder: Path, say: Say, origin: Path | None = None) -> Pulled:
    """Make `folder` hold the weights of a checkpoint, from `origin` where one is given, else from its source.

    A folder that is whole is verified and left as it is, unless the catalogue names another revision. Raises BadInput
    (nothing to pull, a wrong hash, no weights), Unavailable (no network, no access) or Exhausted (no room).
    """
    kind = found.source.partition(":")[0]
    if kind in NOTHING:
        raise BadInput(NOTHING[kind].format(name=found.name, env=found.environment))
    if (kept := whole(folder)) and (not found.revision or found.revision == kept.revision):
        why = changed_since(folder, kept)
        if not why and (origin is None or same_files(found, origin.expanduser(), kept)):
            return kept
        say(f"{why or 'What the folder holds is not what is there'}: pulled again.")
    try:
        revision, names = _got(found, folder, say, origin, kind)
        files = {name: described(folder / name) for name in sorted(names)}
    except OSError as error:
        raise Exhausted(f"{found.name} could not be written: {error.strerror or error}") from error
    check_catalogue(found, folder, files)
    for name in kept.files if kept else ():  # of an earlier revision
        if name not in files:
            (folder / name).unlink(missing_ok=True)
    revision = revision or f"content {_digest(files)[:12]}"
    (folder / REVISION_FILE).write_text(revision + "\n", encoding="utf-8")
    told = {"key": found.key, "source": "a folder" if origin else found.source, "revision": revision, "files": files}
    (folder / MANIFEST).write_text(json.dumps(told, indent=1), encoding="utf-8")
    (folder / PARTIAL).unlink()
    return Pulled(revision, files, True)


def _got(found: Checkpoint, folder: Path, say: Say, origin: Path | None, kind: str) -> tuple[str, list[str]]:
    """The revision and the names of the files that are now in the folder."""
    if origin is not None:
        return from_folder(found, folder, say, origin.expanduser())
    from inference import sources  # which know the network

    return (sources.from_hub if kind == "hf" else sources.from_address)(found, folder, say)


def begin(folder: Path) -> None:
    """From now on the folder is not whole, whatever it held."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PARTIAL).touch()
    (folder / MANIFEST).unlink(missing_ok=True)


def from_folder(found: Checkpoint, folder: Path, say: Say, origin: Path) -> tuple[str, list[str]]:
    """Link, or where that cannot be done copy, what is wanted of a folder or a snapshot in the hub's cache."""
    if not origin.is_dir():
        raise BadInput(NOT_THERE.format(folder=origin))
    offered = [p.relative_to(origin).as_posix() for p in origin.rglob("*") if p.is_file()]
    names = chosen(found, offered)
    if not names:
        raise BadInput(NO_WEIGHTS.format(where=origin))
    enough_room(found, folder, sum((origin / name).stat().st_size for name in names))
    begin(folder)
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        _link_or_copy((origin / name).resolve(), target)
        say(name)
    return _revision_of(origin), names


def same_files(found: Checkpoint, origin: Path, kept: Pulled) -> bool:
    """Whether a folder holds what was pulled. Raises BadInput when it is no folder."""
    if not origin.is_dir():
        raise BadInput(NOT_THERE.format(folder=origin))
    names = chosen(found, [p.relative_to(origin).as_posix() for p in origin.rglob("*") if p.is_file()])
    return {name: described(origin / name) for name in names} == kept.files


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _revision_of(origin: Path) -> str:
    """What the folder says of itself: a file REVISION, or the name of a snapshot in the hub's cache."""
    try:
        return (origin / REVISION_FILE).read_text(encoding="utf-8").strip()[:120]
    except (OSError, UnicodeDecodeError):
        return origin.resolve().name if COMMIT.fullmatch(origin.resolve().name) else ""


def chosen(found: Checkpoint, offered: Iterable[str]) -> list[str]:
    """The names that are pulled: text, and the first kind of weights that is there. [] when there are no weights."""
    safe = [name for name in offered if _stays_inside(name) and not _any(name, (*NEVER, *found.leave))]
    kinds = (FIRST[found.backend],) if found.backend in FIRST else WEIGHTS
    for patterns in kinds:
        if weights := [name for name in safe if _any(name, patterns)]:
            return sorted({*weights, *(name for name in safe if _any(name, TEXT))})
    return []


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _any(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def enough_room(found: Checkpoint, folder: Path, needed: int) -> None:
    """Raises Exhausted when the disk lacks these bytes."""
    free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
    if needed > free:
        raise Exhausted(NO_ROOM.format(name=found.name, needed=round(needed / 1e6), free=round(free / 1e6)))


def check_offered(found: Checkpoint, folder: Path, wanted: Iterable[Wanted]) -> None:
    """Raises Unavailable for a file that did not come whole, BadInput for one that is another than was offered."""
    for one in wanted:
        path = folder / one.name
        if not path.is_file() or path.stat().st_size != one.size:
            there = path.stat().st_size if path.is_file() else 0
            why = f"{there} of {one.size} bytes"
            raise Unavailable(CUT_OFF.format(file=one.name, name=found.name, why=why))
        if one.sha256:
            _same(found, path, one.name, described(path)["sha256"], one.sha256)
        elif one.blob:
            _same(found, path, one.name, git_blob(path), one.blob)


def check_catalogue(found: Checkpoint, folder: Path, files: Mapping[str, dict[str, Any]]) -> None:
    """Raises BadInput for a file whose hash in the catalogue is another, or that is named there and is not here, and
    for a script (TorchScript is a program) without one."""
    if found.backend == SCRIPTS and (open_ := [n for n in files if _any(n, TENSORS) and n not in found.sha256]):
        raise BadInput(NO_HASH.format(name=found.name, file=open_[0], hash=files[open_[0]]["sha256"]))
    for name, wanted in found.sha256.items():
        if name not in files:
            raise BadInput(NO_WEIGHTS.format(where=f"What came of {found.name} lacks {name}: it"))
        _same(found, folder / name, name, files[name]["sha256"], wanted)


def _same(found: Checkpoint, path: Path, file: str, was: str, wanted: str) -> None:
    if was != wanted:
        path.unlink(missing_ok=True)
        raise BadInput(WRONG_HASH.format(file=file, name=found.name, found=was, wanted=wanted))


def described(path: Path) -> dict[str, Any]:
    """Size in bytes and SHA-256 of a file."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def git_blob(path: Path) -> str:
    """The name that git gives to this content: SHA-1 of its length and bytes."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def _digest(files: Mapping[str, dict[str, Any]]) -> str:
    return hashlib.sha256("".join(f"{n} {f['sha256']}\n" for n, f in sorted(files.items())).encode()).hexdigest()


def whole(folder: Path) -> Pulled | None:
    """What was pulled, by its manifest; None when there is none that can be read, or a pull was not finished."""
    if (folder / PARTIAL).exists():
        return None
    try:
        told = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = {str(n): {"bytes": int(f["bytes"]), "sha256": str(f["sha256"])} for n, f in told["files"].items()}
        revision = str(told["revision"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not files or not all(map(_stays_inside, files)):
        return None
    return Pulled(revision, files, False)


def changed_since(folder: Path, kept: Pulled, quick: bool = False) -> str:
    """Nothing when every file is as it was pulled, else which is not. `quick` compares sizes only."""
    for name, was in kept.files.items():
        path = folder / name
        if not path.is_file():
            return NOT_WHOLE.format(file=name, why="it is gone")
        if path.stat().st_size != was["bytes"]:
            return NOT_WHOLE.format(file=name, why="its size is another")
        if not quick and described(path)["sha256"] != was["sha256"]:
            return NOT_WHOLE.format(file=name, why="its hash is another")
    return ""
