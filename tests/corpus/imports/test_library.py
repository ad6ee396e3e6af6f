"""From records to the rows of a library: merging, labels, passages; and imports that outlive their workers."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from corpus.imports import queue, report, work
from corpus.imports.formats import PARSERS
from corpus.models import Import, Paper, Passage
from tests.corpus.imports.test_formats import FILES, text

pytestmark = pytest.mark.django_db
Bring = Callable[..., Import]
NEITHER = "This is neither BibTeX, RIS, CSL-JSON, Zotero RDF, a Markdown list nor a list of DOIs or arXiv ids."

PREPRINT = """@misc{a, title={Words that guide masks of the liver}, author={Chen, Ada and Wu, Bo}, year={2023},
 eprint={2301.00001}, archivePrefix={arXiv}, journal={arXiv}, abstract={Masks follow words. They do so quickly.},
 keywords={segmentation, CT}}"""
JOURNAL = """@article{b, title={Words that Guide Masks of the Liver}, author={Chen, Ada and Wu, Bo}, year={2024},
 journal={Journal of Masks}, doi={10.5555/masks.1}, keywords={MRI}}"""


def outcomes(row: Import) -> list[str]:
    return [line["outcome"] for line in row.report]


def only(user: User | None) -> Paper:
    return Paper.objects.get(owner=user)


@pytest.fixture
def shared() -> Paper:
    """A paper of the bundled literature."""
    return Paper.objects.create(
        key="chen2024words",
        title="Words that guide masks of the liver",
        authors=["Ada Chen"],
        year=2024,
        doi="10.5555/masks.1",
        annotation="Ours.",
        evidence="abstract",
    )


def test_a_record_becomes_a_paper_that_loses_nothing(bring: Bring, alice: User) -> None:
    row = bring(alice, (FILES / "zotero.bib").read_bytes(), name="C:\\exports\\my library.bib")
    assert outcomes(row) == ["added", "added", "refused", "added", "refused"]
    assert row.line == "3 added, 2 refused."
    assert row.name == "my library.bib"
    paper = Paper.objects.get(key="schutze2023reading")
    assert paper.owner == alice
    assert paper.authors == ["Jérôme Schütze", "Åsa Køvn", "The Imaging Consortium"]
    assert (paper.year, paper.venue, paper.doi) == (2023, "Medical Image Analysis", "10.1016/j.media.2023.900001")
    assert paper.csl["page"] == "102-119"
    assert paper.csl["author"][0] == {"family": "Schütze", "given": "Jérôme"}
    assert paper.origin == "my library.bib"
    assert {(label.facet, label.value, label.source) for label in paper.labels.all()} == {
        ("modality", "ct", "rule"),
        ("task", "vqa", "rule"),
    }


def test_the_abstract_is_cut_into_passages_of_the_same_owner(bring: Bring, alice: User) -> None:
    bring(alice, PREPRINT)
    (passage,) = Passage.objects.all()
    assert passage.owner == alice
    assert passage.kind == Passage.Kind.ABSTRACT
    assert (
        passage.text == only(alice).abstract[passage.start : passage.end] == "Masks follow words. They do so quickly."
    )


@pytest.mark.parametrize("order", [(PREPRINT, JOURNAL), (JOURNAL, PREPRINT)])
def test_preprint_and_journal_version_are_one_paper_whichever_came_first(
    bring: Bring, alice: User, order: tuple[str, str]
) -> None:
    bring(alice, order[0])
    key = only(alice).key
    assert outcomes(bring(alice, order[1])) == ["merged"]
    paper = only(alice)
    assert (paper.key, paper.venue, paper.year, paper.doi) == (key, "Journal of Masks", 2024, "10.5555/masks.1")
    assert paper.abstract.startswith("Masks follow words.")
    assert paper.arxiv_id == "2301.00001"
    (version,) = paper.versions
    assert (version["kind"], version["year"], version["arxiv_id"]) == ("preprint", 2023, "2301.00001")
    assert (paper.csl["container-title"], paper.csl["DOI"]) == ("Journal of Masks", "10.5555/masks.1")
    assert {label.value for label in paper.labels.all()} == {"segmentation", "ct", "mri"}
    assert outcomes(bring(alice, PREPRINT + JOURNAL)) == ["unchanged", "unchanged"]
    assert len(only(alice).versions) == 1


def test_both_versions_in_one_file_are_one_paper(bring: Bring, alice: User) -> None:
    assert outcomes(bring(alice, f"{PREPRINT}\n{JOURNAL}")) == ["added", "merged"]
    assert only(alice).venue == "Journal of Masks"


def test_the_same_file_twice_changes_nothing(bring: Bring, alice: User, indexed: list[int]) -> None:
    data = (FILES / "reading-list.md").read_bytes()
    bring(alice, data)
    before = list(Paper.objects.order_by("pk").values())
    indexed.clear()
    again = bring(alice, data)
    assert set(outcomes(again)) == {"unchanged", "refused", "repaired", "noted"}
    assert list(Paper.objects.order_by("pk").values()) == before
    assert indexed == []


def test_similar_titles_stay_two_papers(bring: Bring, alice: User) -> None:
    bring(alice, f"{JOURNAL}\n{JOURNAL.replace('Liver', 'Liver II').replace('masks.1', 'masks.2')}")
    assert [paper.key for paper in Paper.objects.order_by("key")] == ["chen2024words", "chen2024wordsa"]


def test_what_everyone_has_is_not_doubled_and_never_changed(bring: Bring, alice: User, shared: Paper) -> None:
    before = Paper.objects.values().get(pk=shared.pk)
    row = bring(alice, f"{JOURNAL}\n{PREPRINT}")
    assert [(line["outcome"], line["key"]) for line in row.report] == [("unchanged", "chen2024words")] * 2
    assert row.report[0]["reason"] == "Already in the literature as chen2024words."
    assert Paper.objects.values().get() == before
    assert not shared.labels.exists()


def test_keys_differ_from_those_of_everyone_and_not_from_a_strangers(
    bring: Bring, alice: User, bob: User, shared: Paper
) -> None:
    other = JOURNAL.replace("masks.1", "masks.9").replace("Liver", "Spleen")
    bring(alice, other)
    bring(bob, other)
    assert {paper.owner: paper.key for paper in Paper.objects.exclude(owner=None)} == {
        alice: "chen2024wordsa",
        bob: "chen2024wordsa",
    }


def test_staff_shares_with_everyone_and_nobody_else_can(bring: Bring, staff: User, alice: User) -> None:
    bring(staff, PREPRINT, shared=True)
    assert Passage.objects.get().owner is None
    assert outcomes(bring(staff, JOURNAL, shared=True)) == ["merged"]
    assert only(None).venue == "Journal of Masks"
    with pytest.raises(work.Refusal, match="Only staff"):
        work.submit(alice, b"x", "x", shared=True)
    assert Import.objects.filter(owner=alice).count() == 0


def test_shared_imports_never_change_what_is_bundled(bring: Bring, staff: User, shared: Paper) -> None:
    before = Paper.objects.values().get(pk=shared.pk)
    assert outcomes(bring(staff, JOURNAL, shared=True)) == ["unchanged"]
    assert Paper.objects.values().get() == before


def test_a_reading_list_brings_tasks_code_and_the_doctors_report(bring: Bring, alice: User) -> None:
    row = bring(alice, (FILES / "reading-list.md").read_bytes(), name="awesome.md")
    assert row.format == "markdown"
    paper = Paper.objects.get(title="Sentence planning for chest film reports")
    assert paper.url == "https://www.sciencedirect.com/science/article/pii/S1361841523001780"
    assert paper.code_url == "https://github.com/example-lab/sentence-planning"
    assert [(label.value, label.source) for label in paper.labels.all()] == [("report-generation", "reading list")]
    twice = Paper.objects.get(title="Text-driven polyp segmentation with frozen encoders")
    assert {label.value for label in twice.labels.all()} == {"report-generation", "segmentation"}
    written = report.as_markdown(row)
    assert "## What the list doctor found" in written
    assert "expired on 5 March 2024" in written
    with default_storage.open(work.repaired_list(row)) as file:
        assert b"X-Amz-Signature" not in file.read()


def test_every_format_ends_in_a_library(bring: Bring, alice: User, nobody: None) -> None:
    for name in ("export.ris", "items.json", "zotero.rdf", "identifiers.txt"):
        row = bring(alice, text(name))
        assert row.state == Import.DONE
        assert "added" in outcomes(row)
        assert row.format in PARSERS


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"%PDF-1.7", "This is a PDF, not a list of references. Add it as the full text of a paper."),
        (
            b"Dear all",
            NEITHER,
        ),
        (b"[" * 100_000, NEITHER),
    ],
)
def test_a_file_that_is_none_fails_in_one_line(bring: Bring, alice: User, data: bytes, line: str) -> None:
    row = bring(alice, data)
    assert (row.state, row.line) == (Import.FAILED, line)
    assert not Paper.objects.exists()
    assert not row.file


def test_texts_of_any_length_fit_their_columns(bring: Bring, alice: User) -> None:
    long = "long " * 3000
    fields = {"title": long, "author": f"{long * 2} and B", "journal": long, "keywords": long, "year": "2020"}
    fields |= {"url": f"http://e.org/{'x' * 900}", "doi": f"10.5555/{'y' * 900}"}
    row = bring(alice, "@article{a, " + ", ".join(f"{name}={{{value}}}" for name, value in fields.items()) + "}")
    assert outcomes(row) == ["added"]
    paper = only(alice)
    assert (len(paper.title), len(paper.venue), paper.url, len(paper.key) <= 80) == (500, 200, "", True)
    assert len(paper.csl["title"]) > 10_000


# What survives


def begun(alice: User, records: int) -> Import:
    names = ["Aster", "Birch", "Cedar", "Daisy", "Elder", "Fern", "Gorse", "Hazel", "Iris", "Juniper"]
    titles = (f"{names[n // 10]} {names[n % 10]} and other plants in films" for n in range(records))
    ris = "".join(f"TY  - JOUR\nTI  - {title}\nPY  - 2020\nER  - \n" for title in titles)
    return work.submit(alice, ris.encode(), "plants.ris", enqueue=False)


def test_two_workers_cannot_have_one_import(alice: User) -> None:
    row = begun(alice, 3)
    assert work.claim(row.pk) is not None
    assert work.claim(row.pk) is None


def test_a_worker_killed_between_two_batches_doubles_and_loses_nothing(
    alice: User, indexed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = begun(alice, 60)
    first = work.claim(row.pk)
    assert first is not None

    def killed(_: Import) -> None:
        raise KeyboardInterrupt  # as little of the step runs after this as after a kill

    with pytest.raises(KeyboardInterrupt):
        work.advance(first, say=killed)
    row.refresh_from_db()
    assert (row.done, row.state, indexed) == (25, Import.RUNNING, [])
    Import.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    work.sweep()
    row.refresh_from_db()
    assert (row.state, row.line) == (Import.QUEUED, "Its worker ended after 25 records; tried again.")
    second = work.claim(row.pk)
    assert second is not None
    work.advance(second)
    row.refresh_from_db()
    assert (row.state, row.done, row.line) == (Import.DONE, 60, "60 added.")
    assert Paper.objects.count() == 60
    assert [line["line"] for line in row.report] == [1 + 4 * n for n in range(60)]
    assert set(indexed) == set(Paper.objects.values_list("pk", flat=True))
    assert work.renew(first) is False


def test_a_file_that_ends_its_worker_twice_at_one_place_is_given_up(alice: User) -> None:
    row = begun(alice, 3)
    for _ in range(2):
        assert work.claim(row.pk) is not None
        Import.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        work.sweep()
    row.refresh_from_db()
    assert row.state == Import.FAILED
    assert row.line.startswith("Given up: its worker ended twice after 0 records")


def test_an_import_that_was_never_enqueued_is_enqueued_by_the_sweep(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(queue, "enqueue", lambda task, argument: sent.append(argument))
    row = begun(alice, 1)
    work.sweep()
    assert sent == []
    Import.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    work.sweep()
    work.sweep()
    assert sent == [str(row.pk)]


def test_a_stopped_import_writes_no_more_and_is_indexed_as_far_as_it_came(alice: User, indexed: list[int]) -> None:
    row = begun(alice, 60)
    claimed = work.claim(row.pk)
    assert claimed is not None
    work.advance(claimed, say=lambda mine: work.cancel(mine) and None)
    row.refresh_from_db()
    assert (row.state, row.line) == (Import.CANCELLED, "Stopped after 25 of 60 records. What was added is kept.")
    assert Paper.objects.count() == len(set(indexed)) == 25
    assert not work.cancel(row)
    work.tidy(row.pk)
    row.refresh_from_db()
    assert not row.file


def test_a_long_import_lets_others_have_their_turn(alice: User, indexed: list[int]) -> None:
    row = begun(alice, 60)
    steps = 0
    while (claimed := work.claim(row.pk)) is not None:
        work.advance(claimed, seconds=-1 if steps == 0 else float("inf"))
        steps += 1
    row.refresh_from_db()
    assert (steps, row.state, row.done) == (2, Import.DONE, 60)


def test_a_fault_of_ours_is_one_line_and_the_log_has_the_rest(
    bring: Bring, alice: User, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr("corpus.imports.shelve.Shelf.put", lambda *_: 1 / 0)
    row = bring(alice, JOURNAL)
    assert (row.state, row.line) == (
        Import.FAILED,
        "The import failed by a fault of Lightbox; the worker's log says more.",
    )
    assert "ZeroDivisionError" in caplog.text


def test_without_a_search_index_the_papers_are_there_and_the_line_says_so(
    bring: Bring, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inference.errors import Unavailable

    def refresh(papers: Any) -> None:
        raise Unavailable("faiss is not installed.")

    monkeypatch.setattr("corpus.reload.refresh", refresh)
    row = bring(alice, JOURNAL)
    assert row.state == Import.DONE
    assert "could not be brought up to date (faiss is not installed.)" in row.line
    assert only(alice).title


@pytest.mark.parametrize(
    ("data", "form", "said"),
    [(b" \n", "", "nothing to import"), (b"x" * (10 * 1024**2 + 1), "", "10 MB"), (b"x", "docx", "format")],
)
def test_what_cannot_be_begun_is_said_at_once(alice: User, data: bytes, form: str, said: str) -> None:
    with pytest.raises(work.Refusal, match=said):
        work.submit(alice, data, "x", form)
    assert not Import.objects.exists()


def test_the_command_does_the_same_in_the_foreground(
    alice: User, indexed: list[int], tmp_path: Any, capsys: Any
) -> None:
    (tmp_path / "a.bib").write_text(JOURNAL + "\n@misc{x, year={2020}}")
    call_command("import_literature", tmp_path / "a.bib", "--user", "alice", "--report", tmp_path / "report.md")
    assert capsys.readouterr().out.splitlines() == [
        "line 3: x: The record has neither a title nor a DOI or arXiv id.",
        "1 added, 1 refused.",
    ]
    assert only(alice).key == "chen2024words"
    assert "| 3 | x | refused |" in (tmp_path / "report.md").read_text()
    for arguments in (("nobody",), ("alice", "--share")):
        with pytest.raises(CommandError):
            call_command("import_literature", tmp_path / "a.bib", "--user", *arguments)
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_literature", tmp_path / "none.bib", "--user", "alice")
