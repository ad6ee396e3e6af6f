"""The index on a Milvus server, for users who outgrow one machine; or in a Milvus Lite file, for trying it out.

The vectors and the postings lie in Milvus, one collection for each part of a build made from nothing. The build's
folder holds only a few small files, which every host that searches or writes must see (a shared folder): the manifest,
which rows of the collection count (`papers.json`), and how many texts of each owner have each word
(`papers-words.json`).

Milvus has no transactions over several calls, so rows say since which refresh they count, and rows that were replaced
are listed until the next refresh removes them. A refresh becomes visible when the pointer names its folder, like any
other; one that was killed leaves rows that no build counts, and the next refresh removes them.

Words are sparse vectors under inner product: the text's side holds term frequency and length, the question's side the
weight and the word's rarity among the reader's texts. That is BM25 with k1 = 1.2 and b = 0.75, and lengths relative to
the average of the first texts that were written.
"""

from __future__ import annotations

import importlib
import json
import logging
import math
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from corpus.index.types import PARTS, Entry, Found, Ids, Rows, Scope
from corpus.index.words import tokens
from inference.errors import Unavailable
from inference.types import Embedding

K1, B = 1.2, 0.75
INSERTED_AT_ONCE = 1000  # rows: Milvus takes 64 MB in a message
READ_AT_ONCE = 1000
LONGEST = 16_384  # results: Milvus gives no more
EF = 256  # candidates of HNSW; at least the limit of the search


