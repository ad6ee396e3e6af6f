"""How long a volume of 256 x 256 x 256 voxels takes to appear in Chromium without a GPU, and to change.

`python -m bench.volume` starts a site on a folder of its own, drives it as a reader would, and prints seconds; the
target from the upload to the picture is 6 s.
"""

import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from playwright.sync_api import sync_playwright

from bench.__main__ import report, wait_for_workers
from bench.site import start_site

SIDE = 256
ROUNDS = 3
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
# Dispatched, drawn, and read back from the canvas, so that nothing waits in a queue when the clock stops.
CHANGE = """async ([name, detail]) => {
  const begun = performance.now();
  const drawn = new Promise((done) => document.addEventListener("lightbox:viewed", done, { once: true }));
  if (name === "key") document.querySelector(".planes").dispatchEvent(new KeyboardEvent("keydown", { key: detail }));
  else document.dispatchEvent(new CustomEvent(name, { detail }));
  await drawn;
  const gl = document.querySelector(".planes canvas").getContext("webgl2");
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  return performance.now() - begun;
}"""


def head() -> np.ndarray[Any, np.dtype[np.int16]]:
    """(i, j, k) int16: a bright ball with noise in it, so that nothing is won by packing."""
    axes = np.indices((SIDE, SIDE, SIDE), dtype=np.float32)
    ball = sum((axis - SIDE / 2) ** 2 for axis in axes) < (0.45 * SIDE) ** 2
    noise = np.random.default_rng(1).integers(-60, 60, ball.shape, dtype=np.int16)
    return np.asarray(np.where(ball, 40, -900) + noise, dtype=np.int16)


def main() -> None:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        sys.exit("Chromium is not installed: apt-get install chromium, or set CHROMIUM to its path.")
    with tempfile.TemporaryDirectory(prefix="lightbox-bench-") as folder:
        file = Path(folder) / "head.nii"
        nibabel.Nifti1Image(head(), np.diag([1.0, 1.0, 1.0, 1.0])).to_filename(file)
        site = start_site(Path(folder) / "data")
        try:
            wait_for_workers(site)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
                page = browser.new_context(base_url=site.url, viewport={"width": 1440, "height": 900}).new_page()
                page.set_default_timeout(120_000)
                page.goto(site.sign_in_link)
                measure(page, file)
        finally:
            site.stop()
    print(f"load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def measure(page: Any, file: Path) -> None:
    uploads, openings = zip(*(once(page, file) for _ in range(ROUNDS)), strict=True)
    report(f"upload of {SIDE}^3 int16 to its chip", statistics.median(uploads))
    report("opening the chat to the picture", statistics.median(openings))
    report("both", statistics.median(a + b for a, b in zip(uploads, openings, strict=True)))
    for what, asked in (
        ("window changed to picture", [["lightbox:window", {"centre": 50 * i, "width": 400}] for i in range(8)]),
        ("next slice to picture", [["key", "PageDown"]] * 8),
    ):
        report(what, statistics.median(page.evaluate(CHANGE, one) for one in asked), "ms")


def once(page: Any, file: Path) -> tuple[float, float]:
    page.goto("/")
    begun = time.perf_counter()
    page.set_input_files("#pick", file)
    page.wait_for_selector("#composer [name=images]", state="attached")
    uploaded = time.perf_counter() - begun
    page.fill("#text", "What is this?")
    begun = time.perf_counter()
    page.click("#composer button:has-text('Send')")
    page.wait_for_url(re.compile("/chats/"))
    page.wait_for_selector(".volume[data-ready='1']")
    return uploaded, time.perf_counter() - begun


if __name__ == "__main__":
    main()
