"""A PDF in Chromium: uploaded to a paper, read, opened at the cited page with the cited words marked, and removed."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import expect

from bench.site import Site
from tests.browser.test_story import assert_accessible
from tests.corpus.documents import papers, typeset
from tests.corpus.documents.test_malformed import raw_pdf

PAPER = "/literature/li2023lvit/"
READ = """
from corpus.documents import shelf
from corpus.models import PaperFile, Passage
for file in PaperFile.objects.filter(pages=0, note="").exclude(file=""):
    shelf.read_file(str(file.pk))
passage = Passage.objects.filter(kind="full_text", current=True, section="2.1 Training details").last()
print(passage.get_absolute_url() if passage else "")
"""


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    (tmp_path / "regions.pdf").write_bytes(typeset.pdf(papers.paper(sections=papers.paper().sections * 2)))
    return tmp_path / "regions.pdf"


def read(site: Site) -> str:
    """The work of the library worker; the address of a passage. Done twice, it changes nothing."""
    return site.manage("shell", "-v", "0", "-c", READ).strip()


def upload(page: Any, file: Path) -> None:
    page.goto(PAPER)
    page.set_input_files("#lit-pdf", file)
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#lit-file-list li")).to_have_count(1)


def remove(page: Any) -> None:
    page.goto(PAPER)
    page.locator("#lit-file-list summary").click()
    page.get_by_role("button", name="Remove the PDF").click()
    expect(page.locator("#lit-file-list")).to_contain_text("No PDF yet")


def marked(page: Any) -> str:
    """The marked words in reading order, white space apart."""
    return "".join("".join(page.locator(".pdf-text mark").all_inner_texts()).split())


def test_a_cited_page_opens_with_its_words_marked(open_page: Any, live_site: Site, pdf: Path) -> None:
    page = open_page()
    upload(page, pdf)
    expect(page.locator("#lit-file-list")).to_contain_text(re.compile("Reading the PDF|pages"))
    address = read(live_site)
    expect(page.locator("#lit-file-list")).to_contain_text("searched and quoted", timeout=10_000)  # without a reload
    assert_accessible(page, PAPER)

    page.goto(address)
    cited = page.locator("#pdf-passage").inner_text()
    status = page.locator(".pdf-status")
    expect(status).to_contain_text("the cited words are marked")
    expect(page.locator(".pdf-text mark").first).to_be_in_viewport()
    letters = re.compile(r"[\W_]+")
    assert letters.sub("", marked(page)) in letters.sub("", cited)
    assert len(marked(page)) > 80
    assert_accessible(page, address)

    number = int(re.findall(r"page=(\d+)", address)[0])
    page.keyboard.press("ArrowLeft")
    expect(status).to_have_text(re.compile(f"^Page {number - 1} of "))
    assert f"page={number - 1}" in page.url
    expect(page.locator(".pdf-text mark")).to_have_count(0)
    page.get_by_role("button", name="To the passage").click()
    expect(page.locator(".pdf-text mark").first).to_be_in_viewport()
    before = page.locator(".pdf-page").bounding_box()["width"]
    page.keyboard.press("+")
    expect(page.locator(".pdf-page")).not_to_have_css("width", f"{before}px")
    page.keyboard.press("0")
    page.fill("#pdf-number", "1")
    page.keyboard.press("Enter")
    expect(status).to_have_text(re.compile("^Page 1 of "))
    expect(page.get_by_role("button", name="Previous page")).to_be_disabled()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_bytes() == pdf.read_bytes()

    remove(page)
    page.goto(address)
    expect(page.locator("main")).to_contain_text("The PDF was removed")
    expect(page.locator("#pdf-passage")).to_have_text(cited)


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_the_page_fits_and_stays_white(open_page: Any, live_site: Site, pdf: Path, dark: bool) -> None:
    page = open_page(360, 740, dark)
    upload(page, pdf)
    page.goto(read(live_site))
    expect(page.locator(".pdf-status")).to_contain_text("the cited words are marked")
    expect(page.locator(".pdf-unscripted")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator(".pdf-page").bounding_box()["width"] <= 360
    corner = "[...document.querySelector('.pdf-page canvas').getContext('2d').getImageData(3, 3, 1, 1).data]"
    assert page.evaluate(corner) == [255, 255, 255, 255]
    assert_accessible(page, "the viewer on a phone")
    remove(page)


def test_without_script_there_are_the_download_and_the_words(
    chromium: Any, live_site: Site, signed_in: Any, open_page: Any, pdf: Path
) -> None:
    scripted = open_page()
    upload(scripted, pdf)
    address = read(live_site)
    context = chromium.new_context(base_url=live_site.url, storage_state=signed_in, java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    expect(page.get_by_text("Showing pages needs scripts")).to_be_visible()
    page.locator(".pdf-plain summary").click()
    expect(page.locator(".pdf-plain p").first).to_be_visible()
    expect(page.locator(".pdf-bar")).to_be_hidden()
    context.close()
    remove(scripted)


def scanned(tmp_path: Path) -> Path:
    """One black page, packed as JPEG 2000, which pdf.js decodes in WebAssembly."""
    packed = io.BytesIO()
    Image.new("L", (64, 64), 20).save(packed, "JPEG2000")
    image = packed.getvalue().decode("latin-1")
    draw = "q 200 0 0 200 0 0 cm /I Do Q"
    content = raw_pdf(
        "<</Type /Catalog /Pages 2 0 R>>",
        "<</Type /Pages /Kids [3 0 R] /Count 1>>",
        "<</Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R /Resources <</XObject <</I 5 0 R>>>>>>",
        f"<</Length {len(draw)}>>\nstream\n{draw}\nendstream",
        "<</Type /XObject /Subtype /Image /Width 64 /Height 64 /ColorSpace /DeviceGray /BitsPerComponent 8"
        f" /Filter /JPXDecode /Length {len(image)}>>\nstream\n{image}\nendstream",
        encoding="latin-1",
    )
    (tmp_path / "scan.pdf").write_bytes(content)
    return tmp_path / "scan.pdf"


def test_a_scan_is_shown_and_says_what_it_lacks(open_page: Any, live_site: Site, tmp_path: Path) -> None:
    page = open_page()
    upload(page, scanned(tmp_path))
    read(live_site)
    expect(page.locator("#lit-file-list")).to_contain_text("This PDF is a scan", timeout=10_000)
    page.get_by_role("link", name="Open").click()
    expect(page.locator(".pdf-status")).to_have_text("Page 1 of 1")
    middle = "document.querySelector('.pdf-page canvas').getContext('2d').getImageData(90, 90, 1, 1).data[0]"
    assert page.evaluate(middle) < 60
    remove(page)


def test_what_is_no_pdf_is_refused_in_place(open_page: Any, tmp_path: Path) -> None:
    page = open_page()
    page.goto(PAPER)
    (tmp_path / "a.pdf").write_bytes(b"Dear colleague")
    page.set_input_files("#lit-pdf", tmp_path / "a.pdf")
    page.get_by_role("button", name="Upload").click()
    expect(page.locator(".lit-upload .error")).to_have_text("This is not a PDF file.")


def test_a_pdf_alone_leads_to_the_form_that_corrects_it(open_page: Any, pdf: Path) -> None:
    page = open_page()
    page.goto("/literature/library/pdf/")
    assert_accessible(page, "/literature/library/pdf/")
    page.set_input_files("#lit-pdf", pdf)
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/details/")
    expect(page.locator("[name=title]")).to_have_value(papers.TITLE)
    assert_accessible(page, "the details of a paper")
    page.fill("[name=year]", "2023")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text(papers.TITLE)
    expect(page.locator(".lit-meta").first).to_contain_text("2023")
