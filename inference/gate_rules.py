"""What kind of image a preview looks like: one rule for each kind, in words and with a confidence.

A rule is a list of measured signs. Each sign says how much it speaks for the kind (0..1), and the weakest decides: the
confidence is the rule's ceiling times its weakest sign. The ceilings are our own judgement of how easily other pictures
show the same signs; they are no frequencies, and `manage.py gate_confusion` prints how the rules do on known samples.
Where two rules speak for different kinds nearly alike, or none speaks clearly, the answer is that it cannot be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from inference.gate_looks import (
    BLACK,
    Looks,
    chest_likeness,
    letters,
    outline,
    rings,
    roundness,
    speckle,
    strokes,
    vivid,
)

TELL = 0.6  # below it, the gate says that it cannot tell
APART = 0.1  # the least distance to a rule that says something else


class Guess(NamedTuple):
    """What one rule says. `reasons` are its signs in a few words each."""

    modality: str
    body_part: str
    confidence: float
    reasons: tuple[str, ...]


class Sign(NamedTuple):
    weight: float
    words: str


def rise(value: float, none: float, full: float) -> float:
    """0 at `none`, 1 at `full`, a line between; `none` may be the larger."""
    return float(np.clip((value - none) / (full - none), 0.0, 1.0))


def weigh(modality: str, body_part: str, ceiling: float, *signs: Sign) -> Guess:
    weakest = min(sign.weight for sign in signs)
    return Guess(modality, body_part, ceiling * weakest, tuple(sign.words for sign in signs if sign.words))


def guesses(looks: Looks) -> list[Guess]:
    """What the rules say, the most confident first; rules that say nothing are left out."""
    found = [guess for rule in RULES for guess in rule(looks) if guess.confidence > 0]
    return sorted(found, key=lambda guess: -guess.confidence)


def chest(looks: Looks) -> Iterator[Guess]:
    """A frontal chest radiograph. PA and AP look alike here, so no view is said."""
    if looks.rgb is not None:
        return
    correlation, symmetry, gap, floor = chest_likeness(looks.grey)
    yield weigh(
        "DX",
        "CHEST",
        0.9,
        Sign(rise(correlation, 0.3, 0.5), "two dark fields side by side in a bright frame"),
        Sign(rise(symmetry, 0.5, 0.75), "left and right alike"),
        Sign(rise(gap, 0.1, 0.3), "a bright strip between them"),
        Sign(rise(floor, 0.05, 0.2), "brighter below them"),
        Sign(rise(looks.white, 0.45, 0.3), ""),
        Sign(rise(looks.black, 0.5, 0.35), ""),
        Sign(rise(looks.edges, 12, 9), ""),
        Sign(rise(looks.few, 0.8, 0.6), ""),
    )


def breast(looks: Looks) -> Iterator[Guess]:
    """A mammogram: one bright, convex part on the left or right edge, the other edge black."""
    if looks.rgb is not None:
        return
    sides = [float((looks.grey[:, columns] >= BLACK).mean()) for columns in (slice(0, 6), slice(-6, None))]
    inside = outline(looks)
    widths = inside.sum(axis=1)
    rows = np.flatnonzero(widths)
    middle = rows.mean() / len(widths) if rows.size else 0.0
    peak = float(widths.argmax()) / len(widths)
    height, width = looks.grey.shape
    yield weigh(
        "MG",
        "BREAST",
        0.75,
        Sign(rise(max(sides), 0.4, 0.6), "a bright part that touches one side"),
        Sign(rise(min(sides), 0.1, 0.02), "the other side black"),
        Sign(rise(abs(peak - middle), 0.3, 0.2), ""),
        Sign(rise(looks.black, 0.25, 0.35) * rise(looks.black, 0.9, 0.8), "a black ground"),
        Sign(rise(height / width, 0.95, 1.1), ""),
        Sign(rise(looks.edges, 10, 7), "soft structure"),
        Sign(rise(looks.few, 0.97, 0.93), ""),
    )


def skull(looks: Looks) -> Iterator[Guess]:
    """A transverse CT of the head: a closed, white ring (bone) around even grey, on black."""
    if looks.rgb is not None or looks.black_edge < 0.8 or not 0.3 < looks.black < 0.85 or looks.few > 0.95:
        return
    depths = rings(looks)
    if len(depths) < 25:
        return
    bone, within = max(depths[:12]), depths[18:]
    yield weigh(
        "CT",
        "HEAD",
        0.8,
        Sign(rise(bone, 215, 245), "a closed white ring, as bone in CT"),
        Sign(rise(max(within), 200, 170) * rise(min(within), 15, 40), "even grey within it"),
        Sign(rise(looks.black_edge, 0.8, 0.95), "a black ground"),
    )


def ultrasound(looks: Looks) -> Iterator[Guess]:
    """The screen of an ultrasound machine: a flat dark ground, and vivid colours on grey, or speckle and letters."""
    dark = Sign(rise(looks.flat, 0.1, 0.2) * rise(looks.ground, 70, 50), "a flat, dark ground")
    graphics = Sign(rise(looks.few, 0.99, 0.97), "")
    colour, grey = vivid(looks)
    if looks.rgb is not None:
        few_colours = rise(colour, 0.02, 0.05) * rise(colour, 0.5, 0.4)
        yield weigh(
            "US",
            "",
            0.85,
            dark,
            graphics,
            Sign(few_colours, "small parts in vivid colour, as of flow"),
            Sign(rise(grey, 0.5, 0.7), "the rest grey"),
            Sign(rise(speckle(looks.grey), 0.02, 0.045), ""),
        )
    if dark.weight and grey > 0.6:
        yield weigh(
            "US",
            "",
            0.8,
            dark,
            graphics,
            Sign(rise(speckle(looks.grey), 0.13, 0.2), "speckle"),
            Sign(rise(letters(looks), 0.003, 0.008), "letters or scales on the ground"),
        )


def fundus(looks: Looks) -> Iterator[Guess]:
    """A fundus photograph: a disc of orange to red, little blue in it, on black."""
    if looks.rgb is None or looks.coloured < 0.3:
        return
    green, blue = looks.ratios
    bright = float(((looks.grey > 240) & (looks.rgb.min(axis=2) > 225)).mean())
    yield weigh(
        "OP",
        "EYE",
        0.9,
        Sign(rise(roundness(outline(looks)), 0.85, 0.95), "a round field of view"),
        Sign(rise(looks.black_edge, 0.3, 0.5), "a black surround"),
        Sign(rise(looks.warm, 0.8, 0.95), "red to orange throughout"),
        Sign(rise(blue, 0.6, 0.45) * rise(green, 0.85, 0.7), "little blue"),
        Sign(rise(looks.edges, 9, 6.5), ""),
        Sign(rise(bright, 0.003, 0.001), ""),
    )


def endoscopy(looks: Looks) -> Iterator[Guess]:
    """An endoscopic frame: pink to red, black corners cut off, and white reflections of the lamp."""
    if looks.rgb is None or looks.coloured < 0.3:
        return
    height, width = looks.grey.shape
    size = max(4, min(height, width) // 24)
    corners = [looks.grey[rows, columns].max() for rows in (slice(0, size), slice(-size, None))
               for columns in (slice(0, size), slice(-size, None))]  # fmt: skip
    inside = outline(looks)
    green, blue = looks.ratios
    reflections = float(((looks.grey > 235) & (looks.rgb.min(axis=2) > 215)).mean())
    yield weigh(
        "ES",
        "",
        0.8,
        Sign(float(np.mean([corner < 2 * BLACK for corner in corners]) == 1), "black corners"),
        Sign(
            rise(float(inside.mean()), 0.4, 0.55) * rise(looks.black, 0.02, 0.04), "a field of view cut at its corners"
        ),
        Sign(rise(looks.warm, 0.85, 0.97), "pink to red throughout"),
        Sign(rise(green, 0.8, 0.7) * rise(green, 0.2, 0.3), ""),
        Sign(rise(blue, 0.8, 0.7), ""),
        Sign(rise(reflections, 0.0005, 0.002), "white reflections"),
    )


def dermoscopy(looks: Looks) -> Iterator[Guess]:
    """A dermoscopic photograph: even skin all around, and something darker in the middle."""
    if looks.rgb is None:
        return
    height, width = looks.grey.shape
    down, across = height // 8, width // 8
    rim = np.ones(looks.grey.shape, dtype=bool)
    rim[down : -down or None, across : -across or None] = False
    rim &= looks.grey >= 60  # dark corners are the edge of the lens
    if rim.mean() < 0.1:
        return
    skin = np.median(looks.rgb[rim], axis=0)
    middle = looks.grey[3 * height // 8 : 5 * height // 8, 3 * width // 8 : 5 * width // 8]
    darker = float(np.median(looks.grey[rim]) - np.percentile(middle, 25))
    yield weigh(
        "DMS",
        "",
        0.9,
        Sign(rise(float(skin[0] - skin[2]), 8, 20) * rise(float(skin[0] - skin[1]), 0, 6), "skin tones"),
        Sign(rise(float(skin[1] / max(skin[0], 1)), 0.5, 0.6), ""),
        Sign(rise(float(skin.mean()), 90, 120), ""),
        Sign(rise(looks.cool + looks.violet, 0.15, 0.05) if looks.coloured > 0.05 else 1.0, ""),
        Sign(rise(float(looks.grey[rim].std()), 38, 28), "even all around"),
        Sign(rise(darker, 8, 18), "a darker part in the middle"),
        Sign(rise(looks.edges, 8, 6), "soft structure"),
        Sign(rise(looks.white, 0.6, 0.4), ""),
    )


def microscopy(looks: Looks) -> Iterator[Guess]:
    """A stained slide in transmitted light: purple and pink (H&E, blood films), or brown with blue (antibodies)."""
    if looks.rgb is None:
        return
    red, green, blue = (looks.rgb[..., channel] for channel in range(3))
    bright = Sign(rise(looks.black, 0.05, 0.02) * rise(float(looks.grey.mean()), 100, 130), "light from behind")
    detail = Sign(rise(looks.edges, 2.5, 4.5), "fine structure")
    stained = (looks.rgb.max(axis=2) - looks.rgb.min(axis=2)) > 15
    share = Sign(rise(float(stained.mean()), 0.1, 0.2), "")
    if not stained.any():
        return
    purple = float(((green < red) & (green < blue) & (blue > 0.75 * red))[stained].mean())
    nuclei = float(((blue > green + 25) & (blue >= red - 5))[stained].mean())
    yield weigh(
        "SM", "", 0.9, bright, detail, share,
        Sign(rise(purple, 0.6, 0.85), "purple and pink stain"),
        Sign(rise(nuclei, 0.01, 0.04), "blue to purple nuclei"),
    )  # fmt: skip
    brown = float(((red > blue + 40) & (green > blue))[stained].mean())
    blueish = float(((blue > red + 10) & (green > red - 15))[stained].mean())
    yield weigh(
        "SM", "", 0.8, bright, detail, share,
        Sign(rise(brown, 0.1, 0.2), "brown stain"),
        Sign(rise(blueish, 0.02, 0.05), "blue nuclei"),
        Sign(rise(looks.coloured - brown - blueish, 0.35, 0.2), ""),
        Sign(rise(float(((looks.grey > 190) & ~stained).mean()), 0.02, 0.05), "a clear ground"),
    )  # fmt: skip


def drawing(looks: Looks) -> Iterator[Guess]:
    """A drawing, chart, test pattern or mask: hardly more than eight greys."""
    if looks.flat > 0.93:  # blank: nothing to tell
        return
    yield weigh("OT", "", 0.85, Sign(rise(looks.few, 0.9, 0.98), "only a few different greys or colours"),
                Sign(rise(speckle(looks.grey), 0.06, 0.03) if looks.few < 0.97 else 1.0, "flat areas"))  # fmt: skip


def document(looks: Looks) -> Iterator[Guess]:
    """Writing on a light ground."""
    written = strokes(looks.grey)
    yield weigh(
        "DOC",
        "",
        0.8,
        Sign(rise(float(np.median(looks.grey)), 130, 170), "a light ground"),
        Sign(
            rise(written, 0.05, 0.1) * rise(written, 0.35, 0.25),
            "thin dark strokes, as letters",
        ),
        Sign(rise(looks.coloured, 0.15, 0.05), "hardly any colour"),
        Sign(rise(looks.black, 0.1, 0.05), ""),
    )


def photograph(looks: Looks) -> Iterator[Guess]:
    """An everyday colour photograph: warm and other hues, hard edges, detail out to the border."""
    if looks.rgb is None:
        return
    other = (looks.cool + looks.violet) * looks.coloured
    yield weigh(
        "OT",
        "",
        0.7,
        Sign(rise(looks.coloured, 0.15, 0.25), "many colours"),
        Sign(rise(other, 0.015, 0.03), "hues that tissue does not have"),
        Sign(rise(looks.edges, 7, 9), "hard edges"),
        Sign(rise(looks.black_edge, 0.5, 0.3) * rise(looks.flat, 0.25, 0.15), "detail out to the border"),
        Sign(rise(looks.white, 0.3, 0.15), ""),
    )


RULES: tuple[Callable[[Looks], Iterator[Guess]], ...] = (
    chest,
    breast,
    skull,
    ultrasound,
    fundus,
    endoscopy,
    dermoscopy,
    microscopy,
    drawing,
    document,
    photograph,
)
