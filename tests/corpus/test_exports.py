"""Citations as files: read back by other people's parsers, every paper comes home as it left."""

import json
import re
from typing import Any

import pybtex.database
import pytest
import rispy
from pybtex.richtext import Text

from corpus import bibliography, ingest
from corpus.csl import OTHERS, citation_keys, item, items, split_name
from corpus.exports import bibtex, csl_json, ris
from corpus.models import Paper


def seed() -> list[Paper]:
    """The bundled collection, without a database."""
    entries = ingest.read_entries()
    return [Paper(pk=n, key=entry["key"], **ingest._fields(entry)) for n, entry in enumerate(entries, start=1)]


PAPERS = seed()


def untex(text: str) -> str:
    """What TeX would print."""
    return str(Text.from_latex(text))


def parsed(*papers: Paper) -> dict[str, Any]:
    """The BibTeX of these papers, as pybtex reads it."""
    return dict(pybtex.database.parse_string(bibtex(items(papers)), "bibtex").entries)


def people(persons: list[pybtex.database.Person]) -> list[str]:
    """Names as they were before they were taken apart."""
    parts = [[*p.first_names, *p.middle_names, *p.prelast_names, *p.last_names, *p.lineage_names] for p in persons]
    return [untex(" ".join(part)) for part in parts]


# The whole collection, there and back


def test_all_220_papers_come_back_from_bibtex() -> None:
    entries = parsed(*PAPERS)
    assert len(entries) == len(PAPERS) == 220
    for paper in PAPERS:
        entry = entries[paper.key]
        assert untex(entry.fields["title"]) == paper.title
        names = people(entry.persons.get("author", []))
        assert names == paper.authors + ([] if paper.authors_complete or not paper.authors else ["others"])
        assert entry.fields["year"] == str(paper.year)
        assert entry.fields.get("doi", "") == paper.doi
        assert entry.fields["url"] == paper.url
        assert entry.fields.get("eprint", "") == paper.arxiv_id
        assert entry.fields.get("archiveprefix", "") == ("arXiv" if paper.arxiv_id else "")


def test_all_220_papers_come_back_from_ris() -> None:
    records = rispy.loads(ris(items(PAPERS)))
    assert len(records) == 220
    for paper, record in zip(PAPERS, records, strict=True):
        assert record["id"] == paper.key
        assert record["title"] == paper.title
        assert [uninverted(name) for name in record.get("authors", [])] == paper.authors
        assert record["year"] == str(paper.year)
        assert record.get("doi", "") == paper.doi
        assert record["urls"] == [paper.url]
        assert ("incomplete" in "".join(record.get("notes", []))) is (
            bool(paper.authors) and not paper.authors_complete
        )


def uninverted(name: str) -> str:
    family, _, given = name.partition(", ")
    return f"{given} {family}".strip()


def test_all_220_papers_come_back_from_csl_json() -> None:
    for paper, record in zip(PAPERS, json.loads(csl_json(items(PAPERS))), strict=True):
        assert (record["id"], record["title"]) == (paper.key, paper.title)
        assert record["issued"] == {"date-parts": [[paper.year]]}
        assert record.get("DOI", "") == paper.doi
        names = [name for name in record.get("author", []) if name != OTHERS]
        order = ("given", "non-dropping-particle", "family", "suffix", "literal")
        assert [" ".join(name[part] for part in order if part in name) for name in names] == paper.authors


@pytest.mark.parametrize("style", bibliography.STYLES)
def test_all_220_papers_are_formatted_in_every_style(style: str) -> None:
    found = bibliography.references(items(PAPERS), style)
    assert sorted(reference.key for reference in found) == sorted(paper.key for paper in PAPERS)
    titles = {paper.key: paper.title for paper in PAPERS}
    for reference in found:
        assert words(titles[reference.key]) in words(reference.text)
        assert "others" not in reference.text.replace(titles[reference.key], "")
        assert not re.search(r"\.\.(?!\w)|\s[.,]|\bNone\b|[<>]", reference.text), reference.text
    if bibliography.STYLES[style].numbered:
        assert [reference.key for reference in found] == [paper.key for paper in PAPERS]


