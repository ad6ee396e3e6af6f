"""Damaged files by the hundred, of each kind: `python -m bench.mutations [--count 500] [--workers 2] [KIND ...]`.

Each is a good file with a few bytes flipped, removed or doubled. Whatever the reader makes of it, the caller must get a
result or one readable line, in under ten seconds. Prints a table; ends with status 1 when one did not.

Another format adds its kind to KINDS: how to make a good file, and what a user's upload does with it.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from bench import dicom_samples as dicom
from inference import fork_server
from inference.errors import InferenceError

SLOWEST_S = 10.0
# What `inference.disposable` says of a reader that died or was stopped.
DEATHS = ("makes its reader crash", "needs more memory than is allowed", "took longer than", "ended without an answer")


@dataclass(frozen=True, slots=True)
class Kind:
    """`sample` is a good file's content; `attempt(source, folder)` reads a file as an upload would be read, working in
    `folder`; it may raise InferenceError only."""

    sample: Callable[[], bytes]
    attempt: Callable[[Path, Path], object]


KINDS: dict[str, Kind] = {
    "dicom": Kind(dicom.plain, dicom.decode_one),
    "dicom-jpeg2000": Kind(dicom.jpeg2000, dicom.decode_one),
    "dicom-jpeg-ls": Kind(dicom.jpeg_ls, dicom.decode_one),
    "dicom-rle": Kind(dicom.rle, dicom.decode_one),
    "dicom-jpeg-lossless": Kind(dicom.jpeg_lossless, dicom.decode_one),
    "dicom-jpeg-cine": Kind(dicom.jpeg_cine, dicom.decode_one),
    "dicom-deflated": Kind(dicom.deflated, dicom.decode_one),
    "dicom-multiframe": Kind(dicom.multiframe, dicom.decode_one),
    "dicom-seg": Kind(dicom.segmentation, dicom.overlay_of_segmentation),
    "dicom-rtstruct": Kind(dicom.structures, dicom.overlay_of_structures),
    "zip": Kind(dicom.archive, dicom.sort_one),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one damaged file: "read", "refused", "died" (its reader did, and that was said) or "unexplained"."""

    word: str
    seconds: float
    said: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A kind's outcomes. `peak_mb` is the largest resident size of a reader's process."""

    kind: str
    words: Counter[str]
    slowest_s: float
    peak_mb: float
    unexplained: tuple[str, ...]

    @property
    def fails(self) -> bool:
        return bool(self.unexplained) or self.slowest_s >= SLOWEST_S


def mutate(content: bytes, seed: int) -> bytes:
    """By turns: a few bytes anywhere flipped, which codecs get to see; or bytes flipped, removed or doubled, most of
    them near the start, where the headers are."""
    random_ = random.Random(seed)
    data = bytearray(content)
    if seed % 2:
        for _ in range(random_.randint(1, 12)):
            data[random_.randrange(len(data))] = random_.randrange(256)
        return bytes(data)
    for _ in range(random_.randint(1, 12)):
        reach = len(data) if random_.random() < 0.3 else min(len(data), 2500)
        place, action = random_.randrange(reach), random_.random()
        if action < 0.7:
            data[place] = random_.randrange(256)
        elif action < 0.85:
            del data[place : place + random_.randint(1, 16)]
        else:
            data[place:place] = data[place : place + random_.randint(1, 16)]
    return bytes(data)


def is_one_line(text: str) -> bool:
    """A sentence for a user: short, on one line, without a path or a traceback."""
    return bool(text) and "\n" not in text and len(text) < 400 and "Traceback" not in text and "/" not in text[:40]


def try_one(kind: str, content: bytes, seed: int) -> Outcome:
    """One damaged file, read as an upload."""
    with tempfile.TemporaryDirectory(prefix="mutated-") as folder:
        source, out = Path(folder) / "source", Path(folder) / "out"
        source.write_bytes(mutate(content, seed))
        out.mkdir()
        start = time.monotonic()
        try:
            KINDS[kind].attempt(source, out)
            word, said = "read", ""
        except InferenceError as error:
            said = str(error)
            word = "died" if any(death in said for death in DEATHS) else "refused"
            word = word if is_one_line(said) else "unexplained"
        except Exception as error:  # noqa: BLE001 - the very thing that is looked for
            word, said = "unexplained", repr(error)
        return Outcome(word, time.monotonic() - start, f"seed {seed}: {said}" if said else "")


def try_many(kind: str, count: int, workers: int) -> Row:
    """`count` damaged files of a kind. Run in a process of its own: the peak is that of all its children."""
    content = KINDS[kind].sample()
    with ThreadPoolExecutor(workers) as pool:
        outcomes = list(pool.map(lambda seed: try_one(kind, content, seed), range(count)))
    fork_server.stop()  # what its children used counts once it has ended
    return Row(
        kind,
        Counter(outcome.word for outcome in outcomes),
        max(outcome.seconds for outcome in outcomes),
        resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        tuple(outcome.said for outcome in outcomes if outcome.word == "unexplained" or outcome.seconds >= SLOWEST_S),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Damaged files of each kind, read as uploads are.")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all when none is named")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    told = parser.parse_args(arguments)
    failed = False
    print(f"{'kind':22}{'read':>6}{'refused':>9}{'died':>6}{'unexplained':>13}{'slowest s':>11}{'peak MB':>9}")
    for kind in told.kinds or KINDS:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            row = alone.submit(try_many, kind, told.count, told.workers).result()
        counts = [row.words[word] for word in ("read", "refused", "died", "unexplained")]
        print(
            "{:22}{:>6}{:>9}{:>6}{:>13}".format(kind, *counts) + f"{row.slowest_s:>11.1f}{row.peak_mb:>9.0f}",
            flush=True,
        )
        for line in row.unexplained:
            print("   ", line)
        failed = failed or row.fails
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
