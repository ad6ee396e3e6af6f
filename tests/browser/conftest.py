"""Pages that are watched while they are driven, and a site whose chat model speaks slowly."""

import base64
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import data_store
import pytest

from bench.site import Site, start_site
from inference.fake import FakeOpenAI, Reply, Request

RADIOGRAPH = Path(data_store.__file__).parent / "data" / "RG1_UNCR.dcm"
WORDS = [f"w{i:03}" for i in range(1, 161)]
WATCH = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


@dataclass
class Watched:
    """What a page complained about: errors of scripts, of the console, of the content security policy."""

    page: Any
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.add_init_script(WATCH)
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("console", self.heard)

    def heard(self, message: Any) -> None:
        # A refused question answers 409 and the page says it; htmx logs a lost stream, and connects again.
        expected = any(
            words in message.text for words in ("Failed to load resource", "Error Code 4", "ERR_", "[object Event]")
        )
        if message.type == "error" and not expected:
            self.complaints.append(f"console: {message.text}")


@pytest.fixture
def open_page(chromium: Any, live_site: Site, signed_in: Any) -> Iterator[Callable[..., Any]]:
    """open_page(width, height, dark): a signed-in page of the site. Fails the test if the page complained."""
    opened: list[Watched] = []

    def open_(width: int = 1440, height: int = 900, dark: bool = False, site: Site = live_site, state: Any = signed_in):
        context = chromium.new_context(
            base_url=site.url,
            storage_state=state,
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
        )
        context.set_default_timeout(20_000)
        watched = Watched(context.new_page())
        watched.watch()
        opened.append(watched)
        return watched.page

    yield open_
    complaints = [complaint for watched in opened for complaint in watched.complaints]
    for watched in opened:
        watched.page.context.close()
    assert not complaints


def drop(page: Any, *files: Path) -> None:
    """Drop files on the composer, as from a file manager."""
    bodies = [[file.name, base64.b64encode(file.read_bytes()).decode()] for file in files]
    transfer = page.evaluate_handle(
        """(files) => {
            const transfer = new DataTransfer();
            for (const [name, body] of files)
                transfer.items.add(new File([Uint8Array.from(atob(body), (c) => c.charCodeAt(0))], name));
            return transfer;
        }""",
        bodies,
    )
    page.dispatch_event("#composer", "drop", {"dataTransfer": transfer})


def script(request: Request) -> Reply:
    """A long answer of numbered words, in paragraphs, about five seconds long."""
    paragraphs = [" ".join(WORDS[i : i + 16]) + "." for i in range(0, len(WORDS), 16)]
    return Reply("\n\n".join(paragraphs), delay_s=0.03)


@pytest.fixture(scope="session")
def slow_model() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(script) as server:
        yield server


@pytest.fixture(scope="session")
def slow_site(live_site: Site, slow_model: FakeOpenAI, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A second site with a served model. It begins with a copy of the first one's literature, which takes a minute."""
    source = Path(live_site.env["LIGHTBOX_DATA"])
    data = tmp_path_factory.mktemp("slow") / "data"
    data.mkdir()
    shutil.copytree(source / "index", data / "index")
    with sqlite3.connect(source / "lightbox.sqlite3") as old, sqlite3.connect(data / "lightbox.sqlite3") as new:
        old.backup(new)
    site = start_site(data, LIGHTBOX_CHAT=f"openai:{slow_model.base_url}#{slow_model.model}")
    yield site
    site.stop()


@pytest.fixture(scope="session")
def slow_state(chromium: Any, slow_site: Site) -> Any:
    context = chromium.new_context()
    context.new_page().goto(slow_site.sign_in_link)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def slow_page(open_page: Callable[..., Any], slow_site: Site, slow_state: Any) -> Any:
    return open_page(site=slow_site, state=slow_state)