def words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


# How references read


def formatted(paper: Paper, style: str) -> str:
    return bibliography.references(items([paper]), style)[0].text


def test_references_read_as_their_styles_ask() -> None:
    paper = next(paper for paper in PAPERS if paper.key == "lin2025taming")
    title = "Taming Vision-Language Models for Medical Image Analysis: A Comprehensive Review"
    address = "https://arxiv.org/abs/2506.18378"
    assert formatted(paper, "apa") == f"Lin, H., Xu, C., & Qin, J. (2025). {title} (arXiv:2506.18378). arXiv. {address}"
    assert formatted(paper, "vancouver") == (
        f"1. Lin H, Xu C, Qin J. {title} [Internet]. arXiv; 2025. Available from: {address}"
    )
    assert formatted(paper, "ieee").startswith(f"[1] H. Lin, C. Xu, and J. Qin, “{title}”")
    assert formatted(paper, "harvard").startswith(f"Lin, H., Xu, C. and Qin, J. (2025) \u2018{title}\u2019")
    assert formatted(paper, "nature") == f"1. Lin, H., Xu, C. & Qin, J. {title}. Preprint at {address} (2025)."


def test_a_reference_without_authors_says_its_title_once() -> None:
    paper = Paper(key="a", title="On {braces} & <b>tags</b>", year=2024, url="https://example.org/a")
    for style in bibliography.STYLES:
        reference = bibliography.references(items([paper]), style)[0]
        assert reference.text.count("On {braces}") == 1
        assert "& tags" in reference.text  # the markup that CSL allows in titles is dropped


def test_a_list_of_authors_that_is_cut_short_ends_in_et_al() -> None:
    paper = Paper(key="a", title="T", authors=["Ann Lee"], authors_complete=False, venue="Displays", year=2024)
    for style in bibliography.STYLES:
        assert re.search(r"Lee,? (?:A\.?,? )?et al\.|A\. Lee et al\.", formatted(paper, style)), style
    assert "Lee, Ann and others" in bibtex(items([paper]))


# Names


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Haoneng Lin", {"given": "Haoneng", "family": "Lin"}),
        ("C.-C. Jay Kuo", {"given": "C.-C. Jay", "family": "Kuo"}),
        ("Gerard de Melo", {"given": "Gerard", "non-dropping-particle": "de", "family": "Melo"}),
        ("Anton van den Hengel", {"given": "Anton", "non-dropping-particle": "van den", "family": "Hengel"}),
        ("Luc Van Gool", {"given": "Luc", "family": "Van Gool"}),
        ("Asma Ben Abacha", {"given": "Asma", "family": "Ben Abacha"}),
        ("Ben Glocker", {"given": "Ben", "family": "Glocker"}),
        ("Omar S. M. El Nahhas", {"given": "Omar S. M.", "family": "El Nahhas"}),
        ("Martin L. King Jr.", {"given": "Martin L.", "family": "King", "suffix": "Jr."}),
        ("King, Jr., Martin L.", {"given": "Martin L.", "family": "King", "suffix": "Jr."}),
        ("Martin L. King, Jr.", {"given": "Martin L.", "family": "King", "suffix": "Jr."}),
        ("van der Sluijs, Rogier", {"given": "Rogier", "non-dropping-particle": "van der", "family": "Sluijs"}),
        ("Lin, Haoneng", {"given": "Haoneng", "family": "Lin"}),
        ("OpenAI", {"literal": "OpenAI"}),
        ("Gemini Team Google", {"literal": "Gemini Team Google"}),
        ("王小明", {"literal": "王小明"}),
    ],
)
def test_names_are_taken_apart(name: str, parts: dict[str, str]) -> None:
    assert split_name(name) == parts


