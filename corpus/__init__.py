"""The literature: papers with labels and passages, the index over them, search, and the pages to browse them.

A Django app. It may import `inference`, and is imported by `assistant`. Only `corpus.index` knows FAISS, tantivy
and Milvus. The web side (`views`, `urls`, `models`, `catalogue`, `client`) may ask it for its `current_version` and
nothing else; it searches by asking the corpus worker, through `corpus.client`.
"""
