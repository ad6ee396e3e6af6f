"""Rows and index kept together: what a change costs, and what becomes of one that was interrupted."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from pytest_django.fixtures import Settings

from corpus import index, reload
from corpus.index import Scope
from corpus.models import Label, Paper, Passage
from tests.corpus.test_index import Letters, let_go

pytestmark = pytest.mark.django_db


@pytest.fixture
def data(tmp_path: Path, settings: Settings) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> Letters:
    embedder = Letters()
    monkeypatch.setattr(reload, "open_embedder", lambda setting: embedder)
    return embedder


def say(_: str) -> None:
    pass


def bar(items: Any, _: str) -> Any:
    return items


def add(key: str, *texts: str, owner: User | None = None) -> Paper:
    paper = Paper.objects.create(key=key, title=key, abstract=" ".join(texts), owner=owner)
    place = 0
    for ordinal, text in enumerate(texts):
        span = {"start": place, "end": place + len(text)}
        Passage.objects.create(paper=paper, owner=owner, kind="abstract", ordinal=ordinal, text=text, **span)
        place += len(text) + 1
    return paper


def found(data: Path, word: str, reader: int | None = None) -> set[int]:
    opened = index.open_index(data / "index")
    return set(opened.passages.sparse({word: 1.0}, 100, Scope(reader)).papers.tolist())


def test_adding_a_paper_embeds_its_texts_only(data: Path, letters: Letters) -> None:
    reload.reload(say, bar)
    letters.asked.clear()
    paper = add("zebra2026", "Zebrafish hearts.", "A second zebrafish.")
    reload.refresh([paper.pk])
    assert sorted(letters.asked) == [
        "zebra2026. A second zebrafish.",
        "zebra2026. Zebrafish hearts.",
        "zebra2026. Zebrafish hearts. A second zebrafish.",
    ]
    assert found(data, "zebrafish") == {paper.pk}
    assert index.open_index(data / "index").build.is_of(reload.entries().digest(), letters.name)


def test_a_changed_label_writes_one_paper_at_the_next_load(data: Path, letters: Letters) -> None:
    before = reload.reload(say, bar)
    letters.asked.clear()
    said: list[str] = []
    paper = Paper.objects.get(key="li2023lvit")
    paper.labels.create(facet="task", value="registration", source="alice")
    after = reload.reload(said.append, bar)
    assert len(letters.asked) == 1
    assert "1 of 220 papers brought up to date" in said[1]
    assert (after.papers, after.passages) == (before.papers, before.passages)
    assert after.version != before.version


def test_a_deleted_paper_is_found_no_more(data: Path, letters: Letters) -> None:
    reload.reload(say, bar)
    paper = add("zebra2026", "Zebrafish hearts.")
    key = paper.pk
    reload.refresh([key])
    paper.delete()
    letters.asked.clear()
    reload.refresh([key])
    assert found(data, "zebrafish") == set()
    assert letters.asked == []
    assert index.open_index(data / "index").build.is_of(reload.entries().digest(), letters.name)


def test_anothers_full_text_of_a_shared_paper_is_found_by_them_only(
    data: Path, letters: Letters, alice: User, bob: User
) -> None:
    reload.reload(say, bar)
    paper = Paper.objects.get(key="li2023lvit")
    text = "A zebrafish appears in the supplement."
    Passage.objects.create(paper=paper, owner=bob, kind="full_text", ordinal=0, text=text, start=0, end=len(text))
    reload.refresh([paper.pk])
    assert found(data, "zebrafish", bob.pk) == {paper.pk}
    assert found(data, "zebrafish", alice.pk) == found(data, "zebrafish") == set()


def test_a_refresh_that_was_interrupted_is_made_good_by_the_next(
    data: Path, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    reload.reload(say, bar)
    first, second = add("first2026", "Zebrafish."), add("second2026", "Quokka.")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(index, "update", killed)
        with pytest.raises(KeyboardInterrupt):
            reload.refresh([first.pk])
    assert found(data, "zebrafish") == set()
    reload.refresh([second.pk])
    assert (found(data, "zebrafish"), found(data, "quokka")) == ({first.pk}, {second.pk})
    assert list((data / "index.notes").iterdir()) == []


def test_a_load_makes_good_too(data: Path, letters: Letters, monkeypatch: pytest.MonkeyPatch) -> None:
    reload.reload(say, bar)
    paper = add("zebra2026", "Zebrafish.")
    (data / "index.notes").mkdir(exist_ok=True)
    index.replace(data / "index.notes" / "1-1.json", {"papers": [paper.pk]})
    (data / "index.notes" / "2-1.json").write_text('{"pap')
    reload.reload(say, bar)
    assert found(data, "zebrafish") == {paper.pk}
    assert not (data / "index.notes" / "1-1.json").exists()


def test_without_an_index_a_refresh_builds_it(data: Path, letters: Letters) -> None:
    paper = add("zebra2026", "Zebrafish.")
    reload.refresh([paper.pk])
    assert found(data, "zebrafish") == {paper.pk}
    reload.refresh([])


def test_with_another_embedder_a_refresh_builds_anew(data: Path, letters: Letters) -> None:
    paper = add("zebra2026", "Zebrafish.")
    reload.refresh([paper.pk])
    letters.name = "letters@2"
    reload.refresh([paper.pk])
    assert index.open_index(data / "index").build.embedder == "letters@2"


def test_many_papers_are_asked_of_the_database_in_turns(
    data: Path, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    papers = [add(f"p{number}", f"Zebrafish {number}.") for number in range(7)]
    whole = reload.entries()
    monkeypatch.setattr(reload, "MOST_IN_A_QUERY", 3)
    assert reload.entries({paper.pk for paper in papers}) == whole


def test_another_engine_is_filled_at_the_next_load(data: Path, letters: Letters, settings: Settings) -> None:
    add("zebra2026", "Zebrafish.")
    reload.reload(say, bar)
    settings.INDEX = f"milvus:{data / 'milvus.db'}"
    said: list[str] = []
    build = reload.reload(said.append, bar)
    assert build.engine == settings.INDEX
    assert "built" in said[1]
    assert len(found(data, "zebrafish")) == 1
    paper = add("quokka2026", "Quokka.")
    reload.refresh([paper.pk])
    assert found(data, "quokka") == {paper.pk}
    let_go(data)


def test_a_running_search_sees_a_refresh_without_a_restart(literature: None, alice: User) -> None:
    """With the real embedder, on the real literature; what is added goes again, for the tests after this one."""
    from corpus import retrieve

    before = retrieve.search("zebrafish heart atlas", reader=alice.pk).results
    paper = add("zebra2026", "An atlas of the zebrafish heart.", owner=alice)
    try:
        reload.refresh([paper.pk])
        assert retrieve.search("zebrafish heart atlas", reader=alice.pk).results[0].key == "zebra2026"
        stranger = retrieve.search("zebrafish heart atlas").results
        assert [hit.key for hit in stranger] == [hit.key for hit in before]
    finally:
        Paper.objects.filter(pk=paper.pk).delete()
        reload.refresh([paper.pk])
    assert "zebra2026" not in [hit.key for hit in retrieve.search("zebrafish heart", reader=alice.pk).results]


def test_loading_finds_nothing_to_do_after_refreshes(data: Path, letters: Letters) -> None:
    reload.reload(say, bar)
    papers: Sequence[Paper] = [add(f"p{number}", f"Zebrafish {number}.") for number in range(3)]
    for paper in papers:
        reload.refresh([paper.pk])
    Label.objects.create(paper=papers[1], facet="task", value="vqa", source="alice")
    Paper.objects.filter(pk=papers[0].pk).delete()
    reload.refresh([papers[0].pk, papers[1].pk])
    letters.asked.clear()
    version = index.current_version(data / "index")
    call_command("load_corpus", verbosity=0)
    assert (letters.asked, index.current_version(data / "index")) == ([], version)


@pytest.mark.django_db(transaction=True)
def test_refreshes_at_once_take_turns_and_lose_nothing(data: Path, letters: Letters) -> None:
    from django.db import connection

    papers = [add(f"p{number}", f"Zebrafish {number}.") for number in range(6)]
    reload.refresh([papers[0].pk])

    def work(paper: Paper) -> None:
        try:
            reload.refresh([paper.pk])
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(paper,)) for paper in papers[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found(data, "zebrafish") == {paper.pk for paper in papers}
