"""`python -m bench.burned_in`: how much of a text drawn onto a real radiograph is found, and what a check costs."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from bench.__main__ import sample
from inference.burned_in import find_text, find_text_in_file
from inference.decode import PIXELS, PREVIEW, decode

TEXT = "DOE JANE 12.03.1956"
Picture = NDArray[np.uint8]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="lightbox-bench-") as folder:
        source, out = Path(folder) / "chest.dcm", Path(folder) / "out"
        source.write_bytes(sample())
        decoded = decode(source, out)
        chest = np.asarray(Pillow.open(out / PREVIEW))
        print(f"{'a line of text on RG1_UNCR.dcm, 1841 x 1955':<46} {'found':>7} {'boxes':>6} {'CPU s':>6}")
        row("no text", chest, None)
        part = chest[600:1400, 300:1300]
        for size in (8, 10, 12, 16, 24, 60, 160):
            row(f"{size} pixels high, white on the dark margin", *drawn(chest, size, (60, 40), 255))
        for contrast in (-120, -60, -40, -20, -10):
            row(f"32 pixels high, {-contrast} grey levels darker (part)", *drawn(part, 32, (400, 300), contrast))
        for turned in (5, 45, 90, 180, 270):
            row(f"32 pixels high, turned by {turned} degrees (part)", *drawn(part, 32, (400, 300), -150, turned))
        spent = children()
        find_text_in_file(out / PIXELS, decoded)
        print(f"whole check in its child, {decoded.width} x {decoded.height}: {children() - spent:.1f} s of CPU")
        used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
        print(f"largest memory of a child: {used:.0f} MB")


def drawn(
    picture: Picture, size: int, at: tuple[int, int], contrast: int, turned: int = 0
) -> tuple[Picture, NDArray[np.bool_]]:
    """The picture with the text added to its greys, and where its letters stand."""
    font = ImageFont.load_default(size)
    ink = Pillow.new("L", (int(font.getlength(TEXT)) + 4, size * 2), 0)
    ImageDraw.Draw(ink).text((2, size // 3), TEXT, fill=255, font=font)
    ink = ink.rotate(turned, expand=True, resample=Pillow.Resampling.BICUBIC)
    whole = Pillow.new("L", (picture.shape[1], picture.shape[0]), 0)
    whole.paste(ink, at)
    letters = np.asarray(whole, dtype=np.int32)
    shown: Picture = np.clip(picture + letters * contrast // 255, 0, 255).astype(np.uint8)
    return shown, letters > 100


def row(name: str, picture: Picture, letters: NDArray[np.bool_] | None) -> None:
    begun = time.process_time()
    boxes = find_text(picture)
    took = time.process_time() - begun
    covered = np.zeros(picture.shape[:2], dtype=bool)
    for box in boxes:
        covered[box.y0 : box.y1, box.x0 : box.x1] = True
    found = "" if letters is None else f"{covered[letters].mean():.0%}"
    print(f"{name:<46} {found:>7} {len(boxes):>6} {took:>6.1f}", flush=True)


def children() -> float:
    """Seconds of CPU that the children have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
