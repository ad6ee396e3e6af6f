"""Where the files of a call are: a folder that both sides see, or the web application's address (docs/workers.md).

LIGHTBOX_EXCHANGE      the folder, with LIGHTBOX_EXCHANGE_KEY to check references by
LIGHTBOX_EXCHANGE_URL  or the address at which the application gives and takes files by their references
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx

from inference import references
from inference.errors import Unavailable

TIMEOUT = httpx.Timeout(120.0, connect=5.0)
NOWHERE = "This worker knows no exchange: set LIGHTBOX_EXCHANGE and LIGHTBOX_EXCHANGE_KEY, or LIGHTBOX_EXCHANGE_URL."
NO_ANSWER = "The files of this call cannot be had from {where} ({why})."


def _folder() -> tuple[Path, str] | None:
    folder, key = os.environ.get("LIGHTBOX_EXCHANGE", ""), os.environ.get("LIGHTBOX_EXCHANGE_KEY", "")
    return (Path(folder), key) if folder and key else None


def _url() -> str:
    if url := os.environ.get("LIGHTBOX_EXCHANGE_URL", ""):
        return url.rstrip("/")
    raise Unavailable(NOWHERE)


@contextlib.contextmanager
def inputs(given: tuple[str, ...]) -> Iterator[list[Path]]:
    """Files to read by their references, as long as the block lasts. Raises BadInput or Unavailable."""
    if here := _folder():
        folder, key = here
        yield [references.located(folder, references.verify(key, one)) for one in given]
        return
    with tempfile.TemporaryDirectory() as folder_name:
        yield [_fetched(one, Path(folder_name) / f"in-{number}.npz") for number, one in enumerate(given)]


@contextlib.contextmanager
def output(given: str) -> Iterator[Path]:
    """A file to write, which is in its place once the block has ended well. Raises BadInput or Unavailable."""
    if here := _folder():
        folder, key = here
        path = references.located(folder, references.verify(key, given, write=True))
        begun = path.with_name(f"begun-{path.name}")
        yield begun
        begun.replace(path)  # whoever sees it sees all of it
        return
    with tempfile.TemporaryDirectory() as folder_name:
        path = Path(folder_name) / "out.npz"
        yield path
        with _client() as client, path.open("rb") as file, _translated():
            client.put(f"{_url()}/{given}", content=file.read()).raise_for_status()


def there(given: str) -> bool:
    """Whether an output was written already: by an earlier delivery of the same call."""
    if here := _folder():
        return references.located(here[0], references.verify(here[1], given, write=True)).exists()
    with _client() as client, _translated():
        return client.head(f"{_url()}/{given}").status_code == httpx.codes.OK


def _fetched(given: str, path: Path) -> Path:
    with _translated(), _client() as client, client.stream("GET", f"{_url()}/{given}") as response:
        response.raise_for_status()
        with path.open("wb") as file:
            for part in response.iter_bytes():
                file.write(part)
    return path


def _client() -> httpx.Client:
    return httpx.Client(timeout=TIMEOUT, trust_env=False)  # pixels go to this address and nowhere else


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        why = str(getattr(getattr(error, "response", None), "status_code", "")) or type(error).__name__
        raise Unavailable(NO_ANSWER.format(where=os.environ["LIGHTBOX_EXCHANGE_URL"], why=why)) from error
