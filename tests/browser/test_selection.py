"""Selecting, comparing, exporting and saving a search in Chromium, on a running site."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pybtex.database
import pytest
from playwright.sync_api import expect

from tests.browser.test_story import assert_accessible

LIST = "/literature/?task=segmentation&modality=ultrasound"
PAGES = ("selection/", "compare/", "related-work/", "references/?style=ieee", "searches/")


@pytest.fixture
def page(open_page: Callable[..., Any]) -> Iterator[Any]:
    """A page whose reader has nothing selected and no search saved, before and after."""
    opened = open_page()
    forget(opened)
    yield opened
    forget(opened)


def forget(page: Any) -> None:
    page.goto("/literature/selection/")
    if (clear := page.get_by_role("button", name="Clear the selection")).count():
        clear.click()
        expect(page.locator("main")).to_contain_text("Nothing is selected yet")
    page.goto("/literature/searches/")
    while page.get_by_role("button", name="Delete").count():
        page.get_by_role("button", name="Delete").first.click()
        page.wait_for_load_state()


def downloaded(page: Any, link: str) -> str:
    with page.expect_download() as download:
        page.get_by_role("link", name=link, exact=True).first.click()
    return str(download.value.path().read_text(encoding="utf-8"))


def test_from_a_list_to_a_comparison_a_file_and_a_draft(page: Any) -> None:
    page.goto(LIST)
    button = page.locator(".lit-list .sel-button").first
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".lit-list .sel-on")).to_have_count(1)
    assert page.evaluate("document.activeElement.className") == "sel-button sel-on"  # the focus stays on the button
    page.keyboard.press("Enter")
    expect(page.locator(".lit-list .sel-on")).to_have_count(0)
    page.get_by_role("button", name="Select all shown").click()
    expect(page.locator(".lit-list .sel-on")).to_have_count(2)
    assert page.url.endswith(LIST)

    page.goto("/literature/selection/")
    keys = list(pybtex.database.parse_string(downloaded(page, "BibTeX"), "bibtex").entries)
    assert len(keys) == 2
    assert [item["id"] for item in json.loads(downloaded(page, "CSL-JSON"))] == keys

    page.get_by_role("link", name="Compare", exact=True).click()
    value = page.locator(".cmp td a[href*='#p']").first
    said = value.inner_text()
    value.click()
    passage = page.locator(":target")
    expect(passage).to_be_visible()
    expect(passage).to_contain_text(said)

    page.goto("/literature/related-work/")
    expect(page.locator("main")).to_contain_text("draft of quotations")
    page.locator(".rel-key[href*='#p']").first.click()
    expect(page.locator(":target")).to_be_visible()


def test_a_search_is_saved_and_run_again(page: Any) -> None:
    page.goto("/literature/?q=text-guided+segmentation+of+lungs&read=no")
    page.get_by_text("Save this search").click()
    page.get_by_label("Name").fill("Lungs by text")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("h1")).to_have_text("Lungs by text")
    expect(page.get_by_role("status")).to_have_text("Nothing has changed.")
    page.goto("/literature/searches/")
    page.get_by_role("link", name="Lungs by text").click()
    expect(page.locator("main")).to_contain_text("The index is the same")
    assert_accessible(page, "a saved search")


def test_without_script_forms_do_the_same(page: Any, chromium: Any, live_site: Any, signed_in: Any) -> None:
    context = chromium.new_context(base_url=live_site.url, storage_state=signed_in, java_script_enabled=False)
    plain = context.new_page()
    plain.goto(LIST)
    plain.locator(".lit-list .sel-button").first.click()
    assert plain.url.endswith(LIST)
    assert plain.locator(".lit-list .sel-on").count() == 1
    context.close()


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (360, False), (360, True)])
def test_every_page_is_accessible_and_fits(page: Any, open_page: Callable[..., Any], width: int, dark: bool) -> None:
    page.goto("/literature/?task=report-generation&modality=x-ray")
    page.get_by_role("button", name="Select all shown").click()
    expect(page.locator(".lit-list .sel-on").first).to_be_visible()
    shown = open_page(width, 800, dark)
    for address in ("", *PAGES, "li2023lvit/"):
        shown.goto(f"/literature/{address}")
        for summary in shown.locator(".sel-menu summary").all():
            summary.click()
        assert shown.evaluate("document.documentElement.scrollWidth") <= width, address
        assert_accessible(shown, address)
