"""A short video as frames: MP4, MOV, AVI, WebM by OpenCV's FFmpeg; GIF by Pillow. Runs only inside the child.

Frames are taken at even distances, as many as fit; the others are decoded and left out. Sound, subtitles and metadata
are not read. Does not handle: several video tracks, more than 8 bits a colour, films (they are refused or cut short).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from inference.errors import BadInput, Exhausted
from inference.readers.greys import TOO_MANY_FRAMES, check_size
from inference.readers.output import write_frames, write_preview
from inference.types import Cleaning, Decoded

if TYPE_CHECKING:
    from inference.decode import Limits

MOST = 300  # frames that are kept
PATIENCE = 0.5  # share of the allowed time that may pass before the rest of a video is left out
CODING_NOISE = 6  # grey levels by which the channels of a grey picture differ after lossy coding

NO_VIDEO = "This video cannot be read: it is damaged, incomplete or in a coding that is not read here. Save it as MP4."
SAMPLED = "{kept} of its {count} frames are shown, at even distances."
CUT_SHORT = "Only its first {count} frames were read: the video takes too long to decode as a whole."
ENDS_EARLY = "This video is damaged or incomplete: {count} of its {claimed} frames could be read."
GROWING = "This GIF is damaged: its pictures are of different sizes. Save it again and send that."
GREY = "Its colours differ from grey by no more than lossy coding makes, so it is shown in grey."

# FFmpeg must neither reach for other files or hosts, nor try formats that `recognise` does not let through.
DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
OPTIONS = f"protocol_whitelist;file|format_whitelist;{DEMUXERS}"


class Sampler:
    """Keeps at most `room` frames at even distances of a stream whose length need not be known.

    When the room is full, every second frame kept goes, and from there on only every second is taken: what is left is
    always each `step`-th from the first.
    """

    def __init__(self, room: int, expected: int) -> None:
        self.room, self.step, self.count = room, max(1, math.ceil(expected / room)), 0
        self.frames: list[NDArray[np.uint8]] = []

    def wants_next(self) -> bool:
        return self.count % self.step == 0

    def skip(self) -> None:
        """The next frame was seen and is not wanted."""
        self.count += 1

    def keep(self, frame: NDArray[np.uint8]) -> None:
        """The next frame, which is wanted."""
        self.count += 1
        self.frames.append(frame)
        if len(self.frames) > self.room:
            self.frames = self.frames[::2]
            self.step *= 2


def read(sources: Sequence[Path], folder: Path, limits: Limits, cleaning: Cleaning | None = None) -> Decoded:
    """Write preview and pixels into `folder`. Raises BadInput or Exhausted.

    `cleaning` changes nothing: only pictures are taken from these files. What is burned into them stays.
    """
    with sources[0].open("rb") as file:
        is_gif = file.read(4) == b"GIF8"
    notes: list[str] = []
    sampler, frame_ms = (_gif if is_gif else _video)(sources[0], limits, notes)
    if len(sampler.frames) < sampler.count:
        notes.insert(0, SAMPLED.format(kept=len(sampler.frames), count=sampler.count))
    frames = _grey_if_grey(sampler.frames, notes)
    many = len(frames) > 1
    write_frames(folder, (len(frames), *frames[0].shape) if many else frames[0].shape, np.uint8, frames)
    write_preview(folder, np.ascontiguousarray(frames[0]))
    return Decoded(
        kind="video",
        modality="unknown",
        width=frames[0].shape[1],
        height=frames[0].shape[0],
        layout="frames" if many else "image",
        frames=len(frames),
        photometric="RGB" if frames[0].ndim == 3 else "MONOCHROME2",
        frame_ms=frame_ms * sampler.step if frame_ms and many else None,
        header={"Frames": str(sampler.count), **({"FrameTime": f"{frame_ms:g}"} if frame_ms else {})},
        notes=tuple(notes),
    )


def _room(rows: int, columns: int, limits: Limits) -> int:
    """How many frames of three channels fit into what may be written and held."""
    check_size(rows, columns, limits)
    room = min(MOST, limits.frames, limits.voxels // (rows * columns), limits.file_bytes // (3 * rows * columns + 4096))
    check_size(rows, columns, limits, max(1, room))
    return max(1, room)


def _video(source: Path, limits: Limits, notes: list[str]) -> tuple[Sampler, float | None]:
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = OPTIONS
    os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
    import cv2

    end = time.monotonic() + PATIENCE * min(limits.wall_s, limits.cpu_s)
    # One thread: each takes address space, and a child has two cores at most to itself.
    opened = cv2.VideoCapture(str(source), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not opened.isOpened():
        raise BadInput(NO_VIDEO)
    rows, columns = (int(opened.get(name)) for name in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
    claimed = _count(opened.get(cv2.CAP_PROP_FRAME_COUNT))
    if claimed > limits.frames:
        raise Exhausted(TOO_MANY_FRAMES.format(frames=claimed, limit=limits.frames))
    sampler = Sampler(_room(rows, columns, limits), claimed)
    while opened.grab():
        if sampler.count >= limits.frames:
            raise Exhausted(TOO_MANY_FRAMES.format(frames=f"more than {limits.frames}", limit=limits.frames))
        if sampler.wants_next():
            good, frame = opened.retrieve()
            if not good or frame.ndim != 3 or (sampler.frames and frame.shape != sampler.frames[0].shape):
                break
            sampler.keep(np.ascontiguousarray(frame[..., ::-1]))
        else:
            sampler.skip()
        if time.monotonic() > end:
            notes.append(CUT_SHORT.format(count=sampler.count))
            claimed = 0
            break
    if not sampler.frames:
        raise BadInput(NO_VIDEO)
    # Containers estimate: a frame or two at the end is no damage.
    if sampler.count < 0.9 * claimed - 2:
        notes.append(ENDS_EARLY.format(count=sampler.count, claimed=claimed))
    rate = float(opened.get(cv2.CAP_PROP_FPS))
    return sampler, 1000 / rate if math.isfinite(rate) and 0.01 < rate < 1000 else None


def _count(number: float) -> int:
    """The number of frames that the container claims, 0 when it does not say."""
    return int(number) if math.isfinite(number) and number > 0 else 0


def _gif(source: Path, limits: Limits, notes: list[str]) -> tuple[Sampler, float | None]:
    durations: list[float] = []
    Pillow.MAX_IMAGE_PIXELS = None  # opening reads the header only, and our own check has a better sentence
    with Pillow.open(source, formats=["GIF"]) as opened:
        sampler = Sampler(_room(opened.height, opened.width, limits), 0)
        size = opened.size
        for picture in _pictures(opened):
            if picture.size != size:  # a later picture may lie outside the first, and makes the canvas grow
                raise BadInput(GROWING)
            if sampler.count >= limits.frames:
                raise Exhausted(TOO_MANY_FRAMES.format(frames=f"more than {limits.frames}", limit=limits.frames))
            durations.append(float(opened.info.get("duration") or 0))
            if sampler.wants_next():
                sampler.keep(np.asarray(picture.convert("RGB")))
            else:
                sampler.skip()
    mean = sum(durations) / len(durations) if durations else 0.0
    return sampler, mean or None


def _pictures(opened: Any) -> Iterator[Any]:
    """Each picture of a GIF, composed with those before it."""
    number = 0
    while True:
        try:
            opened.seek(number)
        except EOFError:
            return
        yield opened
        number += 1


def _grey_if_grey(frames: list[NDArray[np.uint8]], notes: list[str]) -> list[NDArray[np.uint8]]:
    """(H, W) frames when no channel of any differs from green by more than coding noise."""
    most = 0
    for frame in frames:
        most = max(most, _colourfulness(frame))
        if most > CODING_NOISE:
            return frames
    if most:
        notes.append(GREY)
    return [frame[..., 1] for frame in frames]


def _colourfulness(frame: NDArray[np.uint8]) -> int:
    """The largest distance of red or blue from green."""
    green = frame[..., 1]
    others = [frame[..., channel] for channel in (0, 2)]
    return max(int((np.maximum(other, green) - np.minimum(other, green)).max()) for other in others)
