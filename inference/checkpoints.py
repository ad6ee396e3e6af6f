"""The catalogue of checkpoints: what can answer questions about images, as facts and not as code (catalogue.toml).

A checkpoint is used by its key. `load_catalogue` reads the bundled file and any further ones, in which users describe
their own; a later entry with the same key replaces the earlier one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from inference.errors import BadInput, Unavailable

BUNDLED = Path(__file__).with_name("catalogue.toml")
ROLES = frozenset(
    {
        *("controller", "vqa", "report", "ground", "compare", "classify", "zero-shot", "segment", "prompted-segment"),
        *("embed", "rerank", "register", "retrieve", "anomaly", "detect", "super-resolution", "synthesis"),
    }
)
BUILT_IN, SERVED, MAIN = "built-in", "vllm", "main"  # a source, a backend, an environment
LITERATURE = "sentence-transformers"  # the backend of what the literature's search loads itself
BACKENDS = Path(__file__).with_name("backends")
PARTIAL = "PARTIAL"  # a file of a folder that `models pull` has not finished
NO_BACKEND = "Lightbox has no backend {backend} for it: docs/adding-a-tool.md says how one is written."
NO_FOLDER = "The folder that its entry in the catalogue names is not there, or holds nothing."
NO_PACKAGE = "Its package {package} is not installed."
KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,118}")
OWN_CLASSIFIER = "own-classifier"
UNKNOWN_LICENCE = "licence not stated"
NOT_THERE = "There is no checkpoint {key!r} in the catalogue (manage.py models list)."
WRONG = "The catalogue {path} cannot be read: {why}."


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One entry. Empty sets of modalities, body parts or views accept any; codes are DICOM's.

    `backend` names the file of `inference.backends` that loads it; "vllm" is served by a server of its own. `source` is
    `hf:OWNER/NAME`, `url:HTTPS...`, `package:NAME` (weights in a package of its environment), `folder:PATH`, or
    `built-in`: image processing of ours without weights, a baseline. `revision` is the commit or version that was
    looked at, "" where none could be: `models pull` then records what it got. `sha256` maps file names to hashes that
    were checked, `leave` are patterns of files that are not pulled. `mean` and `std` are of channels scaled to 0..1.
    `size_mb` and `vram_gb` are about, 0 where not known. `paper` is a key of the bundled literature, "" where it is not
    in it. `options` go to the backend as they are.
    """

    key: str
    name: str
    roles: tuple[str, ...]
    backend: str
    licence: str
    source: str
    revision: str = ""
    environment: str = MAIN
    commercial: bool = True
    gated: bool = False
    modalities: frozenset[str] = frozenset()
    body_parts: frozenset[str] = frozenset()
    views: frozenset[str] = frozenset()
    layouts: frozenset[str] = frozenset()
    works_on: str = "any image"
    labels: tuple[str, ...] = ()
    label_set: str = ""
    input_size: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    size_mb: float = 0.0
    vram_gb: float = 0.0
    vllm: tuple[str, ...] = ()
    paper: str = ""
    note: str = ""
    published: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()
    sha256: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def built_in(self) -> bool:
        return self.source == BUILT_IN

    @property
    def served(self) -> bool:
        return self.backend == SERVED

    @property
    def queue(self) -> str:
        """The Celery queue of the workers of its environment."""
        return f"models.{self.environment}"

    @property
    def licence_words(self) -> str:
        """MIT; or CC-BY-NC-4.0, not for commercial use."""
        return self.licence if self.commercial else f"{self.licence}, not for commercial use"

    def folder(self, models: Path) -> Path:
        """Where its weights lie: a folder that the source names, or one of its own under `models`."""
        kind, _, rest = self.source.partition(":")
        return Path(rest).expanduser() if kind == "folder" else models / self.key