@pytest.mark.parametrize(
    "name", ["Müller & Sons", "{Braced}", "a b and c", "O'Neil, {Jr}, X", "100% Real", "x_y Z", ","]
)
def test_odd_names_do_not_break_the_file(name: str) -> None:
    entries = parsed(Paper(key="a", title="T", authors=[name, "Ann Lee"]), Paper(key="b", title="U"))
    assert len(entries["a"].persons["author"]) == 2
    assert set(entries) == {"a", "b"}


# BibTeX


def test_signs_of_tex_are_escaped_and_addresses_are_not() -> None:
    title = r"50% of {CT} & MRI: $x_1$ ~ #2 ^ \alpha"
    paper = Paper(key="a", title=title, doi="10.1002/(SICI)1_2<1::AID>3.0.CO;2-#", url="https://x.org/a_b%7E?c=1&d=2")
    entry = parsed(paper)["a"]
    assert entry.fields["doi"] == paper.doi
    assert entry.fields["url"] == paper.url
    escaped = (
        r"50\% of \textbraceleft{}{CT}\textbraceright{} \& {MRI}: \$x\_1\$ \textasciitilde{} \#2 \textasciicircum{}"
    )
    assert entry.fields["title"] == rf"{escaped} \textbackslash{{}}alpha"


@pytest.mark.parametrize(
    ("title", "written"),
    [
        ("Generalized CT Segmentation with MedSAM", "Generalized {CT} Segmentation with {MedSAM}"),
        ("A Vision-Language Model for X-ray and U-Net", "A Vision-Language Model for {X-ray} and {U-Net}"),
        ("CLIP-Driven Universal Model", "{CLIP}-Driven Universal Model"),
        ("A visual model for pathology using medical Twitter", "A visual model for pathology using medical {Twitter}"),
        ("3D scenes: “MRI” first", "{3D} scenes: “{MRI}” first"),
    ],
)
def test_capitals_that_must_stay_are_protected(title: str, written: str) -> None:
    assert f"title = {{{written}}}," in bibtex(items([Paper(key="a", title=title)]))


def test_kinds_of_publication() -> None:
    kinds = {
        "MICCAI": ("paper-conference", "inproceedings"),
        "ClinicalNLP Workshop": ("paper-conference", "inproceedings"),
        "Proceedings of the 40th International Conference on Machine Learning": ("paper-conference", "inproceedings"),
        "Proceedings of the National Academy of Sciences": ("article-journal", "article"),
        "Proceedings of the IEEE": ("article-journal", "article"),
        "Medical Image Analysis": ("article-journal", "article"),
        "arXiv": ("article", "misc"),
        "medRxiv": ("article", "misc"),
        "OpenAI technical report": ("report", "techreport"),
        "": ("document", "misc"),
    }
    for venue, (csl, entry) in kinds.items():
        paper = Paper(key="a", title="T", venue=venue)
        assert item(paper, "a")["type"] == csl, venue
        assert bibtex(items([paper])).startswith(f"@{entry}{{a,"), venue
    assert item(Paper(key="a", title="T", arxiv_id="2401.00001"), "a")["type"] == "article"


# What was imported is kept


RECORD = {
    "id": "theirs",
    "type": "article-journal",
    "title": "Their title",
    "author": [{"family": "Beethoven", "given": "Ludwig", "dropping-particle": "van"}],
    "issued": {"date-parts": [["2023", 4, 1]]},
    "container-title": "Their Journal",
    "volume": 12,
    "issue": "3",
    "page": "101\u2013110",
    "publisher": "Them",
    "custom": {"kept": True},
}


def test_an_imported_record_is_kept_and_completed() -> None:
    paper = Paper(key="a", title="Ours", year=2022, doi="https://doi.org/10.1/x", csl=RECORD, arxiv_id="arXiv:2301.1")
    record = item(paper, "a")
    assert record["id"] == "a"
    assert record["title"] == "Their title"
    assert record["custom"] == {"kept": True}
    assert record["DOI"] == "10.1/x"
    entry = parsed(paper)["a"]
    assert entry.type == "article"
    wanted = {"volume": "12", "number": "3", "pages": "101--110", "year": "2023", "month": "apr", "doi": "10.1/x"}
    assert wanted.items() <= dict(entry.fields).items()
    assert entry.fields["eprint"] == "2301.1"
    assert str(entry.persons["author"][0]) == "van Beethoven, Ludwig"
    record = rispy.loads(ris(items([paper])))[0]
    assert (record["start_page"], record["end_page"], record["volume"]) == ("101", "110", "12")
    assert (
        formatted(paper, "apa")
        == "Beethoven, L. van. (2023). Their title. Their Journal, 12(3), 101\u2013110. https://doi.org/10.1/x"
    )


