"""Words as BM25 counts them."""

from __future__ import annotations

import re

_WORD = re.compile(r"\b\w\w+\b")
# Lucene's English stop words.
_STOP_WORDS = frozenset(
    (
        *("a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not"),
        *("of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was"),
        *("will", "with"),
    )
)


def tokens(texts: list[str]) -> list[list[str]]:
    """Words for BM25: lower case, English stop words removed, stemmed (Snowball); shorter than two letters dropped."""
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    found = [[word for word in _WORD.findall(text.lower()) if word not in _STOP_WORDS] for text in texts]
    return [stemmer.stemWords(words) for words in found]
