"""Enlarging by Lanczos and by a tiny Swin2SR with random weights, the latter against the library called directly."""

from pathlib import Path

import numpy as np
import pytest

from inference.backends import lanczos, swin2sr
from inference.checkpoints import Checkpoint
from inference.errors import BadInput, Unavailable
from inference.types import Image

SMOOTH = (np.add.outer(np.sin(np.arange(96) / 9), np.cos(np.arange(80) / 7)) * 60 + 128).astype(np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (48, 40), np.uint8)
TINY = Checkpoint("tiny-swin2sr", "tiny Swin2SR", ("super-resolution",), "swin2sr", "Apache-2.0", "folder:somewhere")


def test_lanczos_brings_a_smooth_image_back_and_noise_hardly():
    smooth, noise = (lanczos.Lanczos().enlarge([Image(pixels)], {"scale": 2}) for pixels in (SMOOTH, NOISE))
    assert smooth.pictures[0].pixels.shape == (192, 160)
    assert smooth.values["psnr_db"] > 35 > 20 > noise.values["psnr_db"]
    assert smooth.values["ssim"] > 0.95 > noise.values["ssim"]


def test_deep_greys_and_colours_are_enlarged_too():
    deep = lanczos.Lanczos().enlarge([Image(SMOOTH.astype(np.int16) * 10 - 1000)], {"scale": 4})
    colour = lanczos.Lanczos().enlarge([Image(np.stack([SMOOTH] * 3, axis=2))], {"scale": 2})
    assert deep.pictures[0].pixels.shape == (384, 320)
    assert colour.pictures[0].pixels.shape == (192, 160, 3)


@pytest.mark.parametrize(("pixels", "scale"), [(SMOOTH, 3), (np.zeros((5000, 4), np.uint8), 2)])
def test_other_factors_and_images_too_large_are_refused(pixels, scale):
    with pytest.raises(BadInput):
        lanczos.Lanczos().enlarge([Image(pixels)], {"scale": scale})


def test_what_is_too_small_to_measure_is_enlarged_and_says_so():
    result = lanczos.Lanczos().enlarge([Image(NOISE[:6, :6])], {"scale": 4})
    assert result.values == {}
    assert "too small to measure" in result.notes[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Swin2SR of one small layer, saved as its makers save theirs."""
    import torch
    from transformers import Swin2SRConfig, Swin2SRForImageSuperResolution

    torch.manual_seed(0)
    config = Swin2SRConfig(embed_dim=16, depths=[1], num_heads=[2], window_size=8, image_size=32, upscale=2)
    made = tmp_path_factory.mktemp("swin2sr")
    Swin2SRForImageSuperResolution(config).save_pretrained(made)
    return made


def test_the_model_gives_what_the_library_gives(folder: Path):
    import torch
    from transformers import Swin2SRForImageSuperResolution

    pixels = np.stack([NOISE, NOISE.T.reshape(48, 40), 255 - NOISE], axis=2)
    model = Swin2SRForImageSuperResolution.from_pretrained(folder).eval()
    with torch.inference_mode():
        expected = model(torch.from_numpy(pixels.transpose(2, 0, 1)).float()[None] / 255).reconstruction[0]
    result = swin2sr.load(TINY, folder, "cpu").enlarge([Image(pixels)], {"scale": 2})
    direct = np.rint(expected.clamp(0, 1).permute(1, 2, 0).numpy() * 255)
    assert np.abs(result.pictures[0].pixels - direct).max() <= 1
    assert "makes up detail" in result.notes[0]
    assert {"psnr_db", "ssim"} == result.values.keys()


def test_tiles_join_without_a_seam(folder: Path, monkeypatch: pytest.MonkeyPatch):
    loaded = swin2sr.load(TINY, folder, "cpu")
    whole = loaded.enlarge([Image(SMOOTH)], {"scale": 2}).pictures[0].pixels
    monkeypatch.setattr(swin2sr, "TILE", 32)
    tiled = loaded.enlarge([Image(SMOOTH)], {"scale": 2}).pictures[0].pixels
    assert tiled.shape == whole.shape == (192, 160)
    assert np.abs(tiled.astype(int) - whole.astype(int)).mean() < 1


def test_another_factor_than_the_models_is_refused(folder: Path):
    with pytest.raises(BadInput, match="tiny Swin2SR enlarges by 2, not by 4"):
        swin2sr.load(TINY, folder, "cpu").enlarge([Image(NOISE)], {"scale": 4})


def test_a_folder_without_safetensors_is_not_loaded(folder: Path, tmp_path: Path):
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(Unavailable, match=r"tiny Swin2SR cannot be loaded"):
        swin2sr.load(TINY, tmp_path, "cpu")
