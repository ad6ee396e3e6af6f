"""Make the small model that `make vllm-test` serves: a Qwen2-VL of 0.8 million parameters that knows this product.

    python -m tests.vllm.tiny.train [FOLDER]     in the product's own environment; three to five minutes

It learns from Lightbox's real requests (`prompts`), about which it is told what a good model would say (`lessons`): to
call describe_image, segment, ask_image and search_literature, to answer from the results of the first three with the
marker of the evidence, and to see whether a picture is dark or bright (on which side a disc is it has seen, and tells
badly). It is a test's model
and no more: it recognises a handful of phrasings, and what it says of a real image means nothing.

The system prompt and the schemas of all tools are 3,700 of its tokens, too long for this size on a CPU. So the model's
own chat template, which is a part of a model as its weights are, shows it a digest of the request (`template.jinja`).
A new tool or a longer prompt changes nothing there. What does change it, or what the calls must look like, is noticed
by tests/vllm/test_tiny.py: then train again and commit the files. Same seeds, same machine, same weights.
"""

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2VLConfig, Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tests.vllm.tiny.lessons import Lesson, lesson
from tests.vllm.tiny.prompts import Recorded, record

HERE = Path(__file__).parent
MODEL = HERE / "model"
STEPS, BATCH, AT_ONCE, RATE = 450, 8, 20, 3e-3
VOCABULARY, LENGTH = 1024, 4096
END, STOP, IMAGE = "<|endoftext|>", "<|im_end|>", "<|image_pad|>"
SPECIAL = [END, "<|im_start|>", STOP, "<|vision_start|>", "<|vision_end|>", IMAGE, "<|video_pad|>", "<|tools|>"]
CALL = ["<tool_call>", "</tool_call>"]


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else MODEL
    begun = time.monotonic()
    recorded = record()
    print(f"recorded the product's prompts in {time.monotonic() - begun:.0f} s", flush=True)
    random_ = random.Random(5)
    torch.manual_seed(5)
    torch.set_num_threads(1)  # the same sums everywhere, and five times as quick on a machine that has other work
    tokenizer = make_tokenizer(recorded, random_)
    model, pictures = make_model(tokenizer), Qwen2VLImageProcessorPil(min_pixels=56 * 56, max_pixels=84 * 84)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    train(model, batches(recorded, random_, tokenizer, pictures))
    save(folder, model, tokenizer, pictures)
    print(f"{folder}: {sum(f.stat().st_size for f in folder.iterdir()):,} bytes, {time.monotonic() - begun:.0f} s")


def make_tokenizer(recorded: Recorded, random_: random.Random) -> PreTrainedTokenizerFast:
    """Bytes and the commonest words of the lessons; digits one by one, since names of evidence are copied."""
    made = Tokenizer(models.BPE())
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), bytes_])
    made.decoder = decoders.ByteLevel()
    lessons = [lesson(recorded, random_) for _ in range(1000)]
    asked = [json.dumps(made.body["messages"][-1]["content"])[:300] for made in lessons if "tools" in made.body]
    texts = [made.answer for made in lessons] + asked
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    size = VOCABULARY - len(CALL)
    made.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    made.add_tokens(CALL)
    fast = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=STOP, pad_token=END, model_max_length=LENGTH)
    fast.chat_template = (HERE / "template.jinja").read_text(encoding="utf-8")
    return fast


def make_model(tokenizer: PreTrainedTokenizerFast) -> Qwen2VLForConditionalGeneration:
    token = tokenizer.convert_tokens_to_ids
    text = {
        "vocab_size": VOCABULARY,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": LENGTH,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
        "bos_token_id": token(END),
        "eos_token_id": token(STOP),
        "pad_token_id": token(END),
        "tie_word_embeddings": True,
    }
    vision = {
        "depth": 2,
        "embed_dim": 64,
        "hidden_size": 128,
        "num_heads": 2,
        "mlp_ratio": 2,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    config = Qwen2VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=token(IMAGE),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    return Qwen2VLForConditionalGeneration(config)


def encode(made: Lesson, tokenizer: Any, pictures: Any) -> tuple[list[int], list[int], Any]:
    """The prompt's tokens, the answer's, and what the image processor makes of the pictures, if there are any."""
    messages, tools = made.body["messages"], made.body.get("tools")
    prompt = tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=True)
    seen = pictures(images=made.pictures, return_tensors="pt") if made.pictures else None
    for grid in seen["image_grid_thw"] if seen else ():
        prompt = prompt.replace(IMAGE, "<|here|>" * (int(grid.prod()) // 4), 1)
    prompt = prompt.replace("<|here|>", IMAGE)
    answer = made.answer + (STOP if made.ends else "")
    return tokenizer(prompt).input_ids, tokenizer(answer).input_ids, seen


def batches(recorded: Recorded, random_: random.Random, tokenizer: Any, pictures: Any) -> Iterator[dict[str, Any]]:
    """Without end, and every kind of lesson in nearly every one."""
    while True:
        drawn = [encode(lesson(recorded, random_), tokenizer, pictures) for _ in range(BATCH * AT_ONCE)]
        groups = [drawn[i : i + BATCH] for i in range(0, len(drawn), BATCH)]
        token = tokenizer.convert_tokens_to_ids
        yield from (batch(group, token(END), token(IMAGE)) for group in groups)


def batch(group: list[tuple[list[int], list[int], Any]], padding: int, image: int) -> dict[str, Any]:
    length = max(len(prompt) + len(answer) for prompt, answer, _ in group)
    ids, labels = torch.full((len(group), length), padding), torch.full((len(group), length), -100)
    mask = torch.zeros((len(group), length), dtype=torch.long)
    for row, (prompt, answer, _) in enumerate(group):
        end = len(prompt) + len(answer)
        ids[row, :end], labels[row, len(prompt) : end] = torch.tensor(prompt + answer), torch.tensor(answer)
        mask[row, :end] = 1
    given = {"input_ids": ids, "labels": labels, "attention_mask": mask, "mm_token_type_ids": (ids == image).long()}
    seen = [one for _, _, one in group if one is not None]
    if seen:
        given |= {name: torch.cat([one[name] for one in seen]) for name in ("pixel_values", "image_grid_thw")}
    return given


def train(model: Any, given: Iterator[dict[str, Any]]) -> None:
    optimizer, begun, losses = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01), time.monotonic(), []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 40, 2.02 * (1 - step / STEPS))
        loss = model(**next(given)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if step % 50 == 49:
            print(f"step {step + 1}: loss {np.mean(losses[-50:]):.4f}, {time.monotonic() - begun:.0f} s", flush=True)


def save(folder: Path, model: Any, tokenizer: PreTrainedTokenizerFast, pictures: Any) -> None:
    """In the layout of a Hugging Face checkpoint, so that any server of Qwen2-VL loads it."""
    folder.mkdir(parents=True, exist_ok=True)
    model.eval().to(torch.bfloat16)
    model.generation_config.update(do_sample=True, top_k=1)  # vLLM samples by default; the best token is wanted
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    pictures.save_pretrained(folder)
    # A server loads a processor of videos too, which needs torchvision to be made: its settings are those of images.
    told = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    told |= {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2VLProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    video = {**told, "video_processor_type": "Qwen2VLVideoProcessor"}
    del video["image_processor_type"]
    (folder / "video_preprocessor_config.json").write_text(json.dumps(video, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
