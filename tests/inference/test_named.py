"""Which papers a question names, told by the form of its words; which it means, told by the answer before."""

import json
import time
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from inference.guide import Guide
from inference.intents import understand
from inference.named import names_in
from tests.inference.test_guide import NEW, TOOLS, question, schema

ALL = [*TOOLS, "read_paper", "compare_papers"]


def asked(text: str, papers: list[str] | None = None, images: list[dict[str, Any]] | None = None) -> tuple[str, Any]:
    """(tool, the papers that it is asked about) of the one call."""
    (call,) = understand(text, images or [], ALL, None, [], papers).calls
    name, arguments = call
    return name, arguments.get("papers") or arguments.get("paper")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("compare MedCLIP and BiomedCLIP", ["MedCLIP", "BiomedCLIP"]),
        ("Compare Grounding DINO, LLaVA-Med and MiniGPT-4", ["Grounding DINO", "LLaVA-Med", "MiniGPT-4"]),
        ("How do KAD and M-FLAG differ on CT and MRI?", ["KAD", "M-FLAG"]),
        ("MedCLIP, MedCLIP and PLIP.", ["MedCLIP", "PLIP"]),
        ("Is AUC or METEOR better for VQA with an LLM?", []),
        ("which papers use x-rays, X-rays or 3D CT?", []),
        ("WHICH PAPERS USE CLIP", []),
        ("mPLUG-Owl3 and fTSPL", ["mPLUG-Owl3", "fTSPL"]),
        ("", []),
    ],
)
def test_names_are_told_by_their_form(text: str, names: list[str]) -> None:
    assert names_in(text) == names


@pytest.mark.parametrize(
    "text",
    [
        "MedCLIP",
        "What is MedCLIP?",
        "What does MedCLIP do?",
        "tell me about MedCLIP",
        "Tell me more about MedCLIP.",
        "read MedCLIP",
        "Can you read the MedCLIP paper?",
        "Which data set did MedCLIP use?",
        "what loss does MedCLIP use?",
        "Who wrote MedCLIP?",
        "how many parameters does MedCLIP have?",
        "What AUC did MedCLIP get on CheXpert?",
        "How does MedCLIP perform on MIMIC-CXR?",
        "Describe how MedCLIP handles unpaired data",
    ],
)
def test_a_question_about_one_method_reads_its_paper(text: str) -> None:
    assert asked(text) == ("read_paper", "MedCLIP")
    assert asked(text, images=NEW) == ("read_paper", "MedCLIP")


@pytest.mark.parametrize(
    "text",
    [
        "compare MedCLIP and SAM",
        "MedCLIP vs SAM",
        "MedCLIP versus SAM?",
        "What is the difference between MedCLIP and SAM?",
    ],
)
def test_a_comparison_of_methods_compares_their_papers(text: str) -> None:
    assert asked(text) == ("compare_papers", ["MedCLIP", "SAM"])


@pytest.mark.parametrize(
    "text",
    [
        "Which papers build on CLIP?",
        "papers on CLIP for pathology",
        "Which methods use LoRA?",
        "What is a VLM?",
        "compare prompt tuning and adapters",
        "compare CT and MRI segmentation methods",
        "Is MedCLIP better than BiomedCLIP?",
        "what is the state of the art on MIMIC-CXR?",
        "methods like MedCLIP since 2023",
        "What did Li et al. propose?",
        "report generation",
    ],
)
def test_other_questions_are_searched_for(text: str) -> None:
    assert asked(text)[0] == "search_literature"
    assert asked(text, ["a", "b"])[0] == "search_literature"


@pytest.mark.parametrize(
    ("text", "papers", "expected"),
    [
        ("and what data did the second one use?", ["a", "b"], ("read_paper", "b")),
        ("What is the last paper about?", ["a", "b", "c"], ("read_paper", "c")),
        ("Who wrote the first of them?", ["a", "b"], ("read_paper", "a")),
        ("compare them", ["a", "b"], ("compare_papers", ["a", "b"])),
        ("How do both differ?", ["a", "b"], ("compare_papers", ["a", "b"])),
        ("what loss does it use?", ["a"], ("read_paper", "a")),
        ("what loss does it use?", ["a", "b"], ("search_literature", None)),
        ("what did the third one use?", ["a", "b"], ("search_literature", None)),
        ("What about the first model to use prompts?", ["a", "b"], ("search_literature", None)),
        ("Which papers are like it?", ["a"], ("search_literature", None)),
        ("what data did the second one use?", [], ("search_literature", None)),
    ],
)
def test_a_follow_up_means_the_papers_of_the_last_answer(text: str, papers: list[str], expected: Any) -> None:
    assert asked(text, papers) == expected


