"""Questions about an image, asked of a real local server that speaks the protocol."""

from __future__ import annotations

import base64
import socket
import time
from io import BytesIO
from typing import Literal

import httpx
import numpy as np
import pytest
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from PIL import Image as Pillow
from pydantic import BaseModel, Field

from inference.errors import BadInput, Unavailable
from inference.fake import FakeOpenAI, Reply, repeat
from inference.shown import Shown, data_url
from inference.vllm import OpenAIAnswerer


def png(width: int = 40, height: int = 20, mode: str = "L") -> bytes:
    buffer = BytesIO()
    Pillow.new(mode, (width, height)).save(buffer, "PNG", pnginfo=None)
    return buffer.getvalue()


def opened(url: str) -> Pillow.Image:
    assert url.startswith("data:image/png;base64,")
    return Pillow.open(BytesIO(base64.b64decode(url.split(",", 1)[1])))


def test_the_question_and_the_images_arrive() -> None:
    with FakeOpenAI(["Yes, on the left."]) as server:
        answer = OpenAIAnswerer(server.base_url, "tiny-vl").answer([png(), png()], "Is there an effusion?")
    assert answer == "Yes, on the left."
    request = server.requests[0]
    parts = request["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["image_url", "image_url", "text"]
    assert opened(parts[0]["image_url"]["url"]).size == (40, 20)
    assert parts[2]["text"] == "Is there an effusion?"
    assert (request["model"], request["temperature"]) == ("tiny-vl", 0.0)


def test_large_pictures_are_shrunk_and_small_ones_kept() -> None:
    assert opened(data_url(png(3000, 1500))).size == (1024, 512)
    assert opened(data_url(png(3000, 1500), longest=300)).size == (300, 150)
    assert opened(data_url(png(100, 50))).size == (100, 50)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA"])
def test_every_colour_model_is_sent_as_grey_or_rgb(mode: str) -> None:
    assert opened(data_url(png(mode=mode))).mode in ("L", "RGB")


def test_comments_and_camera_data_stay_behind() -> None:
    picture = Pillow.new("RGB", (20, 20))
    exif = picture.getexif()
    exif[0x010E] = "Jane Doe"
    buffer = BytesIO()
    picture.save(buffer, "JPEG", exif=exif, comment=b"Jane Doe")
    assert b"Jane Doe" in buffer.getvalue()
    assert b"Jane Doe" not in base64.b64decode(data_url(buffer.getvalue()).split(",", 1)[1])


@pytest.mark.parametrize("content", [b"", b"no picture", png()[:40]], ids=["empty", "text", "cut"])
def test_bytes_that_are_no_picture_are_bad_input(content: bytes) -> None:
    with pytest.raises(BadInput, match="cannot be prepared"):
        data_url(content)


def test_sixteen_bits_are_bad_input_and_not_clipped() -> None:
    buffer = BytesIO()
    Pillow.fromarray(np.zeros((9, 9), np.uint16)).save(buffer, "PNG")
    with pytest.raises(BadInput):
        data_url(buffer.getvalue())


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (400, BadInput, "at most 2 images"),
        (401, Unavailable, "refused the key"),
        (404, Unavailable, "does not serve tiny-vl"),
        (429, Unavailable, "status 429"),
        (500, Unavailable, "status 500"),
    ],
)
def test_refusals_become_one_line_and_a_decision(status: int, kind, said: str) -> None:
    script = [Reply(text="at most 2 images\nplease", status=status)]
    with FakeOpenAI(script) as server, pytest.raises(kind, match=said) as caught:
        OpenAIAnswerer(server.base_url, "tiny-vl").answer([png()], "?")
    assert "\n" not in str(caught.value)


def test_an_absent_server_is_unavailable() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port} does not answer"):
        OpenAIAnswerer(f"http://127.0.0.1:{port}/v1", "m").answer([], "?")


def test_a_slow_server_is_unavailable() -> None:
    with FakeOpenAI([Reply(text="late", delay_s=1)]) as server, pytest.raises(Unavailable, match=r"longer than 0\.2"):
        OpenAIAnswerer(server.base_url, "m", timeout_s=0.2).answer([], "?")


def test_an_empty_answer_is_said() -> None:
    with FakeOpenAI([" "]) as server, pytest.raises(BadInput, match="empty answer"):
        OpenAIAnswerer(server.base_url, "m").answer([], "?")


@tool
def segment(image: str, structure: str) -> str:
    """Segment a structure on an image."""
    return f"{structure} on {image}"


class Finding(BaseModel):
    side: Literal["left", "right"]
    count: int = Field(ge=0)


FILLED = '{"side": "left", "count": 2}'


