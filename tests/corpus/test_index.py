"""The index, the same on each engine: what is found, by whom, and after which changes."""

import math
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings

from corpus import index
from corpus.index import Entry, Found, Scope, tokens
from corpus.index.types import PARTS
from inference.types import Embedding

ALICE, BOB = 7, 8
WORDS = [
    *("lung", "heart", "brain", "mask", "graph", "prompt", "adapter", "tuning", "report", "question", "chest"),
    *("retina", "liver", "spleen", "dose"),
]


class Letters:
    """Counts letters, and which texts it was asked for."""

    name = "letters@1"
    dimension = 26

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> Embedding:
        self.asked += texts
        counts = [[1 + 3 * text.lower().count(chr(97 + i)) for i in range(26)] for text in texts]
        vectors = np.array(counts, np.float32).reshape(-1, 26)
        normalised: Embedding = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return normalised


@pytest.fixture(params=["faiss", "milvus"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The setting of an engine; Milvus as Milvus Lite, in a file of the test."""
    if request.param == "faiss":
        yield "faiss"
        return
    yield f"milvus:{tmp_path / 'milvus.db'}"
    let_go(tmp_path)


def let_go(tmp_path: Path) -> None:
    """Ends this process' hold of the Milvus Lite file: one process at a time may have it."""
    if manager := sys.modules.get("milvus_lite.server_manager"):
        manager.server_manager_instance.release_server(str(tmp_path / "milvus.db"))


def text(seed: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=8))


def library(count: int = 30) -> list[Entry]:
    """`count` papers of everyone's with three passages each."""
    return [
        Entry(3 * paper + part, paper, text(3 * paper + part)) for paper in range(1, count + 1) for part in range(3)
    ]


def whole(passages: Sequence[Entry]) -> list[Entry]:
    """The papers of these passages."""
    texts: dict[tuple[int, int], str] = {}
    for entry in passages:
        key = (entry.paper, entry.owner)
        texts[key] = f"{texts.get(key, '')} {entry.text}".strip()
    return [Entry(paper, paper, said, owner) for (paper, owner), said in texts.items()]


def build(root: Path, engine: str, passages: Sequence[Entry], embedder: Letters | None = None) -> index.IndexBuild:
    return index.build(root, whole(passages), passages, embedder or Letters(), engine=engine)


def update(
    root: Path, changed: Sequence[int], passages: Sequence[Entry], embedder: Letters | None = None
) -> index.IndexBuild:
    """`passages` are those of the changed papers."""
    return index.update(root, changed, whole(passages), passages, embedder or Letters())


def vector(words: str) -> Embedding:
    return Letters().embed([words])[0]


def pairs(found: Found) -> list[tuple[int, float]]:
    return [(key, round(score, 3)) for key, score in zip(found.ids.tolist(), found.scores.tolist(), strict=True)]


def bm25(entries: Sequence[Entry], words: dict[str, float]) -> list[tuple[int, float]]:
    """The definition, over all entries: Lucene's variant with k1 = 1.2 and b = 0.75."""
    counts = {entry.id: Counter(tokens([entry.text])[0]) for entry in entries}
    average = sum(sum(count.values()) for count in counts.values()) / len(counts)
    scores: dict[int, float] = {}
    for word, weight in words.items():
        having = sum(word in count for count in counts.values())
        rarity = math.log(1 + (len(counts) - having + 0.5) / (having + 0.5))
        for key, count in counts.items():
            if word in count:
                norm = 1.2 * (0.25 + 0.75 * sum(count.values()) / average)
                scores[key] = scores.get(key, 0.0) + weight * rarity * count[word] * 2.2 / (count[word] + norm)
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


def test_dense_finds_the_nearest_and_sparse_the_best_by_the_definition(engine: str, tmp_path: Path) -> None:
    passages = library()
    build(tmp_path / "index", engine, passages)
    opened = index.open_index(tmp_path / "index")
    question = vector("lung prompt")
    cosines = Letters().embed([entry.text for entry in passages]) @ question
    found = opened.passages.dense(question, 10, Scope())
    np.testing.assert_allclose(found.scores, np.sort(cosines)[::-1][:10], atol=1e-5)
    assert [entry.paper for entry in passages if entry.id == found.ids[0]] == [found.papers[0]]
    words = {"lung": 1.0, "prompt": 2.5, "nowher": 1.0}
    scored = opened.passages.sparse(words, 10, Scope())
    assert pairs(scored) == [(key, round(score, 3)) for key, score in bm25(passages, words)[:10]]


def test_a_heavier_word_decides(engine: str, tmp_path: Path) -> None:
    build(tmp_path / "index", engine, [Entry(1, 1, "lung mask"), Entry(2, 2, "heart mask"), Entry(3, 3, "liver dose")])
    passages = index.open_index(tmp_path / "index").passages
    assert passages.sparse({"lung": 1.0, "heart": 3.0}, 5, Scope()).ids.tolist() == [2, 1]
    assert passages.sparse({"lung": 3.0, "heart": 1.0}, 5, Scope()).ids.tolist() == [1, 2]
    assert len(passages.sparse({"lung": 0.0}, 5, Scope())) == len(passages.sparse({}, 5, Scope())) == 0


def test_owner_and_papers_restrict_before_the_limit_counts(engine: str, tmp_path: Path) -> None:
    near = [Entry(1000 + i, 1000 + i, "lung lung lung", BOB) for i in range(40)]
    build(tmp_path / "index", engine, [*library(), *near])
    passages = index.open_index(tmp_path / "index").passages
    for found in (
        passages.dense(vector("lung lung lung"), 10, Scope()),
        passages.sparse({"lung": 1.0}, 10, Scope(ALICE)),
    ):
        assert len(found) == 10
        assert found.papers.max() < 1000
    some = frozenset({3, 9, 999})
    assert sorted(passages.dense(vector("lung"), 50, Scope(BOB, some)).ids.tolist()) == [9, 10, 11, 27, 28, 29]
    assert set(passages.sparse(dict.fromkeys(WORDS, 1.0), 50, Scope(None, some)).papers.tolist()) <= {3, 9}
    assert len(passages.dense(vector("lung"), 50, Scope(BOB, frozenset()))) == 0
    assert len(passages.sparse({"lung": 1.0}, 50, Scope(BOB, frozenset()))) == 0
    assert passages.dense(vector("lung lung lung"), 10, Scope(BOB)).papers.min() >= 1000


def test_a_canary_in_anothers_library_is_found_by_its_owner_only_and_moves_nobodys_score(
    engine: str, tmp_path: Path
) -> None:
    words = {"lung": 1.0, "canari": 1.0, "mask": 1.0}
    shared = library()
    build(tmp_path / "index", engine, shared)
    before = pairs(index.open_index(tmp_path / "index").passages.sparse(words, 50, Scope(ALICE)))
    canary = [Entry(900 + i, 900, "canary lung lung mask mask dose heart chest", BOB) for i in range(30)]
    update(tmp_path / "index", [900], canary)
    passages = index.open_index(tmp_path / "index").passages
    assert pairs(passages.sparse(words, 50, Scope(ALICE))) == before
    for stranger in (Scope(), Scope(ALICE), Scope(ALICE, frozenset({900}))):
        assert not passages.occurs("canari", stranger)
        assert 900 not in passages.dense(vector(canary[0].text), 200, stranger).papers
        assert 900 not in passages.sparse({"canari": 1.0, "lung": 1.0}, 200, stranger).papers
    assert passages.occurs("canari", Scope(BOB))
    assert not passages.occurs("canari", Scope(BOB, frozenset({1})))
    assert len(passages.sparse({"canari": 1.0}, 200, Scope(BOB))) == 30


def test_a_paper_is_added_changed_and_deleted_and_only_new_texts_are_embedded(engine: str, tmp_path: Path) -> None:
    root, passages = tmp_path / "index", library()
    first = build(root, engine, passages)
    embedder = Letters()
    added = [Entry(500, 500, "zebrafish atlas"), Entry(501, 500, "zebrafish heart")]
    made = update(root, [500], added, embedder)
    assert sorted(embedder.asked) == ["zebrafish atlas", "zebrafish atlas zebrafish heart", "zebrafish heart"]
    assert (made.papers, made.passages) == (first.papers + 1, first.passages + 2)
    assert index.open_index(root).passages.sparse({"zebrafish": 1.0}, 5, Scope()).ids.tolist() == [500, 501]
    embedder.asked.clear()
    update(root, [500], [added[0], Entry(502, 500, "quokka")], embedder)
    assert "zebrafish atlas" not in embedder.asked
    opened = index.open_index(root)
    assert set(opened.passages.sparse({"zebrafish": 1.0, "quokka": 1.0}, 5, Scope()).ids.tolist()) == {500, 502}
    assert 501 not in opened.passages.dense(vector("zebrafish heart"), 200, Scope()).ids
    last = update(root, [500], [])
    opened = index.open_index(root)
    assert (last.papers, last.passages, last.corpus) == (first.papers, first.passages, first.corpus)
    assert not opened.passages.occurs("zebrafish", Scope())
    assert 500 not in opened.papers.dense(vector("zebrafish"), 200, Scope()).ids


def test_a_text_that_changes_hands_is_not_embedded_again(engine: str, tmp_path: Path) -> None:
    root, embedder = tmp_path / "index", Letters()
    build(root, engine, [*library(3), Entry(500, 500, "zebrafish atlas", ALICE)])
    update(root, [500], [Entry(500, 500, "zebrafish atlas", BOB)], embedder)
    opened = index.open_index(root)
    assert embedder.asked == []
    assert not opened.passages.occurs("zebrafish", Scope(ALICE))
    found = opened.papers.dense(vector("zebrafish atlas"), 1, Scope(BOB))
    assert found.ids.tolist() == [500]
    assert found.scores[0] == pytest.approx(1.0, abs=1e-4)


def test_after_many_changes_it_answers_as_one_built_afresh(engine: str, tmp_path: Path) -> None:
    chance = random.Random(5)
    papers = {paper: [entry for entry in library() if entry.paper == paper] for paper in range(1, 31)}
    build(tmp_path / "index", engine, library())
    for _ in range(12):
        changed = chance.sample(range(1, 36), 3)
        for paper in changed:
            owner = chance.choice([index.EVERYONE, ALICE, BOB])
            kept = chance.sample([0, 1, 2], chance.choice([0, 2, 3]))
            papers[paper] = [Entry(3 * paper + part, paper, text(chance.randrange(999)), owner) for part in kept]
        update(tmp_path / "index", changed, [entry for paper in changed for entry in papers[paper]])
    left = [entry for entries in papers.values() for entry in entries]
    fresh = build(tmp_path / "fresh", engine, left)
    changed_one, fresh_one = index.open_index(tmp_path / "index"), index.open_index(tmp_path / "fresh")
    assert changed_one.build.corpus == fresh.corpus == index.corpus_hash(whole(left), left)
    assert (changed_one.build.papers, changed_one.build.passages) == (fresh.papers, fresh.passages)
    for scope in (Scope(), Scope(ALICE), Scope(BOB, frozenset(range(1, 20)))):
        for words in ("lung mask", "prompt tuning retina", "dose"):
            for one, other in (
                (changed_one.papers, fresh_one.papers),
                (changed_one.passages, fresh_one.passages),
            ):
                near, near_fresh = (field.dense(vector(words), 20, scope) for field in (one, other))
                np.testing.assert_allclose(near.scores, near_fresh.scores, atol=1e-5)
                weighted = dict.fromkeys(tokens([words])[0], 1.0)
                best, best_fresh = (field.sparse(weighted, 200, scope) for field in (one, other))
                assert set(best.ids.tolist()) == set(best_fresh.ids.tolist())
                scores = dict(zip(best_fresh.ids.tolist(), best_fresh.scores.tolist(), strict=True))
                again = [scores[key] for key in best.ids.tolist()]
                np.testing.assert_allclose(best.scores, again, rtol=0.05)  # average lengths differ a little


def test_every_change_is_a_new_version_and_no_change_is_none(engine: str, tmp_path: Path) -> None:
    root = tmp_path / "index"
    assert index.current_version(root) == ""
    versions = [build(root, engine, library(3)).version]
    assert update(root, [1, 2], [entry for entry in library(3) if entry.paper in (1, 2)]).version == versions[0]
    versions.append(update(root, [3], []).version)
    versions.append(build(root, engine, library(3)).version)
    assert len(set(versions)) == 3
    assert index.current_version(root) == versions[-1] == index.open_index(root).folder.name
    assert all(len(version) <= 80 for version in versions), "SavedSearch.index_version holds 80 characters"


def test_a_reader_keeps_what_it_opened_while_the_index_changes(engine: str, tmp_path: Path) -> None:
    root = tmp_path / "index"
    build(root, engine, library(5))
    reader = index.open_index(root)
    before = reader.passages.dense(vector("lung"), 30, Scope()), reader.passages.sparse({"lung": 1.0}, 30, Scope())
    update(root, [2, 40], [Entry(400, 40, "lung lung")])
    after = reader.passages.dense(vector("lung"), 30, Scope()), reader.passages.sparse({"lung": 1.0}, 30, Scope())
    assert [pairs(found) for found in after] == [pairs(found) for found in before]
    assert index.open_index(root).passages.sparse({"lung": 1.0}, 1, Scope()).ids.tolist() == [400]


def test_what_differs_is_told_by_paper(engine: str, tmp_path: Path) -> None:
    root, passages = tmp_path / "index", library(5)
    build(root, engine, passages)
    assert index.differing(root, whole(passages), passages) == set()
    changed = [*passages[3:-1], Entry(passages[-1].id, 5, "another text"), Entry(99, 9, "new")]
    assert index.differing(root, whole(changed), changed) == {1, 5, 9}


def test_an_empty_index_finds_nothing_and_can_grow(engine: str, tmp_path: Path) -> None:
    root = tmp_path / "index"
    build(root, engine, [])
    opened = index.open_index(root)
    assert len(opened.passages.dense(vector("lung"), 5, Scope())) == 0
    assert len(opened.passages.sparse({"lung": 1.0}, 5, Scope())) == 0
    update(root, [1], [Entry(1, 1, "lung"), Entry(2, 1, "?")])
    opened = index.open_index(root)
    assert len(opened.passages.dense(vector("lung"), 5, Scope())) == 2
    assert opened.passages.sparse({"lung": 1.0}, 5, Scope()).ids.tolist() == [1]


KILLED = """
import os, signal, sys
import django
django.setup()
from pathlib import Path
from corpus.index import faiss_engine, milvus_engine, store
from tests.corpus.test_index import build, library, update
root, engine, action, point, calls = Path(sys.argv[1]), *sys.argv[2:5], int(sys.argv[5])
left = calls

def fatal(owner, name):
    real = getattr(owner, name)
    def call(*arguments):
        global left
        result = real(*arguments)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, call)

if hasattr(store, point):
    fatal(store, point)
else:
    for kind in (faiss_engine.FaissEngine, milvus_engine.MilvusEngine):
        fatal(kind, point)
if action == "build":
    build(root, engine, library(8))
else:
    update(root, [2, 60], [e for e in library(61) if e.paper == 60])
sys.exit("it was not killed")
"""


@pytest.mark.parametrize(
    ("point", "calls"),
    [("_embed", 1), ("begin", 1), ("write", 1), ("write", 2), ("_settle", 1), ("replace", 1), ("replace", 2)],
)
@pytest.mark.parametrize("action", ["build", "update"])
def test_a_writer_killed_at_any_point_leaves_a_whole_index_and_the_next_one_clears_up(
    engine: str, tmp_path: Path, action: str, point: str, calls: int
) -> None:
    """After `replace` for the second time the pointer is set: the new index is in use, and only clearing up is left."""
    root, passages = tmp_path / "index", library(5)
    old = build(root, engine, passages)
    reader = index.open_index(root)
    before = pairs(reader.passages.sparse(dict.fromkeys(WORDS, 1.0), 50, Scope()))
    let_go(tmp_path)
    arguments = [str(root), engine, action, point, str(calls)]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=settings.BASE_DIR, capture_output=True)
    assert done.returncode == -9, done.stderr.decode()
    opened = index.open_index(root)
    now = pairs(opened.passages.sparse(dict.fromkeys(WORDS, 1.0), 50, Scope()))
    assert (opened.build == old) == (now == before) == ((point, calls) != ("replace", 2))
    changed = [entry for entry in library(61) if entry.paper == 60]
    update(root, [2, 60], changed)
    update(root, [1, 2, 3], [])
    kept = [entry for entry in library(8 if opened.build != old and action == "build" else 5) if entry.paper > 3]
    opened = index.open_index(root)
    assert set(opened.passages.dense(vector("lung"), 99, Scope()).ids.tolist()) == {e.id for e in [*kept, *changed]}
    assert opened.build.corpus == index.corpus_hash(whole([*kept, *changed]), [*kept, *changed])
    assert len([path for path in root.iterdir() if path.is_dir()]) == 2, "the one in use and the one before it"
    if engine != "faiss":
        from pymilvus import MilvusClient

        assert len(MilvusClient(uri=str(tmp_path / "milvus.db")).list_collections()) == len(PARTS)


def test_another_engine_takes_over_and_the_old_ones_traces_go(engine: str, tmp_path: Path) -> None:
    root = tmp_path / "index"
    build(root, engine, library(3))
    for _ in range(2):
        build(root, "faiss", library(4))
    assert index.open_index(root).build.engine == "faiss"
    if engine != "faiss":
        from pymilvus import MilvusClient

        assert MilvusClient(uri=str(tmp_path / "milvus.db")).list_collections() == []


def test_a_copy_of_the_folder_is_an_index_too(tmp_path: Path) -> None:
    build(tmp_path / "index", "faiss", library(3))
    shutil.move(tmp_path / "index", tmp_path / "elsewhere")
    update(tmp_path / "elsewhere", [3], [])
    assert set(index.open_index(tmp_path / "elsewhere").papers.dense(vector("lung"), 9, Scope()).ids) == {1, 2}
