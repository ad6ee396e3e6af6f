"""What was moved is brought back: images in pixels and millimetres, volumes in millimetres, a warp in part."""

from functools import cache
from pathlib import Path

import data_store
import numpy as np
import pytest
from pydicom import dcmread
from scipy import ndimage
from skimage import transform

from inference.backends import simpleitk
from inference.errors import BadInput
from inference.types import Image, Spacing, Volume
from tests import phantom

TURN, RIGHT, DOWN = 7.0, 9.0, -5.0  # degrees clockwise, pixels: what brings the moved image back


RADIOGRAPH = Path(data_store.__file__).parent / "data" / "RG1_UNCR.dcm"


@cache
def film() -> np.ndarray:
    """A real radiograph of pydicom-data, made smaller: (247, 220)."""
    pixels = dcmread(RADIOGRAPH).pixel_array.astype(np.float32)
    return transform.downscale_local_mean(pixels, (8, 8))


def moved(pixels: np.ndarray) -> np.ndarray:
    """The image as it would lie if turning it clockwise about its middle and shifting it brought it back."""
    middle = (np.array(pixels.shape[::-1]) - 1) / 2
    back = (
        transform.EuclideanTransform(translation=-middle)
        + transform.EuclideanTransform(rotation=np.radians(TURN))
        + transform.EuclideanTransform(translation=middle + np.array([RIGHT, DOWN]))
    )
    return transform.warp(pixels, back, order=3, cval=float(pixels.min()), preserve_range=True)


def register(fixed, moving, **options):
    return simpleitk.SimpleITK().register([fixed, moving], options)


def test_a_moved_image_comes_back_within_a_pixel():
    result = register(Image(film()), Image(moved(film())), transform="rigid", metric="mutual-information")
    values = result.values
    assert values["rotation_deg"] == pytest.approx(TURN, abs=0.3)
    assert values["shift_x_px"] == pytest.approx(RIGHT, abs=1)
    assert values["shift_y_px"] == pytest.approx(DOWN, abs=1)
    assert values["similarity_after"] > values["similarity_before"]
    assert result.text.startswith("turned by 7.")
    assert "clockwise and shifted by 9." in result.text
    assert "px to the right" in result.text
    assert "px up" in result.text
    assert any("not millimetres" in note for note in result.notes)
    assert [picture.label for picture in result.pictures] == [
        "moving image, aligned",
        "checkerboard of both",
        "difference of both",
    ]
    assert {picture.pixels.shape for picture in result.pictures} == {film().shape}


def test_lengths_are_millimetres_where_both_say_their_spacing():
    spacing = Spacing(0.5, 0.5, "PixelSpacing")
    fixed, moving = Image(film(), spacing), Image(moved(film())[::2, ::2], Spacing(1.0, 1.0, "PixelSpacing"))
    result = register(fixed, moving, transform="rigid", metric="correlation")
    # every second pixel: the middle of the smaller grid lies a quarter of a millimetre up and left
    assert result.values["shift_x_mm"] == pytest.approx(RIGHT / 2, abs=0.75)
    assert result.values["shift_y_mm"] == pytest.approx(DOWN / 2, abs=0.75)
    assert not any("millimetres" in note for note in result.notes)


def test_an_affine_finds_the_scale():
    pixels = film()
    middle = (np.array(pixels.shape[::-1]) - 1) / 2
    wider = transform.AffineTransform(translation=-middle)
    wider += transform.AffineTransform(scale=(1.1, 0.95)) + transform.AffineTransform(translation=middle)
    moving = transform.warp(pixels, wider, order=3, preserve_range=True)
    result = register(Image(pixels), Image(moving), transform="affine", metric="mutual-information")
    assert result.values["scale_most"] == pytest.approx(1.1, abs=0.02)
    assert result.values["scale_least"] == pytest.approx(0.95, abs=0.02)


def test_a_volume_comes_back_in_millimetres():
    fixed = ndimage.gaussian_filter(phantom.voxels().astype(np.float32), 1)
    moving = ndimage.shift(fixed, (1.6, -3.0, 4.0), order=1, cval=float(fixed.min()))  # slices, rows, columns
    result = register(Volume(fixed, phantom.AFFINE), Volume(moving, phantom.AFFINE), transform="rigid")
    # back by -1.6 slices of 2.5 mm, +3 rows of 1 mm towards the back, -4 columns of 1.5 mm towards the left
    assert result.values["shift_z_mm"] == pytest.approx(-4.0, abs=0.6)
    assert result.values["shift_y_mm"] == pytest.approx(-3.0, abs=0.5)
    assert result.values["shift_x_mm"] == pytest.approx(6.0, abs=0.5)
    assert "towards the feet" in result.text
    assert "to the patient's right" in result.text
    assert result.arrays["warped"].shape == fixed.shape


def test_a_b_spline_undoes_most_of_a_smooth_warp():
    pixels = film()
    rows, columns = np.indices(pixels.shape).astype(float)
    by = 5 * np.sin(rows / 40), 5 * np.cos(columns / 45)
    moving = ndimage.map_coordinates(pixels, [rows + by[0], columns + by[1]], order=3, mode="nearest")
    result = register(Image(pixels), Image(moving), transform="bspline", metric="correlation")
    before = np.abs(moving - pixels).mean()
    after = np.abs(result.arrays["warped"] - pixels).mean()
    assert after < 0.5 * before
    assert result.values["warp_most_px"] > 2
    assert "then warped by" in result.text


def test_the_same_call_gives_the_same_result():
    images = Image(film()), Image(moved(film()))
    first, second = (register(*images, transform="rigid", metric="mutual-information") for _ in range(2))
    assert first.values == second.values


def test_what_did_not_become_more_alike_says_so():
    result = register(Image(film()), Image(film()), transform="rigid", metric="correlation")
    assert result.values["similarity_before"] == pytest.approx(1.0)
    assert any("did not make the two more alike" in note for note in result.notes)


@pytest.mark.parametrize(
    ("fixed", "moving", "why"),
    [
        (Image(np.zeros((40, 40))), Image(np.eye(40)), "fixed image has no contrast"),
        (Image(np.eye(40)), Volume(np.ones((5, 40, 40))), "An image and a volume"),
        (Image(np.eye(8)), Image(np.eye(40)), "too small"),
    ],
)
def test_what_cannot_be_aligned_is_refused(fixed, moving, why):
    with pytest.raises(BadInput, match=why):
        register(fixed, moving)


def test_an_unknown_transform_is_refused():
    with pytest.raises(BadInput, match="Choose one of: rigid, affine, bspline"):
        register(Image(np.eye(40)), Image(np.eye(40)), transform="magic")
