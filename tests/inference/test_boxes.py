"""Boxes in what a model wrote: read where they are sound, refused with one line where they are not."""

import base64
import json
import random
from io import BytesIO

import pytest
from PIL import Image as Pillow

from inference import boxes
from inference.errors import BadInput
from inference.shown import data_url

SENT, SIZE = (1000, 500), (2000, 1000)


def written(*corners: object, **more: object) -> str:
    return json.dumps([{"bbox_2d": list(corners), **more}])


def test_pixels_of_the_picture_that_was_sent_become_pixels_of_the_image():
    (box,) = boxes.parse(written(100, 50, 300, 200, label="tube"), "pixels", SENT, SIZE)
    assert (box.label, box.x0, box.y0, box.x1, box.y1) == ("tube", 200, 100, 600, 400)


def test_thousandths_are_of_the_width_and_of_the_height():
    (box,) = boxes.parse(written(100, 50, 300, 200), "thousandths", SENT, SIZE)
    assert (box.x0, box.y0, box.x1, box.y1) == (200, 50, 600, 200)


def test_a_list_between_fences_and_a_single_object_are_read():
    assert len(boxes.parse(f"```json\n{written(1, 2, 3, 4)}\n```", "pixels", SENT, SIZE)) == 1
    assert len(boxes.parse('{"bbox_2d": [1, 2, 3, 4]}', "pixels", SENT, SIZE)) == 1


def test_none_is_an_answer_and_the_same_box_twice_is_one():
    assert boxes.parse("[]", "pixels", SENT, SIZE) == []
    twice = json.dumps([{"bbox_2d": [1, 2, 3, 4]}] * 2)
    assert len(boxes.parse(twice, "pixels", SENT, SIZE)) == 1


def test_a_corner_that_rounding_put_over_the_edge_is_put_back():
    (box,) = boxes.parse(written(-1, 0, 1001, 500), "pixels", SENT, SIZE)
    assert (box.x0, box.x1) == (0, 2000)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("I see no tube.", "as JSON"),
        ("", "as JSON"),
        ("[" * 5000, "as JSON"),
        ('[{"bbox_2d": [1, 2, 3, 4]}] and more', "as JSON"),
        ("[" + "9" * 9000 + "]", "as JSON"),
        ("x" * 30_000, "too long"),
        ('"box"', "not a list"),
        ("{}", "not a list"),
        ("[[1, 2, 3, 4]]", "Box 1 .* four finite numbers"),
        ('[{"bbox_2d": [1, 2, 3]}]', "four finite numbers"),
        ('[{"bbox_2d": [NaN, 2, 3, 4]}]', "four finite numbers"),
        ('[{"bbox_2d": [1, 2, Infinity, 4]}]', "four finite numbers"),
        ('[{"bbox_2d": [1, 2, 1' + "0" * 400 + ", 4]}]", "four finite numbers"),
        ('[{"bbox_2d": [false, 0, true, 4]}]', "four finite numbers"),
        ('[{"bbox_2d": ["1", "2", "3", "4"]}]', "four finite numbers"),
        (written(30, 2, 3, 4), "wrong way round"),
        (written(3, 2, 3, 4), "no area"),
        (written(10, 10, 1200, 400), "outside the picture"),
        (written(-50, 10, 100, 400), "outside the picture"),
        (written(1000, 10, 1002, 400), "outside the picture"),
        (json.dumps([{"bbox_2d": [i, 0, i + 1, 9]} for i in range(51)]), "named 51 boxes"),
        (json.dumps([{"bbox_2d": [1, 2, 3, 4]}, {"bbox_2d": [9, 9, 1, 1]}]), "Box 2 "),
    ],
)
def test_what_cannot_be_believed_is_refused_with_one_line(text: str, why: str):
    with pytest.raises(BadInput, match=why) as refused:
        boxes.parse(text, "pixels", SENT, SIZE)
    assert "\n" not in str(refused.value)


def garbage(chance: random.Random) -> str:
    """Something like an answer: sound pieces in any order, cut, doubled and sprinkled with others."""
    pieces = ["[", "]", "{", "}", ",", ":", '"bbox_2d"', '"label"', "NaN", "-Infinity", "1e999", "null", "true", "```"]
    pieces += ["[1,2,3,4]", '{"bbox_2d":[5,5,90,80]}', "\\u0000", '"\\ud800"', "\x00", "é", " ", "__import__('os')"]
    whole = "".join(
        chance.choices([*pieces, *map(str, chance.choices(range(-5000, 5000), k=6))], k=chance.randint(0, 30))
    )
    return whole[: chance.randint(0, len(whole))] if chance.random() < 0.3 else whole


def value(chance: random.Random, depth: int = 0) -> object:
    """Any JSON, often with the right names in it."""
    plain = [None, True, 0, -1, 5, 999, 1e308, float("nan"), float("inf"), 10**400, "", "7", "\ud800"]
    if depth > 3 or chance.random() < 0.4:
        return chance.choice([*plain, sorted(chance.uniform(-9, 700) for _ in range(4))])
    if chance.random() < 0.2:
        return {"bbox_2d": sorted(chance.uniform(-9, 700) for _ in range(4))}
    if chance.random() < 0.5:
        return [value(chance, depth + 1) for _ in range(chance.randint(0, 5))]
    return {chance.choice(["bbox_2d", "label", "x"]): value(chance, depth + 1) for _ in range(chance.randint(0, 3))}


@pytest.mark.parametrize("unit", boxes.UNITS)
def test_whatever_a_model_writes_gives_sound_boxes_or_one_refusal(unit: boxes.Unit):
    chance = random.Random(20261125)
    believed = 0
    for turn in range(4000):
        text = garbage(chance) if turn % 2 else json.dumps(value(chance))
        try:
            found = boxes.parse(text, unit, SENT, SIZE)
        except BadInput:
            continue
        believed += len(found)
        assert all(0 <= box.x0 < box.x1 <= SIZE[0] and 0 <= box.y0 < box.y1 <= SIZE[1] for box in found)
    assert believed, "the garbage holds sound boxes too"


def test_the_size_that_was_sent_is_that_of_the_picture_in_the_request():
    for size in ((1955, 1841), (640, 480), (4000, 3), (1025, 1024)):
        out = BytesIO()
        Pillow.new("L", size).save(out, "PNG")
        url = data_url(out.getvalue(), 1024)
        sent = Pillow.open(BytesIO(base64.b64decode(url.partition(",")[2]))).size
        assert boxes.sent_size(out.getvalue(), 1024) == sent
    with pytest.raises(BadInput):
        boxes.sent_size(b"no picture", 1024)


@pytest.mark.parametrize(
    ("model", "unit"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "pixels"),
        ("Qwen/Qwen2-VL-7B-Instruct", "thousandths"),
        ("Qwen/Qwen3-VL-8B-Instruct", "thousandths"),
        ("qwen3-vl:8b", "thousandths"),
        ("qwen2.5vl:7b", "pixels"),
        ("another", "pixels"),
    ],
)
def test_the_unit_follows_the_family_of_the_model(model: str, unit: str):
    assert boxes.unit_of(model) == unit


def test_the_question_says_the_unit_and_the_size():
    assert "pixels of this image, 1000 wide and 500 high" in boxes.prompt("a  tube\n", "pixels", SENT)
    assert "the image: a tube\n" in boxes.prompt("a  tube\n", "pixels", SENT)
    assert "from 0 to 1000" in boxes.prompt("a tube {x}", "thousandths", SENT)
