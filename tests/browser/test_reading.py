"""A paper read and two compared, in Chromium: every cell opens the passage that it stands on."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.test_story import ask, done


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_comparison_is_a_table_whose_chips_open_passages(open_page, dark):
    page = open_page(1280, 900, dark)
    page.goto("/")
    page.fill("#text", "Compare MedCLIP and BiomedCLIP")
    page.keyboard.press("Enter")
    page.wait_for_url("**/chats/*/")
    done(page)
    expect(page.locator(".step-name")).to_have_text("Compare papers")
    row = page.locator(".prose tr", has_text="backbone")
    expect(row).to_contain_text("ViT-B/16, PubMedBERT")
    expect(page.locator(".supported")).to_have_text(re.compile(r"^(\d+) of \1 sentences supported\.$"))

    chip = row.locator(".chip-passage").nth(1)
    expect(chip).to_have_attribute("aria-label", re.compile(r"^Source \d+: .*BiomedCLIP.*|^Source \d+: .*recorded$"))
    chip.click()
    expect(page.locator("#evidence mark")).to_have_text("ViT-B/16, PubMedBERT")
    rests = "Rests on: data and results as recorded; not the paper's own words."
    expect(page.locator("#evidence")).to_contain_text(rests)

    page.locator(".chip-table").first.click()
    table = page.locator("#evidence .compared")
    expect(table.locator("tbody th")).to_have_text(["backbone", "data set", "technique", "code"])
    expect(table.locator("tr", has_text="code")).to_contain_text("not recorded")
    assert not Axe().run(page).response["violations"]
    table.locator(".chip-passage").first.click()
    page.wait_for_url(re.compile(r"/literature/wang2022medclip/#p\d+$"))
    expect(page.locator(":target")).to_be_visible()


def test_on_a_phone_a_follow_up_reads_the_second_paper(open_page):
    page = open_page(360, 760)
    page.goto("/")
    page.fill("#text", "MedCLIP vs BiomedCLIP")
    page.keyboard.press("Enter")
    page.wait_for_url("**/chats/*/")
    done(page)
    ask(page, "And which data sets did the second one use?")
    answer = page.locator(".answer").last
    expect(answer).to_contain_text("BiomedCLIP (2023): “Data sets: PMC-15M")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    answer.locator(".chip-passage").first.click()
    expect(page.locator("#evidence mark")).to_be_visible()
