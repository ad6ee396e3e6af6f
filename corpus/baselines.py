"""Plainer searches over the same papers, for comparison: what each part of the real one is worth.

For commands and tests only; none of this runs when a user searches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from corpus.engine import opened
from corpus.index import Scope, tokens
from corpus.models import Paper
from corpus.ranking import WEIGHTS, rank, scaled, understand
from corpus.reload import entries

if TYPE_CHECKING:
    from corpus.evaluation import Question

DEPTH = 10
DENSE_SHARE = 0.6  # of the plain fusion
EVERYONE = Scope()


def stages() -> dict[str, Callable[[Question], Sequence[str]]]:
    """{stage: the citation keys that it ranks first}, from plain BM25 to the ranking without facets and names."""
    import bm25s

    engine = opened()
    keys = dict(Paper.objects.filter(owner=None).values_list("pk", "key"))
    papers = [entry for entry in entries().papers if entry.id in keys]
    plain = bm25s.BM25()
    plain.index(tokens([entry.text for entry in papers]), show_progress=False)

    def sparse(question: Question) -> dict[int, float]:
        words = [word for word in tokens([question.query])[0] if word in plain.vocab_dict]
        scores = plain.get_scores(words) if words else np.zeros(len(papers), np.float32)
        return {entry.id: float(score) for entry, score in zip(papers, scores, strict=True)}

    def dense(question: Question) -> dict[int, float]:
        found = engine.index.papers.dense(engine.embedder.embed([question.query])[0], len(papers), EVERYONE)
        return dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True))

    def fused(question: Question) -> dict[int, float]:
        near, said = scaled(dense(question)), scaled(sparse(question), lowest=0.0)
        return {key: DENSE_SHARE * near.get(key, 0.0) + (1 - DENSE_SHARE) * said[key] for key in said}

    def ranked(*parts: str) -> Callable[[Question], dict[int, float]]:
        weights = {part: weight for part, weight in WEIGHTS.items() if part in parts}
        return lambda question: rank(engine, understand(engine, question.query, EVERYONE), EVERYONE, weights).papers

    scorers = {
        "plain BM25 (bm25s)": sparse,
        "plain dense (MiniLM)": dense,
        "both, convex": fused,
        "+ passages, words of questions": ranked("whole", "passages", "words"),
        "+ thesaurus": ranked("whole", "passages", "words", "notions"),
        "+ questions by meaning": ranked(*WEIGHTS),
    }

    def best(scorer: Callable[[Question], dict[int, float]]) -> Callable[[Question], list[str]]:
        def of(question: Question) -> list[str]:
            scores = scorer(question)
            return [keys[paper] for paper in sorted(scores, key=lambda paper: (-scores[paper], paper))[:DEPTH]]

        return of

    return {name: best(scorer) for name, scorer in scorers.items()}
