"""The real loading code on a cross-encoder that the test makes: random weights in a folder as users have it."""

from pathlib import Path

import numpy as np
import pytest

from inference.errors import Unavailable
from inference.reranker import CrossEncoderReranker

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "lung", "mask", "report", "the", "of"]


def make(folder: Path, outputs: int) -> Path:
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=outputs,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_the_scores_are_those_of_the_library(tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    folder = make(tmp_path / "ranker", outputs=1)
    texts = ["mask of the lung", "report", "the report of the lung"]
    scores = CrossEncoderReranker(folder).score("lung mask", texts)
    direct = CrossEncoder(str(folder)).predict([("lung mask", text) for text in texts])
    assert scores.shape == (3,)
    np.testing.assert_allclose(scores, direct, rtol=1e-5)


def test_nothing_to_rank_needs_no_model(tmp_path: Path) -> None:
    assert CrossEncoderReranker(tmp_path / "absent").score("lung", []).shape == (0,)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no cross-encoder"):
        CrossEncoderReranker(tmp_path).score("lung", ["mask"])


def test_a_classifier_of_several_classes_is_no_reranker(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="2 outputs"):
        CrossEncoderReranker(make(tmp_path / "classes", outputs=2)).score("lung", ["mask"])
