"""Papers read, compared and searched for in a chat, on the bundled literature: what is said stands in a passage."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from assistant import runs
from assistant.evidence import numbers_in
from assistant.models import Artifact, Conversation, Run, ToolCall
from corpus.models import Paper, Passage
from corpus.quotes import stands_in
from tests.corpus.conftest import literature, loaded_literature

__all__ = ["literature", "loaded_literature"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("literature", "eager_celery")]

Ask = Callable[..., Run]


@pytest.fixture
def chat(alice: User) -> Conversation:
    return Conversation.objects.create(owner=alice)


@pytest.fixture
def ask(chat: Conversation) -> Ask:
    """Asks the guide, and checks of every answer what must hold of all: no claim without a source that stands."""

    def answered(text: str) -> Run:
        run = runs.ask(chat, text, [])
        run.refresh_from_db()
        assert run.state == Run.DONE, run.answer and run.answer.note
        assert run.answer.support["supported"] == run.answer.support["claims"], run.answer.text
        assert run.answer.support["unsupported"] == []
        for reference in run.answer.references:
            assert reference["verified"], (reference, run.answer.text)
            if reference["kind"] == "passage":
                passage = Passage.objects.get(pk=reference["passage_id"])
                assert stands_in(reference["quote"], passage.text)
                assert reference["basis"] == passage.basis
        return run

    return answered


def called(run: Run) -> list[str]:
    return [f"{call.name} {call.state}" for call in run.tool_calls.all()]


# One paper


@pytest.mark.parametrize("question", ["MedCLIP", "What is MedCLIP?", "Tell me about MedCLIP.", "read MedCLIP"])
def test_a_paper_by_name_is_told_in_its_entry_s_own_sentences(ask: Ask, question: str) -> None:
    run = ask(question)
    assert called(run) == ["read_paper done"]
    assert "Contrastive Learning from Unpaired Medical Images and Text" in run.answer.text
    assert "Data sets: MIMIC-CXR, CheXpert" in run.answer.text
    assert "This rests on: annotation written from the abstract; data and results as recorded." in run.answer.text
    assert {r.get("key") for r in run.answer.references if r["kind"] == "passage"} == {"wang2022medclip"}


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Which data sets did MedCLIP use?", "“Data sets: MIMIC-CXR, CheXpert, COVID, RSNA Pneumonia.”"),
        ("Which encoders does BiomedCLIP use?", "“Backbones: ViT-B/16, PubMedBERT.”"),
        ("What loss does MedCLIP use?", "“A soft semantic matching loss over that matrix replaces InfoNCE.”"),
        ("How does MedCLIP handle unpaired data?", "unpaired data become usable.”"),
        ("On how many GPUs was LLaVA-Med trained?", "“Training takes under 15 hours on eight A100 GPUs.”"),
        ("What are the weaknesses of Med-Flamingo?", "unsafe for clinical use.”"),
        ("What METEOR does Med3DVLM reach on M3D?", "“report METEOR on M3D: 36.42%"),
        ("Who wrote LLaVA-Med?", "LLaVA-Med (2023), authors: “Chunyuan Li, Cliff Wong"),
        ("When was MedCLIP published?", "year of publication: “2022”."),
        ("Where is the code of MedCLIP?", "code: “https://github.com/RyanWangZf/MedCLIP”."),
    ],
)
def test_a_question_about_a_paper_is_answered_by_the_sentence_that_says_it(ask: Ask, question: str, said: str) -> None:
    run = ask(question)
    assert called(run) == ["read_paper done"]
    assert said in run.answer.text


@pytest.mark.parametrize(
    ("question", "missing"),
    [
        ("How many parameters does MedCLIP have?", "parameters"),
        ("What Dice did MedCLIP reach on BraTS?", "Dice, BraTS"),
        ("What AUC did MedCLIP reach on CheXpert?", "AUC"),
        ("Where is the code of BiomedCLIP?", "code"),
        ("What are the limitations of MedCLIP?", "limitations"),
    ],
)
def test_what_the_entry_does_not_record_is_said_and_nothing_else(ask: Ask, question: str, missing: str) -> None:
    run = ask(question)
    assert called(run) == ["read_paper done"]
    assert f"does not record: {missing}." in run.answer.text
    assert run.answer.references == []
    assert run.answer.support["claims"] == 0


def test_a_name_that_no_paper_has_is_said_and_searched_for(ask: Ask) -> None:
    unknown = ask("What does ConVIRT do?")
    assert called(unknown) == ["read_paper declined", "search_literature done"]
    assert unknown.answer.text.startswith("“ConVIRT” is not in the collection.")
    assert unknown.answer.references == []
    dataset = ask("What is MIMIC-CXR?")
    assert called(dataset) == ["read_paper declined", "search_literature done"]
    assert dataset.answer.text.startswith("“MIMIC-CXR” is not in the collection.")


def test_a_name_misspelt_is_not_taken_for_another(ask: Ask) -> None:
    run = ask("What does MedCLIPP do?")
    assert "“MedCLIPP” is not in the collection. Names like it: MedCLIP" in run.answer.text


# Several papers


def test_papers_are_compared_in_a_table_whose_cells_have_sources(ask: Ask) -> None:
    run = ask("Compare MedCLIP and BiomedCLIP")
    assert called(run) == ["compare_papers done"]
    assert "| as recorded | MedCLIP (2022) | BiomedCLIP (2023) |" in run.answer.text
    row = next(line for line in run.answer.text.splitlines() if line.startswith("| backbone "))
    assert "“Swin Transformer, ResNet-50, BioClinicalBERT” [[p" in row
    assert "“ViT-B/16, PubMedBERT” [[p" in row
    assert next(line for line in run.answer.text.splitlines() if line.startswith("| code ")).count("not recorded") == 1
    assert "The entry of BiomedCLIP does not record: code, results." in run.answer.text


@pytest.mark.parametrize("question", ["MedCLIP vs BiomedCLIP", "What is the difference between CLIP and SAM?"])
def test_other_words_for_a_comparison(ask: Ask, question: str) -> None:
    assert called(ask(question)) == ["compare_papers done"]


def test_numbers_of_different_measurements_are_not_set_side_by_side(ask: Ask) -> None:
    run = ask("Compare Med3DVLM, Med-R1 and MedVLM-R1")
    table = [line for line in run.answer.text.splitlines() if line.startswith("|")]
    assert not any("%" in line for line in table)
    assert "No metric on one and the same data set is recorded for two of them" in run.answer.text
    assert "Med3DVLM (2025): “report METEOR on M3D: 36.42%”" in run.answer.text


def test_a_comparison_with_what_is_not_there_ends_honestly(ask: Ask) -> None:
    run = ask("Compare MedCLIP and ConVIRT")
    assert called(run)[0] == "compare_papers declined"
    assert run.answer.text.startswith("“ConVIRT” is not in the collection.")


def test_every_pair_in_the_same_row_has_the_same_measurement(ask: Ask, chat: Conversation) -> None:
    first, second = Paper.objects.exclude(results=[])[:2]
    shared = {"dataset": "CheXpert", "metric": "AUC"}
    for paper, value in ((first, "0.91"), (second, "0.93")):
        paper.results = [*paper.results, {**shared, "value": value}]
        paper.save()
        passage = paper.passages.get(kind="results", current=True)
        Passage.objects.filter(pk=passage.pk).update(text=paper.facts())
    compared = ask(f"Compare {first.name} and {second.name}") if first.model_name and second.model_name else None
    assert compared is not None
    row = next(line for line in compared.answer.text.splitlines() if line.startswith("| AUC on CheXpert "))
    assert "“0.91” [[p" in row
    assert "“0.93” [[p" in row


def test_the_table_is_an_artifact_of_the_page_and_of_the_api(
    ask: Ask, client_of: Callable[[User], Client], alice: User, bob: User
) -> None:
    run = ask("Compare MedCLIP and BiomedCLIP")
    artifact = Artifact.objects.get(kind="table")
    assert artifact.data["columns"] == ["MedCLIP (2022)", "BiomedCLIP (2023)"]
    table = next(r for r in run.answer.references if r["kind"] == "table")
    address = f"/messages/{run.answer.pk}/evidence/{table['n']}/"
    page = client_of(alice).get(address).content.decode()
    assert '<th scope="row">backbone</th>' in page
    assert "Swin Transformer, ResNet-50, BioClinicalBERT" in page
    assert "/literature/wang2022medclip/#p" in page
    assert "annotation" in page
    assert client_of(bob).get(address).status_code == 404


def test_what_was_read_goes_into_a_report_with_its_sources(ask: Ask, chat: Conversation) -> None:
    ask("What is MedCLIP?")
    run = runs.ask(chat, "Draft a report", [])
    run.refresh_from_db()
    report = chat.reports.get()
    section = next(section for section in report.sections if section["heading"] == "Literature")
    assert any("“Data sets: MIMIC-CXR" in sentence["text"] for sentence in section["sentences"])
    assert all(reference["verified"] for reference in report.references)


def test_the_tools_stand_on_their_page(client_of: Callable[[User], Client], alice: User) -> None:
    page = client_of(alice).get("/models/").content.decode()
    for name in ("Search literature", "Read paper", "Compare papers"):
        assert f"<strong>{name}</strong>" in page


# Follow-ups


def test_the_second_one_is_the_second_paper_of_the_last_answer(ask: Ask) -> None:
    ask("Compare MedCLIP and BiomedCLIP")
    run = ask("And what data did the second one use?")
    assert run.tool_calls.get().arguments["paper"] == "zhang2023biomedclip"
    assert "“Data sets: PMC-15M" in run.answer.text
    again = ask("What loss does it use?")
    assert again.tool_calls.get().arguments["paper"] == "zhang2023biomedclip"


def test_what_a_search_found_is_compared_when_asked(ask: Ask) -> None:
    found = ask("Which methods segment surgical instruments with text prompts?")
    assert called(found) == ["search_literature done"]
    keys = [passage["key"] for passage in found.tool_calls.get().result["passages"]]
    run = ask("Compare them")
    assert run.tool_calls.get().arguments["papers"] == keys


# Whose papers


@pytest.fixture
def private(bob: User) -> Passage:
    """A paper in bob's library, with a passage that nobody else may read."""
    paper = Paper.objects.create(owner=bob, key="bob2026canary", title="Canary in the mine", model_name="CanaryNet")
    text = "CanaryNet sings in the dark at 440 Hz."
    paper.annotation, paper.year = text, 2026
    paper.save()
    return Passage.objects.create(
        owner=bob, paper=paper, kind="annotation", ordinal=0, text=text, start=0, end=len(text)
    )


