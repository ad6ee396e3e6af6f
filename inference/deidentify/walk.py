"""The whole data set, in place: every element at every depth is kept by a rule, replaced, emptied or removed."""

from __future__ import annotations

import hashlib
import struct
import zipfile
from collections.abc import Callable, MutableSequence, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import config
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from inference import terms
from inference.deidentify import table, values
from inference.deidentify.codestreams import has_embedded_overlay, scrub
from inference.deidentify.keys import day_shift, mapped_uid, pseudonym
from inference.errors import BadInput
from inference.types import Cleaning

DEEPEST = 24  # sequences within sequences; real files have six
DUMMY = "ANONYMIZED"
DUMMY_OF = {"DA": "19000101", "TM": "000000", "DT": "19000101000000", "AS": "000Y", "DS": "0", "IS": "0"}
METHOD = "Lightbox: PS3.15 2026c Basic Profile, options in the codes"
PROFILE = ("113100", "Basic Application Confidentiality Profile")
CLEAN_PIXELS = ("113101", "Clean Pixel Data Option")
CLEAN_DESCRIPTORS = ("113105", "Clean Descriptors Option")
MODIFIED_DATES = ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")
CHARACTERISTICS = ("113108", "Retain Patient Characteristics Option")
NOT_WRITABLE = "This DICOM file can be shown but not be de-identified: it cannot be written again. Export it again."
CLEAN, CLEAN_SERIES = "clean.dcm", "clean.zip"

