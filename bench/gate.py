"""What the gate costs on an image of 2,000 x 2,000 (target: under 100 ms of CPU time). `python -m bench.gate`."""

import time

import numpy as np
from numpy.typing import NDArray

from bench.__main__ import report
from inference.gate import decide
from inference.types import Decoded

SIDE = 2000
ROUNDS = 5


def main() -> None:
    grey = np.random.default_rng(5).integers(0, 255, (SIDE, SIDE), dtype=np.uint8)
    for name, pixels in (("grey", grey), ("colour", np.stack([grey, grey // 2, grey // 3], axis=-1))):
        report(f"the gate, {name}, {SIDE:,} x {SIDE:,}", min(cost(pixels) for _ in range(ROUNDS)))


def cost(pixels: NDArray[np.uint8]) -> float:
    begun = time.process_time()
    decide(Decoded("png", "unknown", SIDE, SIDE), pixels)
    return time.process_time() - begun


if __name__ == "__main__":
    main()
