"""How long a reader waits for a radiograph of 2,000 x 2,000 pixels: to see it, and for a change of its window.

`python -m bench.viewer` starts a site on a data folder of its own and drives the machine's Chromium, without a GPU.
"""

import base64
import io
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.__main__ import report, sample
from bench.site import Site, start_site

SIDE = 2000
ROUNDS = 5
DRAGS = 60
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
DROP = """([name, body]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(atob(body), (c) => c.charCodeAt(0))], name));
    window.begun = performance.now();
    document.getElementById("composer").dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
}"""
SHOWN = """async () => {
    const found = () => document.querySelector(".attachment img");
    while (!found()) await new Promise(requestAnimationFrame);
    await found().decode();
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    return performance.now() - window.begun;
}"""
OPENED = """async () => {
    const painted = () => performance.getEntriesByName("viewer: window").length > 0;
    const base = document.querySelector(".viewer .base");
    if (!base.complete) await new Promise((done) => base.addEventListener("load", done, { once: true }));
    const first = performance.now();
    while (!painted()) await new Promise(requestAnimationFrame);
    return [first, performance.now()];
}"""
SPENT = """() => {
    window.spent = [];
    new PerformanceObserver((list) => window.spent.push(...list.getEntries().map((entry) => entry.duration)))
        .observe({ type: "measure" });
}"""
NEXT = """async () => {
    const begun = performance.now();
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    return performance.now() - begun;
}"""


def radiograph() -> bytes:
    """The sample radiograph of the wheels, laid into 2,000 x 2,000 pixels, uncompressed."""
    from pydicom import dcmread

    dataset = dcmread(io.BytesIO(sample()))
    pixels = dataset.pixel_array
    wide = np.pad(pixels, [(0, max(0, SIDE - side)) for side in pixels.shape], mode="edge")[:SIDE, :SIDE]
    dataset.Rows, dataset.Columns, dataset.PixelData = SIDE, SIDE, wide.tobytes()
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def main() -> None:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        sys.exit("Chromium is not installed.")
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory(prefix="lightbox-bench-") as folder, sync_playwright() as playwright:
        site = start_site(Path(folder) / "data")
        try:
            browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
            measure(browser.new_context(base_url=site.url, viewport={"width": 1440, "height": 900}).new_page(), site)
            browser.close()
        finally:
            site.stop()


def measure(page: Any, site: Site) -> None:
    page.set_default_timeout(60_000)
    page.goto(site.sign_in_link)
    time.sleep(5)  # the workers are still starting
    body = base64.b64encode(radiograph()).decode()
    report("upload to its picture", statistics.median(uploaded(page, body) for _ in range(ROUNDS)))
    page.fill("#text", "Describe this image")
    page.keyboard.press("Enter")
    page.wait_for_selector(".answer:not(.live) footer")
    first, painted = zip(*(reloaded(page) for _ in range(ROUNDS)), strict=True)
    report("opening its chat to low resolution", statistics.median(first))
    report("opening its chat to its own values", statistics.median(painted))
    for name, times in changed(page).items():
        report(f"window change, {name}, p50", float(np.percentile(times, 50)), "ms")
        report(f"window change, {name}, p95", float(np.percentile(times, 95)), "ms")


def changed(page: Any) -> dict[str, list[float]]:
    """Milliseconds of each step of a drag: in the script, and until the second picture of the screen after it."""
    page.evaluate(SPENT)
    box = page.locator("#viewer").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    waited = []
    for step in range(DRAGS):
        page.mouse.move(x + step, y - step)
        waited.append(float(page.evaluate(NEXT)))
    page.mouse.up(button="right")
    return {"in the script": page.evaluate("window.spent"), "to the second frame after it": waited}


def uploaded(page: Any, body: str) -> float:
    """Seconds from the drop until the picture of the file stands in the composer."""
    page.goto("/")
    page.evaluate(DROP, ["film.dcm", body])
    return float(page.evaluate(SHOWN)) / 1000


def reloaded(page: Any) -> tuple[float, float]:
    """Seconds from going there to the preview, and to the painted frame."""
    page.reload(wait_until="commit")
    page.wait_for_selector(".viewer .base")
    first, painted = page.evaluate(OPENED)
    return first / 1000, painted / 1000


if __name__ == "__main__":
    main()
