"""When two records are one work, and, more important, when they are not."""

import pytest

from corpus.imports.identity import PREPRINT, PUBLISHED, Works, arxiv_in, doi_in, fold, same, work_of
from corpus.imports.records import Csl

TITLE = "Language-guided segmentation of pulmonary nodules"


def item(title: str = TITLE, author: str = "Chen", year: int | None = 2023, **more: str) -> Csl:
    date = {"issued": {"date-parts": [[year]]}} if year else {}
    people = {"author": [{"family": author, "given": "A."}]} if author else {}
    return {"title": title, **people, **date, **more}


PRE = item(archive="arXiv", archive_location="2301.00001", **{"container-title": "arXiv"})
PUB = item(year=2024, DOI="10.1016/j.media.2024.1", **{"container-title": "Medical Image Analysis"})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (PRE, PUB),
        (PRE, item(title="LANGUAGE GUIDED Segmentation of Pulmonary N\u00f3dules.", year=2023)),
        (item(DOI="10.1111/AB"), item(title="Otherwise titled", author="Wu", DOI="https://doi.org/10.1111/ab")),
        (PRE, item(title="Renamed since", URL="https://arxiv.org/abs/2301.00001v4")),
        (PRE, item(title="Renamed since", DOI="10.48550/arXiv.2301.00001")),
        (PRE, item(author="", year=None)),
        (item("Pre-training for films of the hand"), item("Pretraining for films of the hand")),
        (
            item(DOI="10.1101/2023.01.01.1", **{"container-title": "medRxiv"}),
            item(year=2024, DOI="10.1148/radiol.1", **{"container-title": "Radiology"}),
        ),
        (
            item("Renamed", URL="https://www.sciencedirect.com/science/article/pii/S1361841524000999"),
            item(URL="https://linkinghub.elsevier.com/retrieve/pii/S1361841524000999"),
        ),
        (item("Segment", year=2023), item("Segment", year=2023)),
    ],
)
def test_one_work(one: Csl, other: Csl) -> None:
    assert same(work_of(one), work_of(other))
    assert same(work_of(other), work_of(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (item(), item(TITLE + " II")),
        (item(), item(TITLE.replace("nodules", "vessels"))),
        (item("Segment anything in medical images"), item("Segment anything in medical images 2")),
        (item(), item(author="Wu")),
        (item(year=2018), item(year=2023)),
        (
            item(DOI="10.1111/conference", **{"container-title": "MICCAI"}),
            item(DOI="10.2222/journal", **{"container-title": "TMI"}),
        ),
        (PRE, item(archive="arXiv", archive_location="2302.99999")),
        (item("Editorial", author="", year=2023), item("Editorial", author="", year=2023)),
        (item("Editorial", year=2022), item("Editorial", year=2023)),
        (item("", DOI="10.1111/a"), item("", DOI="10.1111/b")),
        (item("\u2026", author=""), item("!!!", author="")),
        (item(DOI="10.1111/a"), item("Another", DOI="10.1111/ab")),
    ],
)
def test_two_works(one: Csl, other: Csl) -> None:
    assert not same(work_of(one), work_of(other))
    assert not same(work_of(other), work_of(one))
    assert Works([(1, work_of(one))]).find(work_of(other)) is None


def test_works_are_found_by_any_of_their_versions() -> None:
    works = Works([(1, work_of(PRE)), (2, work_of(item("Something else entirely in images")))])
    works.add(1, work_of(PUB))
    assert works.find(work_of(item("Renamed", DOI="10.1016/J.MEDIA.2024.1"))) == 1
    assert works.find(work_of(item("Renamed", DOI="10.48550/arxiv.2301.00001v2"))) == 1


def test_a_preprint_stays_one_when_it_knows_its_journal_version() -> None:
    assert work_of(PRE | {"DOI": "10.1016/j.media.2024.1"}).kind == PREPRINT
    assert work_of(PUB | {"archive": "arXiv", "archive_location": "2301.00001"}).kind == PUBLISHED
    assert work_of(item()).kind == PUBLISHED


@pytest.mark.parametrize(
    ("text", "doi"),
    [
        ("https://doi.org/10.1016/j.media.2023.102802.", "10.1016/j.media.2023.102802"),
        ("doi:10.1002/(SICI)1097-0258(19980815)17:15<1:AID-SIM>3.0.CO;2-A", "10.1002/(sici)1097-0258(19980815)17:15"),
        ("(see 10.1007/978-3-031-43990-2_3)", "10.1007/978-3-031-43990-2_3"),
        ("https://onlinelibrary.wiley.com/doi/pdf/10.1002/mp.1%2F2?x=1", "10.1002/mp.1/2"),
        ("version 10.2 of the file", ""),
    ],
)
def test_dois_in_texts(text: str, doi: str) -> None:
    assert doi_in(text) == doi


@pytest.mark.parametrize(
    ("text", "arxiv_id"),
    [
        ("arXiv preprint arXiv:2306.00890", "2306.00890"),
        ("https://arxiv.org/pdf/2306.00890v3.pdf", "2306.00890"),
        ("arXiv.2306.00890", "2306.00890"),
        ("https://doi.org/10.48550/ARXIV.CS/0701001", "cs/0701001"),
        ("https://example.org/2306.00890", ""),
    ],
)
def test_arxiv_ids_in_texts(text: str, arxiv_id: str) -> None:
    assert arxiv_in(text) == arxiv_id


def test_titles_are_folded_across_writing_systems() -> None:
    assert fold("Stra\u00dfe \u2013 the <i>\u03b2</i>-VAE, \u201cquoted\u201d") == fold(
        "STRASSE: the \u03b2 VAE quoted"
    )
