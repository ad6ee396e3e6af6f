"""The kinds of image that the gate knows, in words. Light: pages say them too."""

from __future__ import annotations

from inference.types import Gate

NAMES = {
    "CR": "radiograph",
    "DX": "radiograph",
    "RG": "radiograph",
    "RF": "fluoroscopy",
    "XA": "angiogram",
    "PX": "panoramic dental radiograph",
    "IO": "dental radiograph",
    "MG": "mammogram",
    "CT": "CT",
    "MR": "MR",
    "US": "ultrasound",
    "NM": "scintigram",
    "PT": "PET",
    "OP": "fundus photograph",
    "OPT": "optical coherence tomogram",
    "DMS": "dermoscopy photograph",
    "XC": "photograph of a patient",
    "SM": "slide under a microscope",
    "GM": "picture from a microscope",
    "ES": "endoscopy",
    "DOC": "document",
    "SEG": "segmentation",
    "RTDOSE": "dose distribution",
    "OT": "picture that is no medical image",
}
NO_ARTICLE = ("CT", "MR", "US", "PT", "ES", "RF")
PART_IN_NAME = ("MG", "OP", "PX", "IO")
VIEWS = {"LL": "lateral", "RL": "lateral", "LATERAL": "lateral"}


def name_of(gate: Gate, article: bool = False) -> str:
    """The kind in words: "chest radiograph, PA", "CT of the head"; "" where it cannot be told. `article`: "a chest"."""
    if not gate.modality:
        return ""
    name = NAMES.get(gate.modality, gate.modality)
    part = "" if gate.modality in PART_IN_NAME else gate.body_part.lower().replace("_", " ")
    words = f"{name} of the {part}" if part and gate.modality in NO_ARTICLE else f"{part} {name}".strip()
    if article and gate.modality not in NO_ARTICLE and gate.modality in NAMES:
        words = ("an " if words[0] in "aeio" else "a ") + words
    return f"{words}, {VIEWS.get(gate.view, gate.view)}" if gate.view else words


def signs_of(gate: Gate) -> str:
    """What spoke for it, in a few words: "skin tones, even all around"; "" when a reason says no more than the kind."""
    return gate.reasons[-1].partition(": ")[2].rstrip(".") if gate.source == "pixels" and gate.reasons else ""
