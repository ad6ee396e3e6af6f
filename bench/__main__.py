"""Starts a site on a data folder of its own, uses it as a person would, and prints how long each thing took."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.site import ROOT, Site, start_site

LITERATURE = "Which papers adapt CLIP to medical images by prompt learning?"
IMAGE = "Segment the lungs in this radiograph and tell me their area."
ROUNDS = 5


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="lightbox-bench-") as folder:
        data = Path(folder) / "data"
        print("First start, on an empty data folder (loads and embeds the literature) ...", flush=True)
        seconds, site = start_to_page(data)
        report("first start to first page", seconds)
        site.stop()
        seconds, site = start_to_page(data)
        report("second start to first page", seconds)
        try:
            measure(site)
        finally:
            site.stop()
        searches(site)


def start_to_page(data: Path) -> tuple[float, Site]:
    begun = time.perf_counter()
    site = start_site(data)
    httpx.get(site.sign_in_link, follow_redirects=True).raise_for_status()
    return time.perf_counter() - begun, site


def measure(site: Site) -> None:
    wait_for_workers(site)
    token = site.manage("token").strip()
    link = site.manage("signin", "--address", site.url).strip()
    with (
        httpx.Client(base_url=site.url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as api,
        httpx.Client(base_url=site.url, follow_redirects=True, timeout=60) as browser,
    ):
        browser.get(link).raise_for_status()
        image = sample()
        report("upload to preview (RG1_UNCR.dcm)", middle(lambda: upload(api, browser, image)))
        key = api.post("/api/images", files={"file": ("chest.dcm", image)}).json()["id"]
        for name, text, images in (("literature", LITERATURE, []), ("image", IMAGE, [key])):
            first, done = zip(*(ask(api, text, images) for _ in range(ROUNDS)), strict=True)
            report(f"{name} question to first token", statistics.median(first))
            report(f"{name} question to done", statistics.median(done))
    report("web process memory", web_memory(site), "MB")


def wait_for_workers(site: Site) -> None:
    begun = time.perf_counter()
    while httpx.get(site.url + "/readyz", timeout=10).status_code != 200:
        if time.perf_counter() - begun > 60:
            sys.exit("The workers do not start: see " + site.env["LIGHTBOX_DATA"] + "/logs/lightbox.log")
        time.sleep(0.1)
    report("from first page to all workers there", time.perf_counter() - begun)


def sample() -> bytes:
    """The chest radiograph that the wheel pydicom-data carries, 1955 x 1841 pixels of 16 bits."""
    spec = find_spec("data_store")
    assert spec is not None, "pydicom-data is not installed"
    folder = Path(next(iter(spec.submodule_search_locations or [])))
    return (folder / "data" / "RG1_UNCR.dcm").read_bytes()


def upload(api: httpx.Client, browser: httpx.Client, image: bytes) -> float:
    begun = time.perf_counter()
    made = api.post("/api/images", files={"file": ("chest.dcm", image)})
    made.raise_for_status()
    browser.get(f"/images/{made.json()['id']}/preview.png").raise_for_status()
    return time.perf_counter() - begun


def ask(api: httpx.Client, text: str, images: list[str]) -> tuple[float, float]:
    """Seconds from sending a question to its first word and to its end, as a reader of the stream sees them."""
    conversation = api.post("/api/conversations").json()["id"]
    begun, first = time.perf_counter(), None
    asked = api.post(f"/api/conversations/{conversation}/messages", json={"text": text, "images": images})
    asked.raise_for_status()
    with api.stream("GET", f"/api/runs/{asked.json()['run_id']}/events") as stream:
        for line in stream.iter_lines():
            if line == "event: text" and first is None:
                first = time.perf_counter() - begun
    done = time.perf_counter() - begun
    run: dict[str, Any] = api.get(f"/api/runs/{asked.json()['run_id']}").json()
    if run["state"] != "done" or first is None:
        sys.exit(f"The question {text!r} ended as {run['state']}.")
    return first, done


def middle(once: Callable[[], float]) -> float:
    return statistics.median(once() for _ in range(ROUNDS))


def web_memory(site: Site) -> float:
    children = psutil.Process(site.process.pid).children()
    web = next(child for child in children if "uvicorn" in " ".join(child.cmdline()))
    return float(web.memory_info().rss) / 1e6


def searches(site: Site) -> None:
    line = [sys.executable, "-m", "bench.search"]
    output = subprocess.run(line, env=site.env, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    found = json.loads(output.strip().splitlines()[-1])
    for name in ("p50", "p95"):
        report(f"search {name} (in process, warm, {found['count']} questions)", found[name] * 1000, "ms")


def report(name: str, value: float, unit: str = "s") -> None:
    print(f"{name:<52} {value:8.2f} {unit}", flush=True)


if __name__ == "__main__":
    main()
