"""The small model as it lies in the repository, without a server: that vLLM can serve it, test_protocol shows."""

import json

import pytest
from safetensors import safe_open
from transformers import AutoConfig, AutoTokenizer

from assistant import agent
from assistant.tools import TOOLS, check_arguments
from tests.vllm.tiny.train import CALL, MODEL, SPECIAL

RETRAIN = "the product has changed what the small model learnt: python -m tests.vllm.tiny.train (three minutes), commit"


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(MODEL, local_files_only=True)


def test_it_is_small_and_nothing_in_it_is_pickled():
    files = [path for path in MODEL.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 4_000_000
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".jinja", ".txt"}


def test_its_weights_are_bfloat16_of_the_architecture_that_its_configuration_names():
    config = AutoConfig.from_pretrained(MODEL, local_files_only=True)
    assert config.model_type == "qwen2_vl"
    with safe_open(MODEL / "model.safetensors", framework="pt") as weights:
        kinds = {weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118 (no mapping)
    assert kinds == {"BF16"}


def test_its_tokenizer_knows_the_special_tokens_and_spells_anything_else(tokenizer):
    for token in [*SPECIAL, *CALL]:
        assert len(tokenizer(token).input_ids) == 1, token
    text = 'naïve "µ" 12.5 mm [[c12.1]] 肺'
    assert tokenizer.decode(tokenizer(text).input_ids) == text


@pytest.mark.parametrize("tools", [None, [], [{"type": "function", "function": {"name": "new", "parameters": {}}}]])
def test_its_template_reads_any_list_of_tools(tools, tokenizer):
    messages = [{"role": "system", "content": agent.PROMPT}, {"role": "user", "content": "Hello"}]
    told = tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=True)
    start = "<|tools|>" if tools else ""
    expected = "<|im_start|>system\nYou are Lightbox,<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
    assert told == f"{start}{expected}<|im_start|>assistant\n", RETRAIN


def test_its_template_reads_a_result_with_its_evidence(tokenizer):
    called = {"function": {"name": "segment", "arguments": {"image": "img1"}}, "type": "function", "id": "x"}
    result = {"state": "done", "summary": "2 masks", "statements": [{"text": "a", "ref": "c1.1"}]}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Old"}, {"type": "image_url", "image_url": {}}]},
        {"role": "assistant", "content": "Old answer"},
        {"role": "user", "content": "Segment\n\nAttached images:\nimg1: PNG\nimg2: PNG"},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "content": json.dumps(result), "tool_call_id": "x"},
    ]
    told = tokenizer.apply_chat_template(messages, tokenize=False)
    assert told == (
        "<|vision_start|><|image_pad|><|vision_end|><|im_start|>user\nSegment img1 img2<|im_end|>\n"
        '<|im_start|>assistant\n<tool_call>\n{"name": "segment", "arguments": {"image": "img1"}}\n</tool_call>'
        "<|im_end|>\n"
        "<|im_start|>tool\n2 masks [[c1.1]]<|im_end|>\n"
    )


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("describe_image", {"image": "img1"}),
        ("segment", {"image": "img1"}),
        ("ask_image", {"image": "img1", "question": "What do you see?"}),
        ("search_literature", {"query": "prompt learning"}),
    ],
)
def test_the_calls_that_it_makes_are_still_calls_of_this_product(name, arguments):
    assert name in TOOLS, RETRAIN
    assert not check_arguments(name, arguments), RETRAIN
