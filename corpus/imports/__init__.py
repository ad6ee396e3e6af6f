"""Bringing one's own literature: from files and lists of identifiers to papers in a library.

    bytes -> text (decoding) -> records (bibtex, ris, csl_json, zotero_rdf, awesome, identifiers; each bad one with its
    line and reason) -> what is known of an identifier (lookups) -> one work, one paper (identity) -> rows (shelve)

`work` carries an Import row through this in steps that any process may lose; `doctor` looks a reading list over.
"""
