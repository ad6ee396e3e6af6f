"""A researcher uploads a short video or a moving GIF, and steps through its frames."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from inference.decode import Limits, decode, load
from inference.errors import BadInput, Exhausted
from inference.readers.video import Sampler, read
from inference.types import Decoded
from tests.inference import files

TIGHT = Limits(wall_s=8, cpu_s=8)
SORTS = [
    ("a.mp4", "mp4v"),
    ("a.mov", "mp4v"),
    ("a.avi", "MJPG"),
    ("a.avi", "XVID"),
    ("a.webm", "VP80"),
    ("a.webm", "VP90"),
]


def shown(path: Path, content: bytes, limits: Limits = TIGHT) -> tuple[Decoded, NDArray]:
    (path / "a").write_bytes(content)
    decoded = decode(path / "a", path / "out", limits)
    return decoded, np.load(path / "out" / "pixels.npy")


@pytest.mark.parametrize(("name", "code"), SORTS, ids=str)
def test_frames_are_those_that_opencv_reads(tmp_path: Path, name: str, code: str) -> None:
    clip = files.clip(30)
    content = files.video_bytes(clip, name, code)
    decoded, stored = shown(tmp_path, content)
    assert (decoded.kind, decoded.layout, decoded.frames, decoded.width, decoded.height) == (
        "video",
        "frames",
        30,
        160,
        120,
    )
    assert decoded.frame_ms == pytest.approx(40)
    (tmp_path / name).write_bytes(content)
    opened = cv2.VideoCapture(str(tmp_path / name), cv2.CAP_FFMPEG)
    for number, frame in enumerate(stored):
        assert np.array_equal(frame, opened.read()[1][..., ::-1])
        # Away from the square, whose edges lossy coding blurs: red and blue must not be swapped inside it either.
        assert abs(int(frame[110, 5, 0]) - int(clip[number, 110, 5, 0])) < 12
    assert stored[0, 56, 16, 0] > 150 > 90 > stored[0, 56, 16, 2]
    assert np.array_equal(load(tmp_path / "out", decoded, 29).pixels, stored[29])
    with Pillow.open(tmp_path / "out" / "preview.png") as preview:
        assert np.array_equal(np.asarray(preview), stored[0])


@pytest.mark.parametrize("code", ["mp4v", "MJPG", "VP80"])
def test_a_grey_video_is_grey(tmp_path: Path, code: str) -> None:
    name = {"mp4v": "a.mp4", "MJPG": "a.avi", "VP80": "a.webm"}[code]
    decoded, stored = shown(tmp_path, files.video_bytes(files.clip(12, colour=False), name, code))
    assert (stored.shape, decoded.photometric) == ((12, 120, 160), "MONOCHROME2")


def test_a_long_video_is_sampled_evenly_and_says_so(tmp_path: Path) -> None:
    shades = np.zeros((700, 32, 32, 3), np.uint8)
    shades += (np.arange(700) % 250).astype(np.uint8)[:, None, None, None]
    decoded, stored = shown(tmp_path, files.video_bytes(shades, "a.avi", "FFV1"))
    assert decoded.frames == len(stored) == 234
    assert "234 of its 700 frames are shown" in decoded.notes[0]
    assert decoded.frame_ms == pytest.approx(120)
    expected = (np.arange(0, 700, 3) % 250).astype(int)
    assert np.abs(stored[:, 16, 16].astype(int) - expected).max() <= 3


def test_frames_that_do_not_fit_the_limits_are_left_out(tmp_path: Path) -> None:
    decoded, _ = shown(tmp_path, files.sample_video(), Limits(voxels=160 * 120 * 10))
    assert decoded.frames == 10
    assert "10 of its 30 frames" in decoded.notes[0]


@pytest.mark.parametrize("expected", [0, 5, 1000, 10**6])
@pytest.mark.parametrize("count", [1, 7, 8, 100, 1001])
def test_the_sampler_keeps_even_distances_whatever_the_container_claims(expected: int, count: int) -> None:
    sampler = Sampler(8, expected)
    for number in range(count):
        if sampler.wants_next():
            sampler.keep(np.full((1, 1), number % 256, np.uint8))
        else:
            sampler.skip()
    kept = [int(frame[0, 0]) for frame in sampler.frames]
    assert kept == [number % 256 for number in range(0, count, sampler.step)]
    assert 1 <= len(kept) <= 8
    assert sampler.count == count


def test_a_moving_gif_is_frames_and_a_still_one_an_image(tmp_path: Path) -> None:
    clip = files.clip(10)
    decoded, stored = shown(tmp_path, files.gif_bytes(clip))
    assert (decoded.kind, decoded.layout, decoded.frames, decoded.frame_ms) == ("video", "frames", 10, 80)
    assert np.array_equal(stored, clip)
    decoded, stored = shown(tmp_path, files.gif_bytes(clip[:1]))
    assert (decoded.layout, decoded.frames, decoded.frame_ms, stored.shape) == ("image", 1, None, (120, 160, 3))
    real = files.package_folder("skimage") / "data" / "no_time_for_that_tiny.gif"
    assert shown(tmp_path, real.read_bytes())[0].frames == 24


def test_a_video_that_ends_early_says_how_much_could_be_read(tmp_path: Path) -> None:
    content = files.video_bytes(files.clip(60), "a.avi", "MJPG")
    decoded, _ = shown(tmp_path, content[: len(content) // 2])
    assert decoded.frames < 40
    assert any("could be read" in note for note in decoded.notes)


def test_a_video_that_takes_too_long_is_cut_short_and_says_so(tmp_path: Path) -> None:
    """The reader itself, with hardly any time: in the child, the same limit would end the process soon after."""
    (tmp_path / "a").write_bytes(files.sample_video())
    decoded = read([tmp_path / "a"], tmp_path, Limits(wall_s=1e-6))
    assert decoded.frames == 1
    assert "Only its first 1 frames were read: the video takes too long to decode as a whole." in decoded.notes


def with_avi_header(**values: int) -> bytes:
    """A good AVI whose headers claim something else (avih: frames at 48 and size at 64 and 68)."""
    data = bytearray(files.video_bytes(files.clip(), "a.avi", "FFV1"))  # its size stands in the container alone
    for name, value in values.items():
        struct.pack_into("<I", data, {"frames": 48, "width": 64, "height": 68}[name], value)
        stream = data.index(b"strh") + 8
        if name == "frames":
            struct.pack_into("<I", data, stream + 32, value)
        else:
            struct.pack_into("<I", data, data.index(b"strf") + {"width": 12, "height": 16}[name], value)
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (with_avi_header(frames=4_000_000), Exhausted, "claims 4000000 frames; at most 20000"),
        (with_avi_header(width=12_000, height=12_000), Exhausted, "claims 12000 x 12000 pixels; at most 64"),
        (b"RIFF\0\0\0\0AVI ", BadInput, "This video cannot be read"),
        (b"\0\0\0\x18ftypmp42" + bytes(200), BadInput, "This video cannot be read"),
        (b"\x1aE\xdf\xa3" + bytes(200), BadInput, "This video cannot be read"),
        (files.sample_video()[:9000], BadInput, "This video cannot be read"),
        (b"GIF89a", BadInput, "This video file cannot be read"),
        (b"GIF89a\x60\xea\x60\xea\0\0\0" + files.sample_gif()[13:], Exhausted, "claims 60000 x 60000 pixels"),
        (b"\0\0\0\x18ftypheic" + bytes(200), BadInput, "it looks like"),
        (b"#EXTM3U\nfile:///etc/passwd\n", BadInput, "it looks like text"),
        (b"RIFF\0\0\0\0WEBPVP8 ", BadInput, "a WebP or WAV"),
    ],
    ids=["frames", "size", "avi", "mp4", "webm", "cut", "gif", "gif size", "heic", "playlist", "webp"],
)
def test_what_is_no_video_or_claims_too_much_is_refused(tmp_path: Path, content: bytes, kind, said: str) -> None:
    with pytest.raises(kind) as caught:
        shown(tmp_path, content)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not any((tmp_path / "out").iterdir())


def test_frames_are_counted_while_they_are_read(tmp_path: Path) -> None:
    """A container that claims a few may hold many."""
    with pytest.raises(Exhausted, match="more than 20 frames"):
        shown(tmp_path, with_avi_header(frames=3), Limits(frames=20))
    with pytest.raises(Exhausted, match="more than 5 frames"):
        shown(tmp_path, files.sample_gif(), Limits(frames=5))
