"""The nouns of the package, and the protocols that backends implement.

Arrays are row-major: `pixels[row, column]`, row 0 at the top, column 0 at the left of the screen.
Lengths are millimetres unless the name says otherwise. Everything is frozen: a result is never edited after it is made.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import hypot
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Embedding = NDArray[np.float32]
SpacingSource = Literal["PixelSpacing", "ImagerPixelSpacing", "NIfTI header", "slide header", "OME metadata"]
Kind = Literal["png", "jpeg", "tiff", "dicom", "nifti", "slide", "video", "overlay"]
Layout = Literal["image", "frames", "volume", "slide"]
Affine = tuple[tuple[float, float, float, float], ...]
WindowSource = Literal["file", "VOI LUT", "percentiles", "full range"]


@dataclass(frozen=True, slots=True)
class Spacing:
    """Distance between pixel centres in millimetres, and the DICOM element that says so.

    ImagerPixelSpacing is measured at the detector: the patient lies nearer to the tube, so lengths and areas taken
    with it are too large by the (squared) magnification, commonly 5 to 20 % in length. Whoever shows one says so.
    """

    row_mm: float
    column_mm: float
    source: SpacingSource

    @property
    def pixel_area_cm2(self) -> float:
        """Area of one pixel in square centimetres."""
        return self.row_mm * self.column_mm / 100.0


@dataclass(frozen=True, slots=True)
class Image:
    """One decoded frame.

    `pixels` is (H, W) or (H, W, 3): modality values (after rescale slope and intercept, before any window), and a
    larger value is always brighter on screen. A MONOCHROME1 frame is therefore mirrored within its own range
    (`minimum + maximum - value`) and `inverted` is True; its greys are no longer the file's numbers. The dtype is
    whatever holds the values exactly. `modality` is the DICOM code ("DX", "CR", "MG", "CT"), or "unknown" for PNG and
    JPEG. `orientation` is DICOM PatientOrientation: the patient's direction towards which columns and rows grow,
    ("L", "F") for an ordinary frontal radiograph, whose screen left is the patient's right.
    """

    pixels: NDArray[Any]
    spacing: Spacing | None = None
    modality: str = "unknown"
    body_part: str | None = None
    view: str | None = None
    orientation: tuple[str, str] | None = None
    inverted: bool = False

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def is_colour(self) -> bool:
        """True when the pixels have three channels, even if those are equal."""
        return self.pixels.ndim == 3


@dataclass(frozen=True, slots=True)
class Volume:
    """Slices of one series: `pixels` is (S, H, W), modality values, slice 0 first.

    `affine` maps (column, row, slice, 1) to millimetres in the patient (R-A-S+), as in `Decoded`; None where unknown.
    """

    pixels: NDArray[Any]
    affine: Affine | None = None
    modality: str = "unknown"
    body_part: str | None = None

    @property
    def voxel_mm(self) -> tuple[float, float, float] | None:
        """Distances between centres along (slice, row, column) in millimetres."""
        if self.affine is None:
            return None
        column, row, slice_ = np.linalg.norm(np.asarray(self.affine)[:3, :3], axis=0).tolist()
        return slice_, row, column


@dataclass(frozen=True, slots=True)
class Gate:
    """What kind of image this is, before any tool sees it (`inference.gate`): codes, a confidence, and why.

    `modality` is a DICOM code ("CT", "MR", "US", "XC" for photographs, ...), `body_part` and `view` as DICOM writes
    them ("CHEST", "PA"); each is "" when it cannot be told. `confidence` is 0..1. `source` says what decided.
    """

    modality: str = ""
    body_part: str = ""
    view: str = ""
    confidence: float = 0.0
    source: Literal["header", "pixels", "model", "person"] = "pixels"
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cleaning:
    """How identities are taken out while a file is read (`inference.deidentify`).

    `key` is a secret of the owner as hex: the same key maps the same UID to the same new one, and shifts the dates of
    one patient by the same number of days. `dates`: moved by that number, or emptied.
    """

    key: str
    dates: Literal["shift", "remove"] = "shift"


@dataclass(frozen=True, slots=True)
class Decoded:
    """What `inference.decode.decode` found in a file or series, without its pixels. JSON both ways.

    `layout` says what the numbers mean: an "image" has one frame, "frames" are a cine, a video or pages, the slices of
    a "volume" are evenly spaced and placed by `affine`, a "slide" is read tile by tile. `width` and `height` are pixels
    of every frame of pixels.npy and of the preview, which agree (but for a slide, whose preview is smaller). `volumes`
    counts the time points of a 4-D series, each of `frames` slices.

    `affine` maps (column, row, slice, 1) of pixels.npy, all counted from 0 at centres of voxels, to millimetres in
    the patient as NIfTI counts them (x to the left-to-right: R-A-S+); None where the file does not place the image.
    `reoriented` is what takes the grid of pixels.npy back to the file's own (nibabel's orientation array, source axis
    and flip of each axis i, j, k), for a file whose axes were turned so that slices are axial and upright.

    `window` is (centre, width) in modality values, as used for the preview, or None when the preview shows an 8-bit
    image as it is or a VOI LUT. `windows` are all that the file names, (explanation, centre, width). `unit` is that of
    the pixel values: "HU" or "". `frame_ms` is the time from frame to frame of a cine. `uids` holds study, series,
    frame_of_reference and instances (in the order of frames), mapped when the file was cleaned. `clean` is the name of
    the de-identified file beside the pixels, "" when none was asked for. `header` holds technical elements from an
    allow-list only: never names, ids, dates, UIDs or free text. `notes` are sentences that the user should see.
    """

    kind: Kind
    modality: str
    width: int
    height: int
    layout: Layout = "image"
    frames: int = 1
    volumes: int = 1
    affine: Affine | None = None
    reoriented: tuple[tuple[int, int], ...] | None = None
    spacing: Spacing | None = None
    body_part: str | None = None
    view: str | None = None
    orientation: tuple[str, str] | None = None
    photometric: str = ""
    bits_stored: int = 8
    inverted: bool = False
    window: tuple[float, float] | None = None
    window_count: int = 0
    window_source: WindowSource = "full range"
    windows: tuple[tuple[str, float, float], ...] = ()
    unit: str = ""
    frame_ms: float | None = None
    uids: dict[str, Any] = field(default_factory=dict)
    clean: str = ""
    gate: Gate | None = None
    header: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """A dictionary of JSON types, for a JSONField; `from_dict` reads it back."""
        data: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Decoded:
        """The inverse of `as_dict`; raises TypeError or KeyError on anything else."""
        values = dict(data)
        for name in ("orientation", "window", "notes"):
            if values.get(name) is not None:
                values[name] = tuple(values[name])
        for name in ("affine", "reoriented", "windows"):
            if values.get(name) is not None:
                values[name] = tuple(tuple(row) for row in values[name])
        if values.get("gate") is not None:
            values["gate"] = Gate(**{**values["gate"], "reasons": tuple(values["gate"]["reasons"])})
        if values.get("spacing") is not None:
            values["spacing"] = Spacing(**values["spacing"])
        return cls(**values)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.as_dict(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Decoded:
        """The inverse of `to_json`."""
        return cls.from_dict(json.loads(text))


@dataclass(frozen=True, slots=True)
class Score:
    """A label with a number. `kind` is "score" unless the model's output was calibrated: then "probability"."""

    label: str
    value: float
    kind: Literal["score", "probability"] = "score"


