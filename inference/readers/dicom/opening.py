"""A DICOM file to a data set whose claims were checked: everything that can be refused before a pixel is decoded."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom import config, dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from inference.errors import BadInput, Exhausted
from inference.readers.dicom.elements import clean, sop_class
from inference.readers.greys import check_size

if TYPE_CHECKING:
    from inference.decode import Limits

NOT_DICOM = "This is not an image or video that is read here (it looks like binary data of an unknown kind)."
NO_IMAGE = "This DICOM file holds no image ({what})."
OVERLAY = "This DICOM file is a {what}: it is shown over the images that it was drawn on. Send those too."
SYNTAX = "The pixels of this DICOM file are compressed as {name}, which is not read here. Export it uncompressed."
TWELVE_BITS = "The pixels of this DICOM file are 12-bit JPEG, which is not read here. Export it uncompressed."
SHORT = "This DICOM file is incomplete: it has {found} of {expected} bytes of pixels. Export it again and send that."
CHANNELS = "This DICOM file has {samples} samples a pixel; only 1 (grey or palette) and 3 (colour) are read."
COLOURS = "The pixels of this DICOM file are {photometric}, a colour model that is not read here."
LENGTH = "This DICOM file is damaged: an element claims more bytes than the file has. Export it again and send that."
INFLATED = "This deflated DICOM file grows beyond {limit:.0f} MB, so it was not read."
DEFLATE = "This deflated DICOM file cannot be inflated: it is damaged or incomplete."

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
OVERLAYS = {
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
    "1.2.840.10008.5.1.4.1.1.66.5": "surface segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "label map",
    "1.2.840.10008.5.1.4.1.1.481.3": "structure set",
}
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"


def open_dicom(source: Path, limits: Limits) -> Dataset:
    """The data set with its pixels still encoded; the size of a deflated one is bounded before it is inflated.

    Its `file_meta.TransferSyntaxUID` is always set. Raises BadInput, Exhausted, and whatever pydicom raises on damage.
    """
    config.settings.reading_validation_mode = config.IGNORE
    with source.open("rb") as file:
        has_preamble = file.read(132)[128:] == b"DICM"
    if not has_preamble:
        dataset = _parse(source, force=True)
        if "SOPClassUID" not in dataset and ("PixelData" not in dataset or "Rows" not in dataset):
            raise BadInput(NOT_DICOM)
        dataset.file_meta.TransferSyntaxUID = dataset.file_meta.get("TransferSyntaxUID") or _seen(dataset)
        return dataset
    meta = read_file_meta_info(source)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        return _deflated(source, meta, limits)
    dataset = _parse(source)
    if not dataset.file_meta.get("TransferSyntaxUID"):
        dataset.file_meta.TransferSyntaxUID = _seen(dataset)
    return dataset


def frame_count(dataset: Dataset) -> int:
    """NumberOfFrames; 1 where it is absent or empty. Raises ValueError on what is no number."""
    return int(dataset.get("NumberOfFrames") or 1)


def samples_of(dataset: Dataset) -> int:
    return int(dataset.get("SamplesPerPixel") or 1)


def pixels_keyword(dataset: Dataset) -> str:
    """Which element holds the pixels. Raises BadInput when none does, or when the file is shown over other images."""
    what = OVERLAYS.get(str(dataset.get("SOPClassUID")))
    if what:
        raise BadInput(OVERLAY.format(what=what))
    for keyword in PIXELS:
        if keyword in dataset:
            return keyword
    raise BadInput(NO_IMAGE.format(what=sop_class(dataset)))


def check(dataset: Dataset, limits: Limits, before: int = 0) -> None:
    """Refuse what can be known to be wrong before a pixel is decoded; `before` counts frames of files before this."""
    keyword = pixels_keyword(dataset)
    check_size(int(dataset.Rows), int(dataset.Columns), limits, before + frame_count(dataset))
    samples = samples_of(dataset)
    if samples not in (1, 3):
        raise BadInput(CHANNELS.format(samples=samples))
    photometric = str(dataset.PhotometricInterpretation)
    if photometric not in (*GREY, *COLOUR, "PALETTE COLOR") or (samples == 3) != (photometric in COLOUR):
        raise BadInput(COLOURS.format(photometric=clean(photometric) or "of an unknown kind"))
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax.is_transfer_syntax and not syntax.is_compressed:
        _check_length(dataset, samples, keyword)
    elif not _can_decompress(syntax):
        raise BadInput(SYNTAX.format(name=clean(syntax.name) or "something unknown"))
    elif syntax == JPEG_EXTENDED and dataset.BitsStored > 8:
        # pydicom refuses it too: GDCM's values for 12-bit JPEG are wrong.
        raise BadInput(TWELVE_BITS)


def _seen(dataset: Dataset) -> UID:
    """The uncompressed encoding that pydicom found without being told."""
    is_implicit, is_little_endian = dataset.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little_endian else ExplicitVRBigEndian


def _deflated(source: Path, meta: FileMetaDataset, limits: Limits) -> Dataset:
    body = source.read_bytes()[132 + 12 + int(meta.FileMetaInformationGroupLength) :]
    plain = BytesIO(_inflate(body, limits.file_bytes))
    dataset: Dataset = read_dataset(plain, is_implicit_VR=False, is_little_endian=True)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    dataset.set_original_encoding(False, True)
    return dataset


def _parse(source: Path, force: bool = False) -> Dataset:
    """All elements, pixels still encoded. A length that no memory can hold is damage: the file itself is bounded."""
    try:
        dataset: Dataset = dcmread(source, force=force)
    except MemoryError as error:
        raise BadInput(LENGTH) from error
    return dataset


def _inflate(body: bytes, limit: int) -> bytes:
    """Inflate at most `limit` bytes. Raises Exhausted beyond that, BadInput on damage."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = inflater.decompress(body, limit)
    except zlib.error as error:
        raise BadInput(DEFLATE) from error
    if inflater.unconsumed_tail:
        raise Exhausted(INFLATED.format(limit=limit / 1e6))
    return plain


def _check_length(dataset: Dataset, samples: int, keyword: str) -> None:
    allocated = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(keyword) or int(dataset.BitsAllocated)
    bits = int(dataset.Rows) * int(dataset.Columns) * samples * allocated * frame_count(dataset)
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        bits = bits * 2 // 3
    found = len(dataset[keyword].value or b"")
    if found < (bits + 7) // 8:
        raise BadInput(SHORT.format(found=found, expected=(bits + 7) // 8))


def _can_decompress(syntax: UID) -> bool:
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:  # pydicom knows no decoder for it at all
        return False
