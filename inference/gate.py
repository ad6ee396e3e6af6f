"""The gate: before any tool, what is this image? Modality, body part and view, with a confidence and reasons.

The header decides where it says something that can be true. Else the pixel values do where they are physical (HU), and
else what the preview looks like (`inference.gate_rules`). A trained classifier can be asked instead, by setting
(`decide_by_model`). "" is an answer: below `gate_rules.TELL`, or where two kinds are nearly as likely, the gate says
that it cannot tell, and why.

Codes are those of DICOM's Modality (PS3.3 C.7.3.1.1.1, PS3.16 CID 29): DX for any radiograph seen without header, MG,
CT, MR, US, OP for fundus photographs, DMS for dermoscopy, XC for other photographs of patients (never said from
pixels), ES, SM for any stained slide in transmitted light, also a cut-out of one, DOC for documents, and OT for what is
no acquired image: drawings, test patterns, masks, everyday photographs. Costs about 0.1 s, whatever the size.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.classify import HuggingFaceClassifier
from inference.errors import Unavailable
from inference.gate_looks import Looks, look
from inference.gate_rules import APART, TELL, Guess, guesses
from inference.gate_values import values_say
from inference.kinds import name_of
from inference.types import Decoded, Gate, Image

# What a header may say and mean it: OT, SC and nothing at all leave it open.
VAGUE = ("", "UNKNOWN", "OT", "SC")
RADIOGRAPHS = frozenset({"CR", "DX", "RG"})
GREY_ONLY = frozenset({*RADIOGRAPHS, "MG", "CT", "MR", "XA", "RF", "IO", "PX"})
HEADER = 0.95  # headers are wrong at times, above all about the body part
SMALLEST = 64  # pixels a side: below, strokes, speckle and rings are one pixel wide, and no rule means anything
LABELS = "gate.json"

HEADER_SAYS = "The header says: {what}."
IN_COLOUR = "The header says {modality}, but the picture is in colour, so the header was not believed."
VAGUE_HEADER = "The header leaves the kind of image open ({modality})."
LOOKS_LIKE = "It looks like {what}: {signs}."
BY_LOOKS = "The header names no body part; by its looks it is {part}."
NOTHING = "Nothing in its colours, outline or structure is typical enough of one kind of image."
TWO = "It could be {one} or {other}."
UNSURE = "It may be {what}, but not surely enough ({confidence:.2f})."
SECTION = "It looks like a cross-section (a body on black): CT and MR cannot be told apart without the file's values."
TINY = "It has only {width} x {height} pixels, too few to tell."
BLANK = "It is blank."
MODEL_SAYS = "{name} says {label} (score {score:.2f}, not calibrated)."
UNMAPPED = "{name} says {label}, which its label map leaves open."
NO_LABELS = (
    "The gate's model in {name} has no usable label map. Put gate.json beside config.json: "
    '{{"its label": {{"modality": "DX", "body_part": "CHEST", "view": ""}}}}.'
)


def decide(decoded: Decoded, preview: NDArray[np.uint8], pixels: NDArray[Any] | None = None) -> Gate:
    """What the image is. `preview` is preview.png, (H, W) or (H, W, 3); `pixels` is pixels.npy, when at hand.

    Never raises for a readable image.
    """
    reasons: list[str] = []
    if decoded.layout == "slide":
        return Gate("SM", decoded.body_part or "", "", HEADER, "header", ("The file is a whole-slide image.",))
    modality = decoded.modality.upper()
    looks = look(preview)
    if modality not in VAGUE:
        if modality not in GREY_ONLY or looks.coloured < 0.02:
            return _by_header(decoded, modality, looks)
        reasons.append(IN_COLOUR.format(modality=modality))
    elif modality not in ("", "UNKNOWN"):
        reasons.append(VAGUE_HEADER.format(modality=modality))
    gate = _by_pixels(decoded, looks, pixels)
    return replace(
        gate,
        body_part=decoded.body_part or gate.body_part,
        view=decoded.view or gate.view,
        reasons=(*reasons, *gate.reasons),
    )


def _by_header(decoded: Decoded, modality: str, looks: Looks) -> Gate:
    part = decoded.body_part or decoded.header.get("AnatomicRegion", "").upper()
    gate = Gate(modality, part, decoded.view or "", HEADER, "header")
    reasons = [HEADER_SAYS.format(what=name_of(gate))]
    if not part and (best := _clear(guesses(looks))) and _same_kind(best.modality, modality) and best.body_part:
        reasons.append(BY_LOOKS.format(part=best.body_part))
        gate = replace(gate, body_part=best.body_part, confidence=best.confidence)
    return replace(gate, reasons=tuple(reasons))


def _same_kind(one: str, other: str) -> bool:
    return one == other or {one, other} <= RADIOGRAPHS


def _by_pixels(decoded: Decoded, looks: Looks, pixels: NDArray[Any] | None) -> Gate:
    """What the values say, where they say anything; else what the preview looks like."""
    if min(decoded.width, decoded.height) < SMALLEST and decoded.layout != "volume":
        return Gate(reasons=(TINY.format(width=decoded.width, height=decoded.height),))
    by_looks = [] if decoded.layout == "volume" else guesses(looks)
    said = values_say(decoded, pixels) if pixels is not None else None
    if said:
        best = _clear(by_looks)
        same = bool(best and _same_kind(best.modality, said.modality))
        part = said.body_part or (best.body_part if best and same else "")
        return _told(said._replace(body_part=part))
    if best := _clear(by_looks):
        return _told(best)
    return Gate(reasons=(_why_not(looks, by_looks),))


def _clear(found: list[Guess]) -> Guess | None:
    """The best guess, when it is sure enough and no other kind is nearly as likely."""
    if not found or found[0].confidence < TELL:
        return None
    others = [guess.confidence for guess in found if guess.modality != found[0].modality]
    return found[0] if not others or found[0].confidence - others[0] >= APART else None


def _told(guess: Guess) -> Gate:
    gate = Gate(guess.modality, guess.body_part, "", round(guess.confidence, 2))
    reason = LOOKS_LIKE.format(what=name_of(gate, article=True), signs=", ".join(guess.reasons))
    return replace(gate, reasons=(reason,))


def _why_not(looks: Looks, found: list[Guess]) -> str:
    if looks.flat > 0.93:
        return BLANK
    names = [(name_of(Gate(guess.modality, guess.body_part), article=True), guess) for guess in found]
    if len(found) > 1 and found[0].confidence >= TELL:
        other = next(name for name, guess in names if guess.modality != found[0].modality)
        return TWO.format(one=names[0][0], other=other)
    if found and found[0].confidence >= TELL / 2:
        return UNSURE.format(what=names[0][0], confidence=found[0].confidence)
    if looks.coloured == 0 and looks.black_edge > 0.85 and 0.2 < looks.black < 0.9:
        return SECTION
    return NOTHING


def decide_by_model(image: Image, folder: Path) -> Gate:
    """What a trained classifier says: a Hugging Face checkpoint in `folder`, with gate.json, which maps each of its
    labels to {"modality", "body_part", "view"}. A label that is not in it, or a score below TELL, tells nothing.

    Raises Unavailable when the checkpoint or its map cannot be read, BadInput when it cannot take the image.
    """
    labels = _label_map(folder)
    classifier = HuggingFaceClassifier(folder)
    best = classifier.classify(image, top_k=1)[0]
    kind = labels.get(best.label)
    if kind is None:
        return Gate(source="model", reasons=(UNMAPPED.format(name=classifier.name, label=best.label),))
    says = MODEL_SAYS.format(name=classifier.name, label=best.label, score=best.value)
    if best.value < TELL:
        return Gate(source="model", reasons=(says,))
    modality, body_part, view = (str(kind.get(key, "")) for key in ("modality", "body_part", "view"))
    return Gate(modality, body_part, view, round(best.value, 2), "model", (says,))


def _label_map(folder: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads((folder / LABELS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Unavailable(NO_LABELS.format(name=folder.name)) from error
    if not isinstance(found, dict) or not all(isinstance(kind, dict) for kind in found.values()):
        raise Unavailable(NO_LABELS.format(name=folder.name))
    return found
