from pathlib import Path

import numpy as np
import pytest

from inference import local_embedder
from inference.errors import Unavailable
from inference.local_embedder import LocalEmbedder, MiniLMEmbedder, open_embedder


def test_sentences_that_mean_the_same_are_near_and_vectors_have_length_one() -> None:
    vectors = MiniLMEmbedder(threads=1).embed(["a radiograph of the chest", "chest X-ray image", "recipes for soup"])
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.6 > 0.3 > vectors[0] @ vectors[2]


def test_weights_that_were_changed_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = MiniLMEmbedder()
    monkeypatch.setattr(embedder, "_sha256", "0" * 64)
    with pytest.raises(Unavailable, match="SHA-256 differs"):
        embedder.embed(["lung"])


def test_any_sentence_transformers_folder_can_take_its_place() -> None:
    folder = MiniLMEmbedder().folder
    other = open_embedder(str(folder), threads=1)
    assert other.name == f"model@{local_embedder.MINILM_SHA256[:12]}"
    assert other.dimension == 384
    assert other.embed([]).shape == (0, 384)


def test_a_folder_without_a_model_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="LIGHTBOX_EMBEDDER"):
        LocalEmbedder(tmp_path)