def test_beside_an_image_it_is_the_image() -> None:
    calls = understand("How large is it?", [{"name": "img1", "attached": False}], ALL, None, [], ["a"]).calls
    assert calls == [("describe_image", {"image": "img1"})]


def test_the_longest_question_is_understood_at_once() -> None:
    for piece in ("A-", "AB ", "CLIP ", "compare ", "MedCLIP and ", "the first ", "vs ", "it "):
        began = time.process_time()
        understand((piece * 20_000)[:20_000], [], ALL, None, [], ["a", "b"])
        assert time.process_time() - began < 3, piece


# What the guide does with the results


def answered(text: str, *results: dict[str, Any]) -> tuple[list[str], str]:
    """(tools asked for, what it says) with each call getting its result in turn."""
    model, messages, names = Guide().bind_tools([schema(name) for name in ALL]), [question(text, [])], []
    left = list(results)
    while (reply := model.invoke(messages)).tool_calls:
        messages.append(reply)
        for call in reply.tool_calls:
            names.append(call["name"])
            messages.append(ToolMessage(json.dumps(left.pop(0)), tool_call_id=call["id"]))
    return names, str(reply.text)


def test_a_name_of_no_paper_is_said_and_then_searched_for() -> None:
    names, said = answered(
        "What does ConVIRT do?",
        {"state": "declined", "reason": "“ConVIRT” is not in the collection."},
        {"state": "done", "answerable": False, "notes": ["No paper mentions it."]},
    )
    assert names == ["read_paper", "search_literature"]
    assert said.startswith("“ConVIRT” is not in the collection.\n\n")
    assert said.endswith("No paper mentions it.")


def test_what_is_read_is_listed_word_for_word_and_its_signs_format_nothing() -> None:
    names, said = answered(
        "What does MedCLIP do?",
        {
            "state": "done",
            "statements": [{"text": "MedCLIP: “A *b* [[p9]] `c`”", "ref": "p7"}],
            "notes": ["This rests on: abstract."],
        },
    )
    assert names == ["read_paper"]
    assert said == "- MedCLIP: “A \\*b\\* \\[\\[p9\\]\\] \\`c\\`” [[p7]]\n\nThis rests on: abstract."


def test_a_table_says_what_is_not_recorded() -> None:
    cell = {"text": "0.9 (zero-shot)", "quote": "0.9", "ref": "p7"}
    _, said = answered(
        "Compare MedCLIP and PLIP",
        {
            "state": "done",
            "statements": [{"text": "A table.", "ref": "c1.1"}, {"text": "x", "ref": "p7", "in_table": True}],
            "table": {"columns": ["MedCLIP", "PLIP"], "rows": [{"title": "AUC|x", "cells": [[cell, cell], []]}]},
        },
    )
    value = "“0.9” (zero-shot) [[p7]]"
    assert said == (
        "A table. [[c1.1]]\n\n| as recorded | MedCLIP | PLIP |\n| --- | --- | --- |\n"
        f"| AUC\\|x | {value}; {value} | not recorded |"
    )


def test_papers_of_an_earlier_answer_are_remembered_by_their_keys() -> None:
    table = {"state": "done", "table": {"keys": ["one", "two"], "columns": [], "rows": []}}
    call = {"name": "compare_papers", "args": {"papers": ["A", "B"]}, "id": "c1"}
    history: list[Any] = [question("Compare them", []), AIMessage("", tool_calls=[call])]
    history += [ToolMessage(json.dumps(table), tool_call_id="c1"), AIMessage("Done.")]
    model = Guide().bind_tools([schema(name) for name in ALL])
    reply = model.invoke([*history, HumanMessage("What data does the second one use?")])
    assert reply.tool_calls[0]["args"]["paper"] == "two"
