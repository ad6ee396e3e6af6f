"""SAM and SAM 2 here say what transformers says: small models of random weights, in the hub's layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference import backends, checkpoints
from inference.checkpoints import Checkpoint
from inference.errors import BadInput, Unavailable
from inference.types import Image, Prompts, Spacing

PROMPT = {"hidden_size": 32, "image_size": 128, "patch_size": 16}
DECODER = {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32}
VISION = {
    "hidden_size": 16,
    "output_channels": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "mlp_dim": 32,
    "image_size": 128,
    "patch_size": 16,
    "num_pos_feats": 16,
    "window_size": 4,
    "global_attn_indexes": [1],
}
HIERA = {
    "model_type": "sam2_hiera_det_model",
    "hidden_size": 16,
    "num_attention_heads": 1,
    "image_size": [128, 128],
    "blocks_per_stage": [1, 1, 2, 1],
    "embed_dim_per_stage": [16, 32, 64, 128],
    "global_attention_blocks": [3],
    "num_attention_heads_per_stage": [1, 2, 4, 8],
    "window_size_per_stage": [4, 4, 4, 4],
    "window_positional_embedding_background_size": [4, 4],
}
VISION2 = {
    "backbone_config": HIERA,
    "backbone_channel_list": [128, 64, 32, 16],
    "fpn_hidden_size": 32,
    "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
}
MEMORY = {"memory_attention_hidden_size": 32, "memory_encoder_hidden_size": 32, "memory_encoder_output_channels": 16}
SCALING = {
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "do_resize": True,
    "resample": 2,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "do_convert_rgb": True,
}
SAM_IMAGES = {
    "image_processor_type": "SamImageProcessor",
    "processor_class": "SamProcessor",
    "do_pad": True,
    **SCALING,
    "size": {"longest_edge": 128},
    "pad_size": {"height": 128, "width": 128},
}
SAM2_IMAGES = {
    "image_processor_type": "Sam2ImageProcessorFast",
    "processor_class": "Sam2VideoProcessor",
    **SCALING,
    "size": {"height": 128, "width": 128},
    "mask_size": {"height": 32, "width": 32},
}
BOX = Prompts(box=(20.0, 10.0, 80.0, 60.0))
POINTS = Prompts(add=((40.5, 30.5), (60.0, 44.0)), remove=((5.5, 5.5),))
BOTH = Prompts(box=BOX.box, add=POINTS.add, remove=POINTS.remove)
MARKS = {"box": BOX, "points": POINTS, "both": BOTH}
CASES = [
    *(pytest.param(kind, prompts, id=f"{kind}-{name}") for kind in ("sam", "sam2") for name, prompts in MARKS.items()),
    pytest.param("sam2_video", BOX, id="sam2_video-box"),
]


def make(kind: str, folder: Path) -> Path:
    import torch
    import transformers

    torch.manual_seed(3)
    known: dict[str, Any] = {"prompt_encoder_config": PROMPT, "mask_decoder_config": DECODER}
    if kind == "sam":
        model = transformers.SamModel(transformers.SamConfig(vision_config=VISION, **known))
    elif kind == "sam2":
        model = transformers.Sam2Model(transformers.Sam2Config(vision_config=VISION2, **known))
    else:  # how SAM 2.1 is published
        sizes = transformers.Sam2VideoConfig(vision_config=VISION2, image_size=128, **MEMORY, **known)
        model = transformers.Sam2VideoModel(sizes)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.ndim > 1 and "embed" not in name:
                tensor.normal_(0, 0.2)  # else every mask is the same everywhere
    model.save_pretrained(folder)
    images = SAM_IMAGES if kind == "sam" else SAM2_IMAGES
    (folder / "preprocessor_config.json").write_text(json.dumps(images))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folders: dict[str, Path] = {}

    def made(kind: str) -> Path:
        if kind not in folders:
            folders[kind] = make(kind, tmp_path_factory.mktemp(kind))
        return folders[kind]

    return made


def entry(folder: Path, **options: Any) -> Checkpoint:
    return Checkpoint("tiny", "tiny SAM", ("prompted-segment",), "sam", "MIT", f"folder:{folder}", options=options)


def loaded(folder: Path, **options: Any) -> Any:
    return backends.load(entry(folder, **options), folder, "cpu")


def picture(colour: bool) -> Image:
    pixels = np.random.default_rng(2).integers(0, 90, (70, 100)).astype(np.uint8)
    pixels[15:55, 25:75] += 140
    spacing = Spacing(0.5, 0.25, "PixelSpacing")
    return Image(np.stack([pixels, pixels // 2, 255 - pixels], axis=2) if colour else pixels, spacing)


def ask(model: Any, image: Image, prompts: Prompts, label: str = "nodule") -> Any:
    return model.segment([image], {"prompts": prompts.as_dict(), "label": label})


def directly(kind: str, folder: Path, image: Image, prompts: Prompts, several: bool) -> tuple[Any, float]:
    """The library's own way, as its documentation shows it; SAM 2's images by hand, for want of torchvision."""
    import torch
    import transformers
    from PIL import Image as Pillow

    rgb = image.pixels if image.is_colour else np.repeat(image.pixels[..., None], 3, axis=2)
    marks: dict[str, Any] = {}
    if points := [[x - 0.5, y - 0.5] for x, y in (*prompts.add, *prompts.remove)]:
        labels = [1] * len(prompts.add) + [0] * len(prompts.remove)
        marks |= {"input_points": [[points]], "input_labels": [[labels]]}
    if prompts.box:
        marks["input_boxes"] = [[[edge - 0.5 for edge in prompts.box]]]
    if kind == "sam":
        processor = transformers.SamProcessor.from_pretrained(folder)
        model = transformers.SamModel.from_pretrained(folder).eval()
        inputs = processor(Pillow.fromarray(rgb), return_tensors="pt", **marks)
        sizes = (inputs["original_sizes"], inputs.pop("reshaped_input_sizes"))
        inputs.pop("original_sizes")
        for name in set(inputs) & {"input_points", "input_boxes"}:
            inputs[name] = inputs[name].float()
        with torch.inference_mode():
            found = model(**inputs, multimask_output=several)
        masks = processor.post_process_masks(found.pred_masks, *sizes)[0]
    else:
        model = transformers.Sam2Model.from_pretrained(folder).eval()
        square = np.asarray(Pillow.fromarray(rgb).resize((128, 128), Pillow.Resampling.BILINEAR), np.float32) / 255
        scaled = (square - SCALING["image_mean"]) / SCALING["image_std"]
        inputs = {"pixel_values": torch.from_numpy(scaled).permute(2, 0, 1)[None].float()}
        width, height = 128 / image.width, 128 / image.height
        if "input_points" in marks:
            inputs["input_points"] = torch.tensor([[[[x * width, y * height] for x, y in points]]])
            inputs["input_labels"] = torch.tensor(marks["input_labels"])
        if prompts.box:
            (x0, y0, x1, y1) = marks["input_boxes"][0][0]
            inputs["input_boxes"] = torch.tensor([[[x0 * width, y0 * height, x1 * width, y1 * height]]])
        with torch.inference_mode():
            found = model(**inputs, multimask_output=several)
        size = (image.height, image.width)
        masks = torch.nn.functional.interpolate(found.pred_masks[0], size, mode="bilinear", align_corners=False) > 0
    best = int(found.iou_scores[0, 0].argmax())
    return masks[0, best].numpy(), float(found.iou_scores[0, 0, best])


@pytest.mark.parametrize(("kind", "prompts"), CASES)
def test_the_best_region_is_the_one_of_transformers(made: Callable[[str], Path], kind: str, prompts: Prompts) -> None:
    image = picture(colour=prompts is POINTS)
    result = ask(loaded(made(kind)), image, prompts)
    inside, score = directly(kind, made(kind), image, prompts, several=True)
    (mask,) = result.masks
    assert mask.label == "nodule"
    assert mask.pixels.shape == (70, 100)
    assert set(np.unique(mask.pixels)) <= {0, 255}
    assert 0.01 < inside.mean() < 0.99  # else the comparison would show nothing
    assert np.mean((mask.pixels > 0) == inside) > 0.999
    assert mask.area_cm2 == pytest.approx((mask.pixels > 0).sum() * 0.5 * 0.25 / 100)
    (found,) = result.scores
    assert (found.label, found.kind) == ("predicted IoU", "score")
    assert found.value == pytest.approx(score, abs=1e-4)
    assert any("no probability" in note for note in result.notes)


@pytest.mark.parametrize("kind", ["sam", "sam2"])
def test_a_model_that_was_trained_for_one_region_gives_that(made: Callable[[str], Path], kind: str) -> None:
    image = picture(colour=False)
    result = ask(loaded(made(kind), multimask=False), image, BOX)
    inside, score = directly(kind, made(kind), image, BOX, several=False)
    assert np.mean((result.masks[0].pixels > 0) == inside) > 0.999
    assert result.scores[0].value == pytest.approx(score, abs=1e-4)


def test_images_of_medsam_are_prepared_as_its_authors_do(made: Callable[[str], Path]) -> None:
    """Their steps, one by one: not the shape of the image, nor the statistics of everyday pictures."""
    import torch
    import transformers
    from skimage.transform import resize

    image = picture(colour=True)
    given = resize(image.pixels, (128, 128), order=3, preserve_range=True, anti_aliasing=True).astype(np.uint8)
    given = (given - given.min()) / np.clip(given.max() - given.min(), 1e-8, None)
    box = torch.tensor([[[20 / 100 * 128, 10 / 70 * 128, 80 / 100 * 128, 60 / 70 * 128]]]).float()
    model = transformers.SamModel.from_pretrained(made("sam")).eval()
    pixels = torch.tensor(given).float().permute(2, 0, 1)[None]
    with torch.inference_mode():
        low = model(pixel_values=pixels, input_boxes=box, multimask_output=False).pred_masks[:, 0]
    full = torch.nn.functional.interpolate(low.sigmoid(), (70, 100), mode="bilinear", align_corners=False)
    expected = (full[0, 0] > 0.5).numpy()
    assert 0.01 < expected.mean() < 0.99
    found = ask(loaded(made("sam"), multimask=False, preparation="medsam"), image, BOX)
    assert np.mean((found.masks[0].pixels > 0) == expected) > 0.999
    plain = ask(loaded(made("sam"), multimask=False), image, BOX)
    assert np.mean((found.masks[0].pixels > 0) == (plain.masks[0].pixels > 0)) < 0.999, "else it would show nothing"


def test_sixteen_bits_without_a_spacing_have_a_region_and_no_area(made: Callable[[str], Path]) -> None:
    wide = Image(picture(colour=False).pixels.astype(np.int16) * 40 - 1000)
    (mask,) = ask(loaded(made("sam")), wide, BOX, label="").masks
    assert (mask.label, mask.area_cm2) == ("marked region", None)


def test_what_it_does_not_take_is_refused_in_one_line(made: Callable[[str], Path]) -> None:
    image, any_marks, box_only = picture(colour=False), loaded(made("sam")), loaded(made("sam"), prompts=["box"])
    lasso = Prompts(lasso=((5, 5), (50, 5), (50, 50)))
    for model, prompts, words in (
        (any_marks, lasso, "takes a box and points, not a lasso"),
        (box_only, lasso, "takes a box, not a lasso"),
        (box_only, BOTH, "takes a box only"),
        (loaded(made("sam"), prompts=["points"]), BOX, "takes points only"),
        (any_marks, Prompts(), "Mark the region first"),
        (any_marks, Prompts(box=(0, 0, 101, 50)), "outside the frame"),
        (any_marks, Prompts(remove=((5, 5),)), "at least one point in the region"),
    ):
        with pytest.raises(BadInput, match=words) as caught:
            ask(model, image, prompts)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["sam", "sam2"])
def test_no_region_is_said_and_not_drawn(tmp_path: Path, kind: str) -> None:
    from safetensors.torch import load_file, save_file

    folder = make(kind, tmp_path / kind)
    tensors = load_file(folder / "model.safetensors")
    for name in tensors:
        if "output_hypernetworks_mlps" in name and "proj_out" in name:
            tensors[name] = tensors[name] * 0  # every pixel's logit is 0, which is not inside
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadInput, match="tiny SAM found no region"):
        ask(loaded(folder), picture(colour=False), BOX)


def test_a_folder_that_is_none_of_these_says_so(made: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="not configured"):
        loaded(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(Unavailable, match=r"no Segment Anything model: .* 'vit'"):
        loaded(tmp_path)
    (tmp_path / "config.json").write_bytes((made("sam") / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(Unavailable, match="no safetensors"):
        loaded(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((made("sam") / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(Unavailable, match="cannot be loaded"):
        loaded(tmp_path)


def test_the_catalogue_says_what_each_takes() -> None:
    known = checkpoints.load_catalogue()
    assert known["medsam-vit-base"].options == {"prompts": ["box"], "multimask": False, "preparation": "medsam"}
    assert known["sam-vit-base"].options["prompts"] == ["box", "points"]
    assert known["sam2.1-hiera-tiny"].options["prompts"] == ["box", "points"]
