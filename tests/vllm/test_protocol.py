"""The product's own clients against a real vLLM: what only a real server shows."""

import io
import json
import random
import time
from collections.abc import Callable

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage
from PIL import Image as Pillow

from assistant import agent
from assistant.chat import chat_model
from assistant.tools import TOOLS, check_arguments
from bench.vllm_server import LENGTH, NAME, Vllm
from inference.errors import Unavailable
from inference.open_lines import OpenLines
from inference.server_health import look
from inference.servers import Server
from inference.shown import data_url
from inference.vllm import OpenAIAnswerer
from tests.vllm.tiny.lessons import LOOP, picture

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Pillow.new("L", (200, 160), shade).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def answerer(vllm: Vllm) -> OpenAIAnswerer:
    return OpenAIAnswerer(vllm.base_url, NAME)


@pytest.fixture
def chat(vllm: Vllm, settings):
    settings.CHAT_MODEL = vllm.chat
    return chat_model(vllm.chat)


def until(true: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def system_and(question: str) -> list:
    return [SystemMessage(agent.PROMPT), HumanMessage(question)]


def test_a_picture_is_seen(answerer):
    assert "dark" in answerer.answer([png(20)], "What do you see?")
    assert "bright" in answerer.answer([png(235)], "What do you see?")


def test_several_pictures_are_seen_in_their_order(answerer):
    answer = answerer.answer([png(20), png(235)], "What do you see?")
    assert answer.index("dark") < answer.index("bright")


def test_a_large_picture_is_shrunk_and_seen(answerer):
    buffer = io.BytesIO()
    Pillow.new("L", (3000, 2000), 15).save(buffer, "PNG")
    assert "dark" in answerer.answer([buffer.getvalue()], "Is this image bright or dark?")


def test_it_is_right_about_pictures_that_it_has_not_seen(answerer):
    random_, right = random.Random(99), 0
    for _ in range(10):
        shown, truth = picture(random_)
        buffer = io.BytesIO()
        shown.save(buffer, "PNG")
        right += truth.split()[0] in answerer.answer([buffer.getvalue()], "What do you see in this image?")
    assert right >= 9, f"{right} of 10"


def test_an_answer_comes_in_many_pieces_and_its_tokens_are_counted(chat):
    chunks = list(chat.stream(system_and("Talk without end")))
    assert len([chunk for chunk in chunks if chunk.content]) > 100
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert str(whole.content).startswith(LOOP)
    assert whole.response_metadata["finish_reason"] == "length"
    assert whole.usage_metadata["input_tokens"] + whole.usage_metadata["output_tokens"] == LENGTH


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(
    ("question", "name", "arguments"),
    [
        ("Which papers are about prompt learning?", "search_literature", {"query": "prompt learning"}),
        ("Find papers about pathology", "search_literature", {"query": "pathology"}),
    ],
)
def test_a_tool_call_arrives_whole_and_fits_the_schema(question, name, arguments, streamed, chat):
    bound = chat.bind_tools([agent.schema(tool) for tool in TOOLS.values()])
    if streamed:
        answer = AIMessageChunk("")
        for chunk in bound.stream(system_and(question)):
            answer += chunk
    else:
        answer = bound.invoke(system_and(question))
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [(name, arguments)]
    assert answer.tool_calls[0]["id"]
    assert "<tool_call>" not in str(answer.content)
    assert not check_arguments(name, arguments)


def test_a_question_about_a_picture_calls_the_tool_with_its_name(chat):
    text = "Segment the lungs\n\nAttached images:\nimg1: PNG, size 200 x 160 pixels"
    content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": data_url(png(20))}}]
    bound = chat.bind_tools([agent.schema(tool) for tool in TOOLS.values()])
    answer = bound.invoke([SystemMessage(agent.PROMPT), HumanMessage(content=content)])
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("segment", {"image": "img1"})]


def test_an_answer_is_held_to_a_json_schema(chat):
    schema = {
        "type": "object",
        "properties": {"dark": {"type": "boolean"}, "side": {"enum": ["left", "right", "none"]}},
        "required": ["dark", "side"],
        "additionalProperties": False,
    }
    held = {"type": "json_schema", "json_schema": {"name": "seen", "schema": schema, "strict": True}}
    answer = chat.bind(response_format=held).invoke("What do you see?")
    found = json.loads(str(answer.content))
    assert set(found) == {"dark", "side"}
    assert isinstance(found["dark"], bool)


def test_a_model_that_is_not_served_is_said_in_one_line(vllm):
    with pytest.raises(Unavailable, match="does not serve another-model"):
        OpenAIAnswerer(vllm.base_url, "another-model").answer([png(20)], "What do you see?")


def test_a_reader_who_leaves_ends_the_work_of_the_server(chat, vllm):
    stream = chat.stream(system_and("Talk without end"))
    for _ in range(5):
        next(stream)
    assert vllm.metric("vllm:num_requests_running") == 1
    stream.close()
    assert until(lambda: vllm.metric("vllm:num_requests_running") == 0)


def test_a_line_that_is_cut_ends_the_work_of_the_server(chat, vllm):
    with OpenLines() as lines:
        stream = chat.stream(system_and("Talk without end"))
        next(stream)
        lines.cut()
        assert until(lambda: vllm.metric("vllm:num_requests_running") == 0)
        with pytest.raises(Exception):  # noqa: B017, PT011 (whichever layer notices first)
            for _ in stream:
                pass


def test_its_health_is_read_from_its_own_metrics(vllm):
    [found] = look([Server(vllm.base_url, NAME)])
    assert (found.up, found.running, found.waiting, found.line) == (True, 0, 0, "")
    assert found.models == (NAME,)
    assert found.version
    assert found.cache is not None
