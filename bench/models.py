"""What a worker of models costs and keeps: time added to a call, loading, and who leaves when memory runs short.

    python -m bench.models

Two vision transformers with random weights (about 86 million parameters each, the size of ViT-B) stand for checkpoints.
One call is timed in this process and through a real worker, in one run; ratios are what to quote.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import django
import numpy as np
import psutil

CALLS = 10
BUDGET_MB = 500  # room for one of the two
CATALOGUE = """
[[checkpoint]]
key = "vit-{name}"
name = "ViT-B with random weights, {name}"
roles = ["classify"]
backend = "hf-classifier"
licence = "none"
source = "folder:{folder}"
"""


def make(folder: Path) -> Path:
    """Two checkpoints and the catalogue that names them."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    torch.manual_seed(0)
    entries = []
    for name in ("one", "two"):
        ViTForImageClassification(ViTConfig()).save_pretrained(folder / name)
        ViTImageProcessorPil().save_pretrained(folder / name)
        entries.append(CATALOGUE.format(name=name, folder=folder / name))
    path = folder / "catalogue.toml"
    path.write_text("\n".join(entries), encoding="utf-8")
    return path


def timed(call: Callable[[], object]) -> list[float]:
    """Seconds of each of CALLS calls."""
    found = []
    for _ in range(CALLS):
        begun = time.perf_counter()
        call()
        found.append(time.perf_counter() - begun)
    return found


def said(name: str, seconds: list[float]) -> float:
    middle, late = statistics.median(seconds), sorted(seconds)[int(0.95 * len(seconds))]
    tell(name, f"p50 {middle * 1000:.1f} ms, p95 {late * 1000:.1f} ms")
    return middle


def tell(name: str, words: str) -> None:
    print(f"{name:<24} {words}", flush=True)


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="lightbox-bench-"))
    os.environ |= {"LIGHTBOX_DATA": str(folder / "data"), "DJANGO_SETTINGS_MODULE": "assistant.settings"}
    os.environ["LIGHTBOX_CATALOGUE"] = str(make(folder))
    os.environ["LIGHTBOX_MODEL_MEMORY_MB"] = str(BUDGET_MB)
    django.setup()
    measure(folder)


def measure(folder: Path) -> None:
    from django.conf import settings

    from assistant.embedded_valkey import answers, private_folder, valkey_program

    with private_folder() as private:
        program, url = valkey_program(private, folder / "valkey", os.environ)
        valkey = psutil.Popen(program.argv, cwd=program.cwd)
        settings.REDIS_URL = os.environ["REDIS_URL"] = url
        settings.CELERY_BROKER_URL = url.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=")
        try:
            while not answers(url):
                time.sleep(0.05)
            compare()
        finally:
            valkey.kill()


def compare() -> None:
    from assistant import checkpoints_in_use, model_calls
    from inference import perform
    from inference.checkpoints import Checkpoint
    from inference.residents import Residents
    from inference.types import Image
    from tests.model_worker import running

    one, two = (checkpoints_in_use.catalogue()[f"vit-{name}"] for name in ("one", "two"))
    image = Image(np.random.default_rng(0).integers(0, 255, (1024, 1024)).astype(np.uint8))
    kept = Residents(BUDGET_MB * 1024 * 1024, "cpu")
    folder = one.folder(Path())
    here = said("in this process", timed(lambda: perform.perform(one, folder, "classify", [image], {}, kept)))
    numbers = iter(range(1000))

    def call(found: Checkpoint = one) -> model_calls.Performed:
        return model_calls.carry_out(found, "classify", [image], {}, name=f"bench-{next(numbers)}")

    with running("main", sys.executable):
        first = call().record
        there = said("through a worker", timed(call))
        other, again = call(two).record, call(one).record
    tell("added by the worker", f"{(there - here) * 1000:.1f} ms at the median")
    tell("loading", f"{first.load_seconds:.1f} s; the process then takes {first.memory_mb:.0f} MB")
    tell(
        f"budget of {BUDGET_MB} MB",
        f"the other takes its place in {other.load_seconds:.1f} s: {other.memory_mb:.0f} MB",
    )
    tell("", f"and the first loads again in {again.load_seconds:.1f} s: {again.memory_mb:.0f} MB")


if __name__ == "__main__":
    main()
