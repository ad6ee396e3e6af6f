"""What backends of PyTorch share: reading a folder in the Hugging Face layout, and saying in one line why it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inference.errors import Unavailable

NO_FOLDER = "{name} is not configured: its folder has no config.json. Fetch it: manage.py models pull."
NO_WEIGHTS = "{name} has no safetensors weights. Pickled weights are not loaded, since they can run code."
NO_LOAD = "{name} cannot be loaded: {why}. Check its folder."
SAFE = {"local_files_only": True, "trust_remote_code": False}  # the second is said aloud: else transformers would ask


def from_folder(folder: Path, name: str, model_class: str, device: str, **options: Any) -> Any:
    """The model of `folder`, in evaluation mode on `device`, by a class of transformers ("AutoModel", "CLIPModel").

    Only safetensors are read, nothing is downloaded, and code in the folder is not run. Raises Unavailable.
    """
    if not (folder / "config.json").is_file():
        raise Unavailable(NO_FOLDER.format(name=name))
    if not any(folder.glob("*.safetensors")):
        raise Unavailable(NO_WEIGHTS.format(name=name))
    model = part_of(folder, name, model_class, use_safetensors=True, **options)
    return model.to(device).eval()


def part_of(folder: Path, name: str, part_class: str, **options: Any) -> Any:
    """A model, processor or tokenizer of a folder by a class of transformers. Raises Unavailable."""
    try:
        import transformers
        from safetensors import SafetensorError
    except ImportError as error:
        raise Unavailable(NO_LOAD.format(name=name, why="PyTorch or transformers is missing")) from error
    try:
        return getattr(transformers, part_class).from_pretrained(str(folder), **SAFE, **options)
    except (
        SafetensorError,
        OSError,
        ValueError,
        KeyError,
        RuntimeError,
        ImportError,
        AttributeError,
        TypeError,
    ) as error:
        raise Unavailable(NO_LOAD.format(name=name, why=type(error).__name__)) from error
