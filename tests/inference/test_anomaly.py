"""Scores of an image among normal ones: far is high, its place is among leave-one-out scores, too few are refused."""

import numpy as np
import pytest

from inference import anomaly
from inference.errors import BadInput


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def cloud(count: int) -> np.ndarray:
    return unit(np.eye(1, 16) + np.random.default_rng(0).normal(0, 0.1, (count, 16)))


def test_a_far_image_scores_above_all_and_a_copy_below_most():
    normal = cloud(20)
    far = anomaly.score(unit(-np.eye(1, 16)[0]), normal)
    assert (far.above, far.count) == (20, 20)
    assert far.score == pytest.approx(2, abs=0.2)
    assert anomaly.score(unit(normal.mean(axis=0)), normal).above < 5


def test_a_normal_image_is_scored_against_the_others_only():
    normal = cloud(8)
    distances = sorted(1 - normal[1:].astype(float) @ normal[0])
    assert anomaly.score(normal[3], normal).normal[0] == pytest.approx(np.mean(distances[: anomaly.K]))


def test_too_few_normal_images_are_refused_with_the_number():
    with pytest.raises(BadInput, match="has 7 images that can be compared; at least 8"):
        anomaly.score(cloud(1)[0], cloud(7))


def test_words_are_compared_pair_by_pair():
    image, normal, abnormal = unit(np.ones(2)), unit(np.array([[1.0, 1], [1, 0]])), unit(np.array([[1.0, 0], [1, 1]]))
    assert anomaly.by_prompts(image, normal, abnormal) == pytest.approx([0.5**0.5 - 1, 1 - 0.5**0.5])
