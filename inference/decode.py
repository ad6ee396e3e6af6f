"""Decoding an uploaded file in a disposable process.

Image codecs crash on hostile or damaged input: segmentation faults, native panics, gigabytes from a small file. So no
upload is ever parsed in the process that asks. `decode` starts `python -m inference.decoder`, which limits its own
memory, time and output before it reads a byte, writes the preview and the pixels, says in one line of JSON what it
found, and ends. This guards against crashes and exhaustion; it is not a sandbox against code execution.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inference.errors import BadInput, Exhausted, InferenceError, Unavailable
from inference.types import Decoded, Image

log = logging.getLogger(__name__)

PREVIEW = "preview.png"
PIXELS = "pixels.npy"
ERRORS: dict[str, type[InferenceError]] = {kind.__name__: kind for kind in (BadInput, Exhausted, Unavailable)}
ROOT = Path(__file__).resolve().parent.parent
TOO_SLOW = "Reading this file took longer than {seconds:g} seconds, so it was stopped. Send a smaller or simpler file."
TOO_LARGE = "Reading this file needs more memory than is allowed here, so it was stopped. Send a smaller file."
CRASHED = "This file makes the decoder crash ({reason}). It is probably damaged; export it again and send that."
NO_ANSWER = "This file could not be decoded: the decoder ended without an answer. Export the file again and send that."
GONE = "The decoded pixels of this image are missing or damaged. Upload the image again."


@dataclass(frozen=True, slots=True)
class Limits:
    """What one decoding may use. `memory` bounds address space, which for Python and numpy starts near 200 MB."""

    memory: int = 1_500_000_000  # bytes
    cpu_s: int = 20
    wall_s: float = 20.0
    pixels: int = 64_000_000  # rows x columns
    file_bytes: int = 300_000_000  # largest source, largest output, and largest inflated data set


def decode(source: Path, folder: Path, limits: Limits | None = None) -> Decoded:
    """Read the PNG, JPEG or DICOM file `source`, judged by content, and write `preview.png` and `pixels.npy`.

    `folder` is made when absent. `preview.png` is 8-bit, grey or RGB, (H, W) of the whole image. `pixels.npy` holds
    modality values as `inference.types.Image.pixels` describes them: (H, W) or (H, W, 3), in the smallest integer
    type that holds them, or float32 when rescaling makes fractions. Both appear only when both are complete.

    Raises BadInput (not readable, with the reason) or Exhausted (a limit of `limits` was hit), nothing else.
    """
    limits = limits or Limits()
    if not source.is_file():
        raise BadInput("The uploaded file is no longer there. Upload it again.")
    folder.mkdir(parents=True, exist_ok=True)
    workplace = Path(tempfile.mkdtemp(prefix=".decode-", dir=folder))
    try:
        decoded = _ask_child(source, workplace, limits)
        for name in (PIXELS, PREVIEW):
            (workplace / name).replace(folder / name)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)
    return decoded


def load(folder: Path, decoded: Decoded) -> Image:
    """The image whose pixels `decode` wrote into `folder`. Raises BadInput when they are missing or do not fit."""
    try:
        pixels = np.load(folder / PIXELS, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(GONE) from error
    if pixels.shape[:2] != (decoded.height, decoded.width):
        raise BadInput(GONE)
    return Image(
        pixels=pixels,
        spacing=decoded.spacing,
        modality=decoded.modality,
        body_part=decoded.body_part,
        view=decoded.view,
        orientation=decoded.orientation,
        inverted=decoded.inverted,
    )


def _ask_child(source: Path, workplace: Path, limits: Limits) -> Decoded:
    paths = {"source": str(source.resolve()), "folder": str(workplace.resolve())}
    request = json.dumps({**paths, "limits": asdict(limits)})
    with (workplace / "stderr").open("w+b") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "inference.decoder", request],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=workplace,
            env=_environment(),
            start_new_session=True,
        )
        try:
            answer, _ = process.communicate(timeout=limits.wall_s)
        except subprocess.TimeoutExpired as error:
            raise Exhausted(TOO_SLOW.format(seconds=limits.wall_s)) from error
        finally:
            _end(process)
        return _understand(answer, process.returncode, (workplace / "stderr").read_bytes()[-4000:], limits)


def _environment() -> dict[str, str]:
    """Nothing of the caller's but what the loader needs: no secrets, no settings; one thread, since BLAS reserves
    address space for each."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return {**kept, **threads, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the child's session; its group id is its process id."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    if process.stdout:
        process.stdout.close()


def _understand(answer: bytes, code: int, complaint: bytes, limits: Limits) -> Decoded:
    """The child's one line of JSON, or the InferenceError that its death amounts to."""
    if code != 0:
        log.warning("decoder ended with %s: %s", code, complaint.decode(errors="replace"))
        raise _death(code, limits)
    try:
        said: dict[str, Any] = json.loads(answer)
        if "error" in said:
            log.info("decoder refused: %s; %s", said["message"], complaint.decode(errors="replace"))
            raise ERRORS[said["error"]](said["message"])
        return Decoded.from_dict(said["decoded"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(NO_ANSWER) from error


def _death(code: int, limits: Limits) -> InferenceError:
    if code in (-signal.SIGXCPU, -signal.SIGALRM):
        return Exhausted(TOO_SLOW.format(seconds=min(limits.wall_s, limits.cpu_s)))
    if code == -signal.SIGKILL:
        return Exhausted(TOO_LARGE)
    if code < 0:
        return BadInput(CRASHED.format(reason=signal.Signals(-code).name))
    return BadInput(NO_ANSWER)
