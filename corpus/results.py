"""What a search is asked and what it answers. Plain values with no heavy import: both sides of the queue use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corpus.models import Passage

# The name of a facet in JSON (plural, as in the seed corpus) and of the Label rows behind it.
LABEL_FACETS = {
    "tasks": "task",
    "learning_strategies": "learning_strategy",
    "techniques": "technique",
    "modalities": "modality",
    "dimensions": "dimension",
    "anatomy": "anatomy",
}


@dataclass(frozen=True, slots=True)
class Facets:
    """Conditions on papers. Every stated value must hold; years are inclusive; labels match exactly."""

    tasks: tuple[str, ...] = ()
    learning_strategies: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    anatomy: tuple[str, ...] = ()
    year_min: int | None = None
    year_max: int | None = None

    def __bool__(self) -> bool:
        return bool(self.as_dict())

    def labels(self) -> dict[str, tuple[str, ...]]:
        """{facet of Label: stated values}, without the facets about which nothing is stated."""
        return {facet: getattr(self, name) for name, facet in LABEL_FACETS.items() if getattr(self, name)}

    def as_dict(self) -> dict[str, Any]:
        """JSON, as in the batch contract: {"tasks": ["vqa"], "year_min": 2024}; what is not stated is absent."""
        stated: dict[str, Any] = {name: list(getattr(self, name)) for name in LABEL_FACETS if getattr(self, name)}
        years = {"year_min": self.year_min, "year_max": self.year_max}
        return stated | {name: year for name, year in years.items() if year is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Facets:
        """The inverse of `as_dict`. Raises TypeError on a facet that there is not."""
        values: dict[str, Any] = {name: tuple(v) if name in LABEL_FACETS else v for name, v in data.items()}
        return cls(**values)

    def union(self, other: Facets) -> Facets:
        """Both conditions together: the labels of either, the narrower years."""
        lists = {name: tuple(dict.fromkeys([*getattr(self, name), *getattr(other, name)])) for name in LABEL_FACETS}
        lowest = [year for year in (self.year_min, other.year_min) if year is not None]
        highest = [year for year in (self.year_max, other.year_max) if year is not None]
        return Facets(**lists, year_min=max(lowest, default=None), year_max=min(highest, default=None))


@dataclass(frozen=True, slots=True)
class Hit:
    """One paper of a result. `score` orders hits of one search and means nothing across searches.

    `passage_ids` are its best passages, best first. `named` is True when the question names this paper or its method.
    `pk` tells papers of several libraries apart that have the same citation key.
    """

    key: str
    score: float
    passage_ids: tuple[int, ...] = ()
    named: bool = False
    pk: int = 0


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first; the facets that were read in the question; whether the collection can answer at all.

    `answerable` comes from simple rules over the evidence (`corpus.retrieve`), and `reason` says in one sentence which
    rule spoke when it is False. `rest` is what the facets leave of the question's words, empty where none were read.
    """

    results: list[Hit] = field(default_factory=list)
    facets: dict[str, Any] = field(default_factory=dict)
    answerable: bool = True
    reason: str = ""
    rest: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON types only; `from_dict` reads it back."""
        hits = [
            {
                "key": hit.key,
                "score": hit.score,
                "passage_ids": list(hit.passage_ids),
                "named": hit.named,
                "pk": hit.pk,
            }
            for hit in self.results
        ]
        return {"results": hits, "facets": self.facets, "answerable": self.answerable, "reason": self.reason} | {
            "rest": self.rest
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SearchResult:
        """The inverse of `as_dict`. Raises KeyError or TypeError on anything else."""
        hits = [Hit(**{**hit, "passage_ids": tuple(hit["passage_ids"])}) for hit in data["results"]]
        return cls(hits, dict(data["facets"]), bool(data["answerable"]), str(data["reason"]), str(data["rest"]))


@dataclass(frozen=True, slots=True)
class PassageHit:
    """A passage with its score, and the sentence of it that is nearest to the question (for an extractive quote).

    `best_sentence` stands in `passage.text` word for word.
    """

    passage: Passage
    score: float
    best_sentence: str
