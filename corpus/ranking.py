"""From a question to scores: what it says is compared with papers, passages and questions asked before, five ways.

    whole     cosine of the question with a paper's text as a whole
    passages  cosine with the nearest passage of the paper
    asked     mean cosine with the three nearest of the questions that the paper answers (document expansion)
    words     BM25 of the question's words, slips of the keyboard mended
    notions   BM25 of the notions and labels that the question names or is near to (query expansion by the thesaurus)

Each is scaled to 0..1 over the candidates; a paper's score is their weighted sum (convex fusion: Bruch, Gai, Ingber
2023). Everything happens within a scope: who asks, and which papers fulfil the conditions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from corpus.engine import Engine
from corpus.index import Found, Scope, tokens
from corpus.lexicon import labels_named
from corpus.thesaurus import named_in, notions
from inference.types import Embedding

# Found by random search on 109 topical questions of three authors, then rounded: the plateau is wide.
WEIGHTS: Mapping[str, float] = {"whole": 0.1, "passages": 0.1, "asked": 0.2, "words": 0.25, "notions": 0.35}
POOL = 1000  # candidates of each ranking
ASKED_POOL = 4000
NEAREST_ASKED = 3
NEAR_NOTIONS = 6
LOWEST_NOTION = 0.4  # cosine below which a notion is not what the question means
LABEL_WEIGHT = 0.5
DENSE_WEIGHT = 0.6  # of passages
FIGURES_WEIGHT = 0.75  # of passages that list data sets and results, where the question does not ask for such
_ASKS_FOR_FIGURES = re.compile(
    r"\b(?:data ?sets?|corpus|backbones?|architectures?|encoders?|trained on|evaluated on|results?|scores?|accuracy|auc"
    r"|dice|iou|bleu|rouge|f1|sensitivity|specificity|metrics?|how (?:much|many|well)|per ?cent|points?|numbers?)\b"
    r"|\d\s*%",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question as the index is asked it: its vector (D,), and stems and notions with their weights.

    `mended` maps stems that are slips of the keyboard to what was meant. `named` says which words of the question (as
    written) name which notions.
    """

    text: str
    vector: Embedding
    words: Mapping[str, float]
    notions: Mapping[str, float]
    mended: Mapping[str, str]
    named: Mapping[str, frozenset[str]]


@dataclass(slots=True)
class Ranking:
    """Scores by the primary keys of papers and of passages. `nearest` is the best cosine with anything."""

    papers: dict[int, float] = field(default_factory=dict)
    passages: dict[int, float] = field(default_factory=dict)
    paper_of: dict[int, int] = field(default_factory=dict)  # passage key: paper key
    nearest: float = 0.0


def understand(engine: Engine, text: str, scope: Scope) -> Question:
    """Reads a question for the index."""
    vector = engine.embedder.embed([text])[0]
    stems = tokens([text])[0]
    mended = {stem: engine.spelt(stem, scope) for stem in stems}
    words = Counter(mended[stem] for stem in stems)
    named = named_in(text)
    expanded = {f"{facet}:{value}": LABEL_WEIGHT for facet, value in labels_named(text)}
    expanded |= _near(engine, vector) | dict.fromkeys(frozenset().union(*named.values()), 1.0)
    return Question(text, vector, {word: float(times) for word, times in words.items()}, expanded, mended, named)


def _near(engine: Engine, vector: Embedding) -> dict[str, float]:
    """The notions nearest in meaning, as index words; from 0.2 at the lowest cosine to 1 at a cosine of 1."""
    cosines = engine.notions @ vector
    best = np.argsort(-cosines)[:NEAR_NOTIONS]
    margin = 1.25 * (1 - LOWEST_NOTION)
    return {
        notions()[at].word: float((cosines[at] - 1 + margin) / margin) for at in best if cosines[at] >= LOWEST_NOTION
    }


