"""The viewer as a reader uses it: by mouse, by keyboard, on a phone; what is drawn is kept by the server."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture
from playwright.sync_api import expect

from tests.browser.conftest import drop
from tests.browser.test_story import assert_accessible, done, new_chat_with_the_radiograph
from tests.inference import files

SIDE = 200
CINE = files.PYDICOM_IMAGES / "examples_ybr_color.dcm"
CT = files.PYDICOM_IMAGES / "CT_small.dcm"


def numbered() -> np.ndarray:
    """(SIDE, SIDE): every pixel's value is its own, so that a place can be told by it."""
    return np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pixels of half a millimetre, the patient's left on the right of the screen."""
    more = {"PixelSpacing": [0.5, 0.5], "PatientOrientation": ["L", "F"], "WindowCenter": 20000, "WindowWidth": 40000}
    return files.write_dicom(tmp_path_factory.mktemp("phantom") / "phantom.dcm", numbered(), **more)


def chat_with(page: Any, *paths: Path, question: str = "Describe this image") -> None:
    page.goto("/")
    drop(page, *paths)
    expect(page.locator(".attachment input[name=images]")).to_have_count(len(paths), timeout=30_000)
    page.fill("#text", question)
    page.keyboard.press("Enter")
    page.wait_for_url("**/chats/*/")
    done(page)
    opened(page)


def opened(page: Any) -> None:
    expect(page.locator(".viewer.live")).to_be_visible()
    expect(page.locator(".hud-window")).to_contain_text("%")


def tool(page: Any, name: str) -> None:
    page.locator(".viewer-tools").get_by_role("button", name=name, exact=True).click()


def screen(page: Any) -> np.ndarray:
    """(H, W, 3): what the viewer shows."""
    return np.asarray(Picture.open(io.BytesIO(page.locator("#viewer").screenshot())).convert("RGB"))


def at(page: Any, x: float, y: float) -> tuple[float, float]:
    """The place on the page of a place in the image (pixels of the frame)."""
    found = page.locator(".stage").evaluate(
        """(stage, [x, y]) => {
            const box = document.getElementById("viewer").getBoundingClientRect();
            const p = new DOMMatrix(getComputedStyle(stage).transform).transformPoint(new DOMPoint(x, y));
            return [box.left + p.x, box.top + p.y];
        }""",
        [x, y],
    )
    return found[0], found[1]


def drag(page: Any, *places: tuple[float, float]) -> None:
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()


def layers(page: Any) -> list[dict[str, Any]]:
    url = page.locator("#viewer").get_attribute("data-describe")
    return list(page.request.get(url).json()["layers"])


def test_the_value_under_the_pointer_is_the_pixels_own(open_page, phantom):
    page = open_page()
    chat_with(page, phantom)
    for column, row in ((0, 0), (17, 123), (199, 199)):
        page.mouse.move(*at(page, column + 0.5, row + 0.5))
        expect(page.locator(".hud-value strong")).to_have_text(str(numbered()[row, column]))
        expect(page.locator(".hud-value")).to_contain_text(f"x {column}, y {row}")
    expect(page.locator(".hud-value")).to_contain_text(re.compile(r"99\.8 . 99\.8 mm"))
    expect(page.locator(".hud-scale")).to_have_text("20 mm")


def test_hounsfield_units_and_presets_of_ct(open_page):
    page = open_page()
    chat_with(page, CT)
    page.mouse.move(*at(page, 60.5, 60.5))
    expect(page.locator(".hud-value")).to_contain_text("HU")
    tool(page, "Window")
    page.get_by_label("Window", exact=True).select_option(label="Lung")
    expect(page.locator(".hud-window")).to_contain_text("600 W 1500")
    page.get_by_label("Window", exact=True).select_option(label="Brain")
    expect(page.locator(".hud-window")).to_contain_text("C 40 W 80")
    expect(page.locator(".side.left")).to_have_text("R")
    expect(page.locator(".side.top")).to_have_text("A")


def test_dragging_changes_the_window_and_what_is_seen(open_page, phantom):
    page = open_page()
    chat_with(page, phantom)
    before, words = screen(page), page.locator(".hud-window").inner_text()
    tool(page, "Window")
    x, y = at(page, 100, 100)
    drag(page, (x, y), (x - 60, y - 40))
    expect(page.locator(".hud-window")).not_to_have_text(words)
    brighter = screen(page)
    assert brighter[:, :, 0].mean() > before[: brighter.shape[0], :, 0].mean() + 10
    tool(page, "Reset")
    expect(page.locator(".hud-window")).to_contain_text("C 20000 W 40000")
    tool(page, "Move")
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    page.mouse.move(x - 60, y, steps=4)
    page.mouse.up(button="right")
    expect(page.locator(".hud-window")).not_to_contain_text("W 40000")


