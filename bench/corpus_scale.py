"""`python -m bench.corpus_scale [N]`: an index over N passages (1,000,000), and what it costs to build, search, change.

The literature is synthetic (bench/synthetic_literature.py), the questions are the real ones of the development set.
Each phase runs in a process of its own, so that its memory is its own: the first draws the literature, builds, and
works out what an exact search finds; the second opens the index and searches; the third changes it.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bench.synthetic_literature import PASSAGES_PER_PAPER, USERS, Literature, real_questions
from corpus import index
from corpus.index import Found, Scope, tokens

LIMIT = 1000  # as corpus.retrieve asks
BEST = 10  # of recall@10
ROUNDS = 3
CHANGES = 10

Truth = dict[str, list[set[int]]]


def main() -> None:
    count = int(sys.argv[1].replace(",", "").replace("_", "")) if len(sys.argv) > 1 else 1_000_000
    print(f"{count:,} passages, {-(-count // PASSAGES_PER_PAPER):,} papers, real questions", flush=True)
    with tempfile.TemporaryDirectory(prefix="lightbox-scale-") as folder:
        root = Path(folder) / "index"
        truth: Truth = alone(build, root, count)
        alone(search, root, count, truth)
        alone(change, root, count)


def alone(phase: Callable[..., Any], *arguments: Any) -> Any:
    """The phase's result, from a process that does nothing else."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(phase, *arguments).result()


def report(name: str, *values: str) -> None:
    print(f"{name:<44} {'   '.join(values)}", flush=True)


def memory() -> str:
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB at the most"


def scopes(count: int) -> dict[str, Scope]:
    """The searches that are measured."""
    papers = -(-count // PASSAGES_PER_PAPER)
    chosen = np.random.default_rng(1).permutation(papers) + 1
    return {
        "everyone's texts": Scope(),
        "and one user's library": Scope(reader=USERS),
        "1 % of the papers": Scope(reader=1, papers=frozenset(chosen[: max(1, papers // 100)].tolist())),
        "10 papers": Scope(reader=1, papers=frozenset(chosen[:10].tolist())),
        "60 % of the papers": Scope(reader=1, papers=frozenset(chosen[: papers * 6 // 10].tolist())),
    }


def build(root: Path, count: int) -> Truth:
    begun = time.perf_counter()
    literature = Literature(count)
    report("drawing the literature", f"{time.perf_counter() - begun:.0f} s", memory())
    begun = time.perf_counter()
    index.build(root, literature.papers, literature.passages, literature)
    report("build", f"{time.perf_counter() - begun:.0f} s", f"{memory()}, the texts and vectors included")
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    report("on disk", f"{size / 1e9:.2f} GB")
    return exact(literature, scopes(count))


def exact(literature: Literature, asked: dict[str, Scope]) -> Truth:
    """By search and question: the ids of the ten nearest passages in scope, by computing all cosines."""
    _, questions = real_questions()
    cosines = questions @ literature.vectors[: len(literature.passages)].T
    truth: Truth = {}
    for name, scope in asked.items():
        allowed = np.isin(literature.owner_of, scope.owners)
        if scope.papers is not None:
            allowed &= np.isin(literature.paper_of, list(scope.papers))
        places = np.flatnonzero(allowed)
        best = np.argsort(-cosines[:, places], axis=1)[:, :BEST]
        truth[name] = [set((places[row] + 1).tolist()) for row in best]
    return truth


def search(root: Path, count: int, truth: Truth) -> None:
    questions, vectors = real_questions()
    words = [Counter(found) for found in tokens(questions)]
    begun = time.perf_counter()
    passages = index.open_index(root).passages
    report("open", f"{(time.perf_counter() - begun) * 1000:.0f} ms")
    begun = time.perf_counter()
    passages.dense(vectors[0], LIMIT, Scope())
    passages.sparse(words[0], LIMIT, Scope())
    report("first search after that", f"{(time.perf_counter() - begun) * 1000:.0f} ms")
    for name, scope in scopes(count).items():
        dense = [[timed(passages.dense, vector, LIMIT, scope) for vector in vectors] for _ in range(ROUNDS)]
        pairs = zip(dense[0], truth[name], strict=True)
        recall = [len(set(found.ids[:BEST].tolist()) & best) / len(best) for (_, found), best in pairs if best]
        took = percentiles([seconds for row in dense for seconds, _ in row])
        report(f"dense, {name}", took, f"recall@10 {np.mean(recall):.4f}")
    for name, scope in scopes(count).items():
        first = percentiles([timed(passages.sparse, asked, LIMIT, scope)[0] for asked in words])
        again = [timed(passages.sparse, asked, LIMIT, scope)[0] for _ in range(ROUNDS) for asked in words]
        report(f"sparse, {name}", percentiles(again), f"asked first: {first}")
    report("memory of the process that searches", memory())


def timed(ask: Callable[..., Found], *arguments: Any) -> tuple[float, Found]:
    begun = time.perf_counter()
    found = ask(*arguments)
    return time.perf_counter() - begun, found


def percentiles(seconds: list[float]) -> str:
    p50, p95 = np.percentile(np.array(seconds) * 1000, [50, 95])
    return f"p50 {p50:6.1f} ms  p95 {p95:6.1f} ms"


def change(root: Path, count: int) -> None:
    literature = Literature(20 * PASSAGES_PER_PAPER)  # somebody's vectors and words for the papers that come and go
    times: dict[str, list[float]] = {"add one paper": [], "reopen": [], "delete one paper": []}
    papers, passages = literature.another_paper()
    key = 10**9
    shifted = [[index.Entry(e.id + key, key, e.text) for e in entries] for entries in (papers, passages)]
    for _ in range(CHANGES):
        begun = time.perf_counter()
        index.update(root, [key], shifted[0], shifted[1], literature)
        times["add one paper"].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        index.open_index(root)
        times["reopen"].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        index.update(root, [key], [], [], literature)
        times["delete one paper"].append(time.perf_counter() - begun)
    for name, seconds in times.items():
        report(f"{name} ({PASSAGES_PER_PAPER} passages)" if name != "reopen" else name, percentiles(seconds))
    report("memory of the process that changes it", memory())


if __name__ == "__main__":
    main()