@dataclass(frozen=True, slots=True)
class Mask:
    """A region: `pixels` is (H, W) of an image or (S, H, W) of a volume, uint8, 0 outside and 255 inside, of its size.

    `area_cm2` is None unless the image has a pixel spacing, `volume_cm3` unless it is of a volume with an affine.
    """

    label: str
    pixels: NDArray[np.uint8]
    area_cm2: float | None = None
    volume_cm3: float | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels: x0 <= x < x1 are columns, y0 <= y < y1 are rows. `score` is None when there is none."""

    label: str
    x0: float
    y0: float
    x1: float
    y1: float
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line between (x0, y0) and (x1, y1) in pixels. `length_mm` is None unless the spacing is known."""

    label: str
    x0: float
    y0: float
    x1: float
    y1: float
    length_mm: float | None = None

    @property
    def length(self) -> float:
        """In millimetres where they are known, else in pixels."""
        return hypot(self.x1 - self.x0, self.y1 - self.y0) if self.length_mm is None else self.length_mm


@dataclass(frozen=True, slots=True)
class Heatmap:
    """Where a model looked: `pixels` is (H, W) float32 in 0..1, of the image's own size. `method` names how."""

    label: str
    pixels: NDArray[np.float32]
    method: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that was made from images: `pixels` is (H, W) or (H, W, 3) uint8. `synthetic` ones never existed."""

    label: str
    pixels: NDArray[np.uint8]
    synthetic: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What a model made of one call, whatever its task: what does not apply stays empty.

    `values` are measured quantities by name, the unit in the name ("cardiothoracic_ratio", "psnr_db", "tre_mm").
    `vectors` is (N, D) float32, rows L2-normalised. `arrays` are further results by name, such as a warped volume.
    `text` is a model's own words. `notes` are limits that whoever uses the result must say.
    """

    scores: tuple[Score, ...] = ()
    boxes: tuple[Box, ...] = ()
    lines: tuple[Line, ...] = ()
    masks: tuple[Mask, ...] = ()
    heatmaps: tuple[Heatmap, ...] = ()
    pictures: tuple[Picture, ...] = ()
    vectors: NDArray[np.float32] | None = None
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    text: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompts:
    """What a person marked on one frame, in pixels: the centre of the first pixel is (0.5, 0.5).

    `box` is (x0, y0, x1, y1). Points of `add` lie in the region, points of `remove` do not. `lasso` is a closed polygon
    around it; with `refine` its outline moves to the edges of the image, without it the polygon is the region.
    """

    box: tuple[float, float, float, float] | None = None
    add: tuple[tuple[float, float], ...] = ()
    remove: tuple[tuple[float, float], ...] = ()
    lasso: tuple[tuple[float, float], ...] = ()
    refine: bool = True

    def as_dict(self) -> dict[str, Any]:
        """JSON types; `from_dict` reads it back."""
        made: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return made

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Prompts:
        """The inverse of `as_dict`; raises TypeError on anything else."""
        points = {name: tuple(map(tuple, data.get(name) or ())) for name in ("add", "remove", "lasso")}
        box = tuple(data["box"]) if data.get("box") else None
        return cls(box=box, refine=bool(data.get("refine", True)), **points)