GREY_AT = """([x, y]) => {
    const [viewer, canvas] = [document.getElementById("viewer"), document.querySelector(".viewer .shown")];
    const box = viewer.getBoundingClientRect();
    const [left, top] = [x - box.left, y - box.top].map((n) => Math.floor(n * devicePixelRatio));
    return [...canvas.getContext("2d").getImageData(left, top, 1, 1).data];
}"""


def test_the_greys_on_the_screen_are_those_of_the_window(open_page, phantom):
    page = open_page()
    chat_with(page, phantom)
    tool(page, "1:1")
    page.wait_for_timeout(400)
    for column, row in ((20, 20), (100, 100), (180, 190)):
        red, _, _, alpha = page.evaluate(GREY_AT, list(at(page, column + 0.5, row + 0.5)))
        expected = ((numbered()[row, column] - 19999.5) / 39999 + 0.5) * 255
        assert alpha == 255
        assert abs(red - expected) <= 1, (column, row)


def test_the_letters_follow_the_edges_when_the_image_is_turned(open_page, phantom):
    page = open_page()
    chat_with(page, phantom)
    sides = {edge: page.locator(f".side.{edge}") for edge in ("left", "right", "top", "bottom")}
    for edge, letter in zip(sides, "RLHF", strict=True):
        expect(sides[edge]).to_have_text(letter)
    tool(page, "Rotate")
    for edge, letter in zip(sides, "FHRL", strict=True):
        expect(sides[edge]).to_have_text(letter)
    tool(page, "Mirror")
    for edge, letter in zip(sides, "HFRL", strict=True):
        expect(sides[edge]).to_have_text(letter)
    page.mouse.move(*at(page, 30.5, 40.5))  # the value still belongs to the place
    expect(page.locator(".hud-value strong")).to_have_text(str(numbered()[40, 30]))


def test_a_ruler_is_measured_by_the_server_and_can_be_taken_away(open_page, phantom):
    page = open_page()
    chat_with(page, phantom)
    tool(page, "Measure")
    drag(page, at(page, 20, 50), at(page, 120, 50))
    expect(page.locator(".layers")).to_contain_text(re.compile(r"length (49|50)\.\d mm"))
    expect(page.locator(".ink text")).to_contain_text("mm")
    (ruler,) = layers(page)
    assert np.abs(np.array(ruler["points"]) - [[20, 50], [120, 50]]).max() < 1
    tool(page, "Angle")
    drag(page, at(page, 100, 20), at(page, 100, 100))
    page.mouse.click(*at(page, 180, 100))
    expect(page.locator(".layers")).to_contain_text(re.compile(r"angle (89|90)\.\d °"))
    tool(page, "Ellipse")
    drag(page, at(page, 20, 120), at(page, 60, 160))
    expect(page.locator(".layers")).to_contain_text("mm²")
    for _ in range(3):
        page.locator("[data-delete]").first.click()
        page.wait_for_timeout(300)
    expect(page.locator(".layer")).to_have_count(0)
    assert not layers(page)


def test_a_claim_lights_its_layer_and_the_view_moves_to_it(open_page):
    page = open_page()
    new_chat_with_the_radiograph(page)
    opened(page)
    page.wait_for_timeout(500)
    before = at(page, 0, 0)
    chip = page.locator("#messages .chip-mask").nth(1)
    chip.click()
    expect(page.locator(f"#overlay-{chip.get_attribute('data-artifact')}")).to_have_class(re.compile("lit"))
    page.wait_for_timeout(800)  # the view glides there
    assert at(page, 0, 0) != before
    middle = page.locator("#viewer").bounding_box()
    overlay = page.evaluate(
        """(id) => {
            const [image, canvas] = [document.getElementById(`overlay-${id}`), document.createElement("canvas")];
            [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
            const context = canvas.getContext("2d");
            context.drawImage(image, 0, 0);
            const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
            let [n, sx, sy] = [0, 0, 0];
            for (let i = 3; i < data.length; i += 4)
                if (data[i]) { n += 1; sx += (i >> 2) % canvas.width; sy += Math.floor((i >> 2) / canvas.width); }
            return [sx / n, sy / n];
        }""",
        chip.get_attribute("data-artifact"),
    )
    x, y = at(page, *overlay)
    assert abs(x - middle["x"] - middle["width"] / 2) < middle["width"] / 6
    assert abs(y - middle["y"] - middle["height"] / 2) < middle["height"] / 6


