"""Whatever is uploaded, the user gets one readable line in bounded time, and the next file still works."""

from __future__ import annotations

import os
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian
from skimage import data as skimage_data

from inference import disposable as parent
from inference import fork_server
from inference.decode import Limits, decode
from inference.errors import BadInput, Exhausted, InferenceError
from tests.inference import files

MUTATIONS = 40
TIGHT = Limits(wall_s=8, cpu_s=8)


def one_line(error: InferenceError) -> bool:
    text = str(error)
    return bool(text) and "\n" not in text and len(text) < 300 and "Traceback" not in text and "/" not in text[:40]


def is_empty(folder: Path) -> bool:
    return not folder.exists() or not any(folder.iterdir())


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def huge_png() -> bytes:
    """A real PNG, well under a kilobyte, that claims 60000 x 60000 pixels."""
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100_000, 9)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")


def sample_png() -> bytes:
    buffer = BytesIO()
    Pillow.fromarray(skimage_data.camera()).save(buffer, "PNG")
    return buffer.getvalue()


def sample_jpeg() -> bytes:
    buffer = BytesIO()
    Pillow.fromarray(skimage_data.astronaut()).save(buffer, "JPEG")
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "hello")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.dcm", b"", "This file is empty."),
        ("note.dcm", b"Dear colleague, please find attached", "it looks like text"),
        ("paper.png", b"%PDF-1.7 and so on", "it looks like a PDF"),
        ("study.dcm", zipped(), "it looks like a ZIP archive"),
        ("brain.nii.gz", b"\x1f\x8b\x08\x00" + bytes(50), "a gzip archive without a NIfTI volume"),
        ("page.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "HTML, SVG or XML"),
        ("scan.tif", b"II*\x00" + bytes(200), "This TIFF file has no page"),
        ("cut.nii", files.sample_nifti()[:3000], "This NIfTI file is incomplete"),
        ("cut.mp4", files.sample_video()[:3000], "This video cannot be read"),
        ("photo.webp", b"RIFF\x00\x00\x00\x00WEBPVP8 ", "a WebP or WAV"),
        ("zeros.dcm", bytes(5000), "binary data of an unknown kind"),
        ("magic.dcm", bytes(128) + b"DICM", "This DICOM file"),
        ("signature.png", b"\x89PNG\r\n\x1a\n", "This PNG file cannot be read"),
        ("signature.jpg", b"\xff\xd8\xff\xe0", "This JPEG file cannot be read"),
        ("huge.png", huge_png(), "claims 60000 x 60000 pixels; at most 64 megapixels"),
        ("cut.png", sample_png()[:3000], "This PNG file cannot be read"),
        ("cut.jpg", sample_jpeg()[:3000], "This JPEG file cannot be read"),
        ("eight.dcm", b"\x08\x00" + bytes(range(256)) * 4, "This"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value[-8:] and " " not in value else "",
)
def test_what_is_no_image_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InferenceError) as caught:
        decode(tmp_path / name, tmp_path / "out", TIGHT)
    assert said in str(caught.value)
    assert one_line(caught.value)
    assert is_empty(tmp_path / "out")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no longer there"):
        decode(tmp_path / "gone.png", tmp_path / "out")


@pytest.mark.parametrize("keep", [200, 1000, 5000, 100_000])
def test_a_truncated_dicom_is_refused(tmp_path: Path, keep: int) -> None:
    (tmp_path / "cut.dcm").write_bytes(files.CHEST.read_bytes()[:keep])
    with pytest.raises(BadInput) as caught:
        decode(tmp_path / "cut.dcm", tmp_path / "out", TIGHT)
    assert one_line(caught.value)


