"""Search: facets first, then dense and BM25 rankings over whole papers and passages, fused, grouped by paper.

    question -> facets (read by corpus.lexicon, or given) -> the papers that fulfil them (SQL, before any ranking)
             -> cosine of MiniLM vectors and BM25, each scaled to 0..1 over the candidates
             -> score = 0.6 * dense + 0.4 * BM25 (convex fusion: Bruch, Gai, Ingber 2023), papers named in it first

Runs in the corpus worker and in commands, never in a web process: it loads FAISS and torch on first use.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from corpus.evidence import doubt
from corpus.index import Field, Found, Index, Scope, current, open_index, tokens
from corpus.lexicon import read_facets
from corpus.models import Label, Paper, Passage
from corpus.names import Names
from corpus.results import Facets, Hit, PassageHit, SearchResult
from corpus.sentences import sentences
from inference.errors import Unavailable
from inference.local_embedder import open_embedder
from inference.types import Embedder, Embedding

__all__ = ["Facets", "Hit", "PassageHit", "SearchResult", "passages", "search", "warm"]

POOL = 1000  # candidates of each ranking
DENSE_WEIGHT = 0.6
PASSAGES_PER_PAPER = 2
FIGURES_WEIGHT = 0.75  # of passages that list data sets and results, where the question does not ask for such
_ASKS_FOR_FIGURES = re.compile(
    r"\b(?:data ?sets?|corpus|backbones?|architectures?|encoders?|trained on|evaluated on|results?|scores?|accuracy|auc"
    r"|dice|iou|bleu|rouge|f1|sensitivity|specificity|metrics?|how (?:much|many|well)|per ?cent|points?|numbers?)\b"
    r"|\d\s*%",
    re.IGNORECASE,
)
NAMED = 0.1  # worth of a sentence that names the method, in cosine: set by eye on twenty questions
QUERY_LIMIT = 2000  # characters; the embedder reads the first 256 word pieces anyway
THREADS = 1  # torch threads of a worker: several workers share the cores


@dataclass(slots=True)
class _Engine:
    """What is kept between searches: the opened index, the embedder, the names of the papers in the index, and which
    passages (by key) list data sets and results."""

    index: Index
    embedder: Embedder
    names: Names
    lists: frozenset[int] = frozenset()
    words: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Asked:
    """A question, read and ranked: scores by paper key and by passage key, and what they rest on."""

    query: str
    engine: _Engine
    named: set[int]
    stated: Facets
    papers: dict[int, float] = field(default_factory=dict)
    passages: dict[int, float] = field(default_factory=dict)
    paper_of: dict[int, int] = field(default_factory=dict)  # passage key: paper key
    cosine: float = 0.0


_lock = threading.Lock()
_engine: _Engine | None = None


def index_folder() -> Path:
    """Where the index lives: `index` in the data folder."""
    return Path(settings.DATA_DIR) / "index"


def warm() -> None:
    """Opens the index and loads the model, so that the first question need not wait. Raises InferenceError."""
    _opened().embedder.embed(["warm"])


def search(
    query: str, facets: Facets | None = None, limit: int = 10, *, read: bool = True, reader: int | None = None
) -> SearchResult:
    """The papers that answer a question, best first.

    `facets` are conditions given by the caller. Those that the question itself states are read too, unless `read` is
    False; `SearchResult.facets` reports only these. All conditions hold before ranking, so `limit` counts papers that
    fulfil them. `reader` is the primary key of the user who asks: their own library is searched too. An empty question
    ranks nothing and gives no result. Raises inference.errors.Unavailable without an index, FAISS or model.
    """
    asked = _ask(query, facets, read, reader)
    if asked is None:
        return SearchResult(answerable=False, reason="The question is empty.")
    hits = _hits(asked, limit)
    vocabulary = asked.engine.words
    reason = doubt(asked.query, asked.stated, len(hits), asked.cosine, bool(asked.named), vocabulary)
    return SearchResult(hits, asked.stated.as_dict(), not reason, reason)


def passages(
    query: str,
    facets: Facets | None = None,
    limit: int = 8,
    *,
    read: bool = True,
    keys: Collection[int] | None = None,
    reader: int | None = None,
) -> list[PassageHit]:
    """The passages that answer a question best, best first, at most two of a paper, with the sentence to quote.

    Facets and errors as in `search`; `keys` restricts the passages to the papers with these primary keys. The results
    and data sets of a paper count as one passage.
    """
    asked = _ask(query, facets, read, reader, keys)
    if asked is None:
        return []
    chosen = _best_passages(asked, limit)
    rows = Passage.objects.select_related("paper").in_bulk([key for key, _ in chosen])
    found = [(rows[key], score) for key, score in chosen if key in rows]
    quotes = _best_sentences(asked, [passage for passage, _ in found])
    return [PassageHit(passage, score, quote) for (passage, score), quote in zip(found, quotes, strict=True)]


def _opened() -> _Engine:
    """The engine of the build in use; a new build is picked up by the next search."""
    global _engine
    with _lock:
        found = current(index_folder())
        if _engine is None or found is None or _engine.index.folder != found[0]:
            index = open_index(index_folder())
            embedder = open_embedder(settings.EMBEDDER, THREADS) if _engine is None else _engine.embedder
            if index.build.embedder != embedder.name:
                raise Unavailable(
                    f"The literature index was built with {index.build.embedder}, but LIGHTBOX_EMBEDDER means "
                    f"{embedder.name}; run manage.py load_corpus."
                )
            _engine = _Engine(index, embedder, Names([]))
        if _engine.names.papers != _engine.index.build.papers:
            _engine.names = Names(
                Paper.objects.values_list("pk", "owner_id", "key", "title", "model_name", "annotation")
            )
            lists = Passage.objects.filter(kind=Passage.Kind.RESULTS).values_list("pk", flat=True)
            _engine.lists = frozenset(lists)
            shared = Paper.objects.filter(owner=None)
            texts = [" ".join(map(str, row)) for row in shared.values_list("title", "model_name", "annotation")]
            texts += Passage.objects.filter(owner=None, current=True).values_list("text", flat=True)
            texts += Label.objects.filter(owner=None).values_list("value", flat=True)
            _engine.words = frozenset(word for text in tokens(texts) for word in text)
        return _engine


def _ask(
    query: str, given: Facets | None, read: bool, reader: int | None, keys: Collection[int] | None = None
) -> _Asked | None:
    """The question read and ranked, or None for an empty one."""
    query = query.strip()[:QUERY_LIMIT]
    if not query:
        return None
    engine = _opened()
    named = engine.names.named_in(query, reader)
    # Who names papers wants these, whatever else the words mean.
    stated = read_facets(query) if read and not named else Facets()
    asked = _Asked(query, engine, named, stated)
    _rank(asked, Scope(reader, _allowed(stated.union(given or Facets()), keys, reader)))
    return asked


def _allowed(conditions: Facets, keys: Collection[int] | None, reader: int | None) -> frozenset[int] | None:
    """Primary keys of the papers that may be found; None for all that the reader may see."""
    if not conditions and keys is None:
        return None
    papers = Paper.objects.visible_to(reader).filter_facets(conditions, reader)
    return frozenset((papers if keys is None else papers.filter(pk__in=keys)).values_list("pk", flat=True))


def _rank(asked: _Asked, scope: Scope) -> None:
    """Fills in the scores. A paper's dense part is the mean of its own and its best passage's."""
    index = asked.engine.index
    vector = asked.engine.embedder.embed([asked.query])[0]
    words = Counter(tokens([asked.query])[0])
    dense_found, sparse_found = _rankings(index.papers, vector, words, scope)
    dense_parts, sparse_parts = _rankings(index.passages, vector, words, scope)
    asked.cosine = float(dense_found.scores[0]) if len(dense_found) else 0.0
    for found in (dense_parts, sparse_parts):
        asked.paper_of |= dict(zip(found.ids.tolist(), found.papers.tolist(), strict=True))
    parts = _scaled(_by_id(dense_parts))
    fused = _fuse(parts, _scaled(_by_id(sparse_parts), lowest=0.0))
    lists = asked.engine.lists if not _ASKS_FOR_FIGURES.search(asked.query) else frozenset[int]()
    asked.passages = {key: score * (FIGURES_WEIGHT if key in lists else 1.0) for key, score in fused.items()}
    best: dict[int, float] = {}
    for passage, score in parts.items():
        paper = asked.paper_of[passage]
        best[paper] = max(score, best.get(paper, 0.0))
    dense = _scaled(_by_id(dense_found))
    sparse = _scaled(_by_id(sparse_found), lowest=0.0)
    both = {paper: (dense.get(paper, 0.0) + best.get(paper, 0.0)) / 2 for paper in dense.keys() | best}
    asked.papers = _fuse(_scaled(both), sparse)


def _rankings(part: Field, vector: Embedding, words: Counter[str], scope: Scope) -> tuple[Found, Found]:
    """The nearest texts by cosine, and the best by BM25."""
    return part.dense(vector, POOL, scope), part.sparse(words, POOL, scope)


def _by_id(found: Found) -> dict[int, float]:
    return dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True))


def _scaled(scores: dict[int, float], lowest: float | None = None) -> dict[int, float]:
    """The scores mapped linearly so that the best is 1 and `lowest` (or the worst) is 0."""
    if not scores:
        return {}
    top = max(scores.values())
    bottom = min(scores.values()) if lowest is None else lowest
    span = top - bottom
    return {key: (score - bottom) / span if span > 0 else 1.0 for key, score in scores.items()}


def _fuse(dense: dict[int, float], sparse: dict[int, float]) -> dict[int, float]:
    """The convex combination; a text that one ranking does not have counts as its worst."""
    return {
        key: DENSE_WEIGHT * dense.get(key, 0.0) + (1 - DENSE_WEIGHT) * sparse.get(key, 0.0)
        for key in dense.keys() | sparse
    }


def _with_named(asked: _Asked) -> dict[int, float]:
    """Scores by paper, raised by one for the papers that the question names: they come first."""
    return {paper: score + (paper in asked.named) for paper, score in asked.papers.items()}


def _hits(asked: _Asked, limit: int) -> list[Hit]:
    scores = _with_named(asked)
    order = sorted(scores, key=lambda paper: (-scores[paper], paper))[:limit]
    keys = dict(Paper.objects.filter(pk__in=order).values_list("pk", "key"))
    best: dict[int, list[int]] = {paper: [] for paper in order}
    for passage in sorted(asked.passages, key=lambda key: (-asked.passages[key], key)):
        paper = asked.paper_of[passage]
        if paper in best and len(best[paper]) < PASSAGES_PER_PAPER:
            best[paper].append(passage)
    return [
        Hit(keys[paper], round(scores[paper], 6), tuple(best[paper]), paper in asked.named, paper)
        for paper in order
        if paper in keys
    ]


def _best_passages(asked: _Asked, limit: int) -> list[tuple[int, float]]:
    """(passage key, score): half the passage's own score, half its paper's, so that both must be about the question."""
    papers = _with_named(asked)
    scores = {
        passage: (score + papers.get(asked.paper_of[passage], 0.0)) / 2 for passage, score in asked.passages.items()
    }
    taken: Counter[int] = Counter()
    chosen: list[tuple[int, float]] = []
    for passage in sorted(scores, key=lambda key: (-scores[key], key)):
        paper = asked.paper_of[passage]
        if taken[paper] < PASSAGES_PER_PAPER and len(chosen) < limit:
            taken[paper] += 1
            chosen.append((passage, round(scores[passage], 6)))
    return chosen


def _best_sentences(asked: _Asked, found: list[Passage]) -> list[str]:
    """Of each passage the sentence nearest to the question by cosine, word for word; one that names the paper's method
    is preferred, as it stands better on its own."""
    cut = [[p.text[start:end] for start, end in sentences(p.text)] or [p.text] for p in found]
    vectors = asked.engine.embedder.embed([asked.query, *(sentence for group in cut for sentence in group)])
    cosines = iter((vectors[1:] @ vectors[0]).tolist())
    best = []
    for passage, group in zip(found, cut, strict=True):
        name = passage.paper.model_name
        scored = [(next(cosines) + NAMED * bool(name and name in sentence), sentence) for sentence in group]
        best.append(max(scored, key=lambda pair: pair[0])[1])
    return best
