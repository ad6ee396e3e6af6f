"""Identities taken out of a DICOM data set: the Basic Application Level Confidentiality Profile of PS3.15 Annex E.

    walk          `deidentify`, the whole data set in place
    table         what the standard's table says of an element, and where this project decides otherwise
    values        single values: dates, numbers, codes, labels, by their own rules
    keys          what replaces UIDs and patient ids, and the days by which dates move
    codestreams   comments and EXIF inside compressed pixels

The code strings that are words of the standard, not of a person, are in `inference.terms`.

What no rule knows is removed. docs/deidentification.md says which options of the profile are used, what is kept, and
what this cannot do. Imports pydicom: for the disposable child, or a worker.
"""

from inference.deidentify.keys import day_shift, mapped_uid, pseudonym
from inference.deidentify.walk import add_method, deidentify, write_clean

__all__ = ["add_method", "day_shift", "deidentify", "mapped_uid", "pseudonym", "write_clean"]
