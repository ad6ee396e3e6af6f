"""A baseline reads quality and the cardiothoracic ratio from a frontal chest radiograph, and says what it cannot."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from skimage import data as skimage_data
from skimage import draw, filters

from inference import backends, chest
from inference.checkpoints import checkpoint
from inference.decode import decode, load
from inference.errors import BadInput
from inference.types import Image, Result, Spacing
from tests.inference import files


@cache
def thorax(heart: float, height: int = 512, width: int = 512) -> Image:
    """A frontal chest of ellipses 0.71 of the image wide, whose heart is `heart` of the image wide."""
    greys = np.full((height, width), 0.05)
    greys[draw.ellipse(0.62 * height, 0.5 * width, 0.75 * height, 0.49 * width, shape=greys.shape)] = 0.75
    lungs = np.zeros(greys.shape, dtype=bool)
    for column in (0.29, 0.71):
        lungs[draw.ellipse(0.45 * height, column * width, 0.32 * height, 0.145 * width, shape=greys.shape)] = True
    lungs[draw.ellipse(0.62 * height, 0.54 * width, 0.12 * height, heart / 2 * width, shape=greys.shape)] = False
    greys[lungs] = 0.25
    greys[int(0.05 * height) :, int(0.47 * width) : int(0.53 * width)] += 0.12
    noise = np.random.default_rng(7).normal(0, 0.01, greys.shape)
    return Image((np.clip(filters.gaussian(greys, 2) + noise, 0, 1) * 4095).astype(np.uint16), view="PA")


@cache
def reading(heart: float) -> Result:
    return chest.read(thorax(heart))


@pytest.fixture(scope="module")
def radiograph(tmp_path_factory: pytest.TempPathFactory) -> Image:
    folder = tmp_path_factory.mktemp("chest")
    return load(folder, decode(files.CHEST, folder))


@pytest.mark.parametrize("heart", [0.36, 0.4, 0.46])  # a smaller one is hidden by the tapering of these lungs
def test_the_ratio_of_a_known_heart_is_found(heart: float) -> None:
    found = reading(heart)
    assert found.values["cardiothoracic_ratio"] == pytest.approx(heart / 0.71, abs=0.04)
    assert [line.label for line in found.lines] == ["cardiac diameter", "thoracic diameter"]
    heart_line, thorax_line = found.lines
    ratio = (heart_line.x1 - heart_line.x0) / (thorax_line.x1 - thorax_line.x0)
    assert ratio == pytest.approx(found.values["cardiothoracic_ratio"], abs=0.001)


def test_the_lines_of_a_real_radiograph_end_where_its_heart_and_ribs_do(radiograph: Image) -> None:
    """Read off the picture by eye: 1841 columns; the heart from 620 to 1420, the inner ribs from 170 to 1650."""
    heart, ribs = chest.read(radiograph).lines
    assert heart.x0 == pytest.approx(620, abs=60)
    assert heart.x1 == pytest.approx(1420, abs=60)
    assert ribs.x0 == pytest.approx(170, abs=40)
    assert ribs.x1 == pytest.approx(1650, abs=40)


def test_a_score_is_never_called_a_probability_nor_a_disease() -> None:
    found = reading(0.46)
    assert [(score.label, score.kind) for score in found.scores] == [("wide cardiac silhouette", "score")]
    assert "megaly" not in found.text
    assert any("baseline" in note for note in found.notes)


def test_lengths_are_given_only_with_a_spacing() -> None:
    image = thorax(0.4)
    assert [line.length_mm for line in reading(0.4).lines] == [None, None]
    spaced = replace(image, spacing=Spacing(0.5, 0.5, "ImagerPixelSpacing"))
    found = chest.read(spaced)
    assert found.lines[1].length_mm == pytest.approx(0.71 * 256, abs=8)
    assert any("at the detector" in note for note in found.notes)


@pytest.mark.parametrize(("view", "word"), [("AP", "magnified"), (None, "not known")])
def test_views_other_than_pa_carry_a_note(view: str | None, word: str) -> None:
    assert any(word in note for note in chest.read(replace(thorax(0.4), view=view)).notes)
    assert not any(word in note for note in reading(0.4).notes)


@pytest.mark.parametrize("view", ["LL", "LATERAL", "LPO"])
def test_other_views_are_refused(view: str) -> None:
    with pytest.raises(BadInput, match="frontal"):
        chest.read(replace(thorax(0.4), view=view))


def test_what_is_no_chest_is_refused() -> None:
    with pytest.raises(BadInput):
        chest.read(Image(skimage_data.camera()))


def test_an_inverted_radiograph_is_named_and_measured_on_its_mirrored_greys() -> None:
    image = thorax(0.4)
    upside = replace(image, pixels=image.pixels.max() - image.pixels + image.pixels.min())
    found = chest.read(upside)
    assert "probably inverted" in found.text
    assert found.values["cardiothoracic_ratio"] == pytest.approx(0.4 / 0.71, abs=0.04)


def test_clipping_of_the_lungs_is_told() -> None:
    image = thorax(0.4)
    burnt = replace(image, pixels=np.clip(image.pixels, int(0.25 * 4095), None))
    assert "of the lungs are black" in chest.read(burnt).text
    assert "Not clipped." in reading(0.4).text


def test_rotation_is_judged_by_the_halves_about_the_spine() -> None:
    straight = reading(0.4)
    assert straight.values["rotation_asymmetry"] < 0.05
    turned = thorax(0.4)
    pixels = turned.pixels.astype(float)
    spine = slice(int(0.05 * 512), None), slice(int(0.47 * 512), int(0.53 * 512))
    pixels[spine] -= 0.12 * 4095
    pixels[int(0.05 * 512) :, int(0.51 * 512) + 25 : int(0.53 * 512) + 25] += 0.12 * 4095
    found = chest.read(replace(turned, pixels=np.clip(pixels, 0, 4095).astype(np.uint16)))
    assert "Perhaps rotated" in found.text


@pytest.mark.parametrize(
    ("ratio", "low", "high", "word"),
    [
        (0.63, 0.62, 0.64, "wider"),
        (0.4, 0.38, 0.41, "narrower"),
        (0.52, 0.52, 0.52, "about half"),
        (0.6, 0.48, 0.6, "about"),
    ],
)
def test_a_ratio_near_a_half_is_said_to_be_near_it(ratio: float, low: float, high: float, word: str) -> None:
    assert word in chest.ratio_words(ratio, low, high)


def test_the_catalogue_names_it_as_a_baseline() -> None:
    entry = checkpoint("baseline-chest")
    assert entry.built_in
    assert "baseline" in entry.name
    found = backends.load(entry, Path(), "cpu").classify([thorax(0.4)], {})
    assert found.scores[0].label in entry.labels
