"""What the gate says of pictures of known kind when their headers are hidden: the confusion table, and what it cannot
tell. It reads the samples that the wheels carry (`inference.gate_samples`), each in the disposable decoder."""

import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from django.core.management.base import BaseCommand
from PIL import Image as Pillow

from inference.decode import PIXELS, PREVIEW, decode
from inference.errors import InferenceError
from inference.gate import decide
from inference.gate_samples import SAMPLES, Sample, drawn
from inference.types import Decoded, Gate

CANNOT = "cannot tell"
SAME = {"CR": "DX", "RG": "DX"}  # a radiograph is a radiograph


class Seen(NamedTuple):
    """What a picture is, and what the gate says; `told` are (modality, body part)."""

    name: str
    is_a: tuple[str, str]
    told: tuple[str, str]
    held_out: bool


class Command(BaseCommand):
    help = "Print the gate's confusion table over the sample images of the wheels, with their headers hidden."

    def handle(self, *args: Any, **options: Any) -> None:
        as_png, with_values, unread = _samples()
        for title, seen in (
            ("By the preview alone, as of a PNG", as_png),
            ("With the values of the file", with_values),
            ("Drawn pictures, of kinds without a real sample: no evidence about real ones", _drawn()),
        ):
            self._part(title, seen)
        for sample, why in unread:
            self.stdout.write(f"Not read: {Path(sample.file).name}: {why}")

    def _part(self, title: str, seen: list[Seen]) -> None:
        self.stdout.write(f"\n# {title}")
        for what, index in (("Modality", 0), ("Body part", 1)):
            known = [one for one in seen if one.is_a[index]]
            self.stdout.write(f"\n{what}, true by row, said by column")
            self.stdout.write("\n".join(table([(one.is_a[index], one.told[index]) for one in known])))
            for chosen, of in (
                (known, "all"),
                ([one for one in known if one.held_out], "held out"),
            ):
                if chosen:
                    self.stdout.write(f"{of}: {summary([(one.is_a[index], one.told[index]) for one in chosen])}")
            wrong = [f"{one.name} is {one.is_a[index]}, said {one.told[index]}"
                     for one in known if one.told[index] not in ("", one.is_a[index])]  # fmt: skip
            self.stdout.write("Wrong: " + ("; ".join(wrong) or "none"))
            blank = [f"{one.name} ({one.is_a[index]})" for one in known if not one.told[index]]
            self.stdout.write("Cannot tell: " + (", ".join(blank) or "none"))


def table(pairs: list[tuple[str, str]]) -> list[str]:
    """Lines of a table of counts; what cannot be told has the last column."""
    rows = sorted({true for true, _ in pairs})
    columns = [*sorted({told for _, told in pairs if told}), CANNOT, "total"]
    counts = Counter(pairs)
    width = max(len(name) for name in (*rows, "true"))
    lines = ["  ".join([f"{'true':{width}}", *(f"{name:>6}" for name in columns)])]
    for row in rows:
        cells = [counts[row, "" if name == CANNOT else name] for name in columns[:-1]]
        shown = [f"{count:>{max(6, len(name))}}" for name, count in zip(columns, [*cells, sum(cells)], strict=True)]
        lines.append("  ".join([f"{row:{width}}", *shown]))
    return lines


def summary(pairs: list[tuple[str, str]]) -> str:
    told = [pair for pair in pairs if pair[1]]
    right = sum(true == said for true, said in told)
    share = f", {right / len(told):.2f} of what was told" if told else ""
    return f"{len(pairs)} pictures, told {len(told)}, right {right}{share}, cannot tell {len(pairs) - len(told)}"


def _samples() -> tuple[list[Seen], list[Seen], list[tuple[Sample, str]]]:
    as_png: list[Seen] = []
    with_values: list[Seen] = []
    unread: list[tuple[Sample, str]] = []
    for sample in SAMPLES:
        with tempfile.TemporaryDirectory() as folder:
            try:
                decoded = decode(sample.path, Path(folder))
            except InferenceError as error:
                unread.append((sample, str(error)))
                continue
            png, values = _both(decoded, Path(folder))
        for gate, seen in ((png, as_png), (values, with_values)):
            seen.append(_seen(Path(sample.file).name, sample.modality, sample.body_part, gate, sample.held_out))
    return as_png, with_values, unread


def _both(decoded: Decoded, folder: Path) -> tuple[Gate, Gate]:
    """What the gate says of the preview alone, and with the values; in neither case may it read the header."""
    with Pillow.open(folder / PREVIEW, formats=["PNG"]) as picture:
        preview = np.asarray(picture)
    hidden = replace(decoded, modality="unknown", body_part=None, view=None, unit="", header={}, gate=None)
    flat = replace(hidden, layout="image", frames=1, volumes=1, affine=None)
    return decide(flat, preview), decide(hidden, preview, np.load(folder / PIXELS, mmap_mode="r"))


def _drawn() -> list[Seen]:
    seen = []
    for name, modality, part, picture in drawn():
        decoded = Decoded("png", "unknown", picture.shape[1], picture.shape[0])
        seen.append(_seen(name, modality, part, decide(decoded, picture), False))
    return seen


def _seen(name: str, modality: str, part: str, gate: Gate, held_out: bool) -> Seen:
    said = SAME.get(gate.modality, gate.modality)
    return Seen(name, (SAME.get(modality, modality), part), (said, gate.body_part), held_out)
