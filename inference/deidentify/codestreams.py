"""Words inside pixel data: comments and EXIF of compressed frames, and what lies behind or beside the pixels.

Bytes are overwritten in place: no length, no offset and no pixel changes. Does not look into MPEG and HEVC streams.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

ITEM = b"\xfe\xff\x00\xe0"
# Application segments that decoders need: JFIF's fixed part, the colour transforms of JPEG-LS and Adobe.
NEEDED = {0xE0: (b"JFIF\0", 14), 0xE8: (b"mrfx", 64), 0xEE: (b"Adobe", 12)}


def scrub(dataset: Dataset, overlay: bool) -> None:
    """Overwrite what in the data set's PixelData is no pixel; `overlay`: one was kept in its unused bits."""
    if "PixelData" not in dataset or not isinstance(dataset.PixelData, bytes):
        return
    if UID(dataset.file_meta.get("TransferSyntaxUID") or "1.2.840.10008.1.2").is_compressed:
        dataset.PixelData = scrub_fragments(dataset.PixelData)
    else:
        _scrub_native(dataset, overlay)


def has_embedded_overlay(dataset: Dataset) -> bool:
    """Whether an overlay says that its bits are kept among those of the pixels."""
    tags = [tag for tag in list(dataset.keys()) if 0x6000 <= tag.group <= 0x60FF and tag.element == 0x0102]
    values = [dataset.get_item(tag).value for tag in tags]
    return any(any(value) if isinstance(value, bytes) else bool(value) for value in values)


def scrub_fragments(encapsulated: bytes) -> bytes:
    """Encapsulated pixel data, with the comments of each JPEG or JPEG 2000 fragment overwritten."""
    data = bytearray(encapsulated)
    for number, (start, end) in enumerate(_fragments(data)):
        if number == 0:  # the basic offset table
            continue
        for first, last in _words_of(data, start, end):
            data[first:last] = bytes(last - first)
    return bytes(data)


def _fragments(data: bytearray) -> Iterator[tuple[int, int]]:
    place = 0
    while place + 8 <= len(data) and data[place : place + 4] == ITEM:
        start = place + 8
        end = start + struct.unpack("<I", data[place + 4 : start])[0]
        if end > len(data):
            return
        yield start, end
        place = end


def _words_of(data: bytearray, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where in this fragment something other than pixels and what decodes them stands."""
    head = bytes(data[start : start + 4])
    if head[:3] == b"\xff\xd8\xff":
        yield from _of_jpeg(data, start, end)
    elif head == b"\xff\x4f\xff\x51":
        yield from _of_jpeg2000(data, start, end)
    else:
        return
    last = data.rfind(b"\xff\xd9", start, end)  # ends both kinds, and occurs in the pixels of neither
    if last >= 0:
        yield last + 2, end


def _of_jpeg(data: bytearray, start: int, end: int) -> Iterator[tuple[int, int]]:
    place = start + 2
    while place + 4 <= end and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        if marker == 0xDA:  # the first scan: what follows is pixels
            return
        stop = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        if stop > end:
            return
        body = place + 4
        if marker == 0xFE:
            yield body, stop
        elif 0xE0 <= marker <= 0xEF:
            signature, length = NEEDED.get(marker, (b"\xff", 0))
            yield (body + length if data[body:stop].startswith(signature) else body), stop
        place = stop


def _of_jpeg2000(data: bytearray, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The main header only; encoders write their comment there."""
    place = start + 2
    while place + 4 <= end and data[place] == 0xFF and data[place + 1] not in (0x90, 0x93):
        stop = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        if stop > end:
            return
        if data[place + 1] == 0x64:
            yield place + 6, stop
        place = stop


def _scrub_native(dataset: Dataset, overlay: bool) -> None:
    """Cut what is behind the last pixel, and clear the bits above BitsStored where an overlay was kept in them."""
    samples, frames = int(dataset.get("SamplesPerPixel") or 1), int(dataset.get("NumberOfFrames") or 1)
    bits = int(dataset.Rows) * int(dataset.Columns) * samples * frames * int(dataset.BitsAllocated)
    if dataset.get("PhotometricInterpretation") == "YBR_FULL_422":
        bits = bits * 2 // 3
    length = (bits + 7) // 8
    pixels: bytes = dataset.PixelData
    if 0 < length < len(pixels):
        pixels = pixels[: length + length % 2]  # of two bytes each, in either order
    unused = int(dataset.BitsAllocated) - int(dataset.get("BitsStored") or dataset.BitsAllocated)
    if 0 < unused < 16 and int(dataset.BitsAllocated) == 16 and overlay:
        pixels = _cleared(pixels, dataset)
    if pixels is not dataset.PixelData and pixels != dataset.PixelData:
        dataset["PixelData"].value = pixels


def _cleared(pixels: bytes, dataset: Dataset) -> bytes:
    """Only the stored bits of 16, the sign again above them where there is one."""
    stored, high = int(dataset.BitsStored), int(dataset.get("HighBit") or int(dataset.BitsStored) - 1)
    low, above = max(0, high - stored + 1), max(0, 15 - high)
    order = "<" if dataset.original_encoding[1] in (True, None) else ">"
    dtype = f"{order}i2" if dataset.get("PixelRepresentation") == 1 else f"{order}u2"
    whole = len(pixels) // 2 * 2
    values = np.frombuffer(pixels[:whole], dtype=dtype)
    return ((values << above >> (above + low)) << low).astype(dtype).tobytes() + pixels[whole:]
