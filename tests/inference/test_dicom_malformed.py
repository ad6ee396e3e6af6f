"""Damaged and hostile DICOM, segmentations, structure sets and archives: read or refused in one line, and soon."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from bench.mutations import KINDS, SLOWEST_S, try_many, try_one
from inference.decode import Limits, decode
from inference.errors import BadInput, Exhausted, InferenceError
from tests.inference import files

MUTATIONS = 40
NAMED = ("dicom", "dicom-jpeg2000", "dicom-rle", "dicom-jpeg-lossless", "dicom-multiframe", "dicom-seg", "zip")
DICOM_KINDS = [kind for kind in KINDS if kind.startswith("dicom") or kind == "zip"]


@pytest.mark.parametrize("kind", DICOM_KINDS)
def test_the_samples_are_good_files(tmp_path: Path, kind: str) -> None:
    (tmp_path / "source").write_bytes(KINDS[kind].sample())
    (tmp_path / "out").mkdir()
    KINDS[kind].attempt(tmp_path / "source", tmp_path / "out")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", DICOM_KINDS)
def test_mutated_files_are_read_or_refused_in_one_line(kind: str) -> None:
    """The same 500 at a time: `python -m bench.mutations`."""
    row = try_many(kind, MUTATIONS if kind in NAMED else MUTATIONS // 3, workers=2)
    assert row.unexplained == ()
    assert row.slowest_s < SLOWEST_S
    assert row.peak_mb < Limits().memory / 1e6
    assert row.words["refused"]


def test_after_a_reader_died_the_next_file_works(tmp_path: Path) -> None:
    with pytest.raises(InferenceError):
        decode(files.JPEG2000, tmp_path / "a", Limits(memory=150_000_000))
    assert decode(files.JPEG2000, tmp_path / "b").width == 640


def test_what_is_unexplained_is_called_so(monkeypatch) -> None:
    """The bench must be able to fail."""

    def spoils(source: Path, folder: Path) -> None:
        raise RuntimeError

    monkeypatch.setitem(KINDS, "dicom", type(KINDS["dicom"])(KINDS["dicom"].sample, spoils))
    assert try_one("dicom", b"abc" * 100, 1).word == "unexplained"


@pytest.mark.parametrize(
    ("elements", "said"),
    [
        ({"NumberOfFrames": 2_000_000}, "claims 2000000 frames; at most 20000"),
        ({"NumberOfFrames": 15_000, "Rows": 2000, "Columns": 2000}, "million values in all"),
        ({"NumberOfFrames": 100}, "is incomplete"),
        ({"NumberOfFrames": -3}, "has no pixels"),
    ],
    ids=["frames", "voxels", "too few bytes", "negative"],
)
def test_bombs_of_frames_are_refused_before_a_pixel_is_touched(tmp_path: Path, elements, said: str) -> None:
    source = files.write_dicom(tmp_path / "a.dcm", files.ramp(), **elements)
    with pytest.raises(InferenceError, match=said):
        decode(source, tmp_path / "out", Limits(memory=400_000_000))


def test_a_run_length_bomb_of_frames_is_refused(tmp_path: Path) -> None:
    """A few kilobytes that claim as many frames as are allowed, and have one."""
    dataset = dcmread(files.RUN_LENGTH)
    dataset.NumberOfFrames = 20_000
    dataset.save_as(tmp_path / "a.dcm")
    with pytest.raises(BadInput):
        decode(tmp_path / "a.dcm", tmp_path / "out")


def test_a_deflated_bomb_in_a_series_is_refused(tmp_path: Path) -> None:
    """Whichever of the files it is: nothing is inflated beyond the limit."""
    good = files.write_dicom(tmp_path / "good.dcm", files.ramp())
    dataset = dcmread(files.write_dicom(tmp_path / "a.dcm", files.ramp()))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(tmp_path / "small.dcm")
    whole = (tmp_path / "small.dcm").read_bytes()
    start = 132 + 12 + dcmread(tmp_path / "small.dcm").file_meta.FileMetaInformationGroupLength
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    plain = zlib.decompress(whole[start:], -zlib.MAX_WBITS)
    body = squeezer.compress(plain) + squeezer.compress(bytes(80_000_000)) + squeezer.flush()
    (tmp_path / "bomb.dcm").write_bytes(whole[:start] + body)
    with pytest.raises(Exhausted, match="grows beyond 40 MB"):
        decode([good, tmp_path / "bomb.dcm"], tmp_path / "out", Limits(file_bytes=40_000_000))


def test_a_file_of_functional_groups_in_thousands_of_directions_ends_soon(tmp_path: Path) -> None:
    count = 3000
    groups = []
    for number in range(count):
        angle = number / count * 3
        group, position, direction = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, number]
        direction.ImageOrientationPatient = [f"{np.cos(angle):.6f}", f"{np.sin(angle):.6f}", 0, 0, 0, 1]
        group.PlanePositionSequence, group.PlaneOrientationSequence = [position], [direction]
        groups.append(group)
    source = files.write_dicom(
        tmp_path / "a.dcm",
        np.zeros((count, 2, 2), dtype=np.uint16),
        Rows=2,
        Columns=2,
        NumberOfFrames=count,
        PerFrameFunctionalGroupsSequence=groups,
    )
    decoded = decode(source, tmp_path / "out", Limits(cpu_s=15, wall_s=15.0))
    assert decoded.layout == "frames"


def test_a_large_series_stays_within_the_memory_of_the_reader(tmp_path: Path) -> None:
    """A hundred slices of 512 x 512: 52 MB of pixels, read in less than a third of what is allowed."""
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 4000, (512, 512)).astype(np.uint16)
    sources = [
        files.write_dicom(
            tmp_path / f"{n}.dcm",
            stored,
            Modality="CT",
            SeriesInstanceUID="1.2.3",
            RescaleSlope=1,
            RescaleIntercept=-1024,
            ImagePositionPatient=[0, 0, n],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[1, 1],
        )
        for n in range(100)
    ]
    decoded = decode(sources, tmp_path / "out", Limits(memory=450_000_000))
    assert (decoded.layout, decoded.frames, decoded.unit) == ("volume", 100, "HU")
    pixels = np.load(tmp_path / "out" / "pixels.npy", mmap_mode="r")
    assert np.array_equal(pixels[57], stored.astype(np.int16) - 1024)
