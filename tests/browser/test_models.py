"""The models in a browser: their page by eye and by keyboard, the switch, and the choice of a chat in its header."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from bench.site import Site, start_site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]  # a second site is started
MINE = """[[checkpoint]]
key = "second-lungs"
name = "A second way to outline lungs"
roles = ["segment"]
backend = "lungs"
source = "built-in"
licence = "MIT"
works_on = "frontal chest radiographs"
"""


@pytest.fixture(scope="module")
def own_site(live_site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose catalogue has an entry of its own; it begins with a copy of the first one's literature."""
    source = Path(live_site.env["LIGHTBOX_DATA"])
    folder = tmp_path_factory.mktemp("own")
    data = folder / "data"
    data.mkdir()
    shutil.copytree(source / "index", data / "index")
    with sqlite3.connect(source / "lightbox.sqlite3") as old, sqlite3.connect(data / "lightbox.sqlite3") as new:
        old.backup(new)
    (folder / "mine.toml").write_text(MINE)
    site = start_site(data, LIGHTBOX_CATALOGUE=str(folder / "mine.toml"))
    yield site
    site.stop()


@pytest.fixture
def open_own(open_page: Callable[..., Any], chromium: Any, own_site: Site) -> Callable[..., Any]:
    """open_own(width, height, dark): a signed-in page of that site."""
    if not hasattr(own_site, "state"):
        context = chromium.new_context()
        context.new_page().goto(own_site.sign_in_link)
        object.__setattr__(own_site, "state", context.storage_state())
        context.close()
    return lambda *size, **more: open_page(*size, site=own_site, state=own_site.state, **more)  # type: ignore[attr-defined]


def done(page: Any) -> None:
    """The answer is there, on a busy machine too."""
    expect(page.locator("#composer-action .send")).to_be_visible(timeout=60_000)


def clean(page: Any) -> None:
    serious = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
    assert serious == []


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (360, True)])
def test_the_page_of_models_fits_and_is_accessible(open_own, width, dark):
    page = open_own(width, 900, dark=dark)
    page.goto("/models/")
    expect(page.locator("#model-maira-2")).to_contain_text("not for commercial use")
    page.locator("#model-hulu-med-7b summary").click()
    expect(page.locator("#model-hulu-med-7b")).to_contain_text("VQA-RAD 78.0")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    clean(page)
    page.get_by_role("navigation", name="What they do").get_by_role("link", name="Register").click()
    expect(page.locator("#model-registration-simpleitk")).to_be_visible()
    expect(page.locator("#model-maira-2")).to_have_count(0)
    page.goto("/models/sam-vit-base/")
    expect(page.get_by_role("link", name="Segment Anything")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    clean(page)


def test_a_model_is_switched_in_place_and_the_focus_stays(open_own):
    page = open_own()
    page.goto("/models/?role=register")
    row = page.locator("#model-registration-simpleitk")
    row.get_by_role("button", name="Switch registration").focus()
    page.keyboard.press("Enter")
    expect(row.locator(".state")).to_have_text("switched off")
    expect(row.get_by_role("button")).to_be_focused()
    page.keyboard.press("Enter")
    expect(row.locator(".state")).to_have_text("ready")


def test_a_chat_chooses_its_model_in_its_header_and_keeps_it(open_own):
    page = open_own()
    page.goto("/")
    page.fill("#text", "What can you do?")
    page.keyboard.press("Enter")
    page.wait_for_url("**/chats/*/")
    done(page)
    page.get_by_label("Models of this chat").click()
    choice = page.get_by_label("Segment", exact=True)
    choice.select_option("second-lungs")
    page.get_by_role("button", name="Keep").click()
    expect(page.locator(".chat-models [role=status]")).to_contain_text("it counts from the next question on")
    clean(page)
    page.reload()
    page.get_by_label("Models of this chat").click()
    expect(choice).to_have_value("second-lungs")
