"""A volume in the page: where left is, what lies under the pointer, masks in their place, keys, and no WebGL."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image as Picture
from playwright.sync_api import expect

from bench.site import Site
from tests import phantom

WITHOUT_WEBGL = """
const get = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
  return kind.startsWith("webgl") ? null : get.call(this, kind, ...more);
};
"""
MAKE = """
import numpy as np
from django.contrib.auth.models import User
from tests import phantom
owner, array = User.objects.get(), phantom.voxels()
turned = ((0.0, -1.5, 0.0, 30.0), (1.0, 0.0, 0.0, -27.0), (0.0, 0.0, -2.5, 32.5), (0.0, 0.0, 0.0, 1.0))
upright = {"plain": phantom.store(owner, array)}
upright["colour"] = phantom.store(owner, np.stack([array % 256] * 3, -1).astype("u1"))
upright["times"] = phantom.store(owner, np.stack([array + 100 * t for t in range(3)]))
upright["turned"] = phantom.store(owner, array.transpose(0, 2, 1)[::-1, :, ::-1].copy(), turned)
phantom.mark(upright["plain"], phantom.block())
for name, image in upright.items():
    print("MADE", name, phantom.chat_with(owner, image).pk)
"""


@dataclass(frozen=True)
class Reading:
    value: float
    mm: tuple[float, float, float]
    voxel: tuple[int, int, int]


@pytest.fixture(scope="module")
def chats(live_site: Site) -> dict[str, str]:
    """The address of a chat for each volume; "turned" is the same head, stored along other axes."""
    said = live_site.manage("shell", "-c", MAKE)
    return {name: f"/chats/{key}/" for name, key in re.findall(r"MADE (\S+) (\S+)", said)}


@pytest.fixture
def show(open_page: Callable[..., Any], chats: dict[str, str]) -> Callable[..., Any]:
    def show(name: str = "plain", script: str = "", **size: Any) -> Any:
        page = open_page(**size)
        if script:
            page.add_init_script(script)
        page.goto(chats[name])
        if size.get("width", 1440) < 760:
            page.click("[data-show=image]")
        page.wait_for_selector(".volume[data-ready='1']")
        return page

    return show


def reading(page: Any) -> Reading:
    """What the line below the planes says."""
    text = page.locator(".reading").inner_text()
    found = re.fullmatch(
        r"(-?[\d.]+) HU · ([RL]) ([\d.]+)\s+([AP]) ([\d.]+)\s+([HF]) ([\d.]+) mm · voxel (\d+), (\d+), (\d+)", text
    )
    assert found, text
    value, *rest = found.groups()
    mm = tuple(float(rest[i + 1]) * (1 if rest[i] in "RAH" else -1) for i in (0, 2, 4))
    return Reading(float(value), mm, tuple(map(int, rest[6:])))  # type: ignore[arg-type]


def spot(page: Any, plane: str, across: float, down: float) -> tuple[float, float]:
    box = page.locator(f".tile[data-plane={plane}]").bounding_box()
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def drawn(page: Any) -> None:
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def slide_to(page: Any, plane: str, number: int) -> None:
    """To slice `number`, from 1, by the keyboard."""
    page.click(f"button[data-plane={plane}]")
    page.locator("[name=slice]").evaluate(
        "(slider, to) => { slider.value = to; slider.dispatchEvent(new Event('input', { bubbles: true })); }", number
    )
    drawn(page)


def pixels(page: Any, plane: str) -> np.ndarray:
    """The picture of a plane, (rows, columns, 3), without letters and crosshair."""
    page.evaluate("document.querySelector('.plane-marks').style.visibility = 'hidden'")
    box = page.locator(f".tile[data-plane={plane}]").bounding_box()
    shot = Picture.open(io.BytesIO(page.screenshot(clip=box))).convert("RGB")
    page.evaluate("document.querySelector('.plane-marks').style.visibility = ''")
    return np.asarray(shot).astype(int)


def settled(page: Any, plane: str, wanted: Callable[[np.ndarray], bool]) -> np.ndarray:
    """The picture of a plane once it is as wanted: software GL on a busy machine may be some frames behind."""
    for _ in range(40):
        picture = pixels(page, plane)
        if wanted(picture):
            break
        drawn(page)
    return picture


def bright(picture: np.ndarray) -> np.ndarray:
    return picture.min(axis=2) > 200


def coloured(picture: np.ndarray) -> np.ndarray:
    return picture.max(axis=2) - picture.min(axis=2) > 30


def centre(where: np.ndarray) -> tuple[float, float]:
    """(across, down) of what is marked, from 0 to 1."""
    assert where.any()
    down, across = np.argwhere(where).mean(axis=0)
    return across / where.shape[1], down / where.shape[0]


EXPECTED = {  # of the block's middle, across and down: voxels are counted from 0 at their centres
    "axial": ((29.5 + 0.5) / phantom.COLUMNS, (11.5 + 0.5) / phantom.ROWS),
    "coronal": ((29.5 + 0.5) / phantom.COLUMNS, 1 - (23 + 0.5) / phantom.SLICES),
    "sagittal": ((11.5 + 0.5) / phantom.ROWS, 1 - (23 + 0.5) / phantom.SLICES),
}


def to_the_block(page: Any, stored: str = "plain") -> None:
    for plane, number in (("axial", 24), ("coronal", 13), ("sagittal", 31)):
        if stored == "turned":  # slices count from the head, columns from the back
            number = {"axial": 31 - 24, "coronal": 49 - 13, "sagittal": 31}[plane]
        slide_to(page, plane, number)
    page.click("button[data-plane=all]")
    drawn(page)


@pytest.mark.parametrize("stored", ["plain", "turned"])
def test_the_left_of_the_patient_is_at_the_right_of_the_screen(show: Callable[..., Any], stored: str):
    page = show(stored)
    if stored == "plain":
        page.uncheck("[data-layer]")
    to_the_block(page, stored)
    for plane, (across, down) in EXPECTED.items():
        found = centre(bright(settled(page, plane, lambda picture: bool(bright(picture).any()))))
        assert found == pytest.approx((across, down), abs=0.02), plane
        letters = page.locator(f".tile[data-plane={plane}] .side")
        assert "".join(letters.all_inner_texts()) == {"axial": "RLAP", "coronal": "RLHF", "sagittal": "APHF"}[plane]


def test_the_value_under_the_pointer_is_that_of_the_array(show: Callable[..., Any]):
    page, array = show(), phantom.voxels()
    rng = np.random.default_rng(4)
    for plane in EXPECTED:
        for across, down in rng.uniform(0.05, 0.95, (5, 2)):
            page.mouse.move(*spot(page, plane, across, down))
            found = reading(page)
            column, row, slice_ = found.voxel
            assert found.value == array[slice_, row, column]
            assert found.mm == pytest.approx(np.asarray(phantom.AFFINE)[:3] @ (column, row, slice_, 1), abs=0.051)


@pytest.mark.parametrize("stored", ["plain", "turned"])
def test_a_click_goes_to_the_voxel_that_lies_there(show: Callable[..., Any], stored: str):
    page = show(stored)
    for column, row in ((3, 5), (20, 24), (36, 44)):
        page.mouse.click(*spot(page, "axial", (column + 0.5) / phantom.COLUMNS, (row + 0.5) / phantom.ROWS))
        page.mouse.move(2, 2)
        drawn(page)
        expected = (column, row) if stored == "plain" else (47 - row, column)
        assert reading(page).voxel[:2] == expected
    height = 1 - (21 + 0.5) / phantom.SLICES
    page.mouse.click(*spot(page, "coronal", 10.5 / phantom.COLUMNS, height))
    page.mouse.move(2, 2)
    drawn(page)
    head = 21 if stored == "plain" else 29 - 21
    assert reading(page).voxel == ((10, 44, head) if stored == "plain" else (47 - 44, 10, head))


def test_a_mask_lies_where_it_was_drawn_and_can_be_switched_off(show: Callable[..., Any]):
    page = show()
    to_the_block(page)
    expect(page.locator(".volume-said")).to_be_hidden()
    for plane, expected in EXPECTED.items():
        picture = settled(page, plane, lambda picture: bool(coloured(picture).any()))
        assert centre(coloured(picture)) == pytest.approx(expected, abs=0.02), plane
    page.focus(".planes")
    page.keyboard.press("m")
    assert not coloured(settled(page, "axial", lambda picture: not coloured(picture).any())).any()


def test_a_layer_that_is_lit_takes_the_crosshair_to_its_middle(show: Callable[..., Any]):
    page = show()
    page.evaluate(
        "document.dispatchEvent(new CustomEvent('lightbox:light',"
        " { detail: { id: document.querySelector('[data-layer]').dataset.layer } }))"
    )
    expect(page.locator(".reading")).to_contain_text("voxel 30, 12, 23")


def test_everything_goes_by_the_keyboard(show: Callable[..., Any]):
    page = show()
    page.focus(".planes")
    start = reading(page).voxel
    for key in ("ArrowRight", "ArrowDown", "PageDown", "PageDown"):
        page.keyboard.press(key)
    drawn(page)
    assert reading(page).voxel == (start[0] + 1, start[1] + 1, start[2] + 2)
    grey = pixels(page, "axial").mean()
    page.keyboard.press("i")
    inverted = settled(page, "axial", lambda picture: abs(picture.mean() - (255 - grey)) < 40)
    assert abs(inverted.mean() - (255 - grey)) < 40
    page.keyboard.press("i")
    page.keyboard.press("w")
    expect(page.locator("[name=centre]")).to_have_value("-600")
    assert page.locator(".volume [name=preset] option:checked").inner_text() == "Lung"
    for key in ("d", "ArrowRight", "ArrowRight", "d"):
        page.keyboard.press(key)
    expect(page.locator(".rulers text")).to_have_text("3.0 mm")  # two columns of 1.5 mm
    page.keyboard.press("p")
    expect(page.locator(".tile:not([hidden])")).to_have_count(1)
    page.keyboard.press("0")
    expect(page.locator("[name=centre]")).to_have_value("200")


def test_a_length_is_measured_in_millimetres_of_the_patient(show: Callable[..., Any]):
    page = show()
    page.click("[data-drag=measure]")
    page.mouse.move(*spot(page, "axial", 0.25, 0.5))
    page.mouse.down()
    page.mouse.move(*spot(page, "axial", 0.75, 0.5), steps=3)
    page.mouse.up()
    expect(page.locator(".rulers text")).to_have_text(re.compile(r"^(29\.[5-9]|30\.[0-5]) mm$"))  # half of 40 x 1.5 mm


def test_wheel_drag_and_window(show: Callable[..., Any]):
    page = show()
    before = reading(page).voxel
    page.mouse.move(*spot(page, "axial", 0.5, 0.5))
    page.mouse.wheel(0, 120)
    expect(page.locator(".slice-number")).to_have_text(f"{before[2] + 2} / {phantom.SLICES}")
    page.mouse.down(button="right")
    page.mouse.move(*spot(page, "axial", 0.7, 0.5), steps=3)
    page.mouse.up(button="right")
    drawn(page)
    assert float(page.input_value("[name=width]")) > 1400
    page.select_option(".volume [name=preset]", label="Bone")
    expect(page.locator("[name=centre]")).to_have_value("480")
    expect(page.locator("[name=width]")).to_have_value("2500")


def test_a_series_in_time_has_a_slider(show: Callable[..., Any]):
    page = show("times")
    first = reading(page).value
    page.focus("[name=time]")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".reading")).to_have_text(re.compile(f"^{first + 100:g} HU"))


def test_without_webgl_slices_are_shown_and_it_is_said(show: Callable[..., Any]):
    page = show(script=WITHOUT_WEBGL)
    assert page.locator(".volume-said").inner_text() == (
        "This browser has no WebGL 2, so the volume is shown slice by slice."
    )
    for plane in ("axial", "coronal", "sagittal"):
        page.click(f"button[data-plane={plane}]")
        expect(page.locator(".flat img")).to_have_attribute("alt", re.compile(f"^{plane}"))
        expect(page.locator(".flat img")).to_have_js_property("complete", value=True)
        assert page.evaluate("document.querySelector('.flat img').naturalWidth") > 0
    page.select_option(".volume [name=preset]", label="Brain")
    expect(page.locator(".flat img")).to_have_attribute("src", re.compile("c=40&w=80"))


def test_a_volume_in_colour_is_shown_slice_by_slice(show: Callable[..., Any]):
    page = show("colour")
    assert page.locator(".volume-said").inner_text() == "Volumes in colour are shown slice by slice."


def test_from_the_planes_to_the_slice_and_back(show: Callable[..., Any]):
    page = show()
    slide_to(page, "axial", 24)
    page.click("[data-act=draw]")
    page.wait_for_selector(".viewer.live")
    assert page.locator(".cine output").inner_text().replace(" ", "") == f"24/{phantom.SLICES}"
    page.click(".to-planes")
    page.wait_for_selector(".volume[data-ready='1']")
    assert reading(page).voxel[2] == 23


@pytest.mark.parametrize(("width", "height", "dark"), [(1440, 900, False), (360, 780, True)])
def test_the_page_is_open_to_everyone(show: Callable[..., Any], width: int, height: int, dark: bool):
    page = show(width=width, height=height, dark=dark)
    serious = [found for found in Axe().run(page).response["violations"] if found["impact"] in ("serious", "critical")]
    assert not serious, [(one["id"], [node["html"] for node in one["nodes"]][:2]) for one in serious]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