TEXT = ("AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
NUMBERS = ("AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV")
BYTES = ("OB", "OD", "OF", "OL", "OV", "OW")
AS_TEXT = (*TEXT, "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI")
# What pydicom raises on values that are not what they claim to be.
UNREADABLE = (
    *(ValueError, TypeError, LookupError, AttributeError, NotImplementedError, ArithmeticError, struct.error),
    *(BytesLengthException, InvalidDicomError),
)
NAMES_AND_IDS = ("PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "PatientBirthDate", "AdmissionID")


@dataclass(frozen=True, slots=True)
class Context:
    """What holds for a whole file: the owner's choices, the patient's days, and words that no kept text may repeat."""

    cleaning: Cleaning
    days: int
    identity: frozenset[str]


def deidentify(dataset: Dataset, cleaning: Cleaning) -> None:
    """Take every identity out of the data set and its file meta information, in place. Pixels stay what they are.

    Cleaning what was cleaned with the same key changes nothing. Raises ValueError for a key of under 16 bytes.
    """
    config.settings.reading_validation_mode = config.IGNORE  # what is odd is for our rules to judge
    identity = values.identity_of(_names_and_ids(dataset))
    patient = _patient(dataset)
    context = Context(cleaning, day_shift(patient, cleaning), identity)
    pixels_were_cleaned = CLEAN_PIXELS[0] in _method_codes(dataset)
    overlay = has_embedded_overlay(dataset)
    _clean_items(dataset, context, 0)
    _scrub_pixels(dataset, overlay)
    _clean_meta(dataset, cleaning)
    dataset.preamble = bytes(128)
    # The name is what the id has become: viewers show the name.
    dataset.PatientID = dataset.PatientName = pseudonym(patient, cleaning)
    _declare(dataset, cleaning, pixels_were_cleaned)


def write_clean(datasets: Sequence[Dataset], folder: Path) -> str:
    """Write de-identified data sets as clean.dcm, or several as clean.zip of 0001.dcm and so on; returns the name.

    Raises BadInput for a data set that pydicom cannot write.
    """
    if len(datasets) == 1:
        _write(datasets[0], folder / CLEAN)
        return CLEAN
    part = folder / "part.dcm"
    with zipfile.ZipFile(folder / CLEAN_SERIES, "w", zipfile.ZIP_STORED) as archive:
        for number, dataset in enumerate(datasets, start=1):
            _write(dataset, part)
            # A fixed date: that of the archive's making is nobody's business.
            with archive.open(zipfile.ZipInfo(f"{number:04d}.dcm"), "w") as out:
                out.write(part.read_bytes())
    part.unlink(missing_ok=True)
    return CLEAN_SERIES


def add_method(dataset: Dataset, code: tuple[str, str]) -> None:
    """Add (code, meaning) of CID 7050 to the data set's DeidentificationMethodCodeSequence, once."""
    item = Dataset()
    item.CodeValue, item.CodeMeaning = code
    item.CodingSchemeDesignator = "DCM"
    if code[0] not in _method_codes(dataset):
        dataset.DeidentificationMethodCodeSequence = [*(dataset.get("DeidentificationMethodCodeSequence") or []), item]


def _write(dataset: Dataset, path: Path) -> None:
    try:
        dataset.save_as(path, enforce_file_format=True)
    except UNREADABLE as error:
        raise BadInput(NOT_WRITABLE) from error


def _clean_items(dataset: Dataset, context: Context, depth: int) -> None:
    for tag in list(dataset.keys()):
        try:
            kept = not table.is_never_kept(tag) and dictionary_has_tag(tag) and _kept(dataset, tag, context, depth)
        except UNREADABLE:
            kept = False
        if not kept:
            del dataset[tag]
    if any(name in dataset for name in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")):
        value, scheme, meaning = values.standard_code(dataset)
        dataset.CodeValue, dataset.CodingSchemeDesignator, dataset.CodeMeaning = value, scheme, meaning


def _kept(dataset: Dataset, tag: BaseTag, context: Context, depth: int) -> bool:
    """Whether the element may stay, after it was made so."""
    element = dataset[tag]
    if not _has_its_vr(element):
        return False
    action = table.action(tag)
    if element.VR == "SQ":
        return _keep_sequence(element, action, context, depth)
    if element.keyword in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"):
        return True  # `_clean_items` judges the three together
    if element.keyword in RULES:
        return _by_rule(element, RULES[element.keyword](element, dataset, context), action)
    if element.VR == "UI":
        return action != "remove" and _keep_uids(element, context)
    if element.VR in ("DA", "DT", "TM"):
        return _keep_date(element, action, context)
    if action is not None:
        return _apply(element, action)
    return _keep_by_vr(element, depth)


def _has_its_vr(element: DataElement) -> bool:
    """Whether the value is of the standard's type; text under another textual name is given the right one, so that
    the rule for that type judges it."""
    expected = dictionary_VR(element.tag).split(" or ")
    if element.VR in expected or (element.VR in NUMBERS and expected[0] in NUMBERS):
        return True
    if element.VR in AS_TEXT and expected[0] in AS_TEXT:
        element.VR = expected[0]
        return True
    return False


def _keep_sequence(element: DataElement, action: table.Action | None, context: Context, depth: int) -> bool:
    if action == "remove" or depth >= DEEPEST:
        return False
    if action in ("empty", "dummy"):
        element.value = Items()
        return True
    for item in element.value:
        _clean_items(item, context, depth + 1)
    return True


def _apply(element: DataElement, action: table.Action) -> bool:
    if action in ("remove", "recurse"):
        return False
    dummy = action == "dummy" and not element.is_empty
    if element.VR in (*BYTES, "UN"):
        element.value = b""
    elif element.VR in NUMBERS:
        element.value = 0 if dummy else None
    else:
        element.value = DUMMY_OF.get(element.VR, DUMMY) if dummy else ""
    return True


def _by_rule(element: DataElement, kept: str | list[str] | None, action: table.Action | None) -> bool:
    """What the rule of this one element lets through, else what holds for an element of no use."""
    if kept is None:
        return _apply(element, action or "remove")
    element.value = kept
    return True


def _keep_uids(element: DataElement, context: Context) -> bool:
    is_class = element.keyword in table.CLASSES
    mapped = [
        uid if is_class and values.UID.fullmatch(uid) else mapped_uid(uid, context.cleaning) for uid in _texts(element)
    ]
    element.value = mapped if len(mapped) > 1 else "".join(mapped)
    return True


def _keep_date(element: DataElement, action: table.Action | None, context: Context) -> bool:
    """Dates move and times stay, or all go; those of the person go always."""
    if context.cleaning.dates == "remove" or element.keyword in table.OF_THE_PERSON:
        return _apply(element, action or "remove")
    moved = [_moved(text, str(element.VR), context.days) for text in _texts(element)]
    if None in moved:
        return _apply(element, action or "remove")
    element.value = moved if len(moved) > 1 else "".join(text or "" for text in moved)
    return True


def _moved(text: str, vr: str, days: int) -> str | None:
    # The dummies of an earlier cleaning are no dates of anybody, and stay what they are.
    if not text or text in DUMMY_OF.values():
        return text
    if vr == "TM":
        return values.kept_time(text)
    return values.shifted_date(text, days) if vr == "DA" else values.shifted_datetime(text, days)


def _keep_by_vr(element: DataElement, depth: int) -> bool:
    """An element that the profile's table does not name, by what its value can carry."""
    if element.VR in NUMBERS:
        return True
    if element.VR in BYTES:
        return element.keyword in table.BYTES and (depth == 0 or element.keyword not in table.TOP_ONLY)
    if element.VR in ("DS", "IS"):
        return all(values.is_number(_original(part)) for part in _parts(element))
    if element.VR == "CS":
        return _keep_code_string(element)
    return False


def _keep_code_string(element: DataElement) -> bool:
    """Known words stay. An image type keeps its places; another element with an unknown word is emptied."""
    parts = [text.strip() for text in _texts(element)]
    known = [terms.is_term(element.keyword, part) for part in parts]
    if element.keyword in ("ImageType", "FrameType"):
        parts = [part if fine else "OTHER" for part, fine in zip(parts, known, strict=True)]
    elif not all(known):
        parts = []
    element.value = parts if len(parts) > 1 else "".join(parts)
    return True


def _parts(element: DataElement) -> list[Any]:
    value = element.value
    if value is None:
        return []
    return list(value) if isinstance(value, MutableSequence) else [value]


def _texts(element: DataElement) -> list[str]:
    return [str(part) for part in _parts(element)]


def _original(number: Any) -> str:
    """A DS or IS as its file wrote it."""
    return str(getattr(number, "original_string", number))


Rule = Callable[[DataElement, Dataset, Context], str | list[str] | None]


def _label(word: str, number: str) -> Rule:
    def rule(element: DataElement, item: Dataset, context: Context) -> str:
        kept = values.kept_label(str(element.value or ""), context.identity)
        return kept or f"{word} {item.get(number) or ''}".strip()

    return rule


def _dummy(element: DataElement, item: Dataset, context: Context) -> str:
    """What stands in an element of type 1 that is free text; codes of three digits at most are no text."""
    text = str(element.value or "")
    known = element.VR == "CS" and all(terms.is_term(element.keyword, part) for part in _texts(element))
    return text if known or (text.isdigit() and len(text) <= 3) else DUMMY


def _device(element: DataElement, item: Dataset, context: Context) -> str | None:
    return values.kept_device(str(element.value or ""), context.identity)


def _explanations(element: DataElement, item: Dataset, context: Context) -> list[str]:
    """As many as there are windows."""
    return [
        text if terms.is_explanation(text) else f"WINDOW{number}"
        for number, text in enumerate(_texts(element), start=1)
    ]


def _sex(text: str) -> str | None:
    return text if text in ("", "M", "F", "O") else None


def _unit(element: DataElement, item: Dataset, context: Context) -> str:
    text = str(element.value or "").strip()
    return text if text.upper() in terms.UNITS else "US"


RULES: dict[str, Rule] = {
    "PatientID": lambda element, item, context: element.value and pseudonym(str(element.value), context.cleaning),
    "PatientAge": lambda element, item, context: values.kept_age(str(element.value or "")),
    "PatientSex": lambda element, item, context: _sex(str(element.value or "").strip()),
    "ROIName": _label("ROI", "ROINumber"),
    "SegmentLabel": _label("Segment", "SegmentNumber"),
    "Manufacturer": _device,
    "ManufacturerModelName": _device,
    "WindowCenterWidthExplanation": _explanations,
    "RescaleType": _unit,
    "ModalityLUTType": _unit,
    **dict.fromkeys(table.DUMMIES, _dummy),
}


def _text(dataset: Dataset, keyword: str) -> str:
    try:
        return str(dataset.get(keyword) or "")
    except UNREADABLE:
        return ""


def _patient(dataset: Dataset) -> str:
    """The patient's id; where there is none, the study: what is known to be of one person."""
    return _text(dataset, "PatientID").strip(" \0") or _text(dataset, "StudyInstanceUID") or "nobody"


def _names_and_ids(dataset: Dataset, depth: int = 0) -> list[str]:
    """Every person's name, and the patient's ids, wherever they stand (but not frame by frame)."""
    found: list[str] = []
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
            if element.VR == "SQ":
                if depth < DEEPEST and "FunctionalGroups" not in element.keyword:
                    found += [name for item in element.value for name in _names_and_ids(item, depth + 1)]
            elif element.VR == "PN" or element.keyword in NAMES_AND_IDS:
                found += _texts(element)
        except UNREADABLE:
            continue
    return found


def _scrub_pixels(dataset: Dataset, overlay: bool) -> None:
    """What is no pixel in the pixel data; where the header does not fit them, they are left as they are."""
    try:
        scrub(dataset, overlay)
    except UNREADABLE:
        return


def _clean_meta(dataset: Dataset, cleaning: Cleaning) -> None:
    """File meta information of its own making: of the old, only what kind of file it is."""
    old = getattr(dataset, "file_meta", None) or FileMetaDataset()
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    kind = _text(old, "MediaStorageSOPClassUID") or _text(dataset, "SOPClassUID")
    kind = kind or SecondaryCaptureImageStorage
    meta.MediaStorageSOPClassUID = UID(kind if values.UID.fullmatch(kind) else mapped_uid(kind, cleaning))
    instance = _text(dataset, "SOPInstanceUID") or _text(old, "MediaStorageSOPInstanceUID") or _digest(dataset)
    meta.MediaStorageSOPInstanceUID = UID(mapped_uid(instance, cleaning))
    syntax = UID(_text(old, "TransferSyntaxUID"))
    meta.TransferSyntaxUID = syntax if syntax.is_transfer_syntax else ExplicitVRLittleEndian
    meta.ImplementationClassUID, meta.ImplementationVersionName = PYDICOM_IMPLEMENTATION_UID, "LIGHTBOX"
    dataset.file_meta = meta


def _digest(dataset: Dataset) -> str:
    """What identifies a file that names no instance: its pixels."""
    return hashlib.sha256(dataset.get("PixelData") or b"").hexdigest()


def _method_codes(dataset: Dataset) -> list[str]:
    try:
        return [str(item.get("CodeValue") or "") for item in dataset.get("DeidentificationMethodCodeSequence") or []]
    except UNREADABLE:
        return []


def _declare(dataset: Dataset, cleaning: Cleaning, pixels_were_cleaned: bool) -> None:
    """What was done, in the elements that the standard has for it."""
    shifted = cleaning.dates == "shift"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = METHOD
    dataset.LongitudinalTemporalInformationModified = "MODIFIED" if shifted else "REMOVED"
    dataset.DeidentificationMethodCodeSequence = []
    options = [PROFILE, CLEAN_DESCRIPTORS, CHARACTERISTICS, *([MODIFIED_DATES] if shifted else [])]
    for code in [*options, *([CLEAN_PIXELS] if pixels_were_cleaned else [])]:
        add_method(dataset, code)
