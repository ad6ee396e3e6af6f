"""What searches keep between one another: the opened index, the embedder, and what is known of names and words.

One engine for a process, made by the first search and renewed when another build is in use. For the corpus worker and
for commands; it loads FAISS and torch.
"""

from __future__ import annotations

import difflib
import threading
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from corpus.index import Index, Scope, current, open_index, tokens
from corpus.models import Label, Paper, Passage
from corpus.names import Names
from corpus.remembered import SHIPPED, Remembering
from corpus.thesaurus import notions
from inference.errors import Unavailable
from inference.local_embedder import open_embedder
from inference.reranker import CrossEncoderReranker
from inference.types import Embedder, Embedding

THREADS = 1  # torch threads of a worker: several workers share the cores
_SHORTEST_SLIP = 6  # letters of a stem whose misspelling can be told from another word
_ALIKE = 0.84


@dataclass(slots=True)
class Engine:
    """`notions` (N, D) are the vectors of the thesaurus, in its order; `lists` the passages that list data and results;
    `words` the stems of everyone's texts: what is private must not show in what is spelt or said to be absent."""

    index: Index
    embedder: Embedder
    notions: Embedding
    reranker: CrossEncoderReranker | None = None
    names: Names = field(default_factory=lambda: Names([]))
    lists: frozenset[int] = frozenset()
    words: frozenset[str] = frozenset()
    _spelt: dict[str, str] = field(default_factory=dict)

    def occurs(self, stem: str, scope: Scope) -> bool:
        """True when a text that the reader may see contains this stem."""
        if stem in self.words:
            return True
        within = Scope(scope.reader)
        return self.index.papers.occurs(stem, within) or self.index.passages.occurs(stem, within)

    def spelt(self, stem: str, scope: Scope) -> str:
        """The stem, or the one in everyone's texts of which it is a slip of the keyboard ("modalit" for "modal")."""
        if len(stem) < _SHORTEST_SLIP or self.occurs(stem, scope):
            return stem
        if stem not in self._spelt:
            alike = [word for word in self.words if word[:1] == stem[:1] and abs(len(word) - len(stem)) <= 2]
            swapped = [word for word in alike if sorted(word) == sorted(stem)]  # letters in another order: "exmaple"
            near = swapped or difflib.get_close_matches(stem, alike, n=1, cutoff=_ALIKE)
            self._spelt[stem] = near[0] if near else stem
        return self._spelt[stem]


_lock = threading.Lock()
_engine: Engine | None = None


def index_folder() -> Path:
    """Where the index lives: `index` in the data folder."""
    return Path(settings.DATA_DIR) / "index"


def opened() -> Engine:
    """The engine of the build in use; a new build is picked up by the next search. Raises Unavailable."""
    global _engine
    with _lock:
        found = current(index_folder())
        if _engine is None or found is None or _engine.index.build.version != found[1].version:
            _engine = _open(_engine)
        return _engine


def _open(before: Engine | None) -> Engine:
    index = open_index(index_folder())
    embedder = open_embedder(settings.EMBEDDER, THREADS) if before is None else before.embedder
    if index.build.embedder != embedder.name:
        raise Unavailable(
            f"The literature index was built with {index.build.embedder}, but LIGHTBOX_EMBEDDER means "
            f"{embedder.name}; run manage.py load_corpus."
        )
    vectors = Remembering(embedder, SHIPPED).embed([n.text for n in notions()]) if before is None else before.notions
    reranker = CrossEncoderReranker(Path(settings.RERANKER)) if settings.RERANKER else None
    rows = Paper.objects.values_list("pk", "owner_id", "key", "title", "model_name", "annotation")
    lists = Passage.objects.filter(kind=Passage.Kind.RESULTS).values_list("pk", flat=True)
    return Engine(index, embedder, vectors, reranker, Names(rows), frozenset(lists), _everyones_words())


def _everyones_words() -> frozenset[str]:
    shared = Paper.objects.filter(owner=None)
    texts = [" ".join(map(str, row)) for row in shared.values_list("title", "model_name", "annotation", "abstract")]
    texts += [" ".join(asked) for asked in shared.values_list("asked", flat=True)]
    texts += Passage.objects.filter(owner=None, current=True).values_list("text", flat=True)
    texts += Label.objects.filter(owner=None).values_list("value", flat=True)
    return frozenset(word for text in tokens(texts) for word in text)
