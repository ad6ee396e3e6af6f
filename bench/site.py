"""A whole site in a process of its own, started as a user starts it: for the measurements and for the tests."""

import os
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
NOT_OURS = {"REDIS_URL", "DATABASE_URL", "PORT", "LIGHTBOX_BIND", "LIGHTBOX_MULTI_USER"}


class DidNotStart(Exception):
    """`manage.py serve` ended before it was ready; the text is what it said."""


@dataclass
class Site:
    """A site started by `manage.py serve`."""

    url: str
    sign_in_link: str  # works once
    process: "subprocess.Popen[str]"
    env: dict[str, str]
    said: str

    def manage(self, *arguments: str) -> str:
        """The output of a management command on this site's data."""
        line = [sys.executable, str(ROOT / "manage.py"), *arguments]
        return subprocess.run(line, env=self.env, capture_output=True, text=True, check=True, cwd=ROOT).stdout

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_site(data: Path, **settings: str) -> Site:
    """Start a site on this data folder and wait until it says that it is ready. Raises DidNotStart."""
    kept = {name: value for name, value in os.environ.items() if name not in NOT_OURS}
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])  # never the one that a site in use would take
    env = {**kept, "LIGHTBOX_DATA": str(data), "PYTHONUNBUFFERED": "1", "PORT": port, **settings}
    line = [sys.executable, str(ROOT / "manage.py"), "serve"]
    process = subprocess.Popen(
        line, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    said, link = "", ""
    for text in process.stdout:
        said += text
        if "Sign in:" in text or "Lightbox:" in text:
            link = text.split()[-1]
        if "Ready in" in text:
            break
    else:
        raise DidNotStart(said)
    threading.Thread(target=_drain, args=(process, data), daemon=True).start()
    parts = urlsplit(link)
    return Site(f"{parts.scheme}://{parts.netloc}", link, process, env, said)


def _drain(process: "subprocess.Popen[str]", data: Path) -> None:
    assert process.stdout is not None
    with (data / "serve-output.log").open("a", buffering=1) as log:
        for text in process.stdout:
            log.write(text)
