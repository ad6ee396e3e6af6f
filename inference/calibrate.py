"""From scores to probabilities on a labelled set, and how good they are: numpy and scipy only.

Everything is about one label: `scores` (N,) float in 0..1 as the model gave them, `truth` (N,) of 0 and 1. Temperature
scaling: Guo et al., ICML 2017, here for one label, on the logit of its score. Isotonic regression: Zadrozny and Elkan,
KDD 2002. What is shown of a calibration is measured on images that it was not fitted on (`held_out`).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from inference.errors import BadInput

Values = NDArray[np.float64]
Method = Literal["temperature", "isotonic"]
Fitted = dict[str, Any]

LEAST = 10  # images of each class: two for each of the folds
FOLDS = 5
BINS = 10
EDGE = 1e-6  # scores nearer to 0 or 1 have no finite logit
TOO_FEW = (
    "{label}: {present} images with it and {absent} without it; at least {least} of each are needed, to calibrate and "
    "to check the calibration on images that it was not fitted on."
)
CONSTANT = "{label}: the model gives every image the same score, so there is nothing to calibrate."


def why_not(label: str, scores: Values, truth: NDArray[np.int_]) -> str:
    """Nothing when a label can be calibrated, else one line with what is missing."""
    present = int(truth.sum())
    absent = len(truth) - present
    if min(present, absent) < LEAST:
        return TOO_FEW.format(label=label, present=present, absent=absent, least=LEAST)
    return CONSTANT.format(label=label) if float(np.ptp(scores)) < EDGE else ""


def fit(method: Method, scores: Values, truth: NDArray[np.int_]) -> Fitted:
    """What `probability` turns a score into a probability with, as JSON types. Raises BadInput for another method.

    temperature: `temperature` of the sigmoid of the score's logit, the one of greatest likelihood between 1/50 and 50.
    isotonic: knots `x` (scores) and `y`, a line between; probabilities are kept off 0 and 1 by 1 / (N + 2), since N
    images cannot show more.
    """
    if method == "temperature":
        return {"method": method, "temperature": _temperature(scores, truth)}
    if method == "isotonic":
        return {"method": method, **_isotonic(scores, truth)}
    raise BadInput(f"There is no calibration {method!r}: temperature and isotonic are known.")


def probability(fitted: Fitted, score: float) -> float:
    """0..1 of one score."""
    return float(probabilities(fitted, np.array([score]))[0])


def probabilities(fitted: Fitted, scores: Values) -> Values:
    """(N,) of (N,) scores."""
    if fitted["method"] == "temperature":
        return _sigmoid(_logit(scores) / fitted["temperature"])
    return np.interp(scores, fitted["x"], fitted["y"])


def held_out(method: Method, scores: Values, truth: NDArray[np.int_], folds: int = FOLDS) -> Values:
    """(N,) probabilities of each image by a calibration fitted on the other folds: stratified, the same every time."""
    made = np.zeros(len(scores))
    order = np.random.default_rng(0).permutation(len(scores))
    fold = np.zeros(len(scores), dtype=int)
    for value in (0, 1):
        members = order[truth[order] == value]
        fold[members] = np.arange(len(members)) % folds
    for number in range(folds):
        out = fold == number
        made[out] = probabilities(fit(method, scores[~out], truth[~out]), scores[out])
    return made


def auroc(scores: Values, truth: NDArray[np.int_]) -> dict[str, float | None]:
    """`value` and its 95 % interval by DeLong's variance (DeLong et al., Biometrics 1988) on the logit of the area.

    `low` and `high` are None where the classes are told apart perfectly, since the variance is then 0.
    """
    present, absent = scores[truth == 1], scores[truth == 0]
    wins = (present[:, None] > absent[None]) + 0.5 * (present[:, None] == absent[None])
    value = float(wins.mean())
    of_present, of_absent = wins.mean(axis=1), wins.mean(axis=0)
    variance = float(of_present.var(ddof=1) / len(present) + of_absent.var(ddof=1) / len(absent))
    if variance <= 0 or not 0 < value < 1:
        return {"value": value, "low": None, "high": None}
    centre, error = np.log(value / (1 - value)), np.sqrt(variance) / (value * (1 - value))
    low, high = _sigmoid(np.array([centre - 1.96 * error, centre + 1.96 * error]))
    return {"value": value, "low": float(low), "high": float(high)}


def reliability(predicted: Values, truth: NDArray[np.int_], bins: int = BINS) -> list[dict[str, float]]:
    """For each of `bins` equal parts of 0..1 that is not empty: the mean prediction, the share that has the label with
    its 95 % interval (Wilson), and the number of images."""
    part = np.minimum((predicted * bins).astype(int), bins - 1)
    rows = []
    for number in range(bins):
        inside = part == number
        if count := int(inside.sum()):
            positive = int(truth[inside].sum())
            low, high = wilson(positive, count)
            row = {"predicted": float(predicted[inside].mean()), "observed": positive / count}
            rows.append(row | {"low": low, "high": high, "count": count})
    return rows


def expected_calibration_error(rows: list[dict[str, float]]) -> float:
    """Mean distance between prediction and share over the rows of `reliability`, weighted by their images."""
    total = sum(row["count"] for row in rows)
    return sum(row["count"] * abs(row["predicted"] - row["observed"]) for row in rows) / total


def operating_point(scores: Values, truth: NDArray[np.int_], sensitivity: float | None = None) -> dict[str, Any]:
    """The threshold on the score with the greatest Youden index, or the highest one that reaches a sensitivity.

    `threshold` (an image counts as positive at or above it), `sensitivity` and `specificity`, each with a 95 % interval
    (Wilson) as `sensitivity_interval` and `specificity_interval`. Measured on the images that it was chosen on.
    """
    thresholds = np.unique(scores)
    present, absent = np.sort(scores[truth == 1]), np.sort(scores[truth == 0])
    caught = len(present) - np.searchsorted(present, thresholds)
    spared = np.searchsorted(absent, thresholds)
    rates = caught / len(present)
    if sensitivity is None:
        best = int((rates + spared / len(absent)).argmax())
    else:
        best = int(np.flatnonzero(rates >= sensitivity - 1e-12)[-1])
    return {
        "threshold": float(thresholds[best]),
        "chosen_by": "Youden" if sensitivity is None else f"sensitivity of at least {sensitivity:g}",
        "sensitivity": float(rates[best]),
        "sensitivity_interval": list(wilson(int(caught[best]), len(present))),
        "specificity": float(spared[best] / len(absent)),
        "specificity_interval": list(wilson(int(spared[best]), len(absent))),
    }


def measured(method: Method, scores: Values, truth: NDArray[np.int_], sensitivity: float | None) -> dict[str, Any]:
    """All that is shown of one label, as JSON types: numbers of images, AUROC, reliability and calibration error before
    (the scores as they are) and after (held out), and the operating point with its probability."""
    after = held_out(method, scores, truth)
    before_rows, after_rows = reliability(scores, truth), reliability(after, truth)
    point = operating_point(scores, truth, sensitivity)
    return {
        "present": int(truth.sum()),
        "absent": int(len(truth) - truth.sum()),
        "auroc": auroc(scores, truth),
        "before": before_rows,
        "after": after_rows,
        "ece_before": expected_calibration_error(before_rows),
        "ece_after": expected_calibration_error(after_rows),
        "point": point | {"probability": probability(fit(method, scores, truth), point["threshold"])},
    }


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927)."""
    z = 1.959964
    share = hits / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _temperature(scores: Values, truth: NDArray[np.int_]) -> float:
    from scipy.optimize import minimize_scalar

    logits, sign = _logit(scores), 2 * truth - 1

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0, -sign * logits / np.exp(log_temperature)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-np.log(50), np.log(50)), method="bounded").x))


def _isotonic(scores: Values, truth: NDArray[np.int_]) -> dict[str, list[float]]:
    from scipy.optimize import isotonic_regression

    values, place = np.unique(scores, return_inverse=True)
    counts = np.bincount(place)
    shares = np.bincount(place, weights=truth) / counts
    steps = isotonic_regression(shares, weights=counts).x
    ends = np.flatnonzero(np.diff(steps) > EDGE)  # only where a step begins or ends is a knot needed
    kept = np.unique(np.concatenate([[0], ends, ends + 1, [len(steps) - 1]]))
    edge = 1.0 / (len(scores) + 2)
    return {"x": values[kept].tolist(), "y": np.clip(steps[kept], edge, 1 - edge).tolist()}


def _logit(scores: Values) -> Values:
    kept = np.clip(scores, EDGE, 1 - EDGE)
    return np.asarray(np.log(kept / (1 - kept)))


def _sigmoid(values: Values) -> Values:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))