def saved_mask(page: Any, ref: str) -> np.ndarray:
    """(H, W) bool: a mask's pixels as the server keeps them."""
    layer = next(one for one in layers(page) if one["ref"] == ref)
    picture = Picture.open(io.BytesIO(page.request.get(layer["overlay"] + "?frame=0").body())).convert("RGBA")
    return np.asarray(picture)[..., 3] > 0


def test_a_mask_is_drawn_saved_and_corrected(open_page, phantom):
    page = open_page()
    chat_with(page, phantom)
    tool(page, "Mark")
    expect(page.get_by_role("button", name="Save as mask")).to_be_disabled()
    page.locator("[name=size]").fill("11")
    drag(page, at(page, 50.5, 60.5), at(page, 90.5, 60.5))
    page.get_by_label("What is marked").fill("stripe")
    page.get_by_role("button", name="Save as mask").click()
    expect(page.locator(".layers")).to_contain_text("stripe")
    mask = saved_mask(page, "img1.1")
    rows, columns = np.nonzero(mask)
    assert abs(rows.min() - 55) <= 1
    assert abs(rows.max() - 65) <= 1
    assert abs(columns.min() - 45) <= 1
    assert abs(columns.max() - 95) <= 1

    page.get_by_role("button", name=re.compile("Correct stripe")).click()
    tool(page, "Erase")
    drag(page, at(page, 80.5, 45.5), at(page, 80.5, 75.5))
    page.get_by_role("button", name="Save as mask").click()
    expect(page.locator(".layers")).to_contain_text("stripe (version 2)")
    corrected = saved_mask(page, "img1.2")
    assert not corrected[60, 80]
    assert np.array_equal(corrected[:, :70], mask[:, :70])
    second = next(one for one in layers(page) if one["ref"] == "img1.2")
    assert second["corrects"] == next(one["id"] for one in layers(page) if one["ref"] == "img1.1")
    expect(page.locator(".overlay:visible")).to_have_count(1)


def test_prompts_become_a_turn_of_the_chat(open_page, phantom):
    page = open_page()
    chat_with(page, phantom)
    turns = page.locator(".answer").count()
    tool(page, "Mark")
    tool(page, "Box")
    drag(page, at(page, 40, 40), at(page, 120, 120))
    tool(page, "Point")
    page.mouse.click(*at(page, 80, 80))
    page.get_by_role("button", name="Segment this").click()
    expect(page.locator(".answer")).to_have_count(turns + 1)
    done(page)
    expect(page.locator(".viewing .error")).to_be_empty()
    expect(page.locator(".step").last).to_contain_text("Segment")


def test_frames_by_wheel_keys_and_as_a_film(open_page):
    page = open_page()
    chat_with(page, CINE)
    count = page.locator(".cine output")
    expect(count).to_have_text("1 / 30, 30 fps")
    expect(page.locator(".image-text .held")).to_contain_text("Text is burned into", timeout=60_000)  # more lines below
    first = screen(page)
    page.mouse.move(*at(page, 100, 100))
    page.mouse.wheel(0, 100)
    expect(count).to_contain_text("2 / 30")
    page.locator("#viewer").focus()
    for key, frame in (("PageDown", 3), ("End", 30), ("PageUp", 29), ("Home", 1)):
        page.keyboard.press(key)
        expect(count).to_contain_text(f"{frame} / 30")
    page.keyboard.press("End")
    expect(count).to_contain_text("30 / 30")
    page.wait_for_timeout(500)
    assert np.abs(screen(page).astype(int) - first).max() > 20
    page.keyboard.press("Space")
    expect(page.locator(".cine button")).to_have_text("Pause")
    expect(count).not_to_contain_text("30 / 30")
    page.keyboard.press("Space")
    expect(page.locator(".cine button")).to_have_text("Play")
    stopped = count.inner_text()
    page.wait_for_timeout(300)
    assert count.inner_text() == stopped