def rank(engine: Engine, question: Question, scope: Scope, weights: Mapping[str, float] = WEIGHTS) -> Ranking:
    """Scores everything in scope that any of the five ways finds."""
    index = engine.index
    whole = index.papers.dense(question.vector, POOL, scope)
    parts = index.passages.dense(question.vector, POOL, scope)
    asked = index.asked.dense(question.vector, ASKED_POOL, scope)
    words = index.papers.sparse(question.words, POOL, scope)
    in_parts = index.passages.sparse(question.words, POOL, scope)
    expanded = index.papers.sparse(question.notions, POOL, scope)
    parts_scaled = scaled(_by_id(parts))
    paper_of = {
        passage: paper
        for found in (parts, in_parts)
        for passage, paper in zip(found.ids.tolist(), found.papers.tolist(), strict=True)
    }
    evidence = {
        "whole": scaled(_by_id(whole)),
        "passages": _best(parts_scaled, paper_of),
        "asked": scaled(_mean_of_nearest(asked)),
        "words": scaled(_by_id(words), lowest=0.0),
        "notions": scaled(_by_id(expanded), lowest=0.0),
    }
    best = max((float(found.scores[0]) for found in (whole, parts, asked) if len(found)), default=0.0)
    passages = _passages(engine, question, parts_scaled, scaled(_by_id(in_parts), lowest=0.0))
    return Ranking(_weighed(evidence, weights), passages, paper_of, best)


def _weighed(evidence: dict[str, dict[int, float]], weights: Mapping[str, float]) -> dict[int, float]:
    """The weighted sum. A paper of which no question is known counts there as it does by its own texts."""
    asked = evidence["asked"]
    for paper in evidence["whole"].keys() | evidence["passages"].keys():
        if paper not in asked:
            asked[paper] = (evidence["whole"].get(paper, 0.0) + evidence["passages"].get(paper, 0.0)) / 2
    papers = set().union(*(scores.keys() for scores in evidence.values()))
    return {paper: sum(weight * evidence[name].get(paper, 0.0) for name, weight in weights.items()) for paper in papers}


def _passages(
    engine: Engine, question: Question, dense: dict[int, float], sparse: dict[int, float]
) -> dict[int, float]:
    fused = {
        key: DENSE_WEIGHT * dense.get(key, 0.0) + (1 - DENSE_WEIGHT) * sparse.get(key, 0.0)
        for key in dense.keys() | sparse
    }
    if _ASKS_FOR_FIGURES.search(question.text):
        return fused
    return {key: score * (FIGURES_WEIGHT if key in engine.lists else 1.0) for key, score in fused.items()}


def _mean_of_nearest(asked: Found) -> dict[int, float]:
    """{paper: mean cosine of its three nearest questions}; in place of a missing one stands the last candidate's."""
    of_paper: dict[int, list[float]] = {}
    for paper, score in zip(asked.papers.tolist(), asked.scores.tolist(), strict=True):
        of_paper.setdefault(paper, []).append(score)
    last = float(asked.scores[-1]) if len(asked) else 0.0
    return {
        paper: sum((scores + [last] * NEAREST_ASKED)[:NEAREST_ASKED]) / NEAREST_ASKED
        for paper, scores in of_paper.items()
    }


def _best(passages: dict[int, float], paper_of: dict[int, int]) -> dict[int, float]:
    best: dict[int, float] = {}
    for passage, score in passages.items():
        best[paper_of[passage]] = max(score, best.get(paper_of[passage], 0.0))
    return best


def _by_id(found: Found) -> dict[int, float]:
    return dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True))


def scaled(scores: dict[int, float], lowest: float | None = None) -> dict[int, float]:
    """The scores mapped linearly so that the best is 1 and `lowest` (or the worst) is 0."""
    if not scores:
        return {}
    top = max(scores.values())
    bottom = min(scores.values()) if lowest is None else lowest
    span = top - bottom
    return {key: (score - bottom) / span if span > 0 else 1.0 for key, score in scores.items()}