@pytest.mark.parametrize(
    ("elements", "kind"),
    [
        ({"Rows": 65535, "Columns": 65535}, Exhausted),
        ({"Rows": 8000, "Columns": 8000}, BadInput),
        ({"Rows": 0}, BadInput),
        ({"NumberOfFrames": 100_000}, Exhausted),
        ({"PixelData": b""}, BadInput),
        ({"PixelData": None}, BadInput),
        ({"BitsAllocated": 12}, BadInput),
        ({"SamplesPerPixel": 4}, BadInput),
        ({"PhotometricInterpretation": "CMYK"}, BadInput),
        ({"SamplesPerPixel": 3}, BadInput),
    ],
    ids=str,
)
def test_a_header_that_contradicts_its_pixels_is_refused(tmp_path: Path, elements, kind) -> None:
    source = files.write_dicom(tmp_path / "a.dcm", files.ramp(), **elements)
    with pytest.raises(kind) as caught:
        decode(source, tmp_path / "out", TIGHT)
    assert one_line(caught.value)


def test_a_deflated_dicom_is_bounded_before_it_is_inflated(tmp_path: Path) -> None:
    """A tenth of a megabyte on disk, eighty inflated, and a limit of forty."""
    dataset = dcmread(files.write_dicom(tmp_path / "a.dcm", files.ramp()))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(tmp_path / "small.dcm")
    whole = (tmp_path / "small.dcm").read_bytes()
    start = 132 + 12 + read_file_meta_info(tmp_path / "small.dcm").FileMetaInformationGroupLength
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    plain = zlib.decompress(whole[start:], -zlib.MAX_WBITS)
    body = squeezer.compress(plain) + squeezer.compress(bytes(80_000_000)) + squeezer.flush()
    (tmp_path / "bomb.dcm").write_bytes(whole[:start] + body)
    assert (tmp_path / "bomb.dcm").stat().st_size < 100_000
    with pytest.raises(Exhausted, match="grows beyond 40 MB"):
        decode(tmp_path / "bomb.dcm", tmp_path / "out", Limits(file_bytes=40_000_000))
    assert decode(tmp_path / "small.dcm", tmp_path / "out").kind == "dicom"


def test_an_element_that_claims_more_than_the_file_has_is_damage(tmp_path: Path) -> None:
    source = files.write_dicom(tmp_path / "a.dcm", files.ramp())
    pixels = source.read_bytes().index(b"\xe0\x7f\x10\x00OW")
    data = bytearray(source.read_bytes())
    data[pixels + 8 : pixels + 12] = struct.pack("<I", 0xFFFFFFF0)
    source.write_bytes(data)
    with pytest.raises(BadInput) as caught:
        decode(source, tmp_path / "out", TIGHT)
    assert "damaged" in str(caught.value)
    assert one_line(caught.value)


def mutate(content: bytes, seed: int) -> bytes:
    """Flip, remove or double a few bytes, most of them near the start, where the headers are."""
    random_ = random.Random(seed)
    data = bytearray(content)
    for _ in range(random_.randint(1, 12)):
        reach = len(data) if random_.random() < 0.3 else min(len(data), 2500)
        place, action = random_.randrange(reach), random_.random()
        if action < 0.7:
            data[place] = random_.randrange(256)
        elif action < 0.85:
            del data[place : place + random_.randint(1, 16)]
        else:
            data[place:place] = data[place : place + random_.randint(1, 16)]
    return bytes(data)


SAMPLES: dict[str, Callable[[], bytes]] = {
    "dicom": lambda: (files.PYDICOM_IMAGES / "MR_small.dcm").read_bytes(),
    "dicom-jpeg2000": lambda: files.JPEG2000.read_bytes(),
    "dicom-rle": lambda: files.RUN_LENGTH.read_bytes(),
    "png": sample_png,
    "jpeg": sample_jpeg,
    "nifti": files.sample_nifti,
    "nifti-gz": files.sample_nifti_gz,
    "tiff": files.sample_tiff,
    "tiff-lzw": files.sample_tiff_lzw,
    "slide": files.sample_slide,
    "mp4": files.sample_video,
    "avi": files.sample_avi,
    "webm": files.sample_webm,
    "gif": files.sample_gif,
}
FEWER = ("dicom-jpeg2000", "dicom-rle", "nifti-gz", "tiff-lzw", "avi", "webm", "gif")