class MilvusEngine:
    """`types.Engine` over collections and small files. `uri` is an address, or a path ending in .db.

    Raises Unavailable when pymilvus is not installed or the server cannot be reached; every method may.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        with _translated(uri):
            self._client = _connect(uri)

    def begin(self, folder: Path, before: Path | None, dimension: int) -> None:
        """As in `types.Engine`."""
        with _translated(self.uri):
            for part in PARTS:
                if before is None:
                    self._create(_State(folder, part), dimension)
                else:
                    self._continue(_State.read(before, part), folder)

    def write(self, folder: Path, part: str, gone: Ids, entries: Sequence[Entry], vectors: Embedding) -> None:
        """As in `types.Engine`."""
        state, words = _State.read(folder, part), _Words.read(folder, part)
        with _translated(self.uri):
            for row in self._rows(state, "id", gone, ["row", "owner", "sparse"]):
                state.hidden.append(row["row"])
                words.take_out(row["owner"], row["sparse"])
            for start in range(0, len(entries), INSERTED_AT_ONCE):
                some = slice(start, start + INSERTED_AT_ONCE)
                self._client.insert(state.collection, _inserted(entries[some], vectors[some], state, words))
        state.write(folder, part)
        words.write(folder, part)

    def rows(self, folder: Path, part: str, papers: Ids | None) -> Rows:
        """As in `types.Engine`."""
        with _translated(self.uri):
            state = _State.read(folder, part)
            found = list(self._rows(state, "paper", papers, ["id", "paper", "owner", "digest"]))
        places = np.array([(row["id"], row["paper"], row["owner"]) for row in found], np.int64).reshape(-1, 3)
        digests = np.frombuffer(bytes.fromhex("".join(row["digest"] for row in found)), "<i8").reshape(-1, 2)
        return Rows(places[:, 0], places[:, 1], places[:, 2], digests)

    def vectors(self, folder: Path, part: str, ids: Ids) -> Embedding:
        """As in `types.Engine`."""
        with _translated(self.uri):
            rows = self._rows(_State.read(folder, part), "id", ids, ["id", "dense"])
            found = {row["id"]: row["dense"] for row in rows}
        return np.array([found[key] for key in ids.tolist()], np.float32)

    def open(self, folder: Path, part: str) -> MilvusField:
        """As in `types.Engine`."""
        with _translated(self.uri):
            return MilvusField(self, self._client, _State.read(folder, part), _Words.read(folder, part))

    def discard(self, folder: Path, keep: set[Path]) -> None:
        """Drops the collections of this build that no other uses."""
        used = {state.collection for other in keep for state in _states(other)}
        with _translated(self.uri):
            for state in _states(folder):
                if state.collection not in used:
                    self._client.drop_collection(state.collection)

    def _create(self, state: _State, dimension: int) -> None:
        state.collection = f"lightbox_{uuid.uuid4().hex[:12]}_{state.part}"
        state.write(state.folder, state.part)  # first: a build that is killed leaves its name for `discard`
        _Words().write(state.folder, state.part)
        types = importlib.import_module("pymilvus").DataType
        schema = self._client.create_schema(auto_id=True, enable_dynamic_field=False)
        schema.add_field("row", types.INT64, is_primary=True)
        for name in ("id", "paper", "owner", "since"):
            schema.add_field(name, types.INT64)
        schema.add_field("digest", types.VARCHAR, max_length=32)
        schema.add_field("dense", types.FLOAT_VECTOR, dim=dimension)
        schema.add_field("sparse", types.SPARSE_FLOAT_VECTOR)
        indexes = self._client.prepare_index_params()
        indexes.add_index("dense", index_type="HNSW", metric_type="IP", params={"M": 32, "efConstruction": 200})
        indexes.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
        for name in ("id", "paper"):
            indexes.add_index(name, index_type="INVERTED")
        self._client.create_collection(state.collection, schema=schema, consistency_level="Strong")
        self._client.create_index(state.collection, indexes, sync=False)  # there is nothing to wait for in an empty one
        self._client.load_collection(state.collection)

    def _continue(self, state: _State, folder: Path) -> None:
        """The next state of the same collection, with what no build counts any more removed from it."""
        self._client.delete(state.collection, filter=f"since > {state.since}")
        for start in range(0, len(state.hidden), READ_AT_ONCE):
            self._client.delete(state.collection, ids=state.hidden[start : start + READ_AT_ONCE])
        _Words.read(state.folder, state.part).write(folder, state.part)
        state.hidden, state.since = [], state.since + 1
        state.write(folder, state.part)

    def _rows(self, state: _State, name: str, values: Ids | None, fields: list[str]) -> Iterator[dict[str, Any]]:
        """The rows that count, with one of these values, or all."""
        conditions = [state.counting]
        if values is not None:
            cut = (values[i : i + READ_AT_ONCE].tolist() for i in range(0, len(values), READ_AT_ONCE))
            conditions = [f"{state.counting} and {_one_of(name, some)}" for some in cut]
        self._client.load_collection(state.collection)  # Milvus Lite forgets it between processes
        for narrowed in conditions:
            reading = self._client.query_iterator(
                state.collection, batch_size=READ_AT_ONCE, filter=narrowed, output_fields=fields
            )
            while batch := reading.next():
                yield from batch
            reading.close()


class MilvusField:
    """`types.Field` over a collection."""

    def __init__(self, engine: MilvusEngine, client: Any, state: _State, words: _Words) -> None:
        self._uri = engine.uri
        self._client = client
        self._state = state
        self._words = words
        client.load_collection(state.collection)

    def dense(self, vector: Embedding, limit: int, scope: Scope) -> Found:
        """As in `types.Field`; HNSW, which Milvus replaces by an exact search where the scope leaves few texts."""
        limit = min(limit, LONGEST)
        options = {"metric_type": "IP", "params": {"ef": max(EF, limit)}}
        return self._search("dense", vector.tolist(), limit, scope, options)

    def sparse(self, words: Mapping[str, float], limit: int, scope: Scope) -> Found:
        """As in `types.Field`."""
        question = self._words.question(words, scope)
        if not question:
            return Found.nothing()
        return self._search("sparse", question, min(limit, LONGEST), scope, {"metric_type": "IP"})

    def occurs(self, word: str, scope: Scope) -> bool:
        """As in `types.Field`."""
        return len(self.sparse({word: 1.0}, 1, scope)) > 0

    def _search(self, name: str, question: Any, limit: int, scope: Scope, options: dict[str, Any]) -> Found:
        conditions = [self._state.counting, _one_of("owner", scope.owners)]
        if scope.papers is not None:
            conditions.append(_one_of("paper", scope.papers))
        if limit < 1 or scope.papers == frozenset():
            return Found.nothing()
        with _translated(self._uri):
            (hits,) = self._client.search(
                self._state.collection,
                data=[question],
                anns_field=name,
                limit=limit,
                filter=" and ".join(conditions),
                output_fields=["id", "paper"],
                search_params=options,
            )
        found = [(hit["entity"]["id"], hit["entity"]["paper"], hit["distance"]) for hit in hits]
        ids, papers, scores = zip(*found, strict=True) if found else ((), (), ())
        return Found.best(np.array(ids, np.int64), np.array(papers, np.int64), np.array(scores, np.float32), limit)


class _State:
    """Which rows of which collection a build counts: those inserted by refresh number `since` or before, and not
    `hidden`. `average` is the length of a text that lengths are relative to; 0 until there is a text."""

    def __init__(
        self, folder: Path, part: str, collection: str = "", since: int = 1, average: float = 0.0, hidden: Any = ()
    ) -> None:
        self.folder, self.part = folder, part
        self.collection, self.since, self.average = collection, since, average
        self.hidden: list[int] = list(hidden)

    @classmethod
    def read(cls, folder: Path, part: str) -> _State:
        return cls(folder, part, **json.loads((folder / f"{part}.json").read_text()))

    def write(self, folder: Path, part: str) -> None:
        known = {"collection": self.collection, "since": self.since, "average": self.average, "hidden": self.hidden}
        (folder / f"{part}.json").write_text(json.dumps(known))

    @property
    def counting(self) -> str:
        """The condition in Milvus' language."""
        hidden = f" and row not in {self.hidden}" if self.hidden else ""
        return f"since <= {self.since}{hidden}"