def test_everything_by_keyboard_alone(open_page, phantom):
    page = open_page()
    chat_with(page, phantom)
    page.locator("#viewer").focus()
    page.keyboard.press("w")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".hud-window")).not_to_contain_text("W 40000")
    page.keyboard.press("o")
    expect(page.locator(".hud-window")).to_contain_text("W 40000")
    page.keyboard.press("1")
    page.wait_for_timeout(400)
    page.keyboard.press("d")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".viewer [role=status]")).to_contain_text("x ")
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".layers")).to_contain_text("15.0 mm")  # thirty pixels of half a millimetre
    page.locator("#viewer").focus()
    page.keyboard.press("g")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Save as mask")).to_be_enabled()
    page.keyboard.press("Backspace")
    expect(page.get_by_role("button", name="Save as mask")).to_be_disabled()
    page.keyboard.press("j")  # the page's own keys go on
    assert "turn" in page.evaluate("document.activeElement.className")


def test_it_opens_large_and_esc_returns_to_the_same_line(open_page):
    page = open_page()
    new_chat_with_the_radiograph(page)
    opened(page)
    small = page.locator("#viewer").bounding_box()
    line = page.evaluate("document.getElementById('scroll').scrollTop")
    tool(page, "Large")
    expect(page.locator("#viewer")).to_be_focused()
    large = page.locator("#viewer").bounding_box()
    assert large["width"] > 1.5 * small["width"]
    assert_accessible(page, "the viewer, large")
    page.keyboard.press("Escape")
    assert page.locator("#viewer").bounding_box()["width"] == small["width"]
    assert page.evaluate("document.getElementById('scroll').scrollTop") == line
    assert page.evaluate("document.activeElement.textContent").strip() == "Large"


def test_what_was_set_stays_while_the_next_answer_comes(open_page, phantom):
    page = open_page()
    chat_with(page, phantom)
    tool(page, "Window")
    page.get_by_label("Window", exact=True).select_option(label="Percentiles")
    words = page.locator(".hud-window").inner_text()
    page.fill("#text", "Describe this image again")
    page.locator("#text").press("Enter")
    done(page)
    expect(page.locator(".hud-window")).to_have_text(words)


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (360, True)])
def test_every_set_of_tools_is_accessible_and_fits(open_page, phantom, width, dark):
    page = open_page(width, 800, dark)
    page.goto("/")
    drop(page, phantom)
    expect(page.locator(".attachment input[name=images]")).to_have_count(1, timeout=30_000)
    page.fill("#text", "Describe this image")
    page.keyboard.press("Enter")
    page.wait_for_url("**/chats/*/")
    done(page)
    if width < 760:
        page.locator(".tabbar").get_by_text("Image").click()
    opened(page)
    for name in ("Window", "Measure", "Mark", "Move"):
        tool(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert_accessible(page, f"the viewer with {name}")


def test_one_finger_draws_and_two_zoom(chromium, live_site, signed_in, phantom):
    context = chromium.new_context(
        base_url=live_site.url, storage_state=signed_in, has_touch=True, viewport={"width": 1280, "height": 800}
    )
    page = context.new_page()
    chat_with(page, phantom)
    session = context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        where = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": where})

    x, y = at(page, 100, 100)
    before = at(page, 200, 0)[0] - at(page, 0, 0)[0]
    touch("touchStart", (x - 20, y), (x + 20, y))
    for by in (30, 45, 60, 80):
        touch("touchMove", (x - by, y), (x + by, y))
    touch("touchEnd")
    page.wait_for_timeout(500)
    assert at(page, 200, 0)[0] - at(page, 0, 0)[0] > 1.5 * before
    tool(page, "Measure")
    touch("touchStart", at(page, 80, 100))
    touch("touchMove", at(page, 100, 100))
    touch("touchMove", at(page, 120, 100))
    touch("touchEnd")
    expect(page.locator(".layers")).to_contain_text("mm")
    context.close()


def test_without_script_the_frame_is_there_with_links(chromium, live_site, signed_in, open_page):
    page = open_page()
    chat_with(page, CINE)
    address = page.locator("#viewing").get_attribute("data-pane")
    context = chromium.new_context(base_url=live_site.url, storage_state=signed_in, java_script_enabled=False)
    plain = context.new_page()
    plain.goto(address)
    plain.locator(".turn-frames [rel=next]").click()
    expect(plain.locator(".turn-frames")).to_contain_text("Frame 2 of 30")
    assert plain.locator(".base").evaluate("image => image.naturalWidth") == 320
    context.close()
