"""The index: dense vectors and BM25 over papers, passages and questions. The only code with FAISS, tantivy and Milvus.

    types.py          what goes in (Entry), what comes out (Found), what an engine must do (Engine, Field)
    words.py          words as BM25 counts them
    version.py        which build is in use
    store.py          build, update, open: whole builds, one pointer, whatever the engine
    faiss_engine.py   on this machine: dense.py (FAISS) and sparse.py (tantivy) in files
    milvus_engine.py  on a Milvus server, or in a Milvus Lite file

Importing this package imports no engine. Rows come in as `Entry` and go out as ids; nothing here reads the database.
"""

from corpus.index.store import build, differing, open_index, replace, update
from corpus.index.types import (
    ASKED,
    EVERYONE,
    FORMAT,
    PAPERS,
    PASSAGES,
    Entry,
    Field,
    Found,
    Index,
    IndexBuild,
    Rows,
    Scope,
    corpus_hash,
)
from corpus.index.version import MANIFEST, POINTER, current, current_version
from corpus.index.words import tokens

__all__ = [
    "ASKED",
    "EVERYONE",
    "FORMAT",
    "MANIFEST",
    "PAPERS",
    "PASSAGES",
    "POINTER",
    "Entry",
    "Field",
    "Found",
    "Index",
    "IndexBuild",
    "Rows",
    "Scope",
    "build",
    "corpus_hash",
    "current",
    "current_version",
    "differing",
    "open_index",
    "replace",
    "tokens",
    "update",
]
