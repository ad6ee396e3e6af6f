"""A DICOM file with a word that occurs nowhere else in every element of the standard that can carry one."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

from pydicom import dcmread, dcmwrite
from pydicom.datadict import DicomDictionary, RepeatersDictionary
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundImageStorage, generate_uid

TEXT_VRS = ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT")
BYTE_VRS = ("OB", "OW", "OD", "OF", "OL", "OV", "UN")
# Kept by a rule of their own when their text is harmless; tests of their own look at them.
RULED = ("Manufacturer", "ManufacturerModelName", "ROIName", "SegmentLabel")
PIXELS = bytes(64)


class Canaries:
    """Hands out unique words; `all` are those handed out."""

    def __init__(self) -> None:
        self.all: list[bytes] = []

    def new(self) -> bytes:
        self.all.append(f"QX{len(self.all):05d}WZ ".encode())
        return self.all[-1]

    def text(self) -> str:
        return self.new().decode().strip()

    def survivors(self, written: bytes) -> list[bytes]:
        return [canary for canary in self.all if canary.strip() in written]


def elements() -> Iterator[tuple[BaseTag, str]]:
    """Every element of the standard's dictionary that can hold text or bytes, with its (first) type."""
    for number, (vr, _vm, _name, _retired, keyword) in DicomDictionary.items():
        tag = Tag(number)
        first = vr.split(" or ")[-1]  # "US or OW": as bytes
        if tag.group > 2 and tag.element and keyword not in RULED and first in (*TEXT_VRS, *BYTE_VRS):
            yield tag, first
    for mask, (vr, *_rest) in RepeatersDictionary.items():
        if (first := vr.split(" or ")[-1]) in (*TEXT_VRS, *BYTE_VRS) and mask[:2] in ("50", "60"):
            yield Tag(int(mask.replace("x", "0"), 16)), first


def fill(dataset: Dataset, canaries: Canaries) -> Dataset:
    """A canary in every element, of the standard and not, private ones too."""
    for tag, vr in elements():
        put(dataset, tag, vr, canaries)
    for vr in (*TEXT_VRS, *BYTE_VRS):
        number = TEXT_VRS.index(vr) if vr in TEXT_VRS else 40 + BYTE_VRS.index(vr)
        put(dataset, Tag(0x0009, 0x1000 + number), vr, canaries)
        put(dataset, Tag(0x0018, 0xF000 + number), vr, canaries)  # an element that no dictionary knows
    put(dataset, Tag(0x0009, 0x0010), "LO", canaries)
    return dataset


def put(dataset: Dataset, tag: BaseTag, vr: str, canaries: Canaries) -> None:
    """As bytes, so that no library refuses a word where a date should be."""
    value = canaries.new()
    dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


def canary_file(canaries: Canaries) -> bytes:
    """An ultrasound image whose header is full of canaries, three sequences deep, as are its preamble and file meta."""
    dataset = fill(Dataset(), canaries)
    dataset.SOPClassUID, dataset.SOPInstanceUID = UltrasoundImageStorage, generate_uid()
    dataset.Rows, dataset.Columns, dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 8, 8, 7
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation, dataset.SpecificCharacterSet = "MONOCHROME2", "ISO_IR 100"
    dataset.PixelData = PIXELS
    for name in ("NumberOfFrames", "FloatPixelData", "DoubleFloatPixelData", "ExtendedOffsetTable", "LUTData"):
        dataset.pop(name, None)
    for name in [element.keyword for element in dataset if "Palette" in element.keyword]:
        del dataset[name]
    dataset.SharedFunctionalGroupsSequence = nested(canaries)
    for name in ("IconImageSequence", "ContentSequence", "RequestAttributesSequence", "OriginalAttributesSequence"):
        setattr(dataset, name, [told(canaries)])
    for name in ("DigitalSignaturesSequence", "EncryptedAttributesSequence", "ReferencedStudySequence"):
        setattr(dataset, name, [told(canaries)])
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword in ("SourceApplicationEntityTitle", "SendingApplicationEntityTitle", "ReceivingApplicationEntityTitle"):
        setattr(meta, keyword, canaries.text())
    meta.ImplementationVersionName = canaries.text()
    meta.PrivateInformationCreatorUID, meta.PrivateInformation = "1.2.3.4", canaries.new()
    dataset.file_meta = meta
    dataset.preamble = canaries.new().ljust(128, b"\0")
    written = BytesIO()
    dcmwrite(written, dataset, enforce_file_format=True)
    return written.getvalue()


def told(canaries: Canaries) -> Dataset:
    item = Dataset()
    item.PatientName, item.TextValue, item.EncryptedContent = canaries.text(), canaries.text(), canaries.new()
    return item


def nested(canaries: Canaries) -> Sequence:
    """One item that holds a sequence that holds a sequence, each with a canary in every element."""
    inner = fill(Dataset(), canaries)
    middle = fill(Dataset(), canaries)
    middle.ReferencedImageSequence = [inner]
    outer = fill(Dataset(), canaries)
    outer.FrameContentSequence = [middle]
    for item in (inner, middle, outer):
        for name in ("PixelData", "LUTData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
            item.pop(name, None)
        for name in [element.keyword for element in item if "Palette" in element.keyword]:
            del item[name]
    return Sequence([outer])


def read(content: bytes) -> Dataset:
    return dcmread(BytesIO(content), force=True)
