"""Bringing literature in a browser: a file, its progress, its report, the library, and what is deleted."""

import re
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

FILES = Path(__file__).parent.parent / "corpus" / "imports" / "files"
SLOW = 120_000


def bring(page: Any, file: Path) -> None:
    page.goto("/literature/library/import/")
    page.set_input_files("#lib-file", file)
    page.get_by_role("button", name="Import").click()
    page.wait_for_url("**/library/imports/*/")


def violations(page: Any) -> list[str]:
    return [found["id"] for found in Axe().run(page).response["violations"]]


def test_a_reading_list_is_brought_looked_over_searched_and_deleted(open_page, tmp_path):
    page = open_page()
    page.goto("/literature/")
    page.get_by_role("link", name="Library").click()
    page.get_by_role("link", name="Import literature").click()
    assert violations(page) == []
    bring(page, FILES / "reading-list.md")
    expect(page.get_by_role("heading", name="What became of each record")).to_be_visible(timeout=SLOW)
    expect(page.locator(".lib-line")).to_contain_text("9 added")
    assert violations(page) == []
    page.get_by_role("link", name="for a person to look at").click()
    expect(page.locator(".lib-report")).to_contain_text("it may belong under")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the repaired list").click()
    assert "X-Amz-Signature" not in Path(download.value.path()).read_text()
    page.goto("/literature/?q=planning sentences of chest film reports")
    page.get_by_role("link", name="Sentence planning for chest film reports").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sentence planning for chest film reports")
    page.goto("/literature/library/")
    assert violations(page) == []
    page.get_by_label("Choose Sentence planning for chest film reports").check()
    page.get_by_text("Delete the chosen papers").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("status")).to_have_text("1 paper deleted.")
    expect(page.locator(".lib-papers")).not_to_contain_text("Sentence planning")


def test_an_import_can_be_followed_and_stopped_on_a_phone(open_page, tmp_path):
    page = open_page(360, 740, dark=True)
    many = "".join(f"TY  - JOUR\nTI  - Plant {n} of many plants in films\nER  - \n" for n in range(5000))
    (tmp_path / "plants.ris").write_text(many)
    bring(page, tmp_path / "plants.ris")
    expect(page.locator(".lib-line")).to_have_text(re.compile(r"of 5000 records read"), timeout=SLOW)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".lib-line")).to_have_text(re.compile(r"^Stopped after \d+ of 5000 records"))
    page.reload()
    expect(page.locator("progress")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_a_file_the_form_says_what_it_wants(open_page):
    page = open_page()
    page.goto("/literature/library/import/")
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("alert")).to_contain_text("choose a file, or paste")
