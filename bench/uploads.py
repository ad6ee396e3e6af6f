"""How the web process takes 100 uploads: its memory after each ten, and the time of each. `python -m bench.uploads`."""

import io
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
from PIL import Image as Picture

from bench.__main__ import report, sample, web_memory
from bench.site import Site, start_site

COUNT = 100
GROWTH_MB = 200  # the target


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="lightbox-bench-") as folder:
        site = start_site(Path(folder) / "data")
        try:
            grown = measure(site)
        finally:
            site.stop()
    sys.exit(grown > GROWTH_MB)


def measure(site: Site) -> float:
    """MB by which the web process grew over the uploads, the first two (which load what stays) not counted."""
    token = site.manage("token").strip()
    seconds: list[float] = []
    with httpx.Client(base_url=site.url, headers={"Authorization": f"Bearer {token}"}, timeout=120) as api:
        files = [("film.dcm", sample()), ("photo.png", photograph())]
        for number in range(COUNT + 2):
            begun = time.perf_counter()
            api.post("/api/images", files={"file": files[number % 2]}).raise_for_status()
            seconds.append(time.perf_counter() - begun)
            if number == 1:
                before = web_memory(site)
            if number % 10 == 1:
                report(f"web process memory after {number + 1} uploads", web_memory(site), "MB")
    report("upload of a film of 2,000 pixels, median", statistics.median(seconds[2::2]))
    report("upload of a photograph of 12 megapixels, median", statistics.median(seconds[3::2]))
    grown = web_memory(site) - before
    report(f"growth over {COUNT} uploads (target: under {GROWTH_MB})", grown, "MB")
    return grown


def photograph() -> bytes:
    """Of 4,000 x 3,000 pixels in colour: 36 MB when decoded."""
    noise = np.random.default_rng(4).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    out = io.BytesIO()
    Picture.fromarray(noise).resize((4000, 3000)).save(out, "PNG", compress_level=1)
    return out.getvalue()


if __name__ == "__main__":
    main()
