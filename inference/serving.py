"""The line that serves a checkpoint with vLLM: on this machine only, by the name that Lightbox asks for."""

from __future__ import annotations

from pathlib import Path

from inference.checkpoints import Checkpoint, unready
from inference.environments import python_of
from inference.errors import BadInput

PORT = 8001
NOT_SERVED = "{name} is not served: Lightbox loads it itself (backend {backend})."


def model_name(found: Checkpoint) -> str:
    """The name by which its server knows it: that of its repository, else its key."""
    kind, _, rest = found.source.partition(":")
    return rest if kind == "hf" else found.key


def command(found: Checkpoint, models: Path, environments: Path, port: int = PORT) -> list[str]:
    """`vllm serve ...`, of the environment where it has one, with the pulled folder where there is one.

    Without a folder vLLM gets the weights itself, at the revision of the catalogue. Raises BadInput for a checkpoint
    that is not served.
    """
    if not found.served:
        raise BadInput(NOT_SERVED.format(name=found.name, backend=found.backend))
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
