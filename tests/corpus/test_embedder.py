from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from corpus import reload
from corpus.remembered import Remembering
from corpus.thesaurus import notions
from inference import local_embedder
from inference.errors import Unavailable
from inference.local_embedder import LocalEmbedder, MiniLMEmbedder, open_embedder
from inference.types import Embedding


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


def test_the_vectors_that_come_with_the_corpus_are_the_embedders_own(literature: None) -> None:
    embedder = MiniLMEmbedder(threads=1)
    remembered = Remembering(embedder)
    texts = [entry.text for field in reload.entries().fields() for entry in field]
    texts += [notion.text for notion in notions()]
    assert len(remembered.known) == len(set(texts)), "run manage.py load_corpus --save-vectors"
    sample = texts[::160]
    cosines = (remembered.embed(sample) * embedder.embed(sample)).sum(axis=1)
    assert cosines.min() > 0.9999


def test_what_is_not_remembered_is_embedded(tmp_path: Path) -> None:
    class Ones:
        name = "ones@1"
        dimension = 4
        asked: list[str] = []

        def embed(self, texts: Sequence[str]) -> Embedding:
            self.asked += texts
            return np.full((len(texts), 4), 0.5, np.float32)

    first = Remembering(Ones(), None)
    first.embed(["a", "b", "a"])
    first.save(tmp_path / "vectors.npz")
    Ones.asked.clear()
    again = Remembering(Ones(), tmp_path / "vectors.npz")
    assert again.embed(["b", "c"]).shape == (2, 4)
    assert Ones.asked == ["c"]
    (tmp_path / "vectors.npz").write_bytes(b"damaged")
    assert Remembering(Ones(), tmp_path / "vectors.npz").known == {}