def test_a_preprint_that_has_been_published_is_exported_as_published() -> None:
    csl = {"type": "article", "title": "T", "publisher": "arXiv", "genre": "preprint", "number": "arXiv:2301.00001"}
    paper = Paper(key="a", title="T", year=2024, venue="Medical Image Analysis", doi="10.1/x", csl=csl)
    record = item(paper, "a")
    assert (record["type"], record["container-title"]) == ("article-journal", "Medical Image Analysis")
    assert "genre" not in record


def test_two_papers_with_one_key_get_two() -> None:
    papers = [Paper(key="lee2024x"), Paper(key="lee2024x"), Paper(key="LEE2024X"), Paper(key="lee2024x-2")]
    keys = citation_keys(papers)
    assert keys == ["lee2024x", "lee2024x-2", "LEE2024X-3", "lee2024x-2-2"]
    assert len({key.casefold() for key in keys}) == 4
    assert citation_keys([Paper(key="Müller, 2024 {x}"), Paper(key="王")]) == ["Muller2024x", "paper"]


ODD: list[Any] = [
    {},
    {"csl": "not a record"},
    {"csl": {"type": "no-such-type", "author": "Ann Lee", "issued": "2024", "title": ["a", "b"]}},
    {"csl": {"author": [None, "x", {"family": 3}, {"given": "Only"}, {"literal": "Group", "family": "x"}]}},
    {"csl": {"issued": {"date-parts": [[None]]}}},
    {"csl": {"issued": {"date-parts": [["twenty"]]}, "page": {}, "volume": None}},
    {"csl": {"issued": {"date-parts": [[2024, 13, 45]]}}},
    {"csl": {"issued": {"date-parts": [[2023, 1], [2024, 2]]}, "editor": [{"family": "Ed"}]}},
    {"csl": {"issued": {"raw": "2024-05-01"}, "accessed": {"literal": "yesterday"}}},
    {"csl": {"type": "book", "title": "B", "edition": "2nd", "ISBN": "1"}},
    {"authors": ["", "  "]},
    {"authors": [None, 3], "authors_complete": False},
    {"title": "with\nlines\r\nand \x00 controls \ud800", "abstract": "ER  - \n\nTY  - JOUR"},
    {"title": '<span class="nocase">unclosed'},
    {"title": "} unbalanced {", "venue": "a, b} and \\"},
]


@pytest.mark.parametrize("fields", ODD)
def test_odd_records_are_written_all_the_same(fields: dict[str, Any]) -> None:
    odd = Paper(key="odd", **{"title": "Odd", **fields})
    records = items([odd, Paper(key="sound", title="Sound", authors=["Ann Lee"], year=2024)])
    assert set(pybtex.database.parse_string(bibtex(records), "bibtex").entries) == {"odd", "sound"}
    assert [record["id"] for record in rispy.loads(ris(records))] == ["odd", "sound"]
    assert len(json.loads(csl_json(records))) == 2
    for style in bibliography.STYLES:
        assert {reference.key for reference in bibliography.references(records, style)} == {"odd", "sound"}


def test_a_record_cannot_end_another_or_bring_markup() -> None:
    paper = Paper(key="a", title="T\r\nER  - \r\nTY  - JOUR<script>alert(1)</script>")
    assert len(rispy.loads(ris(items([paper])))) == 1
    for style in bibliography.STYLES:
        reference = bibliography.references(items([paper]), style)[0]
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in reference.html
        assert "<script>alert(1)</script>" in reference.text
