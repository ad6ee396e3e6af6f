"""How good is a search on questions with judged answers? Measures, intervals, and the stages they are measured at.

A questions file holds one JSON object a line: {"id", "kind", "query", "relevant": {citation key: grade}, "facets"}.
Kinds are topical, facet, known-item, comparison and unanswerable; a grade is 2 (squarely about it) or 1 (partly).
"""

from __future__ import annotations

import json
import math
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from corpus.results import SearchResult

SEARCH = "search: facets, names, ranking"
FACETS_EXACT = "facets read exactly"
NO_FACETS = "no facet read where none is stated"
REFUSED = "refused, having no answer"
WRONGLY_REFUSED = "refused, having an answer"
KINDS = ("topical", "facet", "known-item", "comparison", "unanswerable")
DEPTH = 10
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its judged answers and the conditions that it states (as in `Facets.as_dict`)."""

    id: str
    kind: str
    query: str
    relevant: Mapping[str, int]
    facets: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Measure:
    """A mean with its 95 % interval over `count` questions."""

    mean: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def read_questions(path: Path) -> list[Question]:
    """The questions of a file. Raises ValueError naming the line that is none, OSError where there is no file."""
    questions = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            question = Question(
                str(data["id"]), data["kind"], str(data["query"]), dict(data["relevant"]), dict(data["facets"])
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path.name}, line {number}: not a question with id, kind, query, relevant, facets"
            ) from error
        if question.kind not in KINDS:
            raise ValueError(f"{path.name}, line {number}: the kind {question.kind!r} is none of {', '.join(KINDS)}")
        questions.append(question)
    return questions


def ndcg(keys: Sequence[str], relevant: Mapping[str, int], depth: int = DEPTH) -> float:
    """Normalised discounted cumulative gain at `depth`, 0 to 1, with the gain 2^grade - 1 (Burges et al. 2005).

    Raises ZeroDivisionError where nothing is relevant: the measure does not exist there.
    """
    gains = [2.0 ** relevant.get(key, 0) - 1 for key in keys[:depth]]
    best = sorted((2.0**grade - 1 for grade in relevant.values()), reverse=True)[:depth]
    return _discounted(gains) / _discounted(best)


def _discounted(gains: Iterable[float]) -> float:
    return sum(gain / math.log2(place + 2) for place, gain in enumerate(gains))


def measure(values: Sequence[float]) -> Measure:
    """The mean with a percentile bootstrap interval (Efron 1979), the same at every run."""
    draw = random.Random(0)  # noqa: S311 - resampling, no secret
    means = sorted(statistics.fmean(draw.choices(values, k=len(values))) for _ in range(RESAMPLES))
    low, high = means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]
    return Measure(statistics.fmean(values), low, high, len(values))


def same_facets(read: Mapping[str, Any], stated: Mapping[str, Any]) -> bool:
    """True when the same conditions are stated; the order of labels does not count."""
    return _plain(read) == _plain(stated)


def _plain(facets: Mapping[str, Any]) -> dict[str, Any]:
    return {name: sorted(value) if isinstance(value, list | tuple) else value for name, value in facets.items()}


def by_kind(
    questions: Iterable[Question], rank: Callable[[Question], Sequence[str]]
) -> tuple[dict[str, Measure], list[float]]:
    """nDCG per kind, of the questions that have an answer; and how long each took, in seconds."""
    values: dict[str, list[float]] = {}
    times = []
    for question in questions:
        begun = time.perf_counter()
        keys = rank(question)
        times.append(time.perf_counter() - begun)
        if question.relevant:
            values.setdefault(question.kind, []).append(ndcg(keys, question.relevant))
    return {kind: measure(values[kind]) for kind in KINDS if kind in values}, times


@dataclass(frozen=True, slots=True)
class Report:
    """What `evaluate` found. `stages`: {stage: {kind: nDCG@10}}; `shares`: {what: its share}, of facets read exactly
    and of questions refused; `seconds`: {stage: (p50, p95)} a question."""

    questions: int
    stages: dict[str, dict[str, Measure]]
    shares: dict[str, Measure]
    seconds: dict[str, tuple[float, float]]

    def as_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return asdict(self)


def evaluate(questions: Sequence[Question]) -> Report:
    """Runs the search on all questions, and plainer searches beside it. Raises inference.errors.Unavailable."""
    from corpus import baselines, retrieve

    retrieve.warm()
    answers: dict[str, SearchResult] = {}

    def full(question: Question) -> list[str]:
        answers[question.id] = retrieve.search(question.query, limit=DEPTH)
        return [hit.key for hit in answers[question.id].results]

    stages, seconds = {}, {}
    for stage, rank in {**baselines.stages(), SEARCH: full}.items():
        stages[stage], times = by_kind(questions, rank)
        seconds[stage] = (quantile(times, 0.5), quantile(times, 0.95))
    return Report(len(questions), stages, _shares(questions, answers), seconds)


def _shares(questions: Sequence[Question], answers: Mapping[str, SearchResult]) -> dict[str, Measure]:
    """How often facets were read as stated, and how often what has an answer, or has none, was refused."""
    exact = [same_facets(answers[q.id].facets, q.facets) for q in questions if q.kind == "facet"]
    free = [not answers[q.id].facets for q in questions if q.kind != "facet"]
    without = [not answers[q.id].answerable for q in questions if not q.relevant]
    answerable = [not answers[q.id].answerable for q in questions if q.relevant]
    named = {FACETS_EXACT: exact, NO_FACETS: free, REFUSED: without, WRONGLY_REFUSED: answerable}
    return {what: measure(values) for what, values in named.items() if values}


def quantile(times: Sequence[float], share: float) -> float:
    """The value below which this share of the times lies (nearest rank)."""
    return sorted(times)[max(math.ceil(share * len(times)) - 1, 0)]
