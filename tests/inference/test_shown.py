"""Pictures as a served model gets them: named, shrunk, made anew; volumes as slices or a grid, with places said."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image as Pillow

from inference import allowed
from inference.errors import BadInput
from inference.shown import Shown, evenly, montage, parts, png
from inference.types import Affine, Decoded, Gate

HEAD_FIRST: Affine = ((-1.5, 0, 0, 30), (0, -1, 0, 20), (0, 0, 2.5, -40), (0, 0, 0, 1))


def volume(affine: Affine | None = HEAD_FIRST, **more: object) -> Decoded:
    return Decoded("nifti", "CT", 40, 48, layout="volume", frames=30, affine=affine, **more)  # type: ignore[arg-type]


def grey(value: int, height: int = 60, width: int = 40) -> np.ndarray:
    return np.full((height, width), value, np.uint8)


def test_each_picture_stands_behind_its_name() -> None:
    said = parts([Shown("img1, chest radiograph, PA", png(grey(9))), Shown("", png(grey(9)))])
    assert [part["type"] for part in said] == ["text", "image_url", "image_url"]
    assert said[0]["text"] == "img1, chest radiograph, PA"
    assert all(part["image_url"]["url"].startswith("data:image/png;base64,") for part in said[1:])


def test_pictures_are_shrunk_to_what_the_caller_says() -> None:
    (part,) = parts([Shown("", png(grey(9, 600, 400)))], longest=300)
    with Pillow.open(BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2]))) as opened:
        assert opened.size == (200, 300)


@pytest.mark.parametrize(("count", "chosen"), [(1, [0]), (3, [0, 1, 2]), (30, [2, 7, 12, 17, 22, 27])])
def test_slices_are_spread_evenly_and_leave_the_ends(count: int, chosen: list[int]) -> None:
    assert evenly(count, 6) == chosen


@pytest.mark.parametrize("count", [0, 1, 5, 12, 13, 700])
def test_no_slice_is_chosen_twice(count: int) -> None:
    chosen = evenly(count)
    assert len(set(chosen)) == len(chosen) == min(count, 12)
    assert all(0 <= k < count for k in chosen)


def test_a_grid_holds_every_slice_in_order_with_its_number_drawn() -> None:
    sheet = montage([grey(40 * (i + 1)) for i in range(6)], [str(i) for i in range(6)])
    assert sheet.shape == (120, 120), "three columns of two rows are nearest to a square"
    middles = [int(sheet[r * 60 + 45, c * 40 + 20]) for r in range(2) for c in range(3)]
    assert middles == [40, 80, 120, 160, 200, 240]
    for r in range(2):
        for c in range(3):
            corner = sheet[r * 60 : r * 60 + 14, c * 40 : c * 40 + 10]
            assert corner.max() > 150
            assert corner.min() == 0


def test_a_grid_is_no_larger_than_the_model_takes_and_may_have_colours() -> None:
    sheet = montage([np.zeros((500, 400, 3), np.uint8)] * 12, ["1"] * 12, longest=600)
    assert max(sheet.shape[:2]) <= 600
    assert sheet.shape[2] == 3


@pytest.mark.parametrize("pictures", [[], [grey(1), grey(1, 10, 10)], [grey(1)] * 3])
def test_a_grid_of_what_does_not_go_together_is_refused(pictures: list[np.ndarray]) -> None:
    with pytest.raises(BadInput):
        montage(pictures, ["1", "2"])


def test_the_name_of_a_picture_says_its_kind_by_known_words_alone() -> None:
    film = Decoded("dicom", "DX", 8, 8, body_part="CHEST", view="PA")
    assert allowed.line("img1", film) == "img1, chest radiograph, PA"
    odd = Decoded("dicom", "DX", 8, 8, body_part="ZWETSCHGE JANE", view="JANE")
    assert allowed.line("img2", odd) == "img2, radiograph"
    assert allowed.line("img3", Decoded("png", "unknown", 8, 8)) == "img3, image"
    assert allowed.line("img4", volume(gate=Gate("CT", "HEAD"))) == "img4, CT of the head"


def test_the_place_of_a_slice_is_said_without_the_coordinates_of_the_room() -> None:
    assert allowed.place(volume(), 0) == "axial slice 1 of 30, 0.0 mm from the first towards the head"
    assert allowed.place(volume(), 13) == "axial slice 14 of 30, 32.5 mm from the first towards the head"
    feet: Affine = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, -2, 0), (0, 0, 0, 1))
    assert allowed.place(volume(feet), 1) == "axial slice 2 of 30, 2.0 mm from the first towards the feet"
    across: Affine = ((0, 0, 3, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 0, 1))
    assert (
        allowed.place(volume(across), 1) == "sagittal slice 2 of 30, 3.0 mm from the first towards the patient's right"
    )
    slant: Affine = ((1, 0, 0, 0), (0, 1, 3, 0), (0, 0, 4, 0), (0, 0, 0, 1))
    assert allowed.place(volume(slant), 2) == "oblique slice 3 of 30, 10.0 mm from the first towards the head"


@pytest.mark.parametrize("bad", [None, ((0.0,) * 4,) * 4, ((float("nan"),) * 4,) * 4])
def test_a_volume_that_is_not_placed_has_numbers_only(bad: Affine | None) -> None:
    assert allowed.place(volume(bad), 3) == "slice 4 of 30"


def test_a_frame_of_a_cine_is_a_frame() -> None:
    assert allowed.place(Decoded("video", "US", 8, 8, layout="frames", frames=9), 3) == "frame 4 of 9"