class _Words:
    """The numbers of the stems, and how many texts of each owner there are, and have each stem."""

    def __init__(self, numbers: dict[str, int] | None = None, texts: Any = (), having: Any = ()) -> None:
        self.numbers = numbers or {}
        self.texts: Counter[int] = Counter({int(owner): count for owner, count in dict(texts).items()})
        self.having: dict[int, Counter[int]] = {
            int(owner): Counter({int(number): count for number, count in counts.items()})
            for owner, counts in dict(having).items()
        }

    @classmethod
    def read(cls, folder: Path, part: str) -> _Words:
        return cls(**json.loads((folder / f"{part}-words.json").read_text()))

    def write(self, folder: Path, part: str) -> None:
        known = {"numbers": self.numbers, "texts": self.texts, "having": self.having}
        (folder / f"{part}-words.json").write_text(json.dumps(known))

    def put_in(self, owner: int, stems: Sequence[str], average: float) -> dict[int, float]:
        """Counts a text; its sparse vector: BM25 without the rarity."""
        counts = Counter(self.numbers.setdefault(stem, len(self.numbers) + 1) for stem in stems)
        self.texts[owner] += 1
        self.having.setdefault(owner, Counter()).update(counts.keys())
        length = K1 * (1 - B + B * len(stems) / average)
        # Milvus takes no empty vector; no stem has the number 0.
        return {number: count * (K1 + 1) / (count + length) for number, count in counts.items()} or {0: 1.0}

    def take_out(self, owner: int, vector: Mapping[int, float]) -> None:
        """Counts a text no more."""
        self.texts[owner] -= 1
        self.having.get(owner, Counter()).subtract(int(number) for number in vector if int(number))

    def question(self, words: Mapping[str, float], scope: Scope) -> dict[int, float]:
        """The sparse vector of weighted stems: weight times rarity among the texts that the reader may see."""
        texts = sum(self.texts[owner] for owner in scope.owners)
        found = {}
        for stem, weight in words.items():
            number = self.numbers.get(stem, 0)
            having = sum(self.having.get(owner, Counter())[number] for owner in scope.owners)
            if having > 0 and weight > 0:
                found[number] = weight * math.log(1 + (texts - having + 0.5) / (having + 0.5))
        return found


def _inserted(entries: Sequence[Entry], vectors: Embedding, state: _State, words: _Words) -> list[dict[str, Any]]:
    """The texts as Milvus takes them; counts their words."""
    stems = [[*own, *e.words] for own, e in zip(tokens([e.text for e in entries]), entries, strict=True)]
    state.average = state.average or max(1.0, sum(map(len, stems)) / len(stems))
    return [
        {
            "id": entry.id,
            "paper": entry.paper,
            "owner": entry.owner,
            "since": state.since,
            "digest": digest.hex(),
            "dense": vector.tolist(),
            "sparse": words.put_in(entry.owner, found, state.average),
        }
        for entry, vector, found, (*_, digest) in zip(entries, vectors, stems, Rows.of(entries).marks(), strict=True)
    ]


def _states(folder: Path) -> Iterator[_State]:
    for part in PARTS:
        if (folder / f"{part}.json").exists():
            yield _State.read(folder, part)


def _one_of(name: str, values: Iterable[int]) -> str:
    return f"{name} in [{', '.join(map(str, values))}]"


def _connect(uri: str) -> Any:
    """A client. The token is a setting, LIGHTBOX_INDEX_TOKEN, so that it is written down nowhere else."""
    try:
        pymilvus = importlib.import_module("pymilvus")
        if uri.endswith(".db"):
            importlib.import_module("milvus_lite")
    except ImportError as error:
        raise Unavailable(
            'pymilvus is not installed; pip install ".[milvus]", and milvus-lite too for a file ending in .db.'
        ) from error
    for name in ("pymilvus", "milvus_lite"):  # what they would log is raised as well, and told once
        logging.getLogger(name).setLevel(logging.CRITICAL)
    from django.conf import settings

    return pymilvus.MilvusClient(uri=uri, token=getattr(settings, "INDEX_TOKEN", ""))


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """Milvus' errors, and those of the connection, as Unavailable."""
    try:
        yield
    except (OSError, KeyError, ValueError, Unavailable):
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("pymilvus", "grpc", "milvus_lite"):
            raise
        raise Unavailable(f"Milvus at {uri} does not answer as it should: {error}") from error
