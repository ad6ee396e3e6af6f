"""Two images beside one another: what is done to one is done to the other, until they are unlinked."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.inference import files

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (360, 740)])
def test_zoom_is_linked_until_it_is_not(open_page: Any, width: int, height: int) -> None:
    page = open_page()
    page.goto("/")
    for count, source in enumerate((files.CHEST, files.PYDICOM_IMAGES / "CT_small.dcm"), 1):
        page.set_input_files("#pick", str(source))
        expect(page.locator(".attachment input[name=images]")).to_have_count(count, timeout=60_000)
    page.fill("#text", "Hello")
    page.keyboard.press("Enter")
    page.locator(".priors summary").click(timeout=60_000)
    page.locator(".priors a", has_text="of this chat").click()
    page.wait_for_selector("html[data-compared=ready]", timeout=60_000)
    page.set_viewport_size({"width": width, "height": height})
    hud = page.locator(".hud-window")
    expect(hud).to_have_count(2)
    before = hud.nth(1).inner_text()
    page.locator(".viewer").first.focus()
    page.keyboard.press("+")
    expect(hud.nth(1)).not_to_have_text(before)
    page.get_by_label("Zoom both").uncheck()
    linked, first = hud.nth(1).inner_text(), hud.nth(0).inner_text()
    page.locator(".viewer").first.focus()
    page.keyboard.press("+")
    expect(hud.nth(0)).not_to_have_text(first)
    expect(hud.nth(1)).to_have_text(linked)
    serious = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
