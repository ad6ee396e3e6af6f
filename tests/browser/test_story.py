"""The whole story in Chromium: a radiograph and the literature, with the guide, on a site as `make run` starts it."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from docx import Document
from playwright.sync_api import expect

from bench.site import ROOT
from tests.browser.conftest import RADIOGRAPH, drop

STRATEGY = "Which papers use prompt learning to adapt CLIP to medical images?"


def ask(page: Any, question: str) -> None:
    """Ask and wait for the answer."""
    before = page.locator(".answer").count()
    page.fill("#text", question)
    page.keyboard.press("Enter")
    expect(page.locator(".answer")).to_have_count(before + 1, timeout=30_000)
    done(page)


def done(page: Any) -> None:
    expect(page.locator(".answer.live")).to_have_count(0, timeout=60_000)
    expect(page.locator("#composer-action .send")).to_be_visible()


def new_chat_with_the_radiograph(page: Any) -> None:
    page.goto("/")
    drop(page, RADIOGRAPH)
    expect(page.locator(".attachment input[name=images]")).to_have_count(1, timeout=30_000)
    page.fill("#text", "Segment the lungs in this radiograph")
    page.keyboard.press("Enter")
    page.wait_for_url("**/chats/*/")
    done(page)


def test_from_the_sign_in_link_to_a_report_whose_claims_open(open_page, tmp_path):
    page = open_page()
    new_chat_with_the_radiograph(page)
    expect(page.locator("h1")).to_have_text("Segment the lungs in this radiograph")

    # The step ran, says how long, and opens to its arguments and result.
    step = page.locator(".step").first
    expect(step.locator(".step-line")).to_contain_text(re.compile(r"Segment.*masks.*\d (ms|s)", re.S))
    step.locator("summary").click()
    expect(step.locator(".step-body")).to_contain_text("classical baseline")
    step.locator("summary").click()

    # A mask chip lights its overlay when pointed at, and opens it.
    chip = page.locator("#messages .chip-mask").nth(1)
    overlay = page.locator(f"#overlay-{chip.get_attribute('data-artifact')}")
    chip.hover()
    expect(overlay).to_have_class(re.compile("hot"))
    chip.click()
    expect(overlay).to_have_class(re.compile("lit"))
    page.locator("[data-layer]").first.uncheck()
    expect(page.locator(".overlay").first).to_be_hidden()
    page.locator("[data-layer]").first.check()

    # A source chip opens the passage with the quote marked; Esc returns to the chip.
    ask(page, STRATEGY)
    source = page.locator("#messages .chip-passage").first
    source.click()
    expect(page.locator("#evidence mark")).to_be_visible()
    quote = page.locator("#evidence mark").inner_text()
    assert quote in source.locator("xpath=ancestor::li").inner_text()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.textContent") == source.inner_text()

    # A report, its page, and its Word file.
    ask(page, "Draft a report")
    page.goto("/reports/")
    page.locator("main .lines a").first.click()
    expect(page.locator("main")).to_contain_text("Impression")
    expect(page.locator("main")).to_contain_text("Research use only, not for diagnosis")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as Word").click()
    saved = tmp_path / "report.docx"
    download.value.save_as(saved)
    words = "\n".join(p.text for p in Document(io.BytesIO(saved.read_bytes())).paragraphs)
    assert "Impression" in words
    assert "Research use only, not for diagnosis" in words


def test_the_picture_of_the_readme(open_page):
    page = open_page(1440, 900)
    new_chat_with_the_radiograph(page)
    ask(page, STRATEGY)
    page.locator("#messages .chip-mask").first.click()
    expect(page.locator(".overlay")).to_have_count(2)
    page.locator(".viewer .base").evaluate("image => image.decode()")
    page.locator("#messages .chip-passage").first.click()
    expect(page.locator("#evidence mark")).to_be_visible()
    expect(page.locator("#viewer")).to_be_visible()
    page.locator("#scroll").evaluate("scroll => { scroll.scrollTop = 0; }")
    page.wait_for_timeout(500)
    page.mouse.move(700, 880)
    Path(ROOT / "docs").mkdir(exist_ok=True)
    page.screenshot(path=ROOT / "docs" / "screenshot.png")


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (1440, True), (900, False), (360, False), (360, True)])
def test_every_page_is_accessible_and_fits(width, dark, open_page):
    page = open_page(width, 800, dark)
    page.goto("/")
    page.locator(".tries button").first.click()
    page.wait_for_url("**/chats/*/")
    done(page)
    chat = page.url
    ask(page, STRATEGY)
    ask(page, "Draft a report")
    page.goto("/reports/")
    report = page.locator("main .lines a").first.get_attribute("href")
    call = page.request.get(chat).text()
    evidence = re.search(r"/messages/[^/]+/evidence/1/", call)
    assert evidence
    for url in ("/", chat, "/chats/", "/chats/?q=lungs", "/literature/", "/models/", "/reports/", report, evidence[0]):
        page.goto(url)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, url
        assert_accessible(page, url)
    page.goto(chat)
    page.locator("#messages .chip-passage").first.click()
    expect(page.locator("#evidence mark")).to_be_visible()
    assert_accessible(page, "the chat with a source open")
    page.context.clear_cookies()
    page.goto("/sign-in/")
    assert_accessible(page, "/sign-in/")


SETTLED = """Promise.all(
    document.getAnimations().filter((a) => a.effect.getComputedTiming().endTime < 9e9).map((a) => a.finished)
).then(() => true, () => true)"""


def assert_accessible(page: Any, what: str) -> None:
    page.evaluate(SETTLED)  # colours are judged at rest, not while a pane slides in
    found = Axe().run(page).response["violations"]
    bad = [(v["id"], v["impact"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")]
    assert not bad, (what, bad)


def test_on_a_phone_the_evidence_slides_up_and_back_to_the_same_line(open_page):
    page = open_page(360, 740)
    new_chat_with_the_radiograph(page)
    ask(page, STRATEGY)
    chip = page.locator("#messages .chip-passage").nth(2)
    chip.scroll_into_view_if_needed()
    where = page.evaluate("document.getElementById('scroll').scrollTop")
    chip.click()
    expect(page.locator("#evidence mark")).to_be_visible()
    page.keyboard.press("Escape")
    expect(chip).to_be_in_viewport()
    assert page.evaluate("document.getElementById('scroll').scrollTop") == where
    page.locator(".tabbar").get_by_text("Image").click()
    expect(page.locator("#viewer")).to_be_visible()
    page.locator(".tabbar").get_by_text("Chats").click()
    expect(page.locator(".new-chat")).to_be_visible()
    page.locator(".tabbar").get_by_text("Chat", exact=True).click()
    expect(page.locator("#composer")).to_be_visible()


def test_on_a_phone_the_menu_opens_and_closes(open_page):
    page = open_page(360, 740)
    page.goto("/models/")
    page.get_by_text("Menu").click()
    expect(page.locator(".new-chat")).to_be_visible()
    page.locator(".sidebar").get_by_role("button", name="Close").click()
    expect(page.locator(".new-chat")).to_be_hidden()


def test_by_keyboard_alone(open_page):
    page = open_page()
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("First line")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type(STRATEGY)
    assert page.input_value("#text") == f"First line\n{STRATEGY}"
    page.fill("#text", STRATEGY)
    page.keyboard.press("Enter")
    page.wait_for_url("**/chats/*/")
    done(page)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    assert "question" in page.evaluate("document.activeElement.className")
    page.keyboard.press("j")
    assert "answer" in page.evaluate("document.activeElement.className")
    page.keyboard.press("k")
    assert "question" in page.evaluate("document.activeElement.className")
    page.keyboard.press("]")
    expect(page.locator("#evidence[data-n='1'] mark")).to_be_visible()
    page.keyboard.press("]")
    expect(page.locator("#evidence[data-n='2'] mark")).to_be_visible()
    page.keyboard.press("[")
    expect(page.locator("#evidence[data-n='1'] mark")).to_be_visible()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("Control+k")
    page.keyboard.type("prompt learning")
    expect(page.locator("#chat-list a").first).to_be_visible()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#chat-list') !== null")


def test_the_masks_go_and_come_back_with_one_key(open_page):
    page = open_page()
    new_chat_with_the_radiograph(page)
    expect(page.locator(".overlay").first).to_be_visible()
    page.locator("#text").blur()
    page.keyboard.press("m")
    expect(page.locator(".overlay").first).to_be_hidden()
    page.keyboard.press("m")
    expect(page.locator(".overlay").first).to_be_visible()


def test_a_source_that_is_open_stays_open_while_the_next_answer_comes(open_page):
    page = open_page()
    page.goto("/")
    page.fill("#text", STRATEGY)
    page.keyboard.press("Enter")
    page.wait_for_url("**/chats/*/")
    done(page)
    page.locator("#messages .chip-passage").nth(1).click()
    expect(page.locator("#evidence[data-n='2'] mark")).to_be_visible()
    quote = page.locator("#evidence mark").inner_text()
    ask(page, "Which models answer visual questions about pathology?")
    assert page.locator("#evidence mark").inner_text() == quote


def test_masks_appear_beside_the_chat_as_soon_as_they_are_made(open_page):
    page = open_page()
    page.goto("/")
    page.fill("#text", "Hello")
    page.keyboard.press("Enter")
    page.wait_for_url("**/chats/*/")
    done(page)
    expect(page.locator("#viewer")).to_have_count(0)
    drop(page, RADIOGRAPH)
    expect(page.locator(".attachment input[name=images]")).to_have_count(1, timeout=30_000)
    ask(page, "Segment the lungs")
    expect(page.locator("#viewer")).to_be_visible()
    expect(page.locator(".overlay")).to_have_count(2)
    expect(page.locator(".overlay").first).to_be_visible()


def test_a_bad_file_says_so_in_place_and_the_text_stays(open_page, tmp_path):
    bad = tmp_path / "notes.dcm"
    bad.write_text("not an image")
    page = open_page()
    page.goto("/")
    page.fill("#text", "What is this?")
    drop(page, bad)
    expect(page.locator("#composer-error")).to_contain_text("notes.dcm")
    expect(page.locator(".attachment")).to_have_count(0)
    assert page.input_value("#text") == "What is this?"


def test_rename_search_and_delete(open_page):
    page = open_page()
    page.goto("/")
    page.fill("#text", "Hello")
    page.keyboard.press("Enter")
    page.wait_for_url("**/chats/*/")
    done(page)
    page.get_by_text("Edit", exact=True).click()
    page.fill("#title", "Zebra crossing")
    page.get_by_role("button", name="Rename").click()
    expect(page.locator("h1")).to_have_text("Zebra crossing")
    page.fill("#q-chats", "zebra")
    expect(page.locator("#chat-list a")).to_have_count(1)
    page.get_by_text("Edit", exact=True).click()
    page.get_by_text("Delete this chat").click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.locator("h1")).to_have_text("What would you like to look at?")
    expect(page.locator("#chat-list")).not_to_contain_text("Zebra crossing")


def test_without_script_a_question_is_still_answered(chromium, live_site, signed_in):
    context = chromium.new_context(base_url=live_site.url, storage_state=signed_in, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    page.fill("#text", STRATEGY)
    page.get_by_role("button", name="Send").click()
    for _ in range(40):
        page.wait_for_timeout(500)
        page.reload()
        if page.locator("#messages .chip-passage").count():
            break
    page.locator("#messages .chip-passage").first.click()
    expect(page.locator("mark")).to_be_visible()
    context.close()
