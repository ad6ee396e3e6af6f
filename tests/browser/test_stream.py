"""A slow answer, watched: no token lost or doubled whatever happens to the page, the connection or the web process."""

import re
import time
from typing import Any

import psutil
from playwright.sync_api import expect

from tests.browser.conftest import WORDS


def begin(page: Any, question: str = "Say the words") -> None:
    page.goto("/")
    page.fill("#text", question)
    page.keyboard.press("Enter")
    page.wait_for_url("**/chats/*/")
    expect(page.locator(".answer.live")).to_contain_text("w005", timeout=20_000)


def words(page: Any) -> list[str]:
    return re.findall(r"w\d{3}", page.locator(".answer").last.inner_text())


def assert_a_beginning(found: list[str]) -> None:
    assert found == WORDS[: len(found)]


def finish(page: Any) -> None:
    expect(page.locator(".answer.live")).to_have_count(0, timeout=60_000)
    assert words(page) == WORDS


def test_reloading_at_any_moment_loses_and_doubles_nothing(slow_page):
    begin(slow_page)
    seen = 0
    for _ in range(4):
        slow_page.wait_for_timeout(400)
        slow_page.reload()
        found = words(slow_page)
        assert_a_beginning(found)
        assert len(found) >= seen
        seen = len(found)
    assert seen < len(WORDS), "the answer was over before the reloads"
    finish(slow_page)


def test_a_web_process_that_dies_is_reconnected_to(slow_page, slow_site):
    begin(slow_page)
    children = psutil.Process(slow_site.process.pid).children(recursive=True)
    web = next(child for child in children if "uvicorn" in " ".join(child.cmdline()))
    web.kill()
    finish(slow_page)


def test_two_tabs_see_the_same_answer(slow_page, slow_site):
    begin(slow_page)
    other = slow_page.context.new_page()
    other.goto(slow_page.url)
    finish(other)
    finish(slow_page)


def test_stop_works_within_two_seconds_and_keeps_what_was_said(slow_page):
    begin(slow_page)
    begun = time.monotonic()
    slow_page.get_by_role("button", name="Stop").click()
    expect(slow_page.locator(".ended")).to_contain_text("Stopped", timeout=2_000)
    expect(slow_page.locator("#composer-action .send")).to_be_visible()
    assert time.monotonic() - begun < 2
    found = words(slow_page)
    assert_a_beginning(found)
    assert 5 <= len(found) < len(WORDS)
    slow_page.reload()
    assert words(slow_page) == found


def test_a_stopped_question_is_asked_again_with_one_click(slow_page):
    begin(slow_page)
    slow_page.get_by_role("button", name="Stop").click()
    slow_page.get_by_role("button", name="Ask again").click()
    expect(slow_page.locator(".question")).to_have_count(2)
    finish(slow_page)


def test_a_reader_who_scrolled_up_is_left_alone_and_one_at_the_end_is_taken_along(slow_page):
    slow_page.set_viewport_size({"width": 1200, "height": 420})
    begin(slow_page)
    expect(slow_page.locator(".answer.live")).to_contain_text("w080", timeout=20_000)
    scroll = slow_page.locator("#scroll")
    rest = "s => s.scrollHeight - s.scrollTop - s.clientHeight"
    assert scroll.evaluate(rest) < 60
    scroll.hover()
    slow_page.mouse.wheel(0, -2000)
    slow_page.wait_for_timeout(200)
    assert scroll.evaluate("s => s.scrollTop") == 0
    expect(slow_page.locator(".answer.live")).to_contain_text("w120", timeout=20_000)
    assert scroll.evaluate("s => s.scrollTop") == 0
    slow_page.locator("#to-end").click()
    finish(slow_page)
    assert scroll.evaluate(rest) < 60


def test_a_second_question_waits_and_keeps_its_text(slow_page):
    begin(slow_page)
    slow_page.fill("#text", "And then?")
    slow_page.keyboard.press("Enter")
    expect(slow_page.locator("#composer-error")).to_contain_text("still being answered")
    assert slow_page.input_value("#text") == "And then?"
    slow_page.get_by_role("button", name="Stop").click()
    expect(slow_page.locator("#composer-action .send")).to_be_visible()
