"""Where weights come from over the network: a hub that speaks as huggingface.co does, or one address.

HF_ENDPOINT names another hub, HF_TOKEN gives access where a licence was accepted. Both libraries here go through the
proxy that the environment names. An interrupted download goes on where it stopped.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import httpx

from inference.checkpoints import Checkpoint
from inference.errors import BadInput, Exhausted, InferenceError, Unavailable
from inference.pull import CUT_OFF, NO_WEIGHTS, Say, Wanted, begin, check_offered, chosen, enough_room

HUB = "https://huggingface.co"
LARGEST = 40_000_000_000  # bytes from one address
SAY_EVERY = 50_000_000  # bytes
ELSEWHERE = "Where there is no network, get it on another machine: manage.py models pull {key} --from FOLDER"
OFFLINE = "The hub cannot be reached ({why}). " + ELSEWHERE
GATED = (
    "{name} asks for its licence to be accepted ({licence}): accept it at {hub}/{repo} with an account, and give that "
    "account's token: HF_TOKEN=... manage.py models pull {key}"
)
NO_REPOSITORY = "The hub has no repository {repo}, or none that may be read without a token (HF_TOKEN)."
NO_REVISION = "The hub has no revision {revision} of {repo}."
REFUSED = "The hub answered {status} for {repo}. Try again later."
NO_HASH = (
    "The catalogue gives no SHA-256 for {name}, so what comes from {host} could not be checked. Get {url} yourself and "
    "give its folder: manage.py models pull {key} --from FOLDER"
)
ADDRESS_FAILED = "{host} cannot be reached, or does not give the file ({why}). " + ELSEWHERE
TOO_LARGE = "{file} is larger than {limit} MB: it was not taken."


def hub() -> str:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or HUB


def from_hub(found: Checkpoint, folder: Path, say: Say) -> tuple[str, list[str]]:
    """The commit and the names of what was taken of a repository. Raises any InferenceError."""
    import huggingface_hub
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    repo = found.source.partition(":")[2]
    try:
        commit, offered = _offer(repo, found.revision)
        names = chosen(found, [one.name for one in offered])
        if not names:
            raise BadInput(NO_WEIGHTS.format(where=f"{hub()}/{repo}"))
        wanted = [one for one in offered if one.name in set(names)]
        enough_room(found, folder, sum(one.size for one in wanted))
        say(f"{repo} at {commit[:12]}: {len(wanted)} files, {sum(one.size for one in wanted) / 1e6:.1f} MB")
        begin(folder)
        huggingface_hub.snapshot_download(
            repo,
            revision=commit,
            local_dir=folder,
            allow_patterns=[_escaped(name) for name in names],
            endpoint=hub(),
            max_workers=4,
        )
    except InferenceError:
        raise
    except Exception as error:  # the library's errors, and those of the two HTTP clients that it has had
        raise _said(error, found, repo) from error
    check_offered(found, folder, wanted)
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the library's notes on what was begun
    return commit, names


def _offer(repo: str, revision: str) -> tuple[str, list[Wanted]]:
    """The commit of a revision, and its files."""
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    api = HfApi(endpoint=hub())
    commit = api.model_info(repo, revision=revision or None).sha or ""
    tree = api.list_repo_tree(repo, recursive=True, revision=commit)
    files = [file for file in tree if isinstance(file, RepoFile)]
    return commit, [Wanted(f.path, f.size, f.lfs.sha256 if f.lfs else "", "" if f.lfs else f.blob_id) for f in files]


def _escaped(name: str) -> str:
    return name.replace("[", "[[]").replace("*", "[*]").replace("?", "[?]")


def _said(error: Exception, found: Checkpoint, repo: str) -> InferenceError:
    """What a user can do about an error of the hub's library."""
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError) or (found.gated and status in (401, 403, 404)):
        return Unavailable(GATED.format(name=found.name, licence=found.licence, hub=hub(), repo=repo, key=found.key))
    if isinstance(error, errors.RevisionNotFoundError):
        return BadInput(NO_REVISION.format(revision=found.revision or "main", repo=repo))
    if isinstance(error, errors.RepositoryNotFoundError):
        return BadInput(NO_REPOSITORY.format(repo=repo))
    if status:
        return Unavailable(REFUSED.format(status=status, repo=repo))
    if isinstance(error, OSError) and error.errno == 28:
        return Exhausted(f"The disk is full: {found.name} is there in part, and the next pull goes on.")
    return Unavailable(OFFLINE.format(why=type(error).__name__, key=found.key))


def from_address(found: Checkpoint, folder: Path, say: Say, largest: int = LARGEST) -> tuple[str, list[str]]:
    """One file from its address, by its hash in the catalogue; what was begun goes on. Raises any InferenceError."""
    url = found.source.partition(":")[2]
    parts = urlsplit(url)
    name = PurePosixPath(unquote(parts.path)).name
    host = parts.hostname or url
    if name not in found.sha256:
        raise BadInput(NO_HASH.format(name=found.name, host=host, url=url, key=found.key))
    part = folder / f"{name}.part"
    try:
        _stream(url, part, name, found, say, largest)
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
        raise Unavailable(ADDRESS_FAILED.format(host=host, why=error.response.status_code, key=found.key)) from error
    except httpx.HTTPError as error:
        raise Unavailable(ADDRESS_FAILED.format(host=host, why=type(error).__name__, key=found.key)) from error
    part.rename(folder / name)
    return "", [name]


def _stream(url: str, part: Path, name: str, found: Checkpoint, say: Say, largest: int) -> None:
    begun = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begun}-"} if begun else {})
    with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=30) as response:
        response.raise_for_status()
        begun = begun if response.status_code == httpx.codes.PARTIAL_CONTENT else 0
        length = int(response.headers.get("Content-Length", 0))
        if begun + length > largest:
            raise Exhausted(TOO_LARGE.format(file=name, limit=round(largest / 1e6)))
        enough_room(found, part.parent, length)
        begin(part.parent)
        there = begun
        with part.open("ab" if begun else "wb") as file:
            for piece in response.iter_raw():
                file.write(piece)
                if there // SAY_EVERY != (there := there + len(piece)) // SAY_EVERY:
                    say(f"{name}: {there / 1e6:.0f} MB")
                if there > largest:
                    raise Exhausted(TOO_LARGE.format(file=name, limit=round(largest / 1e6)))
    if length and there - begun != length:
        raise Unavailable(CUT_OFF.format(file=name, name=found.name, why=f"{there} of {begun + length} bytes"))
