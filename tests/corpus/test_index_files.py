"""The index in files: which type at which size, what a change writes, and what is said when something is missing."""

import os
import random
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus import index
from corpus.index import Entry, Scope, dense
from inference.errors import Unavailable
from tests.corpus.test_index import ALICE, Letters, build, library, update, vector


class Cloud:
    """Random directions, the same for the same text."""

    name = "cloud@1"
    dimension = 16

    def embed(self, texts: Any) -> Any:
        drawn = np.stack([np.random.default_rng(int(text)).standard_normal(16, dtype=np.float32) for text in texts])
        return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


COUNT = 3000


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index that is large for its type limit: 3,000 texts where 200 are the most for a flat one. One in ten texts
    is Alice's; ten texts are a paper."""
    monkeypatch.setattr(dense, "FLAT_UP_TO", 200)
    texts = [Entry(i, i // 10, str(i), ALICE if i % 10 == 0 else index.EVERYONE) for i in range(1, COUNT + 1)]
    index.build(tmp_path / "index", [], texts, Cloud())
    return tmp_path / "index"


def nearest(question: Any, allowed: list[int], limit: int) -> list[int]:
    cosines = Cloud().embed(allowed) @ question
    return [allowed[place] for place in np.argsort(-cosines)[:limit]]


def test_a_large_index_has_lists_and_finds_nearly_all_of_the_nearest(large: Path) -> None:
    opened = index.open_index(large)
    (segment,) = opened.passages._vectors.segments  # type: ignore[attr-defined]
    assert 0 < segment._lists < COUNT
    everyones = [i for i in range(1, COUNT + 1) if i % 10]
    hits = 0
    for seed in range(20):
        question = Cloud().embed([90_000 + seed])[0]
        found = opened.passages.dense(question, 10, Scope())
        assert len(found) == 10
        hits += len(set(found.ids.tolist()) & set(nearest(question, everyones, 10)))
    assert hits >= 100, "a cloud without any structure is the hardest; real texts: bench.corpus_scale"


def test_a_narrow_scope_is_searched_exactly_in_a_large_index(large: Path) -> None:
    passages = index.open_index(large).passages
    question = Cloud().embed([90_001])[0]
    few = [*range(50, 60), *range(2000, 2010)]
    found = passages.dense(question, 5, Scope(ALICE, frozenset({5, 200})))
    assert found.ids.tolist() == nearest(question, few, 5)
    everyones = [i for i in few if i % 10]
    assert passages.dense(question, 50, Scope(None, frozenset({5, 200}))).ids.tolist() == nearest(
        question, everyones, 18
    )


def test_a_wide_scope_in_other_lists_still_fills_the_limit(large: Path) -> None:
    passages = index.open_index(large).passages
    question = Cloud().embed([90_002])[0]
    farthest = nearest(-question, list(range(1, COUNT + 1)), 400)
    papers = frozenset(key // 10 for key in farthest)
    allowed = sum(key // 10 in papers for key in range(1, COUNT + 1))
    assert len(passages.dense(question, 1000, Scope(ALICE, papers))) == min(1000, allowed)


def test_a_large_index_grows_and_shrinks_without_being_written_again(large: Path) -> None:
    before = {path.relative_to(large): path.stat() for path in large.rglob("vectors.faiss")}
    index.update(large, [7, 999], [], [Entry(9990, 999, "123456")], Cloud())
    folder = index.open_index(large).folder
    shared = [
        path for path in folder.rglob("vectors.faiss") if path.stat().st_ino in {s.st_ino for s in before.values()}
    ]
    assert len(shared) == 1, "the large segment is the same file"
    written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.stat().st_nlink == 1)
    assert written < 20_000
    passages = index.open_index(large).passages
    assert passages.dense(Cloud().embed(["123456"])[0], 1, Scope()).ids.tolist() == [9990]
    assert len(passages.dense(Cloud().embed(["75"])[0], 50, Scope(ALICE, frozenset({7})))) == 0


def test_vectors_of_a_large_index_are_found_again(large: Path) -> None:
    embedder = Cloud()
    embedder.embed = None  # type: ignore[assignment, method-assign]
    index.update(large, [7], [], [Entry(i, 7, str(i), ALICE) for i in range(70, 80)], embedder)
    found = index.open_index(large).passages.dense(Cloud().embed(["75"])[0], 1, Scope(ALICE))
    assert (found.ids.tolist(), round(float(found.scores[0]), 4)) == ([75], 1.0)


def test_small_segments_are_merged_and_the_large_one_is_left_alone(tmp_path: Path) -> None:
    build(tmp_path, "faiss", library(100))
    most = 0
    for paper in range(200, 232):
        update(tmp_path, [paper], [Entry(1000 + paper, paper, "lung mask")])
        segments = index.open_index(tmp_path).passages._vectors.segments  # type: ignore[attr-defined]
        most = max(most, len(segments))
        assert len(segments[0].ids) == 300
    assert most <= 6, "about log2 of 32"


def test_a_segment_of_which_most_is_gone_is_written_again(tmp_path: Path) -> None:
    build(tmp_path, "faiss", library(30))
    update(tmp_path, range(1, 21), [])
    (segment,) = index.open_index(tmp_path).passages._vectors.segments  # type: ignore[attr-defined]
    assert len(segment.ids) == segment.count == 30


def test_vectors_are_mapped_and_not_read(tmp_path: Path) -> None:
    texts = [Entry(i, i, str(i)) for i in range(1, 20_001)]
    index.build(tmp_path, [], texts, Cloud())
    opened = index.open_index(tmp_path)
    mapped = Path("/proc/self/maps").read_text()
    assert str(opened.folder) in mapped
    assert "vectors.faiss" in mapped
    assert "rows.npy" in mapped


def test_without_hard_links_a_change_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("not supported")

    build(tmp_path, "faiss", library(5))
    monkeypatch.setattr(os, "link", refuse)
    update(tmp_path, [1], [])
    assert index.open_index(tmp_path).passages.dense(vector("lung"), 50, Scope()).ids.min() > 5


def test_no_file_of_a_build_is_changed_by_the_next(tmp_path: Path) -> None:
    build(tmp_path, "faiss", library(20))
    first = index.open_index(tmp_path).folder
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    update(tmp_path, [2, 50], [Entry(500, 50, random.Random(1).choice(["lung", "heart"]))])
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == before


class Gpu:
    """A copy of an index as FAISS makes it on a GPU: it takes no selector."""

    def __init__(self, index: Any) -> None:
        self.index, self.asked = index, 0

    def search(self, question: Any, count: int) -> Any:
        self.asked += 1
        return self.index.search(question, count)


def test_a_gpu_is_used_where_there_is_one_and_the_scope_holds_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calls of FAISS' GPU interface are stood in for: no machine with a GPU runs this test."""
    faiss = dense.faiss()
    copies: list[Gpu] = []

    def to_gpu(resources: Any, device: int, source: Any) -> Gpu:
        assert (resources, device) == ("resources", 0)
        copies.append(Gpu(source))
        return copies[-1]

    build(tmp_path, "faiss", library(5))
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "StandardGpuResources", lambda: "resources", raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", to_gpu, raising=False)
    passages = index.open_index(tmp_path).passages
    everything = passages.dense(vector("lung"), 5, Scope())
    assert [copy.asked for copy in copies] == [0, 1]
    passages.dense(vector("lung"), 5, Scope(papers=frozenset({1})))
    assert [copy.asked for copy in copies] == [0, 1], "a restricted search needs a selector"
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)
    same = index.open_index(tmp_path).passages.dense(vector("lung"), 5, Scope())
    np.testing.assert_allclose(everything.scores, same.scores, atol=1e-6)


def test_a_gpu_that_is_too_small_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise RuntimeError("out of memory")

    faiss = dense.faiss()
    build(tmp_path, "faiss", library(5))
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(faiss, "StandardGpuResources", lambda: None, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", full, raising=False)
    assert len(index.open_index(tmp_path).passages.dense(vector("lung"), 5, Scope())) == 5


def test_words_that_were_damaged_are_said(tmp_path: Path) -> None:
    build(tmp_path, "faiss", library(2))
    (index.open_index(tmp_path).folder / "passages" / "sparse" / "meta.json").write_text("{}")
    with pytest.raises(Unavailable, match=r"manage\.py load_corpus"):
        index.open_index(tmp_path)


@pytest.mark.parametrize("setting", ["", "annoy", "milvus", "milvus:", "milvus:/tmp/folder", "faiss:1"])
def test_a_setting_that_names_no_engine_is_said(tmp_path: Path, setting: str) -> None:
    with pytest.raises(Unavailable, match="LIGHTBOX_INDEX"):
        build(tmp_path, setting, [])


def test_without_pymilvus_the_line_that_installs_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(Unavailable, match=r'pip install "\.\[milvus\]"'):
        build(tmp_path / "index", f"milvus:{tmp_path / 'm.db'}", library(1))


def test_a_milvus_server_that_is_not_there_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(Unavailable, match="Milvus at"):
        build(tmp_path, f"milvus:http://127.0.0.1:{port}", library(1), Letters())
    assert index.current(tmp_path) is None


def test_words_are_those_of_bm25s() -> None:
    import bm25s
    import Stemmer

    texts = ["The U-Nets of 3-D CT, and X-rays!", "fine-tuned É a b", "", "de novo 12 %", "Running studies' networks"]
    theirs = bm25s.tokenize(
        texts, stopwords="en", stemmer=Stemmer.Stemmer("english"), return_ids=False, show_progress=False
    )
    assert index.tokens(texts) == theirs