def parse(entry: dict[str, Any]) -> Checkpoint:
    """A checkpoint from a table of TOML. Raises BadInput for what is no field, a wrong type or a role that is none."""
    known = {one.name: one.type for one in fields(Checkpoint)}
    if unknown := sorted(entry.keys() - known.keys()):
        raise BadInput(f"{entry.get('key', 'an entry')}: {', '.join(unknown)} is no field of a checkpoint")
    values = dict(entry)
    for name, value in entry.items():
        if isinstance(value, list):
            values[name] = frozenset(value) if known[name].startswith("frozenset") else tuple(value)
    if not KEY.fullmatch(str(entry.get("key", "a"))):
        raise BadInput(f"{entry['key']!r} is no key: small letters, digits, dots and hyphens")
    if not entry.get("roles"):
        raise BadInput(f"{entry.get('key', 'an entry')}: it names no role")
    try:
        made = Checkpoint(**values)
    except TypeError as error:
        raise BadInput(f"{entry.get('key', 'an entry')}: {error}") from error
    if strange := sorted(set(made.roles) - ROLES):
        raise BadInput(f"{made.key}: {', '.join(strange)} is no role")
    return made


def of_folder(folder: str) -> Checkpoint:
    """The image classifier that LIGHTBOX_CLASSIFY names by its folder, in the Hugging Face layout."""
    name = Path(folder).expanduser().name or folder
    return Checkpoint(OWN_CLASSIFIER, name, ("classify",), "hf-classifier", UNKNOWN_LICENCE, f"folder:{folder}")


@cache
def load_catalogue(*further: Path, classifier: str = "") -> dict[str, Checkpoint]:
    """Checkpoints by key, in the order of the files, before them that of the folder `classifier`. Raises Unavailable
    with the file and what is wrong in it."""
    found = {OWN_CLASSIFIER: of_folder(classifier)} if classifier else {}
    for path in (BUNDLED, *further):
        try:
            entries = tomllib.loads(path.read_text(encoding="utf-8")).get("checkpoint", [])
            found |= {made.key: made for made in map(parse, entries)}
        except (OSError, tomllib.TOMLDecodeError, BadInput, AttributeError) as error:
            raise Unavailable(WRONG.format(path=path.name, why=error)) from error
    return found


def checkpoint(key: str, *further: Path) -> Checkpoint:
    """The checkpoint with this key. Raises BadInput when there is none."""
    found = load_catalogue(*further).get(key)
    if found is None:
        raise BadInput(NOT_THERE.format(key=key))
    return found


def with_role(role: str, catalogue: Iterable[Checkpoint]) -> list[Checkpoint]:
    """Those that can do it, those with weights first: a baseline is what remains."""
    return sorted((c for c in catalogue if role in c.roles), key=lambda c: c.built_in)


def why_not(found: Checkpoint, models: Path, environments: Path) -> str:
    """Nothing when its worker could use it now, else one line with what to do. A served one is its server's matter."""
    if found.built_in or found.served:
        return ""
    if found.backend != LITERATURE and not has_backend(found.backend):
        return NO_BACKEND.format(backend=found.backend)
    if found.environment != MAIN and not (environments / found.environment / "bin" / "python").exists():
        return f"Its environment is not configured: manage.py models environment {found.environment}"
    kind, _, package = found.source.partition(":")
    if kind == "package":
        return NO_PACKAGE.format(package=package) if found.environment == MAIN and not find_spec(package) else ""
    return unready(found, found.folder(models))


def has_backend(name: str) -> bool:
    """Whether Lightbox has a file for this kind of checkpoint."""
    return (BACKENDS / f"{name.replace('-', '_')}.py").is_file()


def unready(found: Checkpoint, folder: Path) -> str:
    """Nothing when its folder holds weights, else what is missing. What they are, the backend says when it loads."""
    pull = f"manage.py models pull {found.key}"
    if (folder / PARTIAL).exists():
        return f"Its weights are there in part only: {pull} goes on with them"
    if any_weights(folder):
        return ""
    return NO_FOLDER if found.source.startswith("folder:") else f"Its weights are not configured: {pull}"


def any_weights(folder: Path) -> bool:
    """Whether a folder holds anything."""
    return folder.is_dir() and any(folder.iterdir())