@pytest.mark.parametrize("name", ["CanaryNet", "bob2026canary", "Canary in the mine", "canary net", "CanaryNett"])
def test_another_users_paper_is_not_in_the_collection(chat: Conversation, private: Passage, name: str) -> None:
    from assistant.tools import execute

    call = new_call(chat, "read_paper", {"paper": name})
    outcome = execute(call)
    assert outcome.state == ToolCall.DECLINED
    assert "is not in the collection" in outcome.summary
    assert "Canary in" not in outcome.text.replace(name, "")
    compared = execute(new_call(chat, "compare_papers", {"papers": ["MedCLIP", name]}))
    assert compared.state == ToolCall.DECLINED


def test_it_is_in_its_owner_s(bob: User, private: Passage) -> None:
    from assistant.tools import execute

    own = Conversation.objects.create(owner=bob)
    outcome = execute(new_call(own, "read_paper", {"paper": "canarynet", "question": "At how many Hz does it sing?"}))
    assert outcome.result["statements"] == [
        {"text": "CanaryNet (2026): “CanaryNet sings in the dark at 440 Hz.”", "ref": f"p{private.pk}"}
    ]


def test_a_private_passage_is_neither_cited_nor_opened_by_another(
    ask: Ask, chat: Conversation, private: Passage, alice: User, client_of: Callable[[User], Client]
) -> None:
    """Even where its name has come into the rows of a stranger's conversation."""
    from assistant.evidence import references

    run = ask("What is MedCLIP?")
    call = run.tool_calls.get()
    call.result["passages"].append({"ref": f"p{private.pk}"})
    call.save()
    (reference,) = references(f"“CanaryNet sings in the dark” [[p{private.pk}]]", chat)
    assert (reference["kind"], reference["verified"]) == ("missing", False)
    assert "Canary" not in str(reference)
    answer = run.answer
    answer.references = [
        {"ref": f"p{private.pk}", "kind": "passage", "passage_id": private.pk, "verified": True, "n": 1, "quote": "x"}
    ]
    answer.save()
    page = client_of(alice).get(f"/messages/{answer.pk}/evidence/1/")
    assert page.status_code == 200
    assert b"CanaryNet" not in page.content


def new_call(chat: Conversation, name: str, arguments: dict[str, Any]) -> ToolCall:
    message = chat.add("user", "ask")
    run = chat.runs.create(message=message, chat_model="guide", state=Run.DONE)
    number = ToolCall.objects.filter(run__conversation=chat).count() + 1
    return ToolCall.objects.create(run=run, number=number, call_id=str(number), name=name, arguments=arguments)


def test_numbers_have_values_and_names_have_none() -> None:
    assert {str(value) for value in numbers_in("20,000 pairs, 61.50 %, F1 and img2").values()} == {"20000", "61.50"}
