"""Files as programs write them, read into records; what cannot be read is named with its line."""

from pathlib import Path

import pytest

from corpus.imports import formats
from corpus.imports.decoding import decode
from corpus.imports.identity import arxiv_of, doi_of
from corpus.imports.records import Csl, Record, Refused, names, year
from inference.errors import BadInput

FILES = Path(__file__).parent / "files"
FORMS = {
    "zotero.bib": formats.BIBTEX,
    "export.ris": formats.RIS,
    "items.json": formats.CSL,
    "zotero.rdf": formats.RDF,
    "reading-list.md": formats.LIST,
    "identifiers.txt": formats.IDENTIFIERS,
}


def text(name: str) -> str:
    return decode((FILES / name).read_bytes())


def read(name: str) -> tuple[list[Csl], list[Refused]]:
    entries = formats.read(text(name))
    good = [entry.csl for entry in entries if isinstance(entry, Record)]
    return good, [entry for entry in entries if isinstance(entry, Refused)]


@pytest.mark.parametrize(("name", "form"), FORMS.items())
def test_the_content_says_which_format_it_is(name: str, form: str) -> None:
    assert formats.recognise(text(name)) == form


def test_bibtex_with_accents_braces_strings_and_commands() -> None:
    good, bad = read("zotero.bib")
    first = good[0]
    assert first["title"] == "Reading CT with words: A study of Schrödinger networks & friends"
    assert names(first["author"]) == ["Jérôme Schütze", "Åsa Køvn", "The Imaging Consortium"]
    assert first["container-title"] == "Medical Image Analysis"
    assert first["issued"] == {"date-parts": [[2023, 3]]}
    assert first["page"] == "102-119"
    assert "50% on two sets" in first["abstract"]
    assert "somebody" not in str(first)
    assert first["id"] == "schutze_reading_2023"
    assert names(good[1]["author"]) == ["Ngozi Okafor", "Li Wei"]
    assert [arxiv_of(csl) for csl in good] == ["", "2401.99901", "2103.99907"]
    assert [(refused.line, refused.what) for refused in bad] == [(28, "@inproceedings{broken2022,"), (39, "nothing")]


def test_bibtex_keeps_two_works_that_carry_one_key() -> None:
    entries = formats.read("@misc{x, title={One}}\n@misc{x, title={Two}}\n@misc{y, title={Three}, title={Four}}")
    assert [entry.csl["title"] for entry in entries if isinstance(entry, Record)] == ["One", "Two", "Three"]


def test_bibtex_leaves_mathematics_as_it_is_written() -> None:
    entries = formats.read("@misc{x, title={Noise of $\\sigma^2$ and 100\\% of \\emph{films}}}")
    assert isinstance(entries[0], Record)
    assert entries[0].csl["title"] == r"Noise of $\sigma^2$ and 100% of films"


def test_ris_with_loose_ends() -> None:
    good, bad = read("export.ris")
    first = good[0]
    assert first["title"] == "Word-guided masks for the left atrium"
    assert names(first["author"]) == ["Lucía Ibáñez", "J. R. Smith"]
    assert (year(first), first["page"], doi_of(first)) == (2022, "44-58", "10.1234/jim.2022.44")
    assert first["abstract"] == "Masks follow words. The atrium is found in most frames."
    assert first["keyword"] == "Segmentation, Ultrasound"
    assert (good[1]["type"], good[1]["container-title"]) == ("paper-conference", "Proceedings of a Workshop")
    assert [(refused.line, refused.reason) for refused in bad] == [
        (25, "The record does not begin with TY."),
        (29, "The record has neither a title nor a DOI or arXiv id."),
    ]
    last = formats.read(text("export.ris"))[-1]
    assert isinstance(last, Record)
    assert (last.line, last.remark) == (33, "The record has no ER line.")


def test_csl_json_keeps_what_it_does_not_understand() -> None:
    good, bad = read("items.json")
    assert good[0]["custom"] == {"x": 1}
    assert good[0]["abstract"] == "Captions align with cells."
    assert [year(csl) for csl in good] == [2024, 2019]
    assert good[1]["title"] == "A list of titles"
    assert [refused.line for refused in bad] == [6, 7]


