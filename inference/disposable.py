"""Work on untrusted files in a process of its own, which may crash, hang or run out of memory: both ends of it.

The parent calls `ask`, which has `inference.fork_server` fork a child for `<module>`, or where there is none starts
`python -m <module>`, gives it the request as JSON on its standard input (a command line can be read by every user of
the machine) and waits. The child's main function is `answer(work, damaged)`: it limits itself before it touches the
file, does the work, says in one line of JSON what came of it, and ends. What is too large for a line goes into files of
the request's folder, whose size is limited too.
This guards against crashes and exhaustion; it is not a sandbox against code execution.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inference import fork_server
from inference.errors import BadInput, Exhausted, InferenceError, Unavailable
from inference.fork_server import Ended

log = logging.getLogger(__name__)

ERRORS: dict[str, type[InferenceError]] = {kind.__name__: kind for kind in (BadInput, Exhausted, Unavailable)}
ROOT = Path(__file__).resolve().parent.parent
TOO_SLOW = "Reading this file took longer than {seconds:g} seconds, so it was stopped. Send a smaller or simpler file."
TOO_LARGE = "Reading this file needs more memory than is allowed here, so it was stopped. Send a smaller file."
NO_DISK = "What was read from this file does not fit on the disk or is larger than allowed, so it was not kept."
CRASHED = "This file makes its reader crash ({reason}). It is probably damaged; export it again and send that."
NO_ANSWER = "This file could not be read: its reader ended without an answer. Export the file again and send that."


@dataclass(frozen=True, slots=True)
class Limits:
    """What one reading may use. `memory` bounds address space, which for Python and numpy starts near 200 MB."""

    memory: int = 1_500_000_000  # bytes
    cpu_s: int = 20
    wall_s: float = 20.0
    file_bytes: int = 300_000_000  # largest source, and largest file that is written


def ask(module: str, request: dict[str, Any], workplace: Path, limits: Limits) -> dict[str, Any]:
    """What the child `module` says about the request, to which the limits are added.

    `workplace` is the child's working folder. Raises BadInput or Exhausted, or what the child refused with.
    """
    line = json.dumps({**request, "limits": asdict(limits)}).encode()
    try:
        ended = fork_server.run(module, line, workplace, _environment(), limits.wall_s)
    except fork_server.NoServer:
        ended = _run(module, line, workplace, limits.wall_s)
    if ended.code is None:
        raise Exhausted(TOO_SLOW.format(seconds=limits.wall_s))
    return _understand(module, ended.said, ended.code, ended.complaint[-4000:], limits)


def _run(module: str, line: bytes, workplace: Path, wall_s: float) -> Ended:
    """A Python of its own for one request."""
    with (workplace / "stderr").open("w+b") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=workplace,
            env=_environment(),
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(line, timeout=wall_s)
        except subprocess.TimeoutExpired:
            return Ended(b"", b"", None)
        finally:
            _end(process)
    return Ended(said, (workplace / "stderr").read_bytes(), process.returncode)


def answer(work: Callable[[dict[str, Any]], dict[str, Any]], damaged: Callable[[], str]) -> None:
    """The child's whole life: the request from standard input, the answer on the real standard output.

    Ends the process with status 0 whether the work was done or refused; any other ending is a crash, which the parent
    explains. `damaged` is the sentence for a failure that says nothing itself.
    """
    request = json.loads(sys.stdin.buffer.read())
    restrict(request["limits"])
    # Native libraries may print; only our line may reach the parent.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        line = json.dumps({"answer": work(request)}, allow_nan=False)
    # A process boundary: whatever goes wrong, native panics (BaseException) included, must leave as one line.
    except BaseException as error:
        traceback.print_exc()
        refusal = translate(error, damaged())
        line = json.dumps({"error": type(refusal).__name__, "message": str(refusal)})
    out.write(line + "\n")
    out.flush()
    # No finalisers: a library that corrupted its heap must not turn a good answer into a crash at exit.
    os._exit(0)


def restrict(limits: dict[str, Any]) -> None:
    """Bound this process for good: address space, CPU, output size, no core file, and an end even if orphaned."""
    wanted = {
        resource.RLIMIT_AS: limits["memory"],
        resource.RLIMIT_CPU: limits["cpu_s"],
        resource.RLIMIT_FSIZE: limits.get("written_bytes", limits["file_bytes"]),
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(kind, (bound, bound))
        except (ValueError, OSError):  # macOS has no RLIMIT_AS
            pass
    signal.alarm(int(limits["wall_s"]) + 2)
    warnings.simplefilter("ignore")


def translate(error: BaseException, damaged: str) -> InferenceError:
    """The InferenceError that any failure in the child amounts to."""
    if isinstance(error, InferenceError):
        return error
    if isinstance(error, MemoryError):
        return Exhausted(TOO_LARGE)
    if isinstance(error, OSError) and error.errno in (errno.EFBIG, errno.ENOSPC, errno.EDQUOT):
        return Exhausted(NO_DISK)
    return BadInput(damaged)


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


def _understand(module: str, said: bytes, code: int, complaint: bytes, limits: Limits) -> dict[str, Any]:
    """The child's one line of JSON, or the InferenceError that its refusal or its death amounts to."""
    if code != 0:
        log.warning("%s ended with %s: %s", module, code, complaint.decode(errors="replace"))
        raise _death(code, limits)
    try:
        line: dict[str, Any] = json.loads(said)
        if "error" in line:
            log.info("%s refused: %s; %s", module, line["message"], complaint.decode(errors="replace"))
            raise ERRORS[line["error"]](line["message"])
        found: dict[str, Any] = line["answer"]
        return found
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
