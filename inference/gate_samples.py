"""Pictures of known kind, to see what the gate makes of them: those that the wheels carry, and drawn ones.

What a picture is comes from its DICOM header, from the documentation of the package, or from looking at it. Of files
that hold the same picture in several encodings, one is listed. `held_out` were not looked at while the rules were
written. The drawn ones stand for kinds of which no wheel has a sample: they show that a rule does what it says, and
nothing about real pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sample:
    """A file of a package: its true modality (OT: no acquired image, DOC: writing) and body part ("" not known)."""

    package: str
    file: str
    modality: str
    body_part: str = ""
    held_out: bool = False

    @property
    def path(self) -> Path:
        spec = find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            return Path(self.file)
        return Path(next(iter(spec.submodule_search_locations))) / self.file


WHEEL, PYDICOM, SKIMAGE, NIBABEL = "data_store", "pydicom", "skimage", "nibabel"
SAMPLES = (
    Sample(WHEEL, "data/RG1_UNCR.dcm", "CR", "CHEST"),
    Sample(WHEEL, "data/RG3_UNCR.dcm", "CR", "EXTREMITY"),
    Sample(WHEEL, "data/693_UNCR.dcm", "CT", "HEAD"),
    Sample(WHEEL, "data/explicit_VR-UN.dcm", "CT", "ABDOMEN"),
    Sample(WHEEL, "data/bad_sequence.dcm", "CT", "NECK"),
    Sample(PYDICOM, "data/test_files/CT_small.dcm", "CT"),
    Sample(WHEEL, "data/MR-SIEMENS-DICOM-WithOverlays.dcm", "MR", "ABDOMEN"),
    Sample(WHEEL, "data/MR2_UNCR.dcm", "MR", "SHOULDER"),
    Sample(PYDICOM, "data/test_files/MR_small.dcm", "MR"),
    Sample(WHEEL, "data/JPEG2000_UNC.dcm", "NM", "WHOLEBODY"),
    Sample(WHEEL, "data/JPGLosslessP14SV1_1s_1f_8b.dcm", "US", "HEART"),
    Sample(WHEEL, "data/US1_UNCR.dcm", "US"),
    Sample(WHEEL, "data/OBXXXX1A.dcm", "US"),
    Sample(WHEEL, "data/color-pl.dcm", "US", "HEART"),
    Sample(WHEEL, "data/gdcm-US-ALOKA-16.dcm", "US", "PELVIS"),
    Sample(PYDICOM, "data/test_files/ExplVR_BigEnd.dcm", "US"),
    Sample(WHEEL, "data/OT-PAL-8-face.dcm", "OT"),
    Sample(WHEEL, "data/SC_rgb.dcm", "OT"),
    Sample(WHEEL, "data/mlut_18.dcm", "OT"),
    Sample(PYDICOM, "data/test_files/GDCMJ2K_TextGBR.dcm", "OT"),
    Sample(PYDICOM, "data/test_files/image_dfl.dcm", "OT"),
    Sample(SKIMAGE, "data/retina.jpg", "OP", "EYE"),
    Sample(SKIMAGE, "data/microaneurysms.png", "OP", "EYE"),
    Sample(SKIMAGE, "data/ihc.png", "SM"),
    Sample(SKIMAGE, "data/cell.png", "GM"),
    Sample(SKIMAGE, "data/page.png", "DOC"),
    Sample(SKIMAGE, "data/text.png", "DOC"),
    *(
        Sample(SKIMAGE, f"data/{name}", "OT")
        for name in (
            *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "clock_motion.png", "coffee.png", "coins.png"),
            *("color.png", "grass.png", "horse.png", "hubble_deep_field.jpg", "moon.png", "motorcycle_left.png"),
            *("phantom.png", "rocket.jpg"),
        )
    ),
    Sample(SKIMAGE, "data/gravel.png", "OT", held_out=True),
    Sample(SKIMAGE, "data/logo.png", "OT", held_out=True),
    Sample(SKIMAGE, "data/chessboard_GRAY.png", "OT", held_out=True),
    Sample(SKIMAGE, "data/chessboard_RGB.png", "OT", held_out=True),
    Sample(WHEEL, "data/color3d_jpeg_baseline.dcm", "US", held_out=True),
    Sample(PYDICOM, "data/test_files/examples_ybr_color.dcm", "US", held_out=True),
    Sample(WHEEL, "data/eCT_Supplemental.dcm", "CT", held_out=True),
    Sample(WHEEL, "data/emri_small.dcm", "MR", "HEAD", held_out=True),
    Sample(NIBABEL, "tests/data/anatomical.nii", "MR", "HEAD"),  # its slice of 33 x 41 set the least size
    Sample(NIBABEL, "tests/data/example4d.nii.gz", "MR", "HEAD", held_out=True),
    Sample(NIBABEL, "tests/data/functional.nii", "MR", "HEAD", held_out=True),
)


def drawn() -> list[tuple[str, str, str, Picture]]:
    """(name, modality, body part, picture) of kinds without a real sample, three of each."""
    return [
        (f"{draw.__name__} {seed}", modality, part, draw(np.random.default_rng(seed)))
        for draw, modality, part in (
            (dermoscopy, "DMS", ""),
            (endoscopy, "ES", ""),
            (mammogram, "MG", "BREAST"),
            (stained, "SM", ""),
        )
        for seed in (1, 2, 3)
    ]


def dermoscopy(rng: np.random.Generator, rows: int = 450, columns: int = 600) -> Picture:
    """Skin with a darker, ragged spot near the middle, and a few hairs."""
    row, column = np.mgrid[0:rows, 0:columns]
    angle = np.arctan2(row - rows / 2, column - columns / 2)
    radius = np.hypot(row - rows / 2, column - columns / 2) * (1 + 0.15 * np.sin(3 * angle + rng.uniform(0, 6)))
    spot = 1 / (1 + np.exp((radius - rng.uniform(70, 110)) / 12))
    skin, dark = np.array([222, 180, 160]) + rng.integers(-15, 15), np.array([120, 80, 65])
    picture = skin + spot[..., None] * (dark - skin) + rng.normal(0, 3, (rows, columns, 1))
    for start, slope in zip(rng.integers(0, columns, 6), rng.uniform(-1, 1, 6), strict=True):
        picture[np.abs(column - start - slope * row) < 1.2] *= 0.5
    return _eight_bit(picture)


def endoscopy(rng: np.random.Generator, side: int = 480) -> Picture:
    """Pink folds in a square whose corners are cut off, darker in the depth, with white reflections."""
    row, column = np.mgrid[0:side, 0:side]
    depth = np.hypot(row - side * rng.uniform(0.35, 0.65), column - side * rng.uniform(0.35, 0.65))
    light = 0.45 + 0.55 * np.clip(depth / (0.5 * side), 0, 1) + 0.08 * np.sin(depth / 14)
    picture = light[..., None] * (np.array([215, 120, 100]) + rng.integers(-10, 10)) + rng.normal(0, 3, (side, side, 1))
    for y, x in rng.integers(side // 4, 3 * side // 4, (12, 2)):
        picture[np.hypot(row - y, column - x) < 6] = 252
    cut = side // 5
    corner = np.minimum(row, side - 1 - row) + np.minimum(column, side - 1 - column) < cut
    picture[corner] = 3
    return _eight_bit(picture)


def mammogram(rng: np.random.Generator, rows: int = 640, columns: int = 480) -> Picture:
    """Half an ellipse on the left edge, with soft texture."""
    row, column = np.mgrid[0:rows, 0:columns]
    shape = ((row - rows * rng.uniform(0.45, 0.55)) / (0.42 * rows)) ** 2 + (
        column / (rng.uniform(0.6, 0.75) * columns)
    ) ** 2
    coarse = np.kron(rng.normal(0, 1, (rows // 40, columns // 40)), np.ones((40, 40)))
    tissue = 110 + 22 * (coarse + np.roll(coarse, 13, 0) + np.roll(coarse, 17, 1)) / 2 + 40 * (1 - shape)
    return _eight_bit(np.where(shape < 1, np.clip(tissue, 30, 235), 2))


def stained(rng: np.random.Generator, side: int = 480) -> Picture:
    """Purple nuclei in pink, with clear gaps: haematoxylin and eosin."""
    row, column = np.mgrid[0:side, 0:side]
    picture = np.ones((side, side, 3)) * [226, 160, 196] + rng.normal(0, 6, (side, side, 1))
    for y, x, size in zip(*rng.integers(0, side, (2, 12)), rng.uniform(15, 40, 12), strict=True):
        picture[np.hypot(row - y, column - x) < size] = [243, 240, 244]
    for y, x, size in zip(*rng.integers(0, side, (2, 260)), rng.uniform(4, 8, 260), strict=True):
        picture[np.hypot(row - y, (column - x) * rng.uniform(0.7, 1.3)) < size] = [104, 66, 142]
    return _eight_bit(picture)


def _eight_bit(picture: NDArray[np.float64]) -> Picture:
    return np.asarray(np.clip(picture, 0, 255), dtype=np.uint8)
