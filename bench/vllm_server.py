"""vLLM on this machine's CPU, serving the small model of tests/vllm: for the tests and for the measurements."""

import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from assistant.supervisor import Guard, stop_family
from bench.site import ROOT

MODEL = ROOT / "tests" / "vllm" / "tiny" / "model"
ENVIRONMENT = ROOT / "var" / "environments" / "vllm-cpu"  # .ci/vllm-environment
NAME = "tiny-qwen2-vl"
LENGTH = 4096  # tokens of a request and its answer: where the model that talks without end is stopped
START_SECONDS = 600.0  # 105 s on two idle cores
ARGUMENTS = [
    *("--host", "127.0.0.1", "--served-model-name", NAME, "--dtype", "bfloat16", "--enforce-eager"),
    *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
    *("--max-num-seqs", "64", "--limit-mm-per-prompt", '{"image": 8, "video": 0}'),
]
OFFLINE = {
    "VLLM_TARGET_DEVICE": "cpu",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "PYTHONUNBUFFERED": "1",
}


class DidNotStart(Exception):
    """vLLM ended, or was not ready in time; the text is the end of its log."""


@dataclass
class Vllm:
    """A running server. `chat` is what LIGHTBOX_CHAT and LIGHTBOX_VQA are set to."""

    url: str
    process: "subprocess.Popen[bytes] | None" = None
    guard: Guard | None = None

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def chat(self) -> str:
        return f"openai:{self.base_url}#{NAME}"

    def metric(self, name: str) -> float:
        """The sum of a gauge or counter over its labels, such as vllm:num_requests_running."""
        lines = httpx.get(f"{self.url}/metrics", trust_env=False, timeout=30).text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))

    def stop(self) -> None:
        """End it and all its processes; a server that was running before is left alone."""
        if self.process and self.guard:
            stop_family([self.process.pid], seconds=10)
            self.process.wait()
            self.guard.close()


def start_vllm(log: Path, length: int = LENGTH) -> Vllm:
    """The server of LIGHTBOX_TEST_VLLM (http://127.0.0.1:PORT), else one of our own that ends with this process.

    The environment is that of .ci/vllm-environment, or LIGHTBOX_VLLM_ENVIRONMENT. Raises DidNotStart.
    """
    if running := os.environ.get("LIGHTBOX_TEST_VLLM"):
        return Vllm(running.rstrip("/"))
    python = Path(os.environ.get("LIGHTBOX_VLLM_ENVIRONMENT", ENVIRONMENT)).absolute() / "bin" / "python"
    if not python.exists():
        raise DidNotStart(f"There is no {python}. Make it first: bash .ci/vllm-environment")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    # The command `vllm` asks for a distribution of that name, and vllm-cpu has another.
    line = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(MODEL), "--port", port]
    line += [*ARGUMENTS, "--max-model-len", str(length)]
    guard = Guard()  # ends it when this process is killed
    with log.open("wb") as out:
        process = subprocess.Popen(
            line, env={**os.environ, **OFFLINE}, cwd=log.parent, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    guard.watch(process.pid)
    server = Vllm(f"http://127.0.0.1:{port}", process, guard)
    try:
        _wait(server, process, log)
    except BaseException:
        server.stop()
        raise
    return server


def _wait(server: Vllm, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{server.url}/health", trust_env=False, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    why = f"ended with {process.returncode}" if process.returncode is not None else f"not ready in {START_SECONDS:g} s"
    raise DidNotStart(f"vLLM: {why}. The end of {log}:\n" + log.read_text(errors="replace")[-6000:])


def main() -> None:
    """Serve until interrupted: python -m bench.vllm_server"""
    import tempfile
    import threading

    log = Path(tempfile.mkdtemp(prefix="lightbox-vllm-")) / "vllm.log"
    print(f"starting vLLM, log in {log} ...", flush=True)
    begun = time.monotonic()
    server = start_vllm(log)
    print(f"ready in {time.monotonic() - begun:.0f} s: LIGHTBOX_TEST_VLLM={server.url}", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.stop()


if __name__ == "__main__":
    main()
