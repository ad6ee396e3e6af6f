"""The literature: papers with labels and passages, the index over them, search, and the pages to browse them.

A Django app. It may import `inference`, and is imported by `assistant`. Only `corpus.index` knows FAISS and bm25s. The
web side (`views`, `urls`, `models`, `catalogue`, `client`) imports neither it nor `retrieve`, and asks the corpus
worker through `corpus.client`.
"""
