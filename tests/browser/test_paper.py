"""A paper read, corrected and annotated in Chromium, and the matrix that leads to it; with a keyboard, on a phone, in
the dark, and without script."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.test_story import assert_accessible

PAPER = "/literature/li2023llavamed/"


def test_from_a_cell_of_the_matrix_to_a_correction_that_the_matrix_follows(open_page: Any) -> None:
    page = open_page()
    page.goto("/literature/matrix/")
    page.select_option("#lit-columns", "modality")
    expect(page.locator("#lit-matrix-title")).to_have_text("Task by modality")
    expect(page).to_have_url(re.compile(r"rows=task&columns=modality"))
    row = page.locator(".lit-matrix tbody tr", has_text="visual question answering")
    cell = row.locator("td").nth(9)  # dental
    before = row.locator("td.lit-total a").inner_text()
    assert cell.locator("[aria-label='gap: no paper']").count() == 1
    row.locator("td.lit-total a").click()
    expect(page.locator("#lit-results")).to_contain_text("newest first")

    page.goto(PAPER)
    strike = page.get_by_role("button", name="Strike out visual question answering")
    strike.focus()
    page.keyboard.press("Enter")
    restore = page.get_by_role("button", name="Restore visual question answering")
    expect(restore).to_be_focused()  # the button changed its word and kept the focus
    expect(page.locator("#lit-labels s")).to_have_text("visual question answering")
    page.locator("#lit-labels summary").click()
    page.select_option("#lit-add-value", "modality/dental")
    page.locator("#lit-labels form", has=page.locator("#lit-add-value")).get_by_role("button").click()
    expect(page.locator("#lit-labels .lit-label", has_text="dental")).to_contain_text("you")

    page.goto("/literature/matrix/?rows=task&columns=modality")
    row = page.locator(".lit-matrix tbody tr", has_text="visual question answering")
    assert int(row.locator("td.lit-total a").inner_text()) == int(before) - 1

    page.goto(PAPER)  # as it was, for the other tests
    page.get_by_role("button", name="Restore visual question answering").click()
    page.get_by_role("button", name="Remove dental").click()
    expect(page.locator("#lit-labels .lit-label", has_text="dental")).to_have_count(0)
    expect(page.locator("#lit-labels s")).to_have_count(0)


def test_findings_open_their_passage_and_the_drawing_leads_on(open_page: Any) -> None:
    page = open_page()
    page.goto(PAPER)
    page.get_by_role("button", name="Show key findings").click()
    point = page.locator(".lit-point").first
    words = point.inner_text().split("”")[0].strip("“")
    point.locator("a").click()
    expect(page.locator(".lit-passage:target")).to_contain_text(words)
    node = page.locator("a.lit-node").first
    name = node.get_attribute("aria-label").split(",")[0]
    node.focus()
    page.keyboard.press("Enter")
    expect(page).not_to_have_url(re.compile("llavamed"))
    expect(page.locator("main")).to_contain_text(name)


def test_a_note_is_written_shown_and_deleted(open_page: Any) -> None:
    page = open_page()
    page.goto(PAPER)
    page.fill("#lit-note", "Compare on SLAKE.\n<i>Later</i>")
    page.get_by_role("button", name="Add the note").click()
    note = page.locator(".lit-notes li", has_text="Compare on SLAKE.")
    expect(note).to_contain_text("<i>Later</i>")
    expect(note).to_contain_text("only you")
    note.get_by_role("button", name=re.compile("Delete the note")).click()
    expect(page.locator(".lit-notes li", has_text="Compare on SLAKE.")).to_have_count(0)


def test_without_script_everything_works_as_well(chromium: Any, live_site: Any, signed_in: Any) -> None:
    context = chromium.new_context(base_url=live_site.url, storage_state=signed_in, java_script_enabled=False)
    page = context.new_page()
    page.goto("/literature/matrix/")
    page.select_option("#lit-rows", "modality")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#lit-matrix-title")).to_have_text("Modality by learning strategy")
    page.goto(PAPER)
    page.get_by_role("button", name="Show key findings").click()
    expect(page.locator(".lit-point").first).to_be_visible()
    page.get_by_role("button", name="Strike out MRI").click()
    expect(page.locator("#lit-labels s")).to_have_text("MRI")
    page.get_by_role("button", name="Restore MRI").click()
    expect(page.locator("#lit-labels s")).to_have_count(0)
    page.fill("#lit-note", "Without script")
    page.get_by_role("button", name="Add the note").click()
    page.locator(".lit-notes li", has_text="Without script").get_by_role("button").click()
    expect(page.locator(".lit-notes li", has_text="Without script")).to_have_count(0)
    context.close()


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (360, False), (360, True)])
def test_the_pages_are_accessible_and_fit(width: int, dark: bool, open_page: Any) -> None:
    page = open_page(width, 800, dark)
    for url in (
        "/literature/matrix/",
        "/literature/matrix/?rows=modality&columns=technique",
        f"{PAPER}?findings=1",
        "/literature/radford2021learning/",
        "/literature/lin2025taming/",
    ):
        page.goto(url)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, url
        assert_accessible(page, url)
    page.goto(PAPER)
    page.locator("#lit-labels summary").click()
    assert_accessible(page, "the labels being corrected")