@dataclass(frozen=True, slots=True)
class Description:
    """What the pixel values of one image say, by rules (see `inference.classical.describe`), not by a model.

    `percentiles` maps 1, 5, 25, 50, 75, 95, 99 to values in the image's own units. `clipped_low` and `clipped_high`
    are shares (0..1) of pixels at the very minimum and maximum. `reasons` are short sentences behind
    `plausible_chest_radiograph`.
    """

    minimum: float
    maximum: float
    mean: float
    std: float
    percentiles: dict[int, float]
    clipped_low: float
    clipped_high: float
    exposure: Literal["under", "normal", "over"]
    contrast: Literal["low", "normal", "high"]
    colour: bool
    probably_inverted: bool
    plausible_chest_radiograph: bool
    reasons: tuple[str, ...]


class Classifier(Protocol):
    """Gives labels to a whole image."""

    @property
    def name(self) -> str:
        """The model's name, as shown beside its result."""

    def classify(self, image: Image, top_k: int = 5) -> list[Score]:
        """The `top_k` best labels, best first. Raises InferenceError."""


class Segmenter(Protocol):
    """Finds regions; a plain function is one."""

    def __call__(self, image: Image) -> list[Mask]:
        """Masks of the image's own size. Raises InferenceError."""


class PromptedSegmenter(Protocol):
    """Finds the one region that a person marked; a plain function is one."""

    @property
    def name(self) -> str:
        """What it is, as shown beside its result: a baseline says that it is one."""

    def __call__(self, image: Image, prompts: Prompts, label: str) -> Mask:
        """A mask of the image's own size, never empty. Raises InferenceError."""


class Answerer(Protocol):
    """Answers a question about images in words."""

    @property
    def name(self) -> str:
        """The model's name, as shown beside its result."""

    def answer(self, images: Sequence[bytes], question: str) -> str:
        """Plain text. `images` are PNG or JPEG files' bytes. Raises InferenceError."""


class Embedder(Protocol):
    """Turns texts into vectors whose dot product is their cosine similarity."""

    @property
    def name(self) -> str:
        """Name and revision: an index built with another name is stale."""

    @property
    def dimension(self) -> int:
        """D, the length of a vector."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) float32, rows L2-normalised, in the order of `texts`. Raises InferenceError."""
