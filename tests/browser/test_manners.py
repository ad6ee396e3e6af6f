"""How the page behaves while one works: it follows and lets go, keeps what is open, and says what is wrong in place."""

import re
from typing import Any

from playwright.sync_api import expect

from tests.browser.conftest import RADIOGRAPH, drop
from tests.browser.test_story import done, new_chat_with_the_radiograph

FOLLOWED = """() => {
  const s = document.getElementById("scroll");
  return s.scrollHeight - s.scrollTop - s.clientHeight < 4;
}"""


def scroll(page: Any, js: str) -> Any:
    return page.locator("#scroll").evaluate(js)


def test_streamed_text_wraps_and_is_followed_until_the_reader_scrolls_up(slow_page):
    page = slow_page
    page.set_viewport_size({"width": 1200, "height": 420})
    page.goto("/")
    page.fill("#text", "Tell me")
    page.keyboard.press("Enter")
    page.wait_for_url("**/chats/*/")
    expect(page.locator(".answer.live")).to_contain_text("w064", timeout=30_000)
    page.wait_for_function(FOLLOWED)  # a line that has just wrapped is followed with the next frame
    assert scroll(page, "s => s.scrollWidth <= s.clientWidth")
    scroll(page, "s => { s.scrollTop = 0; }")
    expect(page.locator("#to-end")).to_be_visible()
    expect(page.locator(".answer.live")).to_contain_text("w112")
    assert scroll(page, "s => s.scrollTop") == 0
    page.locator("#to-end").click()
    done(page)
    page.wait_for_function(FOLLOWED)


def test_a_step_that_was_opened_stays_open_and_tells_the_result(open_page):
    page = open_page()
    page.goto("/")
    page.locator(".tries button").first.click()
    page.wait_for_url("**/chats/*/")
    page.locator(".step summary").first.click()
    done(page)
    expect(page.locator(".step[open] .step-body")).to_contain_text("classical baseline")


def test_each_bad_file_has_its_line_and_the_good_one_is_attached(open_page, tmp_path):
    page = open_page()
    page.goto("/")
    (tmp_path / "notes.dcm").write_text("words")
    (tmp_path / "empty.png").touch()
    drop(page, tmp_path / "notes.dcm", tmp_path / "empty.png", RADIOGRAPH)
    expect(page.locator(".attachment input[name=images]")).to_have_count(1, timeout=30_000)
    expect(page.locator("#composer-error")).to_contain_text("notes.dcm:")
    expect(page.locator("#composer-error")).to_contain_text("empty.png:")


def test_a_refused_question_says_why_below_itself_and_is_kept(open_page):
    page = open_page()
    new_chat_with_the_radiograph(page)
    page.fill("#text", "long " * 5000)
    page.keyboard.press("Enter")
    expect(page.locator("#composer-error")).to_have_text(re.compile("longer than"))
    assert page.input_value("#text").startswith("long long")


def test_control_k_searches_the_chats(open_page):
    page = open_page(900)
    new_chat_with_the_radiograph(page)
    page.keyboard.press("Control+k")
    expect(page.locator("#q-chats")).to_be_focused()
    page.keyboard.type("no such words")
    expect(page.locator("#chat-list")).to_contain_text("No chat has these words")
