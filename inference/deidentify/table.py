"""What to do with an element: table E.1-1 of PS3.15 (2026c), read from the wheel dicom-anonymizer, of which only the
data is used; and the elements for which this project decides more narrowly or, by an option of the profile, otherwise.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

from pydicom.datadict import keyword_for_tag
from pydicom.tag import BaseTag, Tag

# The table's choices ("X unless Z is needed to keep the file valid") are resolved to the one that is valid in every
# kind of file: a dummy serves type 1, 2 and 3 alike, an empty element types 2 and 3. Our own names for the outcomes:
Action = Literal["remove", "empty", "dummy", "uid", "recurse"]
OF_LIST: dict[str, Action] = {
    "X_TAGS": "remove",
    "Z_TAGS": "empty",
    "X_Z_TAGS": "empty",
    "D_TAGS": "dummy",
    "X_D_TAGS": "dummy",
    "Z_D_TAGS": "dummy",
    "X_Z_D_TAGS": "dummy",
    "U_TAGS": "uid",
    "X_Z_U_STAR_TAGS": "recurse",  # references to images: their UIDs are mapped, so they stay true
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Sequences of free content that the table leaves to its options, none of which is used here.
REMOVED = _words(
    "EncryptedAttributesSequence MACParametersSequence TextObjectSequence SpecimenDescriptionSequence "
    "EquivalentCodeSequence ContentItemModifierSequence DirectoryRecordSequence"
)
# Type 2 in the module that defines them, and absent from the table: emptied, where other free text is removed.
EMPTIED = _words("PositionReferenceIndicator ContentDescription")
# Type 1 likewise: a dummy.
DUMMIES = _words("SegmentAlgorithmName ContentLabel TrackingID OpticalPathIdentifier StackID")
# Dates of the person, not of the examination: the option for modified dates does not cover them.
OF_THE_PERSON = _words("PatientBirthDate PatientBirthTime LastMenstrualDate")
# Bytes that decoding and display need. Any others could hold anything (icons, profiles, documents, waveforms).
BYTES = _words(
    "PixelData FloatPixelData DoubleFloatPixelData LUTData "
    "RedPaletteColorLookupTableData GreenPaletteColorLookupTableData BluePaletteColorLookupTableData "
    "SegmentedRedPaletteColorLookupTableData SegmentedGreenPaletteColorLookupTableData "
    "SegmentedBluePaletteColorLookupTableData"
)
TOP_ONLY = _words("PixelData FloatPixelData DoubleFloatPixelData")  # elsewhere they are icons
# What a UID is of, rather than whose: never mapped.
CLASSES = _words(
    "SOPClassUID ReferencedSOPClassUID MediaStorageSOPClassUID RelatedGeneralSOPClassUID SOPClassesInStudy "
    "OriginalSpecializedSOPClassUID TransferSyntaxUID ReferencedRelatedGeneralSOPClassUIDInFile"
)


@cache
def action(tag: BaseTag) -> Action | None:
    """The outcome for an element of the standard; None where neither the table nor we name it: its VR decides."""
    keyword = keyword_for_tag(tag)
    if keyword in REMOVED:
        return "remove"
    if keyword in EMPTIED:
        return "empty"
    return _table().get(int(tag))


@cache
def _table() -> dict[int, Action]:
    from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as fields

    found: dict[int, Action] = {}
    for name, outcome in OF_LIST.items():
        # Rows of four numbers are ranges of groups (curves, overlays), all of which `is_never_kept` removes.
        found |= {int(Tag(*row)): outcome for row in getattr(fields, name) if len(row) == 2}
    return found


def is_never_kept(tag: BaseTag) -> bool:
    """Private elements, group lengths, commands, file meta gone astray, curves, overlays and padding."""
    return (
        tag.is_private
        or tag.element == 0
        or tag.group in (0x0000, 0x0002, 0xFFFC)
        or 0x5000 <= tag.group <= 0x50FF
        or 0x6000 <= tag.group <= 0x60FF
    )
