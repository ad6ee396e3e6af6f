"""What the viewer is told of an image: its numbers, its edges, and what lies on it (docs/viewer.md)."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from assistant import frames, greys
from assistant.models import Annotation, Artifact, Conversation, Image
from inference.tiles import OVERLAP, TILE, Geometry

# Okabe and Ito (2008), without black, and without the bluish green that stands too near to the page's accent.
MASK_COLOURS = ("#e69f00", "#56b4e9", "#f0e442", "#cc79a7", "#d55e00", "#0072b2")
ANNOTATIONS_BEGIN = 3  # their colours begin half-way round: a correction differs from what it corrects
OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}
UNITS = {"deg": "°", "mm2": "mm²", "px2": "px²"}
AXES = ("RL", "AP", "HF")  # towards which each axis of R-A-S+ millimetres grows, and away from it


def colour_of(found: Artifact | Annotation) -> int:
    """1 to 6: its place in MASK_COLOURS, and the number of its CSS class. Annotations begin half-way round."""
    return colour_at(found.number if isinstance(found, Artifact) else found.number + ANNOTATIONS_BEGIN)


def colour_at(number: int) -> int:
    return (number - 1) % len(MASK_COLOURS) + 1


@dataclass(frozen=True, slots=True)
class Layer:
    """What lies on an image: `shown` at first, `lit` when its chip was opened. `colour` is a place in MASK_COLOURS."""

    id: uuid.UUID
    ref: str
    kind: str
    label: str
    author: str
    source: str
    colour: int
    shown: bool
    frame: int | None = None
    frames: list[int] | None = None
    overlay: str | None = None
    nifti: str | None = None
    box: list[float] | None = None
    type: str | None = None
    points: list[list[float]] | None = None
    values: Any = None
    notes: Sequence[str] = ()
    area_cm2: float | None = None
    corrects: uuid.UUID | None = None
    version: int = 1
    lit: bool = False

    @property
    def by(self) -> str:
        """Who made it, in the words of the list."""
        return "drawn by you" if self.author == Annotation.PERSON else self.source

    @property
    def measured(self) -> str:
        """The main value of a measurement with its unit, for the list."""
        values = self.values if isinstance(self.values, list) else []
        main = next((v for v in values if v.get("name") in ("length", "angle", "area")), None)
        return f"{main['value']:.1f} {UNITS.get(main['unit'], main['unit'])}" if main else ""

    @property
    def editable(self) -> bool:
        return self.author == Annotation.PERSON

    def as_dict(self) -> dict[str, Any]:
        """JSON types, as docs/viewer.md says."""
        names = ("ref", "kind", "label", "author", "source", "frame", "frames", "shown", "overlay", "nifti", "box")
        more = ("type", "points", "values", "area_cm2", "version", "lit")
        data = {name: getattr(self, name) for name in (*names, *more)}
        corrects = str(self.corrects) if self.corrects else None
        notes = list(self.notes)
        return data | {
            "id": str(self.id),
            "colour": MASK_COLOURS[self.colour - 1],
            "corrects": corrects,
            "notes": notes,
            "by": self.by,
        }


def layers(
    conversation: Conversation | None, image: Image, lit: Artifact | Annotation | None = None, name: str = ""
) -> list[Layer]:
    """Masks and boxes of the tools of this chat, oldest first, then what people and files put on the image.

    Of the tools' only those of the newest call are shown at first, or of the call of `lit`; of what was corrected only
    the newest version.
    """
    annotations = list(image.annotations.all())
    replaced = {a.corrects_id for a in annotations} | {a.corrects_artifact_id for a in annotations}
    return _of_tools(conversation, image, lit, replaced) + [
        of_annotation(a, name, replaced=a.pk in replaced, lit=lit is not None and a.pk == lit.pk) for a in annotations
    ]


def _of_tools(
    conversation: Conversation | None,
    image: Image,
    lit: Artifact | Annotation | None,
    replaced: set[uuid.UUID | None],
) -> list[Layer]:
    if conversation is None:
        return []
    found = list(
        Artifact.objects.filter(tool_call__run__conversation=conversation, image=image, kind__in=Artifact.ON_IMAGES)
        .select_related("tool_call")
        .order_by("tool_call__number", "number")
    )
    newest = (lit if isinstance(lit, Artifact) else found[-1]).tool_call_id if found else None
    return [_of_artifact(a, a.tool_call_id == newest and a.pk not in replaced, lit) for a in found]


def _of_artifact(found: Artifact, shown: bool, lit: Artifact | Annotation | None) -> Layer:
    mask, line = found.kind == Artifact.MASK, found.kind == Artifact.LINE
    is_lit = lit is not None and found.pk == lit.pk
    return Layer(
        id=found.pk,
        ref=found.ref,
        kind=found.kind,
        label=found.label,
        author="tool",
        source=found.tool_call.name,
        colour=colour_of(found),
        shown=shown or is_lit,
        frame=found.data.get("frame"),
        frames=found.data.get("frames"),
        overlay=reverse("artifact-overlay", args=[found.pk]) if found.file else None,
        nifti=reverse("artifact-nifti", args=[found.pk]) if mask else None,
        box=_box(found.data) if found.kind == Artifact.BOX else None,
        type="length" if line else None,  # a line is shown as a measured length is
        points=found.data.get("points") if line else None,
        values=found.data.get("values") if line else None,
        notes=found.data.get("notes") or (),
        area_cm2=found.data.get("area_cm2"),
        lit=is_lit,
    )


def of_annotation(found: Annotation, name: str = "", replaced: bool = False, lit: bool = False) -> Layer:
    """One annotation; `name` is that of its image in the chat ("img1"), if there is one."""
    mask, measurement = found.kind == Annotation.MASK, found.kind == Annotation.MEASUREMENT
    measured = found.data.get("values")
    return Layer(
        id=found.pk,
        ref=f"{name or 'img'}.{found.number}",
        kind=found.kind,
        label=found.label,
        author=found.author,
        source=found.source or ("drawn by hand" if found.author == Annotation.PERSON else "file"),
        colour=colour_of(found),
        shown=not replaced or lit,
        frame=found.data.get("frame"),
        frames=found.data.get("frames"),
        overlay=reverse("annotation-overlay", args=[found.pk]) if mask else None,
        nifti=reverse("annotation-nifti", args=[found.pk]) if mask else None,
        box=_box(found.data) if found.kind == Annotation.BOX else None,
        type=found.data.get("type") if measurement else None,
        points=found.data.get("points") if measurement else None,
        values=measured,
        notes=found.data.get("notes") or (),
        area_cm2=found.data.get("area_cm2"),
        corrects=found.corrects_id or found.corrects_artifact_id,
        version=found.version,
        lit=lit,
    )


def _box(data: dict[str, Any]) -> list[float] | None:
    corners = [data.get(name) for name in ("x0", "y0", "x1", "y1")]
    return None if None in corners else [float(corner) for corner in corners if corner is not None]


def description(image: Image, conversation: Conversation | None, name: str = "") -> dict[str, Any]:
    """Everything that the viewer is told but pixels. Raises frames.NoFrame when the pixels are gone."""
    decoded = image.decoded
    spacing = decoded.get("spacing")
    return {
        "id": str(image.pk),
        "name": name,
        "title": image.name,
        "modality": image.modality,
        "layout": image.layout,
        "width": image.width,
        "height": image.height,
        "frames": image.frames,
        "volumes": decoded.get("volumes", 1),
        **_values(image),
        "inverted": decoded.get("inverted", False),
        "unit": decoded.get("unit", ""),
        "spacing": dict(spacing) if spacing else None,
        "affine": decoded.get("affine"),
        "edges": edges(image),
        "frame_ms": decoded.get("frame_ms"),
        "notes": decoded.get("notes", []),
        "held": image.held,
        "text_boxes": image.text_boxes if image.text_check == Image.FOUND else [],
        "slide": _pyramid(image) if image.layout == "slide" else None,
        "version": version(image),
        "layers": [layer.as_dict() for layer in layers(conversation, image, name=name)],
        "priors": _priors(image),
    }


def _values(image: Image) -> dict[str, Any]:
    """What the numbers of pixels.npy are, and how they are shown."""
    if image.layout == "slide":
        return {"dtype": "uint8", "channels": 3, "low": 0, "high": 255, "window": None, "windows": [], "as_file": False}
    grid = frames.grid(image)
    low, high = frames.extent(image)
    windows = [
        {"name": name or "file", "centre": centre, "width": width}
        for name, centre, width in image.decoded.get("windows", [])
    ]
    window = image.decoded.get("window")
    if window and not windows and image.decoded.get("window_source") == "file":
        windows = [{"name": "file", "centre": window[0], "width": window[1]}]
    if window is None and grid.dtype.kind == "u" and grid.dtype.itemsize == 2 and grid.shape[4] == 3:
        window = greys.window_of(image, frames.frame(image, 0))
    return {
        "dtype": grid.dtype.name,
        "channels": grid.shape[4],
        "low": low,
        "high": high,
        "window": {"centre": window[0], "width": window[1]} if window else None,
        "windows": windows,
        "function": greys.function_of(image),
        # greys that no window makes: the file's own table (VOI LUT), seen in its preview only
        "as_file": window is None and grid.dtype.name != "uint8",
    }


def version(image: Image) -> str:
    """Changes when the pixels do, so that a browser may keep what it has fetched."""
    return hashlib.sha256(f"{image.pixels.name}{image.bytes}".encode()).hexdigest()[:12]


def _pyramid(image: Image) -> dict[str, int]:
    return {"tile": TILE, "overlap": OVERLAP, "levels": Geometry(image.width, image.height).levels}


def edges(image: Image) -> dict[str, str] | None:
    """The patient's direction at each edge of the screen, when the file says how the patient lies."""
    affine = image.decoded.get("affine")
    if affine:
        right, bottom = (_letter([affine[axis][column] for axis in range(3)]) for column in (0, 1))
    else:
        orientation = image.decoded.get("orientation") or ("", "")
        right, bottom = (str(direction)[:1] for direction in orientation)
    if right not in OPPOSITE or bottom not in OPPOSITE or bottom in (right, OPPOSITE[right]):
        return None
    return {"left": OPPOSITE[right], "right": right, "top": OPPOSITE[bottom], "bottom": bottom}


def _letter(direction: Sequence[float]) -> str:
    """The patient's direction nearest to a vector in R-A-S+ millimetres."""
    axis = max(range(3), key=lambda at: abs(direction[at]))
    return AXES[axis][0 if direction[axis] > 0 else 1] if direction[axis] else ""


def _priors(image: Image) -> list[dict[str, str]]:
    series = Image.objects.filter(study__in=image.study.priors.all(), owner=image.owner_id).select_related("study")
    return [{"image": str(prior.pk), "title": f"{prior.study}: {prior.name}"} for prior in series]