def test_an_answer_in_a_form_is_asked_for_by_its_schema_and_checked() -> None:
    with FakeOpenAI([FILLED]) as server:
        found = OpenAIAnswerer(server.base_url, "m").fill([Shown("img1, radiograph", png())], "How many?", Finding)
    assert found == Finding(side="left", count=2)
    asked = server.requests[0]["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["schema"] == Finding.model_json_schema()
    assert server.requests[0]["messages"][0]["content"][0]["text"] == "img1, radiograph"


@pytest.mark.parametrize("said", [f"```json\n{FILLED}\n```", f"``` {FILLED} ```", f"  {FILLED}\n"])
def test_fences_around_the_form_are_no_fault(said: str) -> None:
    with FakeOpenAI([said]) as server:
        assert OpenAIAnswerer(server.base_url, "m").fill([], "?", Finding).count == 2


@pytest.mark.parametrize(
    "bad", ["Two on the left.", '{"side": "up", "count": 2}', '{"side": "left", "count": -1}', "[]"]
)
def test_a_form_that_is_not_filled_is_asked_for_once_more_with_what_was_wrong(bad: str) -> None:
    with FakeOpenAI([bad, FILLED]) as server:
        assert OpenAIAnswerer(server.base_url, "m").fill([], "?", Finding).side == "left"
    question, answer, again = server.requests[1]["messages"]
    assert (question["role"], answer["content"]) == ("user", bad)
    assert "Answer once more" in again["content"]
    with (
        FakeOpenAI([bad, bad, FILLED]) as server,
        pytest.raises(BadInput, match="m did not give its answer"),
    ):
        OpenAIAnswerer(server.base_url, "m").fill([], "?", Finding)
    assert len(server.requests) == 2


def chat(server: FakeOpenAI) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=server.base_url, api_key="none", model=server.model, streaming=True, stream_usage=True, max_retries=0
    )


def test_the_fake_streams_words_and_tool_calls_to_langchain() -> None:
    arguments = {"image": "img1", "structure": 'both lungs, with é and "quotes"'}
    calls = [("segment", arguments), ("segment", {"image": "img2", "structure": "heart"})]
    with FakeOpenAI([Reply(text="I will look at both.", tool_calls=calls), "Done."]) as server:
        chunks = list(chat(server).bind_tools([segment]).stream("Segment them"))
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole += chunk
        assert whole.content == "I will look at both."
        assert [(call["name"], call["args"]) for call in whole.tool_calls] == calls
        assert len({call["id"] for call in whole.tool_calls}) == 2
        assert whole.usage_metadata["total_tokens"] > 0
        assert len(chunks) > 15, "arguments arrive in pieces"
        assert chat(server).invoke("And?").content == "Done."
        assert server.requests[0]["tools"][0]["function"]["name"] == "segment"


def test_the_fake_answers_without_streaming_too() -> None:
    with FakeOpenAI([Reply(tool_calls=[("segment", {"image": "a", "structure": "b"})])]) as server:
        model = ChatOpenAI(base_url=server.base_url, api_key="none", model="m", max_retries=0)
        assert model.bind_tools([segment]).invoke("x").tool_calls[0]["args"] == {"image": "a", "structure": "b"}


def test_a_script_may_be_a_function_and_a_list_ends() -> None:
    with FakeOpenAI(repeat) as server:
        assert "You sent 0 images and said: hello" in str(chat(server).invoke("hello").content)
    with FakeOpenAI([]) as server, pytest.raises(BadInput, match="no further reply"):
        OpenAIAnswerer(server.base_url, "m").answer([], "?")


def test_the_fake_notices_that_the_reader_has_left() -> None:
    with FakeOpenAI([Reply(text="word " * 200, delay_s=0.01)]) as server:
        stream = chat(server).stream("talk")
        next(stream)
        stream.close()
        end = time.monotonic() + 5
        while not server.disconnects and time.monotonic() < end:
            time.sleep(0.02)
        assert server.disconnects == 1


def test_the_fake_can_die_in_the_middle() -> None:
    with FakeOpenAI([Reply(text="one two three four", drop_after=2)]) as server:
        words = "".join(str(chunk.content) for chunk in chat(server).stream("x"))
    assert words == "one two"


def test_the_fake_names_its_model_and_refuses_other_addresses() -> None:
    with FakeOpenAI([], model="tiny") as server, httpx.Client(trust_env=False) as client:
        assert client.get(f"{server.base_url}/models").json()["data"][0]["id"] == "tiny"
        assert client.get(f"{server.base_url}/secrets").status_code == 404
        assert client.post(f"{server.base_url}/chat/completions", content=b"{").status_code == 400
