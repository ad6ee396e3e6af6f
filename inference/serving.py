"""The line that serves a checkpoint with vLLM: on this machine only, by the name that Lightbox asks for."""

from __future__ import annotations

import re
from pathlib import Path

from inference.checkpoints import SERVED, UNKNOWN_LICENCE, Checkpoint, unready
from inference.environments import python_of
from inference.errors import BadInput

PORT = 8001
ELSEWHERE = "server"  # the kind of source of what a server of the settings has, and no entry describes
SEES = ("vqa", "report", "ground", "compare")
NOT_SERVED = "{name} is not served: Lightbox loads it itself (backend {backend})."
ALREADY = "{name} is served already: the settings name its server."
UNDESCRIBED = "It is served here, and no catalogue describes it: what it was made for is not known."


def model_name(found: Checkpoint) -> str:
    """The name by which its server knows it: that of its repository, else its key."""
    kind, _, rest = found.source.partition(":")
    return rest if kind in ("hf", ELSEWHERE) else found.key


def is_model(found: Checkpoint, model: str) -> bool:
    """Whether a server that names its model so serves this checkpoint."""
    return found.served and model in (model_name(found), found.key)


def of_server(model: str, *, chats: bool, sees: bool) -> Checkpoint:
    """A checkpoint for a model that the settings serve and no catalogue describes."""
    key = f"served-{re.sub(r'[^a-z0-9._-]+', '-', model.lower())[:100]}"
    roles = (*(("controller",) if chats else ()), *(SEES if sees else ()))
    return Checkpoint(key, model, roles, SERVED, UNKNOWN_LICENCE, f"{ELSEWHERE}:{model}", note=UNDESCRIBED)


def command(found: Checkpoint, models: Path, environments: Path, port: int = PORT) -> list[str]:
    """`vllm serve ...`, of the environment where it has one, with the pulled folder where there is one.

    Without a folder vLLM gets the weights itself, at the revision of the catalogue. Raises BadInput for a checkpoint
    that is not served, or that the settings serve already.
    """
    if not found.served:
        raise BadInput(NOT_SERVED.format(name=found.name, backend=found.backend))
    if found.source.startswith(f"{ELSEWHERE}:"):
        raise BadInput(ALREADY.format(name=found.name))
    folder = found.folder(models)
    pulled = not unready(found, folder)
    program = python_of(environments, found.environment).with_name("vllm")
    line = [str(program) if program.exists() else "vllm", "serve", str(folder) if pulled else model_name(found)]
    line += ["--served-model-name", model_name(found), "--host", "127.0.0.1", "--port", str(port)]
    if found.revision and not pulled:
        line += ["--revision", found.revision]
    return [*line, *found.vllm]


def setting(found: Checkpoint, port: int = PORT) -> str:
    """How Lightbox's settings name that server."""
    return f"openai:http://127.0.0.1:{port}/v1#{model_name(found)}"
