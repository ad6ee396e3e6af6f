import pytest

from corpus.quotes import stands_in

PASSAGE = (
    "The model — “X-ray” ﬁne-tuned\n on 5.3 million pairs, is ineffective in 2019\u20132023. Ran\u00e9e reports 94%."
)


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ('the model - "X-ray" fine-tuned on 5.3 million pairs', "The model — “X-ray” ﬁne-tuned\n on 5.3 million pairs"),
        ("is ineffective in 2019-2023", "is ineffective in 2019\u20132023"),
        ("“is ineffective in 2019-2023,”", "is ineffective in 2019\u20132023"),
        ("Rane\u0301e reports 94%.", "Ran\u00e9e reports 94%."),
        ("fine-tuned", "ﬁne-tuned"),
    ],
)
def test_typography_and_the_first_letters_case_are_forgiven(quote: str, found: str) -> None:
    span = stands_in(quote, PASSAGE)
    assert span is not None
    assert PASSAGE[slice(*span)] == found


@pytest.mark.parametrize(
    "quote",
    [
        "effective in 2019-2023",  # half a word turns the sense round
        "5 million pairs",
        "3 million pairs",
        "on 5",
        "in 2019",
        "is Ineffective",
        "the model is ineffective",
        "",
        "   ",
        "…",
    ],
)
def test_what_is_not_there_word_for_word_is_not_a_quotation(quote: str) -> None:
    assert stands_in(quote, PASSAGE) is None


def test_a_negative_number_is_not_quoted_as_positive() -> None:
    assert stands_in("5 points", "It changes by -5 points.") is None
    assert stands_in("-5 points", "It changes by \u22125 points.") == (14, 23)
