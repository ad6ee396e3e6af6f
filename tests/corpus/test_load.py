"""Loading and indexing: once is enough, twice changes nothing, and what was cited stays."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from corpus import index, ingest, reload
from corpus.index import Entry
from corpus.models import Label, Paper, Passage
from inference.errors import Unavailable
from inference.types import Embedding

pytestmark = pytest.mark.django_db


class Letters:
    """A tiny embedder that counts letters: enough where only the files matter."""

    name = "letters@1"
    dimension = 26

    def __init__(self) -> None:
        self.texts = 0

    def embed(self, texts: list[str]) -> Embedding:
        self.texts += len(texts)
        counts = np.array([[1 + text.lower().count(chr(97 + i)) for i in range(26)] for text in texts], np.float32)
        normalised: Embedding = counts / np.linalg.norm(counts, axis=1, keepdims=True)
        return normalised


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> Letters:
    embedder = Letters()
    monkeypatch.setattr(reload, "open_embedder", lambda setting: embedder)
    return embedder


@pytest.fixture
def data(tmp_path: Path, settings: Settings) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


def entry(**more: object) -> dict[str, object]:
    base = {
        "key": "doe2024lungs",
        "title": "Lungs and Words",
        "model_name": "LungWord",
        "authors": ["Jane Doe", "John Roe"],
        "year": 2024,
        "annotation": "First it reads. Then it writes. Third comes a mask. It gains 3 points.",
        "evidence": "abstract",
        "list_sections": ["segmentation"],
        "tasks": ["segmentation", "vqa"],
        "modalities": ["x-ray"],
        "datasets": ["QaTa"],
    }
    return base | more


def load(*entries: dict[str, object]) -> ingest.Loaded:
    return ingest.load([dict(e) for e in entries])


def keys() -> dict[str, int]:
    return {passage.text: passage.pk for passage in Passage.objects.filter(current=True)}


def test_the_seed_corpus_loads_completely(literature: None) -> None:
    assert Paper.objects.count() == 220
    assert Label.objects.filter(facet="task", value="segmentation").count() == 39
    for passage in Passage.objects.select_related("paper"):
        assert passage.paper.text_of(passage.kind)[passage.start : passage.end] == passage.text
    rejoined = " ".join(
        Passage.objects.filter(paper__key="su2020vlbert", kind="annotation").values_list("text", flat=True)
    )
    assert rejoined == Paper.objects.get(key="su2020vlbert").annotation


def test_the_lists_own_task_and_annotated_ones_name_their_source() -> None:
    load(entry())
    sources = dict(Label.objects.filter(facet="task").values_list("value", "source"))
    assert sources == {"segmentation": "reading list", "vqa": "annotator"}


def test_loading_again_changes_no_row_and_no_key() -> None:
    assert load(entry()).changed == 1
    before = keys()
    assert load(entry()).changed == 0
    assert keys() == before


def test_a_changed_sentence_leaves_the_other_passages_their_keys_and_keeps_the_old_text() -> None:
    load(entry())
    before = keys()
    load(entry(annotation="First it reads. Then it writes. Third comes a box. It gains 4 points."))
    after = keys()
    same = "First it reads. Then it writes."
    assert after[same] == before[same]
    old = Passage.objects.get(text="Third comes a mask. It gains 3 points.")
    assert old.pk == before[old.text]
    assert not old.current


def test_a_text_that_comes_back_gets_its_old_key() -> None:
    load(entry())
    before = keys()
    load(entry(annotation="Something else."))
    load(entry())
    assert keys() == before


def test_a_label_that_a_person_added_survives_a_reload() -> None:
    load(entry())
    paper = Paper.objects.get()
    paper.labels.create(facet="technique", value="prompt-engineering", source="alice")
    load(entry(modalities=["ct"]))
    assert set(paper.labels.values_list("value", flat=True)) == {"segmentation", "vqa", "ct", "prompt-engineering"}


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "papers.jsonl"
    file.write_text(json.dumps(entry()) + "\n{broken\n")
    with pytest.raises(ValueError, match=r"papers\.jsonl, line 2"):
        ingest.read_entries(file)


def test_the_index_is_built_once_and_again_only_when_texts_change(data: Path, letters: Letters) -> None:
    said: list[str] = []
    first = reload.reload(said.append, lambda items, what: items)
    built = letters.texts
    assert (first.papers, built) == (220, sum(len(field) for field in reload.entries().fields()))
    assert reload.reload(said.append, lambda items, what: items) == first
    assert letters.texts == built
    Paper.objects.get(key="li2023lvit").labels.create(facet="task", value="registration", source="alice")
    assert reload.reload(said.append, lambda items, what: items).corpus != first.corpus
    assert letters.texts > built
    assert all(" s)" in line for line in said), "each stage says how long it took"


def test_another_embedder_makes_the_index_stale(data: Path, letters: Letters) -> None:
    first = reload.reload(lambda line: None, lambda items, what: items)
    letters.name = "letters@2"
    assert reload.reload(lambda line: None, lambda items, what: items).embedder == "letters@2" != first.embedder


def entries(*texts: str) -> list[Entry]:
    return [Entry(number, number, text) for number, text in enumerate(texts, start=1)]


def test_an_interrupted_build_is_not_seen_and_is_cleared_away(tmp_path: Path) -> None:
    done = index.build(tmp_path, entries("lung"), entries("lung mask"), Letters())

    class Interrupted(Letters):
        def embed(self, texts: list[str]) -> Embedding:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.build(tmp_path, entries("heart"), entries("heart mask"), Interrupted())
    half = tmp_path / "0123-half"
    (half / "papers").mkdir(parents=True)
    found = index.current(tmp_path)
    assert found is not None
    assert found[1] == done
    index.build(tmp_path, entries("brain"), entries("brain mask"), Letters())
    assert not half.exists()


def test_an_absent_or_damaged_index_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"manage\.py load_corpus"):
        index.open_index(tmp_path)
    index.build(tmp_path, entries("lung"), entries("lung mask"), Letters())
    found = index.current(tmp_path)
    assert found is not None
    next(found[0].glob("papers/dense/*/vectors.faiss")).write_bytes(b"no index")
    with pytest.raises(Unavailable, match=r"manage\.py load_corpus"):
        index.open_index(tmp_path)


def test_without_faiss_the_extra_to_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(Unavailable, match="extra cpu or gpu"):
        index.build(tmp_path, entries("lung"), entries("lung mask"), Letters())


def test_a_reader_keeps_its_index_while_a_new_one_is_made(tmp_path: Path) -> None:
    index.build(tmp_path, entries("lung", "heart"), entries("lung mask"), Letters())
    reader = index.open_index(tmp_path)
    index.build(tmp_path, entries("brain"), entries("brain mask"), Letters())
    assert len(reader.papers.dense(Letters().embed(["lung"])[0], 5, index.Scope())) == 2


def test_two_at_once_take_turns(data: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        with reload._alone(data / "index.lock"):
            inside.append(1)
            most.append(len(inside))
            threading.Event().wait(0.05)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_the_command_turns_a_missing_model_into_one_line(data: Path, settings: Settings) -> None:
    settings.EMBEDDER = str(data / "nothing")
    with pytest.raises(CommandError, match="holds no sentence-transformers model"):
        call_command("load_corpus")


LIGHT = """
import sys, django
django.setup()
from django.core.management import call_command
{work}
heavy = {{"torch", "faiss", "tantivy", "pymilvus", "transformers", "sentence_transformers"}} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.parametrize(
    "work",
    ["import corpus.urls, corpus.views, corpus.catalogue, corpus.client, corpus.quotes, corpus.tasks, corpus.index"],
)
def test_the_web_side_loads_no_model_library(work: str) -> None:
    subprocess.run([sys.executable, "-c", LIGHT.format(work=work)], check=True, cwd=settings.BASE_DIR)


def test_checking_an_index_that_is_up_to_date_loads_no_model_library(
    literature: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("inference.local_embedder._load", never)
    call_command("load_corpus", verbosity=0)
