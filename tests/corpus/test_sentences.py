from corpus.sentences import sentences, windows


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


def test_sentences_are_cut_at_full_stops_but_not_in_numbers_and_abbreviations() -> None:
    text = "It gains 3.5 points (Fig. 2). J. Smith et al. Report it. See e.g. The appendix! Done?"
    assert cut(text) == [
        "It gains 3.5 points (Fig. 2).",
        "J. Smith et al. Report it.",
        "See e.g. The appendix!",
        "Done?",
    ]


def test_a_line_break_ends_a_sentence_and_empty_text_has_none() -> None:
    assert cut("Backbones: A, B.\nData sets: C.") == ["Backbones: A, B.", "Data sets: C."]
    assert cut("  ") == []
    assert windows("") == []


def test_every_sentence_stands_in_exactly_one_passage_of_at_most_three() -> None:
    text = "One a. Two b. Three c. Four d. Five e."
    assert [text[start:end] for start, end in windows(text)] == ["One a. Two b.", "Three c. Four d. Five e."]
    assert windows("Only one.") == [(0, 9)]
