"""The appearance of an image as a vector: near for what looks alike, of one length, for any kind of pixels."""

import numpy as np
import pytest

from corpus.image_index import nearest
from inference.backends.appearance import descriptor


def noise(seed: int, blur: int = 1) -> np.ndarray:
    values = np.random.default_rng(seed).random((90, 120))
    return np.kron(values[: 90 // blur, : 120 // blur], np.ones((blur, blur)))


def test_a_brighter_copy_is_nearer_than_another_texture():
    image = noise(1, blur=6)
    copy, other = descriptor(image * 1800 + 40), descriptor(noise(2))
    assert descriptor(image) @ copy > descriptor(image) @ other
    assert np.linalg.norm(copy) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("pixels", [np.zeros((40, 50)), np.full((1, 1), np.nan), np.ones((9, 8, 3), np.uint8)])
def test_flat_odd_and_coloured_images_have_a_vector_too(pixels):
    assert np.isfinite(descriptor(pixels)).all()


def test_the_nearest_come_first_with_their_cosines():
    vectors = np.eye(3, dtype=np.float32)
    vector = np.array([0.6, 0.8, 0.0], np.float32)
    assert nearest(vector, ["a", "b", "c"], vectors, 2) == [("b", pytest.approx(0.8)), ("a", pytest.approx(0.6))]
    assert nearest(vector, [], vectors[:0], 2) == []


def test_vectors_of_another_model_do_not_fit():
    with pytest.raises(ValueError, match="keys"):
        nearest(np.ones(4, np.float32), ["a"], np.ones((1, 3), np.float32), 1)
