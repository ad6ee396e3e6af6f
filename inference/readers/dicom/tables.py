"""Look-up tables of grey values (PS3.3 C.11.1.1, C.11.2.1.1): modality LUT and VOI LUT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from inference.errors import BadInput
from inference.readers.dicom.values import blocks

DAMAGED = "A look-up table of this DICOM file is damaged or incomplete. Export it again and send that."


@dataclass(frozen=True, slots=True)
class Table:
    """`entries` (N,) uint16 of `bits` bits; the first is for the value `first` and all below, the last for all above.

    pydicom's own look-up subtracts within the type of the pixels, where signed 16-bit values overflow.
    """

    entries: NDArray[np.uint16]
    first: int
    bits: int

    @classmethod
    def of(cls, item: Dataset, dataset: Dataset) -> Table:
        """The table of an item of a LUT sequence in `dataset`. Raises BadInput."""
        try:
            count, first, bits = (int(value) for value in item.LUTDescriptor)
            data = item.LUTData
            entries = _entries(
                data, (count & 0xFFFF) or 65536, bool(dataset.file_meta.TransferSyntaxUID.is_little_endian)
            )
        except (AttributeError, ValueError, TypeError) as error:
            raise BadInput(DAMAGED) from error
        if not len(entries) or not 1 <= bits <= 16:
            raise BadInput(DAMAGED)
        return cls(entries, first, bits)

    def look_up(self, values: NDArray[Any]) -> NDArray[np.uint16]:
        """Table entries of integer values, of the same shape."""
        found = np.empty(values.shape, dtype=np.uint16)
        for rows in blocks(values):  # eight bytes a pixel meanwhile
            places = np.clip(values[rows].astype(np.int64) - self.first, 0, len(self.entries) - 1)
            found[rows] = self.entries[places]
        return found


def _entries(data: Any, count: int, little_endian: bool) -> NDArray[np.uint16]:
    """LUTData is bytes (OW) or numbers (US); bytes that are as many as entries hold one entry each."""
    if not isinstance(data, bytes):
        return np.atleast_1d(np.asarray(data)).astype(np.int64).astype(np.uint16)[:count]
    if len(data) in (count, count + count % 2) and len(data) < 2 * count:
        return np.frombuffer(data, dtype=np.uint8)[:count].astype(np.uint16)
    words = np.frombuffer(data[: len(data) // 2 * 2], dtype="<u2" if little_endian else ">u2")
    return words[:count].astype(np.uint16)
