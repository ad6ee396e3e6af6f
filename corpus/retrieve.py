"""Search: facets first, then ranking within them (`corpus.ranking`), then the question whether it can be answered.

    question -> facets (read by corpus.lexicon, or given) -> the papers that fulfil them (SQL, before any ranking)
             -> scores of papers and passages; papers that the question names come first
             -> optionally the best read again by a cross-encoder (LIGHTBOX_RERANK)
             -> doubt, from the texts that would have to answer (`corpus.evidence`)

Runs in the corpus worker and in commands, never in a web process: it loads FAISS and torch on first use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from corpus.engine import Engine, index_folder, opened
from corpus.evidence import Found, doubt
from corpus.index import Scope
from corpus.lexicon import Reading
from corpus.lexicon import read as read_question
from corpus.models import Label, Paper, Passage
from corpus.ranking import Question, Ranking, rank, scaled, understand
from corpus.results import Facets, Hit, PassageHit, SearchResult
from corpus.sentences import sentences

__all__ = ["Facets", "Hit", "PassageHit", "SearchResult", "index_folder", "passages", "search", "warm"]

PASSAGES_PER_PAPER = 2
NAMED = 0.1  # worth of a sentence that names the method, in cosine: set by eye on twenty questions
QUERY_LIMIT = 2000  # characters; the embedder reads the first 256 word pieces anyway
JUDGED = 5  # papers whose texts are searched for the words of the question
TEXTS_OF_NAMED = 400  # passages of a named paper that are looked through
RERANKED = 30  # papers that a cross-encoder reads, when one is set


@dataclass(slots=True)
class _Asked:
    """A question, read and ranked. `named` are the papers that it names, with the words by which it does."""

    engine: Engine
    scope: Scope
    question: Question
    named: dict[int, str]
    reading: Reading
    ranking: Ranking = field(default_factory=Ranking)


def warm() -> None:
    """Opens the index and loads the model, so that the first question need not wait. Raises InferenceError."""
    opened().embedder.embed(["warm"])


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
    reason = _doubt(asked)
    facets = asked.reading.facets
    return SearchResult(
        _hits(asked, limit), facets.as_dict(), not reason, reason, rest=asked.reading.rest if facets else ""
    )


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


def _ask(
    query: str, given: Facets | None, read: bool, reader: int | None, keys: Collection[int] | None = None
) -> _Asked | None:
    """The question read and ranked, or None for an empty one."""
    query = query.strip()[:QUERY_LIMIT]
    if not query:
        return None
    engine = opened()
    named = engine.names.written_in(query, reader)
    # Who names papers wants these, whatever else the words mean.
    reading = read_question(query) if read and not named else Reading(rest=query)
    scope = Scope(reader, _allowed(reading.facets.union(given or Facets()), keys, reader))
    asked = _Asked(engine, scope, understand(engine, query, scope), named, reading)
    asked.ranking = rank(engine, asked.question, scope)
    for paper in named.keys() & asked.ranking.papers.keys():
        asked.ranking.papers[paper] += 1  # they come first
    if engine.reranker is not None:
        _rerank(asked)
    return asked


def _rerank(asked: _Asked) -> None:
    """Orders the best papers by what a cross-encoder makes of their texts; the named ones stay in front."""
    assert asked.engine.reranker is not None
    scores = asked.ranking.papers
    best = sorted(scores, key=lambda paper: (-scores[paper], paper))[:RERANKED]
    papers = Paper.objects.in_bulk(best)
    best = [paper for paper in best if paper in papers]
    texts = [f"{papers[paper].title}. {papers[paper].annotation or papers[paper].abstract}" for paper in best]
    read = scaled(dict(zip(best, asked.engine.reranker.score(asked.question.text, texts).tolist(), strict=True)))
    # Above all that was not read: no sum of the weights is over 1.
    asked.ranking.papers |= {paper: 1 + score + (paper in asked.named) for paper, score in read.items()}


def _doubt(asked: _Asked) -> str:
    """Why the question cannot be answered from what it found, or an empty string."""
    scores = asked.ranking.papers
    named = [paper for paper in scores if paper in asked.named]
    best = named or sorted(scores, key=lambda paper: (-scores[paper], paper))[:JUDGED]
    papers = Paper.objects.in_bulk(best)
    names = " ".join(f"{papers[pk].title} {papers[pk].model_name} {papers[pk].key} {asked.named[pk]}" for pk in named)
    found = Found(
        papers=len(scores),
        nearest=asked.ranking.nearest,
        named=len(named),
        names=names,
        texts=_texts(asked, [papers[paper] for paper in best if paper in papers]),
        occurs=lambda stem: asked.engine.occurs(stem, asked.scope),
    )
    return doubt(asked.question, asked.reading.facets, found)


def _texts(asked: _Asked, papers: list[Paper]) -> list[str]:
    """Of each paper everything that the reader may read of it."""
    passages = Passage.objects.visible_to(asked.scope.reader).filter(current=True, paper__in=papers)
    of_paper: dict[int, list[str]] = {}
    for paper, text in passages.values_list("paper_id", "text")[: TEXTS_OF_NAMED * len(papers)]:
        of_paper.setdefault(paper, []).append(text)
    labels = dict.fromkeys((paper.pk for paper in papers), "")
    for pk, value in Label.objects.standing(asked.scope.reader).filter(paper__in=papers).values_list("paper", "value"):
        labels[pk] += f" {value.replace('-', ' ')}"
    return [
        " ".join([paper.title, paper.model_name, *of_paper.get(paper.pk, []), *paper.asked, labels[paper.pk]])
        for paper in papers
    ]


def _allowed(conditions: Facets, keys: Collection[int] | None, reader: int | None) -> frozenset[int] | None:
    """Primary keys of the papers that may be found; None for all that the reader may see."""
    if not conditions and keys is None:
        return None
    papers = Paper.objects.visible_to(reader).filter_facets(conditions, reader)
    return frozenset((papers if keys is None else papers.filter(pk__in=keys)).values_list("pk", flat=True))


def _hits(asked: _Asked, limit: int) -> list[Hit]:
    scores = asked.ranking.papers
    order = sorted(scores, key=lambda paper: (-scores[paper], paper))[:limit]
    keys = dict(Paper.objects.filter(pk__in=order).values_list("pk", "key"))
    best: dict[int, list[int]] = {paper: [] for paper in order}
    for passage in sorted(asked.ranking.passages, key=lambda key: (-asked.ranking.passages[key], key)):
        paper = asked.ranking.paper_of[passage]
        if paper in best and len(best[paper]) < PASSAGES_PER_PAPER:
            best[paper].append(passage)
    return [
        Hit(keys[paper], round(scores[paper], 6), tuple(best[paper]), paper in asked.named, paper)
        for paper in order
        if paper in keys
    ]


def _best_passages(asked: _Asked, limit: int) -> list[tuple[int, float]]:
    """(passage key, score): half the passage's own score, half its paper's, so that both must be about the question."""
    papers = asked.ranking.papers
    scores = {
        passage: (score + papers.get(asked.ranking.paper_of[passage], 0.0)) / 2
        for passage, score in asked.ranking.passages.items()
    }
    taken: Counter[int] = Counter()
    chosen: list[tuple[int, float]] = []
    for passage in sorted(scores, key=lambda key: (-scores[key], key)):
        paper = asked.ranking.paper_of[passage]
        if taken[paper] < PASSAGES_PER_PAPER and len(chosen) < limit:
            taken[paper] += 1
            chosen.append((passage, round(scores[passage], 6)))
    return chosen


def _best_sentences(asked: _Asked, found: list[Passage]) -> list[str]:
    """Of each passage the sentence nearest to the question by cosine, word for word; one that names the paper's method
    is preferred, as it stands better on its own."""
    cut = [[p.text[start:end] for start, end in sentences(p.text)] or [p.text] for p in found]
    vectors = asked.engine.embedder.embed([asked.question.text, *(sentence for group in cut for sentence in group)])
    cosines = iter((vectors[1:] @ vectors[0]).tolist())
    best = []
    for passage, group in zip(found, cut, strict=True):
        name = passage.paper.model_name
        scored = [(next(cosines) + NAMED * bool(name and name in sentence), sentence) for sentence in group]
        best.append(max(scored, key=lambda pair: pair[0])[1])
    return best
