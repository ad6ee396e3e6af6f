"""The whole story in Chromium with a real vLLM: its small model talks, calls the tools, and sees the picture."""

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from PIL import ImageDraw
from playwright.sync_api import expect

from bench.site import Site, start_site
from bench.vllm_server import Vllm
from tests.browser.conftest import RADIOGRAPH, drop, open_page
from tests.vllm.tiny.lessons import LOOP

__all__ = ["open_page"]
pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]
PATIENCE = 90_000  # milliseconds: vLLM, the site and Chromium share the machine


@pytest.fixture(scope="module")
def live_site(vllm: Vllm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose chats and whose questions about images go to vLLM, and where masks wait for a click."""
    data = tmp_path_factory.mktemp("site") / "data folder"
    site = start_site(data, LIGHTBOX_CHAT=vllm.chat, LIGHTBOX_VQA=vllm.chat, LIGHTBOX_APPROVE="segment")
    yield site
    site.stop()


@pytest.fixture(scope="module")
def signed_in(chromium: Any, live_site: Site) -> Any:
    context = chromium.new_context()
    context.new_page().goto(live_site.sign_in_link)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def page(open_page: Callable[..., Any]) -> Any:
    found = open_page()
    found.context.set_default_timeout(PATIENCE)
    found.goto("/")
    return found


@pytest.fixture
def dark_picture(tmp_path: Path) -> Path:
    """A dark picture with a bright disc on the left."""
    made = Pillow.new("L", (320, 240), 25)
    ImageDraw.Draw(made).ellipse((40, 75, 130, 165), fill=230)
    made.save(tmp_path / "disc.png")
    return tmp_path / "disc.png"


def attach(page: Any, file: Path) -> None:
    drop(page, file)
    expect(page.locator(".attachment input[name=images]")).to_have_count(1, timeout=PATIENCE)


def ask(page: Any, question: str) -> None:
    page.fill("#text", question)
    page.keyboard.press("Enter")
    page.wait_for_url("**/chats/*/")


def done(page: Any) -> None:
    expect(page.locator(".answer")).not_to_have_count(0)
    expect(page.locator(".answer.live")).to_have_count(0, timeout=PATIENCE)
    expect(page.locator("#composer-action .send")).to_be_visible()


def words(page: Any) -> list[str]:
    return page.locator(".answer .parts").last.inner_text().split()


def until(true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_an_image_is_uploaded_a_tool_is_called_and_its_evidence_opens(page):
    attach(page, RADIOGRAPH)
    ask(page, "Describe this image")
    done(page)
    expect(page.locator(".step .step-line")).to_contain_text(re.compile(r"1841 x 1955.*\d (ms|s)", re.S))
    expect(page.locator(".answer").last).to_contain_text(re.compile(r"\w+ \w+ \w+"))
    page.locator("#messages .chip-call").first.click()
    expect(page.locator("#pane-sources")).to_contain_text("1841 x 1955")
    assert page.locator(".chip-unsupported").count() == 0


def test_the_model_looks_at_the_picture_itself(page, dark_picture):
    attach(page, dark_picture)
    ask(page, "What do you see in this image?")
    done(page)
    expect(page.locator(".step .step-line")).to_contain_text("The image is dark")
    expect(page.locator(".answer").last).to_contain_text("The image is dark")
    expect(page.locator("#messages .chip-call")).to_have_count(1)


def test_a_tool_that_needs_a_click_is_allowed(page):
    attach(page, RADIOGRAPH)
    ask(page, "Segment the lungs")
    asking = page.locator(".step-ask form")
    expect(asking).to_contain_text("waits for you")
    assert page.locator(".overlay").count() == 0
    asking.get_by_role("button", name="Allow").click()
    done(page)
    expect(page.locator(".answer").last).to_contain_text("Both lungs are outlined")
    expect(page.locator("#messages .chip-mask")).to_have_count(2)
    page.locator("#messages .chip-mask").first.click()
    expect(page.locator(".overlay.lit")).to_have_count(1)


def test_a_tool_that_needs_a_click_is_declined_and_the_model_goes_on(page):
    attach(page, RADIOGRAPH)
    ask(page, "Segment the lungs")
    page.locator(".step-ask form").get_by_role("button", name="Decline").click()
    done(page)
    expect(page.locator(".answer").last).to_contain_text("That was not done")
    expect(page.locator(".step .step-line")).to_contain_text("not allowed")
    assert page.locator("#messages .chip-mask").count() == 0


def test_the_literature_is_searched_with_the_topic_that_was_asked(page):
    ask(page, "Which papers are about prompt learning?")
    done(page)
    expect(page.locator(".step .step-line")).to_contain_text("papers")
    page.locator(".step summary").click()
    expect(page.locator(".step-body")).to_contain_text("prompt learning")
    expect(page.locator(".answer").last).to_contain_text("These passages were found")


def test_the_answer_grows_word_by_word_and_survives_reloads(page):
    ask(page, "Talk without end")
    expect(page.locator(".answer.live")).to_contain_text("and so on", timeout=PATIENCE)
    seen = [words(page)]
    for reload in (False, True, False, True):
        if reload:
            page.reload()
        else:
            page.wait_for_timeout(300)
        seen.append(words(page))
    done(page)
    whole = words(page)
    assert whole[:60] == LOOP.split()
    assert all(part == whole[: len(part)] for part in seen), "a word was lost or doubled"
    assert len({len(part) for part in seen}) >= 3, [len(part) for part in seen]
    assert len(whole) > len(seen[0]), "the answer was over before it was watched"


def test_its_words_are_kept_as_many_events(page, live_site):
    ask(page, "Talk without end")
    done(page)
    with sqlite3.connect(Path(live_site.env["LIGHTBOX_DATA"]) / "lightbox.sqlite3") as database:
        [newest] = database.execute("SELECT run_id FROM assistant_event ORDER BY id DESC LIMIT 1").fetchone()
        asked = "SELECT count(*) FROM assistant_event WHERE kind = 'text' AND run_id = ?"
        [count] = database.execute(asked, [newest]).fetchone()
    assert count > 10


def test_stopping_reaches_the_server(page, vllm):
    ask(page, "Talk without end")
    expect(page.locator(".answer.live")).to_contain_text("and so on", timeout=PATIENCE)
    assert vllm.metric("vllm:num_requests_running") == 1
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".ended")).to_contain_text("Stopped", timeout=5_000)
    assert until(lambda: vllm.metric("vllm:num_requests_running") == 0, seconds=10), "it goes on for nobody"
    expect(page.locator(".answer").last).to_contain_text("and so on")
