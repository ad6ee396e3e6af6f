"""What is read from papers that were typeset for it: order, words, headings, pages, references, details."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from corpus.documents import extract
from corpus.documents.document import Document
from corpus.documents.passages import page_at, pieces
from corpus.documents.references import Known, match, reference_list, references
from tests.corpus.documents import papers, typeset

SECTIONS = [
    "Abstract",
    "1 Introduction",
    "2 Methods",
    "2.1 Training details",
    "3 Results",
    "4 Discussion",
    "References",
]


def plain(paragraph: str) -> str:
    return paragraph.replace("\ufb01", "fi")


def read(tmp_path: Path, paper: typeset.Paper) -> Document:
    (tmp_path / "a.pdf").write_bytes(typeset.pdf(paper))
    return extract.read(tmp_path / "a.pdf")


@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize("interleaved", [False, True], ids=["column by column", "line by line"])
def test_columns_are_read_one_after_the_other_however_they_were_drawn(tmp_path: Path, columns: int, interleaved: bool):
    paper = papers.paper(columns=columns, interleaved=interleaved)
    text = read(tmp_path, paper).text
    body = [plain(paragraph) for _, paragraphs in paper.sections for paragraph in paragraphs]
    # "sixteen-pixel" stands once, so that its hyphen at a line's end cannot be told from a broken word's.
    lines = [line.replace("sixteenpixel", "sixteen-pixel") for line in text.splitlines()]
    assert [line for line in lines if line in body] == body
    assert lines[0] == papers.TITLE


def test_the_hyphen_of_a_broken_word_goes_and_that_of_a_compound_stays(tmp_path: Path):
    for size in (8.0, 8.3, 8.5, 8.8):  # other sizes, other ends of lines
        paper = papers.paper()
        paper.sections = [("1 Introduction", [f"{p} " * 2 for p in papers.INTRODUCTION + papers.METHODS])]
        before, typeset.SIZE = typeset.SIZE, size
        try:
            text = read(tmp_path, paper).text
        finally:
            typeset.SIZE = before
        assert "vision-language alignment" in text
        assert "visionlanguage" not in text
        words = set(" ".join([*papers.INTRODUCTION, *papers.METHODS, papers.ABSTRACT, papers.TITLE]).split())
        known = {plain(word) for word in words} | {"sixteenpixel"}
        section = next(s for s in read(tmp_path, paper).sections if s.name == "1 Introduction")
        assert set(text[section.start : section.end].split()) <= known


def test_ligatures_are_letters(tmp_path: Path):
    text = read(tmp_path, papers.paper()).text
    assert "an efficient objective" in text
    assert "\ufb01" not in text


def test_running_heads_and_page_numbers_are_gone(tmp_path: Path):
    text = read(tmp_path, papers.paper()).text
    assert "IEEE Transactions" not in text
    assert not {"- 1 -", "- 2 -", "1", "2"} & set(text.splitlines())


def test_a_title_that_is_repeated_in_the_running_head_stays(tmp_path: Path):
    paper = papers.paper(title="Sentences and Regions", head="Sentences and Regions")
    assert read(tmp_path, paper).text.splitlines().count("Sentences and Regions") == 1


def test_headings_part_the_text(tmp_path: Path):
    document = read(tmp_path, papers.paper())
    assert [section.name for section in document.sections if section.name] == SECTIONS
    methods = next(section for section in document.sections if section.name == "2 Methods")
    assert document.text[methods.start : methods.end].startswith("Each radiograph is resampled")
    assert document.text[: methods.start].endswith("2 Methods\n")


@pytest.mark.parametrize(
    "heading", ["INTRODUCTION", "I. INTRODUCTION", "1. Introduction", "Introduction", "A. Data used"]
)
def test_headings_in_the_usual_styles_are_recognised(tmp_path: Path, heading: str):
    paper = papers.paper()
    paper.sections[0] = (heading, paper.sections[0][1])
    assert heading in [section.name for section in read(tmp_path, paper).sections]


def test_an_abstract_that_begins_in_its_heading_is_a_section(tmp_path: Path):
    paper = papers.paper()
    paper.sections.insert(0, ("", [f"Abstract\u2014{papers.ABSTRACT}"]))
    document = read(tmp_path, paper)
    found = [s for s in document.sections if s.name == "Abstract"][-1]
    assert document.text[found.start : found.end].startswith("We align sentences")


def test_pages_begin_where_they_begin(tmp_path: Path):
    document = read(tmp_path, papers.paper(sections=papers.paper().sections * 3))
    assert len(document.page_starts) == document.pages > 3
    assert all(a < b for a, b in pairwise(document.page_starts))
    assert page_at(document.page_starts, 0) == 1
    assert page_at(document.page_starts, document.page_starts[2]) == 3
    assert page_at(document.page_starts, document.page_starts[2] - 1) == 2
    assert page_at(document.page_starts, len(document.text)) == document.pages


def test_a_sentence_over_the_end_of_a_page_is_whole(tmp_path: Path):
    document = read(tmp_path, papers.paper(note="This work was supported by nobody."))
    start = document.page_starts[1]
    assert document.text[start - 1] == " "  # the page ends inside a paragraph
    assert "The temperature is learned." in document.text
    assert "This work was supported by nobody." in document.text.splitlines()


def test_passages_are_a_few_sentences_of_one_section_word_for_word(tmp_path: Path):
    document = read(tmp_path, papers.paper())
    found = pieces(document)
    assert {piece.section for piece in found} == set(SECTIONS) - {"References"}
    assert all(piece.start < piece.end <= len(document.text) for piece in found)
    text = [document.text[piece.start : piece.end] for piece in found]
    assert text[0].startswith("We align sentences")  # the abstract, not the title
    assert all(passage[0].isupper() and passage.endswith(".") for passage in text)
    assert all(passage.count(". ") + passage.count(".\n") <= 6 for passage in text)
    assert {piece.page for piece in found} == {1, 2}
    assert not any("Zhang" in passage for passage in text)


def test_what_follows_the_references_is_indexed_again(tmp_path: Path):
    paper = papers.paper()
    paper.references.append("Appendix A")  # the typesetter puts nothing else behind the list
    paper.references.append("Further experiments with a second atlas confirm the result on all four data sets.")
    document = read(tmp_path, paper)
    start, end = reference_list(document.text)
    assert "Further experiments" not in document.text[start:end]
    assert any("Further experiments" in document.text[p.start : p.end] for p in pieces(document))


def test_references_are_split_and_matched(tmp_path: Path):
    entries = references(read(tmp_path, papers.paper()).text)
    assert len(entries) == 5
    assert entries[0].title == "Contrastive learning of medical visual representations from paired images and text"
    assert (entries[1].doi, entries[2].arxiv_id) == ("10.18653/v1/2022.emnlp-main.256", "2301.02228")
    assert [entry.year for entry in entries] == [2022, 2022, 2023, 2019, 2021]
    known = [
        Known(1, "Contrastive Learning of Medical Visual Representations from Paired Images and Text", "", ""),
        Known(2, "Another title", "10.18653/V1/2022.emnlp-main.256", ""),
        Known(3, "Yet another title", "", "2301.02228"),
        Known(4, "GLoRIA: A Multimodal Global-Local Representation Learning Framework", "", ""),
        Known(5, "Learning", "", ""),
    ]
    assert [pk for _, pk in match(entries, known)] == [1, 2, 3, None, 4]


@pytest.mark.parametrize(
    ("entry", "title", "year"),
    [
        (
            "Huang, S.-C., Shen, L., and Yeung, S. (2021). Gloria: A multimodal framework. In ICCV, pp. 3942-3951.",
            "Gloria: A multimodal framework",
            2021,
        ),
        (
            "Zhang, Y., Jiang, H.: Contrastive learning of medical representations. In: MLHC. pp. 2-25 (2022)",
            "Contrastive learning of medical representations",
            2022,
        ),
        (
            "Radford A, Kim JW, Hallacy C, et al. Learning transferable visual models from language. ICML 2021.",
            "Learning transferable visual models from language",
            2021,
        ),
    ],
)
def test_references_without_numbers_are_one_a_line(entry: str, title: str, year: int):
    [found] = references(f"Body.\nReferences\n{entry}")
    assert (found.title, found.year) == (title, year)


def test_the_first_page_says_who_what_and_when(tmp_path: Path):
    paper = papers.paper(watermark="arXiv:2401.01234v2 [cs.CV] 3 Jan 2024", note="doi: 10.1234/abc.2024.17.")
    details = read(tmp_path, paper).details
    assert details.title == papers.TITLE
    assert details.authors == ("Ada Lindqvist", "Bruno Okafor", "Chiara de Santis")
    assert (details.year, details.doi, details.arxiv_id) == (2024, "10.1234/abc.2024.17", "2401.01234")


def test_a_title_of_the_word_processor_is_not_believed(tmp_path: Path):
    document = read(tmp_path, papers.paper(metadata={"title": "Microsoft Word - final_v7.docx"}))
    assert document.details.title == papers.TITLE


def test_a_file_is_peeked_at_without_reading_all_of_it(tmp_path: Path):
    (tmp_path / "a.pdf").write_bytes(typeset.pdf(papers.paper(sections=papers.paper().sections * 4)))
    document = extract.peek(tmp_path / "a.pdf")
    assert document.details.title == papers.TITLE
    assert document.pages > 2 == len(document.page_starts)
