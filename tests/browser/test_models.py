"""The models in a browser: their page by eye and by keyboard, the switch, and the choice of a chat in its header."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from bench.site import Site, start_site
from tests.assistant.test_calibrations import png, weights

__all__ = ["weights"]
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
def own_site(live_site: Site, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with an entry of its own in the catalogue and a small classifier; its literature is copied."""
    source = Path(live_site.env["LIGHTBOX_DATA"])
    folder = tmp_path_factory.mktemp("own")
    data = folder / "data"
    data.mkdir()
    shutil.copytree(source / "index", data / "index")
    with sqlite3.connect(source / "lightbox.sqlite3") as old, sqlite3.connect(data / "lightbox.sqlite3") as new:
        old.backup(new)
    (folder / "mine.toml").write_text(MINE)
    site = start_site(data, LIGHTBOX_CATALOGUE=str(folder / "mine.toml"), LIGHTBOX_CLASSIFY=str(weights))
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


@pytest.fixture(scope="module")
def labels(own_site: Site) -> str:
    """A CSV that labels 24 pictures of the site's user."""
    token = own_site.manage("token").strip()
    with httpx.Client(base_url=own_site.url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as api:
        for number in range(24):
            api.post("/api/images", files={"file": (f"picture-{number}.png", png(number))}).raise_for_status()
    return "image,Effusion\n" + "".join(f"picture-{number}.png,{int(number > 11)}\n" for number in range(24))


def test_a_classifier_is_calibrated_by_its_worker_and_the_curve_is_shown(open_own, labels):
    page = open_own()
    page.goto("/calibrations/")
    clean(page)
    page.get_by_label("Classifier").select_option("own-classifier")
    csv = {"name": "labels.csv", "mimeType": "text/csv", "buffer": labels.encode()}
    page.get_by_label("or a CSV with labels").set_input_files(csv)
    page.get_by_label("Name of the new set").fill("Two dozen")
    page.get_by_role("button", name="Calibrate").click()
    expect(page.locator("main")).to_contain_text("AUROC", timeout=120_000)
    page.get_by_role("button", name="Show my results as probabilities").click()
    expect(page.locator("main")).to_contain_text("In use.")
    small = open_own(360, 800, dark=True)
    for address in (page.url, "/calibrations/"):
        small.goto(address)
        assert small.evaluate("document.documentElement.scrollWidth <= innerWidth")
        clean(small)


def test_a_set_is_made_and_filled_by_keyboard_and_fits_a_telephone(open_own, labels):
    page = open_own(360, 800, dark=True)
    page.goto("/sets/")
    clean(page)
    page.get_by_label("Name of a new set").fill("Normal ones")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sets/*/")
    boxes = page.get_by_role("checkbox")
    for number in range(3):
        boxes.nth(number).focus()
        page.keyboard.press("Space")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    clean(page)
    page.get_by_role("button", name="Save this page").click()
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(3)