def test_csl_json_that_ends_in_the_middle_keeps_what_came_before() -> None:
    entries = formats.read('{"config": {}, "items": [\n{"title": "One"},\n{"title": "Two"},\n{"title": "Th')
    assert [entry.csl["title"] for entry in entries if isinstance(entry, Record)] == ["One", "Two"]
    assert isinstance(entries[2], Refused)
    assert entries[2].line == 4
    assert "Nothing after it was read" in entries[2].reason


def test_one_item_alone_is_csl_json_too() -> None:
    entries = formats.read('{"title": "Alone", "DOI": "10.1/x"}')
    assert [entry.csl["title"] for entry in entries if isinstance(entry, Record)] == ["Alone"]


def test_zotero_rdf_without_its_notes_and_attachments() -> None:
    good, bad = read("zotero.rdf")
    assert not bad
    assert [csl["title"] for csl in good] == ["Films, words and their order", "A preprint in a library"]
    first = good[0]
    assert names(first["author"]) == ["Rima Haddad"]
    assert (first["container-title"], first["volume"], first["page"]) == ("Journal of Films", "9", "7-15")
    assert (doi_of(first), first["URL"]) == ("10.5555/films.7", "https://journal.example.org/films")
    assert first["keyword"] == "Image-text retrieval, X-ray"
    assert (doi_of(good[1]), arxiv_of(good[1])) == ("", "2402.99911")


def test_identifiers_in_every_writing() -> None:
    good, bad = read("identifiers.txt")
    assert [doi_of(csl) or arxiv_of(csl) for csl in good] == [
        *("10.1016/j.media.2023.900001", "10.1234/jim.2022.44", "2401.99901", "2103.99907"),
        *("hep-th/9901001", "2402.99911"),
    ]
    assert [(refused.line, refused.what) for refused in bad] == [(6, "see the other list")]


def test_a_reading_list_with_tables_and_bullets() -> None:
    good, bad = read("reading-list.md")
    assert len(good) == 12
    assert good[6]["title"] == "Points, boxes and words as prompts for volumes"
    assert (good[6]["title-short"], good[6]["container-title"], year(good[6])) == ("PromptMask", "CVPR", 2023)
    assert [refused.reason for refused in bad] == ["There is a link but no title."]
    rows = [entry for entry in formats.read(text("reading-list.md")) if isinstance(entry, Record)]
    assert rows[0].sections == ("Awesome language-guided imaging", "Report generation")
    assert rows[0].code_url == "https://github.com/example-lab/sentence-planning"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_every_usual_encoding_and_line_end(encoding: str, ends: str) -> None:
    written = "TY  - JOUR\nTI  - Über Bilder: a study\nER  - \n".replace("\n", ends)
    entries = formats.read(decode(written.encode(encoding)))
    assert [entry.csl["title"] for entry in entries if isinstance(entry, Record)] == ["Über Bilder: a study"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"\0\0\0\0\0\0\0\0\0\0", "empty"),
        (b"\xef\xbb\xbf \n", "empty"),
        (b"%PDF-1.7 ...", "This is a PDF"),
        (b"PK\x03\x04rest", "archive"),
        (b"\x1f\x8b\x08rest", "compressed"),
        (bytes(range(256)) * 40, "not text"),
        (b"x" * (10 * 1024 * 1024 + 1), "limit of 10 MB"),
        (b"Dear all, please find the list attached.", "neither BibTeX"),
    ],
)
def test_what_is_no_list_is_one_clear_line(data: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said) as told:
        formats.read(decode(data))
    assert "\n" not in str(told.value)


def test_too_many_records_are_refused() -> None:
    with pytest.raises(BadInput, match="more than 20,000 records"):
        formats.read("\n".join(f"10.5555/{number}" for number in range(20_001)))


def test_nuls_and_lone_surrogates_never_reach_a_database() -> None:
    entries = formats.read('[{"title": "A\\u0000B \\ud800 C"}]')
    assert isinstance(entries[0], Record)
    assert entries[0].csl["title"] == "AB  C"
