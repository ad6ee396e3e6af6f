"""What a served model sees of the images of a chat: several at once, chosen slices, a grid of a volume."""

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image as Pillow

from assistant import runs, tools
from assistant.models import Image, Run, ToolCall
from assistant.shown import shown
from inference import servers
from inference.errors import BadInput
from inference.fake import FakeOpenAI
from tests import phantom
from tests.assistant.test_runs import radiograph

__all__ = ["radiograph"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def volume(alice):
    return phantom.store(alice, phantom.voxels())


@pytest.fixture
def seeing(settings):
    """A model that answers questions about images, and keeps what it was shown."""
    servers.forget()
    with FakeOpenAI(lambda request: "A bright block.") as server:
        settings.VQA_MODEL = f"openai:{server.base_url}#seer"
        yield server
    servers.forget()


def ask(conversation, **arguments: object) -> ToolCall:
    """Carries out one call of ask_image."""
    message = conversation.add("user", "Look")
    run = conversation.runs.create(message=message, chat_model="guide", state=Run.WAITING)
    call = ToolCall.objects.create(
        run=run, number=1, call_id="x", name="ask_image", arguments={"question": "What is it?", **arguments}
    )
    runs.call_tool(str(call.pk))
    call.refresh_from_db()
    return call


def content(server: FakeOpenAI) -> list[dict]:
    found = server.requests[-1]["messages"][-1]["content"]
    assert isinstance(found, list)
    return found


def lines(server: FakeOpenAI) -> list[str]:
    return [part["text"] for part in content(server) if part["type"] == "text"]


def pictures(server: FakeOpenAI) -> list[np.ndarray]:
    urls = [part["image_url"]["url"] for part in content(server) if part["type"] == "image_url"]
    assert all(url.startswith("data:image/png;base64,") for url in urls)
    return [np.asarray(Pillow.open(BytesIO(base64.b64decode(url.partition(",")[2])))) for url in urls]


def test_chosen_slices_are_shown_each_with_its_number_and_place(alice, volume, seeing):
    call = ask(phantom.chat_with(alice, volume), image="img1", slices=[24, 2])
    assert call.state == ToolCall.DONE
    assert lines(seeing) == [
        "img1, CT of the head, axial slice 24 of 30, 57.5 mm from the first towards the head",
        "img1, CT of the head, axial slice 2 of 30, 2.5 mm from the first towards the head",
        "What is it?",
    ]
    block, none = pictures(seeing)
    _, rows, columns = phantom.BLOCK
    assert block[rows, columns].min() > block[30:40, 15:25].max(), "the bright block is in slice 24"
    assert none[rows, columns].max() < block[rows, columns].min()
    assert "axial slice 24 of 30" in call.result["notes"][0]


def test_a_volume_without_chosen_slices_is_a_grid_whose_places_are_said(alice, volume, seeing):
    ask(phantom.chat_with(alice, volume), image="img1")
    (grid,) = pictures(seeing)
    said, question = lines(seeing)
    assert said.startswith(
        "img1, CT of the head: 12 of its 30 slices as a grid, row by row, each with its number drawn in"
    )
    assert "axial slice 2 of 30, 2.5 mm from the first towards the head; axial slice 4 of 30" in said
    assert max(grid.shape) <= 1024
    assert question == "What is it?"


def test_several_images_are_shown_together_each_behind_its_name(alice, volume, radiograph, seeing):
    conversation = phantom.chat_with(alice, radiograph, volume)
    call = ask(conversation, images=["img1", "img2", "img1"], slices=[3])
    assert call.state == ToolCall.DONE
    assert [line.partition(",")[0] for line in lines(seeing)[:-1]] == ["img1", "img2"]
    assert len(pictures(seeing)) == 2


def test_a_model_gets_pictures_of_the_size_that_suits_it(alice, radiograph, seeing, settings):
    settings.PICTURE_PIXELS = "800,seer=320"
    ask(phantom.chat_with(alice, radiograph), image="img1")
    assert max(pictures(seeing)[0].shape) == 320


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"image": "img1", "slices": [31]}, "img1 has no slice 31: they count from 1 to 30."),
        ({"image": "img2", "slices": [1]}, "img2 is a single image: it has no slices to choose from."),
        ({"images": ["img1", "img9"]}, "There is no img9 in this conversation."),
        ({"images": ["img1", "img3"], "slices": [1, 2, 3, 4, 5]}, "would show 10 pictures"),
    ],
)
def test_what_cannot_be_shown_is_declined_with_the_reason(alice, volume, radiograph, seeing, arguments, why):
    other = phantom.store(alice, phantom.voxels())
    call = ask(phantom.chat_with(alice, volume, radiograph, other), **arguments)
    assert call.state == ToolCall.DECLINED
    assert why in call.text
    assert seeing.requests == []


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"image": ""},
        {"images": []},
        {"images": ["../x"]},
        {"image": "img1", "slices": [0]},
        {"images": ["img1"] * 9},
    ],
)
def test_arguments_that_name_no_image_do_not_fit(arguments):
    assert "do not fit its schema" in tools.check_arguments("ask_image", {"question": "What is it?", **arguments})


def test_one_held_image_among_several_keeps_all_from_the_model(alice, volume, radiograph, seeing):
    Image.objects.filter(pk=volume.pk).update(text_check=Image.FOUND)
    call = ask(phantom.chat_with(alice, radiograph, volume), images=["img1", "img2"])
    assert call.state == ToolCall.DECLINED
    assert "img2 has text burned into it" in call.text
    assert seeing.requests == []


def test_a_chat_model_gets_a_volume_as_a_grid_behind_its_name(alice, volume, settings, eager_celery):
    servers.forget()
    with FakeOpenAI(["I see it."]) as server:
        settings.CHAT_MODEL = f"openai:{server.base_url}#{server.model}"
        run = runs.ask(phantom.chat_with(alice), "What is bright?", [volume])
        run.refresh_from_db()
        assert run.state == Run.DONE
        assert "as a grid, row by row" in lines(server)[1]
        assert len(pictures(server)) == 1


def test_pixels_that_are_gone_are_said_and_the_chat_goes_on(alice, volume, settings, eager_celery):
    servers.forget()
    volume.pixels.storage.delete(volume.pixels.name)
    with pytest.raises(BadInput, match="missing or damaged"):
        shown(volume, "img1")
    with FakeOpenAI(["I see nothing."]) as server:
        settings.CHAT_MODEL = f"openai:{server.base_url}#{server.model}"
        run = runs.ask(phantom.chat_with(alice), "What is bright?", [volume])
        run.refresh_from_db()
        assert run.answer.text == "I see nothing."
        assert "img1 cannot be shown" in lines(server)[1]


def test_a_series_in_time_says_that_its_first_point_is_shown(alice):
    moving = phantom.store(alice, np.stack([phantom.voxels()] * 3))
    (one,) = shown(moving, "img1", [5])
    assert one.line.startswith("img1, CT of the head, the first of 3 time points, axial slice 5 of 30")


def test_a_cine_in_colour_is_shown_by_its_frames(alice):
    cine = phantom.store(alice, np.zeros((5, 20, 30, 3), np.uint8), None, layout="frames", window=None, modality="US")
    assert [one.line.rpartition(", ")[2] for one in shown(cine, "img1", [1, 5])] == ["frame 1 of 5", "frame 5 of 5"]
    assert "5 of its 5 frames as a grid" in shown(cine, "img1")[0].line
