"""The list doctor on a list with the faults that such lists have (files/reading-list.md)."""

import pytest

from corpus.imports import doctor
from corpus.imports.links import repair
from corpus.imports.topics import tasks_in_title, tasks_of
from tests.corpus.imports.test_formats import text

LIST = text("reading-list.md")


def found(kind: str) -> list[doctor.Finding]:
    return [finding for finding in doctor.examine(LIST).findings if finding.kind == kind]


def test_dead_links_are_repaired_from_what_is_in_them() -> None:
    better = doctor.examine(LIST).text
    assert "X-Amz-Signature" in LIST
    assert "X-Amz-Signature" not in better
    assert "md5=" not in better
    assert "proxy" not in better
    for link in (
        "[PDF](https://www.sciencedirect.com/science/article/pii/S1361841523001780)",
        "[Paper](https://ieeexplore.ieee.org/document/9999901)",
        "[[Paper](https://www.sciencedirect.com/science/article/pii/S1361841524000999)]",
        "(https://doi.org/10.1109/tmi.2024.9999904)",
    ):
        assert link in better
    assert [(f.line, f.mended) for f in found(doctor.LINK)] == [
        (15, True),
        (17, True),
        (23, True),
        (26, False),
        (32, True),
    ]
    assert "expired on 5 March 2024" in found(doctor.LINK)[0].said
    assert "find the paper's own address" in found(doctor.LINK)[3].said


def test_numbers_that_are_missing_or_repeated_are_said_and_mended() -> None:
    assert [finding.said for finding in found(doctor.NUMBER)] == [
        "Before 4, 3 is missing; renumbered.",
        "Number 5 comes after 5; renumbered.",
    ]
    rows = [line for line in doctor.examine(LIST).text.split("\n") if line.startswith("| ") and line[2].isdigit()]
    assert [row[2] for row in rows] == ["1", "2", "3", "4"]


def test_what_stands_twice_goes_once_and_two_headings_are_for_a_person() -> None:
    said = {finding.line: (finding.said, finding.mended) for finding in found(doctor.DUPLICATE)}
    assert said[18][1]
    assert said[18][0].startswith(
        "Also in line 16, in this section. The second is left out; its link was https://arxiv.org"
    )
    assert said[25] == (
        "Also in line 19, in \u201cReport generation\u201d. Both are left: a person must say which is right.",
        False,
    )
    assert said[34][1]
    assert doctor.examine(LIST).text.count("A benchmark of questions that need two films") == 1


def test_a_row_under_another_task_than_its_title_names_is_pointed_out() -> None:
    (misfiled,) = found(doctor.MISFILED)
    assert misfiled.line == 19
    assert misfiled.said == (
        "Its title says \u201csegmentation\u201d, its section is \u201cReport generation\u201d: "
        "it may belong under \u201cSegmentation\u201d."
    )
    assert not misfiled.mended


def test_a_mended_list_has_only_what_needs_a_person() -> None:
    again = doctor.examine(doctor.examine(LIST).text)
    assert {finding.kind for finding in again.findings} == {
        doctor.LINK,
        doctor.DUPLICATE,
        doctor.MISFILED,
        doctor.TITLE,
    }
    assert not any(finding.mended for finding in again.findings)
    assert again.text == doctor.examine(LIST).text


@pytest.mark.parametrize(
    ("link", "lasting"),
    [
        ("https://www.sciencedirect.com/science/article/pii/S0933365724000123", None),
        ("https://doi.org/10.1007/978-3-031-1", None),
        ("https://arxiv.org/pdf/2306.00001v2", None),
        ("https://openaccess.thecvf.com/content/a.pdf?page=3", None),
        ("https://github.com/lab/proxy-attention", None),
        (
            "https://www-sciencedirect-com.libproxy.example.edu/science/article/pii/S0933365724000123",
            "https://www.sciencedirect.com/science/article/pii/S0933365724000123",
        ),
        (
            "https://login.ezproxy.example.edu/login?url=https://dl.acm.org/doi/10.1145/1234567.1234568",
            "https://dl.acm.org/doi/10.1145/1234567.1234568",
        ),
        (
            "https://www-nature-com.eproxy.example.edu.idm.oclc.org/articles/s41591-023-00001-x",
            "https://www.nature.com/articles/s41591-023-00001-x",
        ),
        (
            "https://link.springer.com.ezproxy.example.edu/chapter/10.1007/978-3-031-43990-2_3",
            "https://doi.org/10.1007/978-3-031-43990-2_3",
        ),
        (
            "https://d1.cloudfront.net/10.1234/abc.567.pdf?Expires=1700000000&Signature=x~y&Key-Pair-Id=K",
            "https://doi.org/10.1234/abc.567",
        ),
        ("https://bucket.s3.amazonaws.com/paper.pdf?X-Amz-Signature=00ff&X-Amz-Date=x&X-Amz-Expires=y", ""),
        ("https://[broken/?token=1", ""),
    ],
)
def test_links_that_do_not_last(link: str, lasting: str | None) -> None:
    mended = repair(link)
    assert (mended.url if mended else None) == lasting


@pytest.mark.parametrize(
    ("heading", "tasks"),
    [
        ("3.1 Medical report generation (MRG)", ("report-generation",)),
        ("Visual Question Answering", ("vqa",)),
        ("Image-Text Retrieval", ("image-text-retrieval",)),
        ("Surveys", ()),
        ("Contents", ()),
    ],
)
def test_headings_that_name_a_task(heading: str, tasks: tuple[str, ...]) -> None:
    assert tasks_of(heading) == tasks


def test_vague_words_of_a_title_accuse_nobody() -> None:
    assert tasks_in_title("Early detection of tumours by retrieval") == {}
    assert tasks_in_title("Segment anything in films") == {}
    assert tasks_in_title("Deformable image registration with text") == {"registration": "registration"}
