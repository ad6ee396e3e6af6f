"""Calibration finds what was done to scores, is measured on what it was not fitted on, and says what is lacking."""

from __future__ import annotations

import numpy as np
import pytest

from inference import calibrate
from inference.errors import BadInput


def drawn(count: int, temperature: float, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose logits are `temperature` times too large, and labels drawn by the true probabilities."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 1.5, count)
    truth = (rng.random(count) < 1 / (1 + np.exp(-true))).astype(int)
    return 1 / (1 + np.exp(-true * temperature)), truth


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(temperature: float) -> None:
    assert calibrate.fit("temperature", *drawn(4000, temperature))["temperature"] == pytest.approx(temperature, rel=0.1)


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_overconfident_scores_become_reliable_on_images_that_were_not_fitted(method: calibrate.Method) -> None:
    found = calibrate.measured(method, *drawn(2000, 4.0), None)
    assert found["ece_before"] > 0.1
    assert found["ece_after"] < 0.05


def test_what_is_shown_was_not_fitted_on() -> None:
    """Labels are noise here: fitted on all, isotonic steps would look better than they are."""
    rng = np.random.default_rng(0)
    scores, truth = rng.random(60), rng.integers(0, 2, 60)
    fitted = calibrate.probabilities(calibrate.fit("isotonic", scores, truth), scores)
    out = calibrate.held_out("isotonic", scores, truth)

    def brier(predicted: np.ndarray) -> float:
        return float(np.mean((predicted - truth) ** 2))

    assert brier(fitted) < 0.25 < brier(out)


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_a_higher_score_is_never_a_lower_probability(method: calibrate.Method) -> None:
    fitted = calibrate.fit(method, *drawn(300, 2.0))
    made = calibrate.probabilities(fitted, np.linspace(0, 1, 101))
    assert (np.diff(made) >= 0).all()
    assert made.min() > 0 or method == "temperature"
    assert calibrate.probability(fitted, 0.3) == pytest.approx(made[30])


def test_the_area_and_its_interval_are_those_of_a_worked_example() -> None:
    """Ten and ten: 0.86 by counting pairs; DeLong's variance by its own definition."""
    present = np.array([0.9, 0.8, 0.8, 0.7, 0.6, 0.55, 0.54, 0.52, 0.4, 0.3])
    absent = np.array([0.7, 0.53, 0.51, 0.5, 0.39, 0.38, 0.3, 0.2, 0.15, 0.1])
    pairs = [(p > a) + 0.5 * (p == a) for p in present for a in absent]
    scores, truth = np.concatenate([present, absent]), np.repeat([1, 0], 10)
    found = calibrate.auroc(scores, truth)
    assert found["value"] == pytest.approx(np.mean(pairs))
    table = np.reshape(pairs, (10, 10))
    error = np.sqrt(table.mean(1).var(ddof=1) / 10 + table.mean(0).var(ddof=1) / 10)
    area = found["value"]
    bounds = np.log(area / (1 - area)) + np.array([-1.96, 1.96]) * error / (area * (1 - area))
    assert [found["low"], found["high"]] == pytest.approx((1 / (1 + np.exp(-bounds))).tolist())
    assert found["low"] < area < found["high"] < 1


def test_the_interval_holds_the_true_area_about_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(5)
    truth = np.repeat([1, 0], 40)
    held = 0
    for _ in range(300):  # the area of two normals one apart is 0.7602
        found = calibrate.auroc(rng.normal(truth, 1.0), truth)
        held += found["low"] <= 0.7602 <= found["high"]
    assert 0.91 <= held / 300 <= 0.985


def test_perfect_separation_has_no_interval() -> None:
    scores, truth = np.array([0.1] * 10 + [0.9] * 10), np.repeat([0, 1], 10)
    assert calibrate.auroc(scores, truth) == {"value": 1.0, "low": None, "high": None}


def test_an_operating_point_is_youdens_or_reaches_a_chosen_sensitivity() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    truth = np.array([0, 0, 0, 1, 0, 1, 1, 1])
    point = calibrate.operating_point(scores, truth)
    assert (point["threshold"], point["sensitivity"], point["specificity"]) == (0.4, 1.0, 0.75)
    point = calibrate.operating_point(scores, truth, 0.75)
    assert (point["threshold"], point["sensitivity"], point["specificity"]) == (0.6, 0.75, 1.0)
    low, high = point["sensitivity_interval"]
    assert low < 0.75 < high


def test_the_curve_counts_every_image_once() -> None:
    scores, truth = drawn(500, 1.0)
    rows = calibrate.reliability(scores, truth)
    assert sum(row["count"] for row in rows) == 500
    assert all(row["low"] <= row["observed"] <= row["high"] for row in rows)


def test_too_few_of_a_class_are_refused_with_what_is_needed() -> None:
    scores, truth = np.linspace(0, 1, 40), np.array([1] * 9 + [0] * 31)
    line = calibrate.why_not("Effusion", scores, truth)
    assert "9 images with it" in line
    assert "at least 10 of each" in line
    assert not calibrate.why_not("Effusion", scores, np.array([1] * 10 + [0] * 30))
    assert "same score" in calibrate.why_not("Effusion", np.full(40, 0.5), np.array([1] * 20 + [0] * 20))


def test_another_method_is_refused() -> None:
    with pytest.raises(BadInput):
        calibrate.fit("magic", *drawn(30, 1.0))  # type: ignore[arg-type]