def refusal_of(source: Path, out: Path) -> InferenceError | None:
    try:
        decode(source, out, TIGHT)
    except InferenceError as error:
        return error
    return None


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", SAMPLES)
def test_mutated_files_are_read_or_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    content, count = SAMPLES[kind](), MUTATIONS // 4 if kind in FEWER else MUTATIONS
    sources = [tmp_path / f"{seed}" for seed in range(count)]
    outputs = [tmp_path / f"out{seed}" for seed in range(count)]
    for seed, source in enumerate(sources):
        source.write_bytes(mutate(content, seed))
    with ThreadPoolExecutor(2) as pool:
        refusals = list(pool.map(refusal_of, sources, outputs))
    assert any(refusals)
    assert [error for error in refusals if error and not one_line(error)] == []
    assert all(is_empty(out) == bool(error) for out, error in zip(outputs, refusals, strict=True))
    source.write_bytes(content)
    assert decode(source, tmp_path / "last").width > 0


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(wall_s=0.05), "longer than 0.05 seconds"),
        (Limits(pixels=1000), "at most 0.001 megapixels"),
        (Limits(file_bytes=1000), "at most 0.001 MB"),
        (Limits(memory=150_000_000), "more memory than is allowed"),
    ],
    ids=["time", "pixels", "bytes", "memory"],
)
def test_each_limit_stops_a_good_file_and_says_so(tmp_path: Path, limits: Limits, said: str) -> None:
    rng = np.random.default_rng(0)
    Pillow.fromarray(rng.integers(0, 255, (3000, 3000), dtype=np.uint8)).save(tmp_path / "a.png", compress_level=1)
    with pytest.raises(Exhausted, match=said):
        decode(tmp_path / "a.png", tmp_path / "out", limits)
    assert is_empty(tmp_path / "out")


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", BadInput),
        ("os.kill(os.getpid(), signal.SIGABRT)", BadInput),
        ("os.kill(os.getpid(), signal.SIGKILL)", Exhausted),
        ("os.kill(os.getpid(), signal.SIGXCPU)", Exhausted),
        ("print('not json'); sys.exit(0)", BadInput),
        ("sys.exit(3)", BadInput),
        ("time.sleep(60)", Exhausted),
    ],
    ids=["segfault", "abort", "killed", "cpu", "garbage", "exit", "hang"],
)
def test_every_death_of_the_decoder_is_explained(tmp_path: Path, monkeypatch, ending: str, kind) -> None:
    """A stand-in for the child dies as codecs have been seen to die."""
    (tmp_path / "dying" / "inference").mkdir(parents=True)
    (tmp_path / "dying" / "inference" / "decoder.py").write_text(f"import os, signal, sys, time\n{ending}\n")
    monkeypatch.setattr(parent, "ROOT", tmp_path / "dying")
    monkeypatch.setattr(fork_server, "START_S", 1.0)  # it loads the stand-in too
    Pillow.new("L", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(kind) as caught:
        decode(tmp_path / "a.png", tmp_path / "out", Limits(wall_s=1))
    assert one_line(caught.value)
    assert is_empty(tmp_path / "out")


def test_a_native_panic_becomes_one_line() -> None:
    """pylibjpeg-rle panics with an exception that does not derive from Exception."""
    from inference.decoder import damaged
    from inference.disposable import translate

    class Panic(BaseException):
        pass

    refusal = translate(Panic("index out of bounds"), damaged("dicom"))
    assert isinstance(refusal, BadInput)
    assert one_line(refusal)


def test_no_secret_of_the_parent_reaches_the_decoder(monkeypatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    assert "hunter2" not in parent._environment().values()
    assert os.environ["SECRET_KEY"] == "hunter2"
