"""What may be said of an image to a served model: technical facts from an allow-list, each by its own rule.

Everything else of an image stays here: names of files, studies and series, ids, UIDs, dates, the header, notes,
explanations of windows, text in the picture. A value that does not fit its rule is left out, whatever decoded it.
Pixels are sent as PNG made anew from the preview (`inference.shown`), so no comment or EXIF goes with them.
"""

from __future__ import annotations

import math

from inference.kinds import name_of
from inference.terms import is_term
from inference.types import Decoded, Gate

KINDS = {
    "dicom": "DICOM",
    "png": "PNG",
    "jpeg": "JPEG",
    "tiff": "TIFF",
    "nifti": "NIfTI",
    "slide": "slide",
    "video": "video",
}
# Of R-A-S+ coordinates: the plane across each axis, and where its coordinate grows and shrinks to.
PLANES = ("sagittal", "coronal", "axial")
TOWARDS = (("patient's right", "patient's left"), ("front", "back"), ("head", "feet"))
STRAIGHT = 0.9  # the cosine, about 25 degrees, up to which a plane goes by the name of the straight one
SPACING_SOURCES = ("PixelSpacing", "ImagerPixelSpacing", "NIfTI header", "slide header", "OME metadata")


def for_model(decoded: Decoded) -> dict[str, str]:
    """The facts by name, in the order in which they are said; those that are unknown or not allowed are absent.

    The names are kind, modality, body part, view, size, frames, spacing and window. Where a person or the gate has said
    what the image is, that counts before the header.
    """
    gate = decoded.gate
    modality = (gate and gate.modality) or decoded.modality
    facts = {
        "kind": KINDS.get(decoded.kind, ""),
        "modality": _term("Modality", modality) if modality != "unknown" else "",
        "body part": _term("BodyPartExamined", (gate and gate.body_part) or decoded.body_part or ""),
        "view": _term("ViewPosition", (gate and gate.view) or decoded.view or ""),
        "size": f"{int(decoded.width)} x {int(decoded.height)} pixels",
        "frames": str(int(decoded.frames)) if decoded.frames > 1 else "",
        "spacing": _spacing(decoded),
        "window": _window(decoded),
    }
    return {name: text for name, text in facts.items() if text}


def sentence(decoded: Decoded) -> str:
    """The facts in one line: "DICOM, modality DX, body part CHEST, size 1841 x 1955 pixels"."""
    facts = for_model(decoded)
    kind = facts.pop("kind", "image")
    return ", ".join([kind, *(f"{name} {text}" for name, text in facts.items())])


def line(name: str, decoded: Decoded) -> str:
    """What stands before its picture: "img1, chest radiograph, PA". `name` is the image's name in its conversation."""
    facts = for_model(decoded)
    kind = name_of(Gate(facts.get("modality", ""), facts.get("body part", ""), facts.get("view", "")))
    return f"{name}, {kind or 'image'}"


def place(decoded: Decoded, number: int) -> str:
    """Where a slice or frame lies, `number` from 0: "axial slice 14 of 60, 32.5 mm from the first towards the head".

    The distance is between centres along the normal of the slices; it is absent where the file does not place them.
    Only differences are said: the coordinates themselves belong to the scanner's room.
    """
    if decoded.layout != "volume":
        return f"frame {number + 1} of {int(decoded.frames)}"
    said = f"slice {number + 1} of {int(decoded.frames)}"
    if decoded.affine is None:
        return said
    step = [row[2] for row in decoded.affine[:3]]
    length = math.hypot(*step)
    if not math.isfinite(length) or length == 0:
        return said
    axis = max(range(3), key=lambda i: abs(step[i]))
    plane = PLANES[axis] if abs(step[axis]) > STRAIGHT * length else "oblique"
    towards = TOWARDS[axis][step[axis] < 0]
    return f"{plane} {said}, {number * length:.1f} mm from the first towards the {towards}"


def _term(keyword: str, text: str) -> str:
    """The code string, when each of its values consists of known words."""
    parts = [part.strip().upper() for part in text.split(",")]
    return ", ".join(parts) if all(parts) and all(is_term(keyword, part) for part in parts) else ""


def _spacing(decoded: Decoded) -> str:
    spacing = decoded.spacing
    if spacing is None or spacing.source not in SPACING_SOURCES:
        return ""
    if not all(math.isfinite(float(side)) for side in (spacing.row_mm, spacing.column_mm)):
        return ""
    return f"{float(spacing.row_mm):g} x {float(spacing.column_mm):g} mm ({spacing.source})"


def _window(decoded: Decoded) -> str:
    if decoded.window is None or not all(math.isfinite(float(value)) for value in decoded.window):
        return ""
    centre, width = decoded.window
    unit = " HU" if decoded.unit == "HU" else ""
    return f"centre {float(centre):g}, width {float(width):g}{unit}"
