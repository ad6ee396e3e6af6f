"""One single-frame DICOM file to pixels, preview and technical facts. Runs only inside the child of `inference.decode`.

Sizes are checked before a pixel is decoded or a deflated data set inflated. Grey frames go through DICOM's own
pipeline: modality LUT or rescale, then VOI LUT or the first window (PS3.3 C.11.1, C.11.2), then MONOCHROME1 is
mirrored. Does not handle: several frames, float pixel data, overlays, presentation states, ICC profiles, or pixel
padding (padded corners count in percentiles).
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import MutableSequence, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi, apply_windowing
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from inference.errors import BadInput, Exhausted
from inference.readers.greys import check_size, grey_if_grey, percentile_note, spread
from inference.readers.output import write
from inference.terms import is_term
from inference.types import Cleaning, Decoded, Spacing, SpacingSource, WindowSource

if TYPE_CHECKING:
    from inference.decode import Limits

NOT_DICOM = "This is not a PNG, JPEG or DICOM file (it looks like binary data of an unknown kind)."
NO_IMAGE = "This DICOM file holds no image ({what})."
FRAMES = "This file has {frames} frames; only single-frame DICOM is read so far."
SYNTAX = "The pixels of this DICOM file are compressed as {name}, which is not read here. Export it uncompressed."
CODEC = "The pixels of this DICOM file ({name}) cannot be decompressed: they are damaged or of a kind not read here."
SHORT = "This DICOM file is incomplete: it has {found} of {expected} bytes of pixels. Export it again and send that."
CHANNELS = "This DICOM file has {samples} samples a pixel; only 1 (grey or palette) and 3 (colour) are read."
COLOURS = "The pixels of this DICOM file are {photometric}, a colour model that is not read here."
LENGTH = "This DICOM file is damaged: an element claims more bytes than the file has. Export it again and send that."
INFLATED = "This deflated DICOM file grows beyond {limit:.0f} MB, so it was not read."
DEFLATE = "This deflated DICOM file cannot be inflated: it is damaged or incomplete."
BAD_WINDOW = "The file's grey window ({centre:g}/{width:g}) cannot be applied."
BAD_RESCALE = "The file's rescale slope and intercept are not usable numbers, so stored values are shown."
MANY_WINDOWS = "The file offers {count} grey windows; the first is shown."

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
# Technical elements only, each by its own rule, so that a name typed into the wrong one stays out. Identities, dates,
# UIDs, descriptions and comments are not here at all. The maker and model of the device are the only words.
WORDS = ("Manufacturer", "ManufacturerModelName")
CODES = (
    *("Modality", "BodyPartExamined", "ViewPosition", "ImageLaterality", "PatientOrientation"),
    *("PhotometricInterpretation", "RescaleType", "VOILUTFunction", "Grid", "LossyImageCompression"),
    *("BurnedInAnnotation", "ConversionType"),
)
NUMBERS = (
    *("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation"),
    *("PixelSpacing", "ImagerPixelSpacing", "SliceThickness", "RescaleSlope", "RescaleIntercept"),
    *("WindowCenter", "WindowWidth", "KVP", "ExposureTime", "XRayTubeCurrent", "Exposure"),
    *("DistanceSourceToDetector", "DistanceSourceToPatient", "MagneticFieldStrength", "EchoTime", "RepetitionTime"),
)


def read(sources: Sequence[Path], folder: Path, limits: Limits, cleaning: Cleaning | None = None) -> Decoded:
    """Write pixels and preview of the only file of `sources` into `folder`; see `read_dicom` for what is raised."""
    pixels, preview, decoded = read_dicom(sources[0], limits)
    write(folder, pixels, preview)
    return decoded


def read_dicom(source: Path, limits: Limits) -> tuple[NDArray[Any], NDArray[np.uint8], Decoded]:
    """Modality values (H, W) or (H, W, 3), the 8-bit preview of the same size, and the facts.

    Raises BadInput, Exhausted, and whatever pydicom and its codecs raise on damage; `inference.decoder` translates.
    """
    config.settings.reading_validation_mode = config.IGNORE
    dataset = _open(source, limits)
    _check(dataset, limits)
    stored = _decompress(dataset)
    photometric = str(dataset.PhotometricInterpretation)
    if photometric == "PALETTE COLOR":
        stored = _eight_bit(apply_color_lut(stored, dataset))
    if stored.ndim == 3:
        return _colour(stored, dataset)
    return _grey(stored, dataset)


def _open(source: Path, limits: Limits) -> Dataset:
    """The data set, with the size of a deflated one bounded before it is inflated."""
    with source.open("rb") as file:
        has_preamble = file.read(132)[128:] == b"DICM"
    if not has_preamble:
        dataset = _parse(source, force=True)
        if "PixelData" not in dataset or "Rows" not in dataset:
            raise BadInput(NOT_DICOM)
        # Without file meta information the encoding is the default one that pydicom assumed or saw.
        dataset.file_meta.TransferSyntaxUID = dataset.file_meta.get("TransferSyntaxUID") or ExplicitVRLittleEndian
        return dataset
    meta = read_file_meta_info(source)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        dataset = _parse(source)
        if not dataset.file_meta.get("TransferSyntaxUID"):
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        return dataset
    body = source.read_bytes()[132 + 12 + int(meta.FileMetaInformationGroupLength) :]
    dataset = read_dataset(BytesIO(_inflate(body, limits.file_bytes)), is_implicit_VR=False, is_little_endian=True)
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


def _check(dataset: Dataset, limits: Limits) -> None:
    """Everything that can be known to be wrong before a pixel is decoded."""
    if "PixelData" not in dataset:
        raise BadInput(NO_IMAGE.format(what=_sop_class(dataset)))
    check_size(int(dataset.Rows), int(dataset.Columns), limits)
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise BadInput(FRAMES.format(frames=frames))
    samples = int(dataset.get("SamplesPerPixel") or 1)
    if samples not in (1, 3):
        raise BadInput(CHANNELS.format(samples=samples))
    photometric = str(dataset.PhotometricInterpretation)
    if photometric not in (*GREY, *COLOUR, "PALETTE COLOR") or (samples == 3) != (photometric in COLOUR):
        raise BadInput(COLOURS.format(photometric=_clean(photometric) or "of an unknown kind"))
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax.is_transfer_syntax and not syntax.is_compressed:
        _check_length(dataset, samples)
    elif not _can_decompress(syntax):
        raise BadInput(SYNTAX.format(name=_clean(syntax.name) or "something unknown"))


def _check_length(dataset: Dataset, samples: int) -> None:
    bits = int(dataset.Rows) * int(dataset.Columns) * samples * int(dataset.BitsAllocated)
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        bits = bits * 2 // 3
    found = len(dataset.PixelData)
    if found < (bits + 7) // 8:
        raise BadInput(SHORT.format(found=found, expected=(bits + 7) // 8))


def _can_decompress(syntax: UID) -> bool:
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:  # pydicom knows no decoder for it at all
        return False


def _decompress(dataset: Dataset) -> NDArray[Any]:
    """Stored values in native byte order. pydicom wraps every fault of a codec in RuntimeError, even "12 bits"."""
    try:
        stored: NDArray[Any] = pixel_array(dataset)
    except RuntimeError as error:
        raise BadInput(CODEC.format(name=_clean(UID(dataset.file_meta.TransferSyntaxUID).name))) from error
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)


def _colour(stored: NDArray[Any], dataset: Dataset) -> tuple[NDArray[Any], NDArray[np.uint8], Decoded]:
    """Colour is shown as it is; only its depth is cut to 8 bits for the preview."""
    shift = max(0, int(dataset.BitsStored) - 8) if dataset.PhotometricInterpretation != "PALETTE COLOR" else 0
    pixels = grey_if_grey(stored)
    return pixels, (pixels >> shift).astype(np.uint8), _facts(dataset, pixels, None, "full range", [])


def _grey(stored: NDArray[Any], dataset: Dataset) -> tuple[NDArray[Any], NDArray[np.uint8], Decoded]:
    notes: list[str] = []
    values = _modality_values(stored, dataset, notes)
    preview, window, source = _preview(values, dataset, notes)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        np.subtract(255, preview, out=preview)
        values = _mirror(values)
    return values, preview, _facts(dataset, values, window, source, notes)


def _modality_values(stored: NDArray[Any], dataset: Dataset, notes: list[str]) -> NDArray[Any]:
    """Rescaled pixels in the smallest integer type that holds them, or float32 when there are fractions."""
    if dataset.get("ModalityLUTSequence"):
        return apply_modality_lut(stored, dataset)
    slope, intercept = _numbers(dataset, "RescaleSlope") or [1.0], _numbers(dataset, "RescaleIntercept") or [0.0]
    if slope[0] == 0 or abs(slope[0]) > 1e6 or abs(intercept[0]) > 1e9:
        notes.append(BAD_RESCALE)
        slope, intercept = [1.0], [0.0]
    ends = sorted(float(stored_end) * slope[0] + intercept[0] for stored_end in (stored.min(), stored.max()))
    whole = slope[0].is_integer() and intercept[0].is_integer()
    values = np.empty(stored.shape, dtype=_smallest_type(ends[0], ends[1]) if whole else np.float32)
    rescale = Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept = slope[0], intercept[0]
    for rows in _blocks(stored):  # by blocks: the float64 copy of a whole frame would be eight bytes a pixel
        values[rows] = apply_modality_lut(stored[rows], rescale)
    return values


def _smallest_type(low: float, high: float) -> Any:
    for dtype in (np.uint8, np.int16, np.uint16, np.int32, np.uint32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return dtype
    return np.float64


def _mirror(values: NDArray[Any]) -> NDArray[Any]:
    """`minimum + maximum - value`, in the same type: it cannot overflow, because the result lies in the same range."""
    low, high = values.min(), values.max()
    for rows in _blocks(values):
        values[rows] = low + (high - values[rows])
    return values


def _preview(
    values: NDArray[Any], dataset: Dataset, notes: list[str]
) -> tuple[NDArray[np.uint8], tuple[float, float] | None, WindowSource]:
    """Greys by the VOI LUT, else the first window of the file, else percentiles."""
    if dataset.get("VOILUTSequence"):
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        if 8 <= bits <= 16:
            whole = values if np.issubdtype(values.dtype, np.integer) else np.rint(values).astype(np.int32)
            looked_up = np.clip(apply_voi(whole, dataset), 0, 2**bits - 1)
            return (looked_up >> (bits - 8)).astype(np.uint8), None, "VOI LUT"
    centres, widths = _numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth")
    if centres and widths:
        function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
        if len(centres) > 1:
            notes.append(MANY_WINDOWS.format(count=len(centres)))
        if widths[0] >= (1 if function == "LINEAR" else 1e-6) and function in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
            return _window(values, centres[0], widths[0], function), (centres[0], widths[0]), "file"
        notes.append(BAD_WINDOW.format(centre=centres[0], width=widths[0]))
    centre, width = spread(values)
    notes.append(percentile_note((centre, width)))
    return _window(values, centre, width, "LINEAR_EXACT"), (centre, width), "percentiles"


def _window(values: NDArray[Any], centre: float, width: float, function: str) -> NDArray[np.uint8]:
    """The windowing of PS3.3 C.11.2.1, by pydicom, told that its output has 8 bits."""
    told = Dataset()
    told.PhotometricInterpretation, told.PixelRepresentation, told.BitsStored = "MONOCHROME2", 0, 8
    told.WindowCenter, told.WindowWidth, told.VOILUTFunction = centre, width, function
    preview = np.empty(values.shape, dtype=np.uint8)
    for rows in _blocks(values):
        preview[rows] = np.rint(np.clip(apply_windowing(values[rows], told), 0, 255))
    return preview


def _blocks(array: NDArray[Any]) -> list[slice]:
    """Slices of rows of about a million pixels."""
    step = max(1, 1_000_000 // max(1, array.shape[1]))
    return [slice(start, start + step) for start in range(0, array.shape[0], step)]


def _eight_bit(rgb: NDArray[Any]) -> NDArray[np.uint8]:
    """Palette entries are 8 or 16 bits wide. 16-bit ones fill the range (PS3.3 C.7.6.3.1.5), but writers exist that
    put 8-bit colours into them, and big-endian files arrive byte-swapped; both leave the high byte empty."""
    return (rgb >> 8 if rgb.max() > 255 else rgb).astype(np.uint8)


def _facts(
    dataset: Dataset,
    pixels: NDArray[Any],
    window: tuple[float, float] | None,
    source: WindowSource,
    notes: list[str],
) -> Decoded:
    modality = _code(dataset, "Modality")
    return Decoded(
        kind="dicom",
        modality=modality if modality and re.fullmatch("[A-Z]{2,6}", modality) else "unknown",
        width=pixels.shape[1],
        height=pixels.shape[0],
        spacing=_spacing(dataset),
        body_part=_code(dataset, "BodyPartExamined"),
        view=_code(dataset, "ViewPosition"),
        orientation=_orientation(dataset),
        photometric=str(dataset.PhotometricInterpretation),
        bits_stored=int(dataset.BitsStored),
        inverted=dataset.PhotometricInterpretation == "MONOCHROME1",
        window=window,
        window_count=len(_numbers(dataset, "WindowCenter")),
        window_source=source,
        header=_header(dataset),
        notes=tuple(notes),
    )


def _spacing(dataset: Dataset) -> Spacing | None:
    """PixelSpacing, else ImagerPixelSpacing, else None: never an assumed value.

    A projection's PixelSpacing that only repeats ImagerPixelSpacing, without a calibration, is still measured at the
    detector (PS3.3 10.7.1.3), and is reported as such.
    """
    spacing, imager = _numbers(dataset, "PixelSpacing"), _numbers(dataset, "ImagerPixelSpacing")
    copied = spacing == imager and "PixelSpacingCalibrationType" not in dataset
    candidates: list[tuple[SpacingSource, list[float]]] = [("PixelSpacing", spacing), ("ImagerPixelSpacing", imager)]
    for source, values in reversed(candidates) if copied else candidates:
        if len(values) == 2 and all(0 < value < 1000 for value in values):
            return Spacing(values[0], values[1], source)
    return None


def _orientation(dataset: Dataset) -> tuple[str, str] | None:
    """PatientOrientation of an upright human image, such as ("L", "F"); None when absent or malformed."""
    parts = _parts(dataset, "PatientOrientation")
    if len(parts) == 2 and all(re.fullmatch("[LRAPHF]{1,3}", part) for part in parts):
        return parts[0], parts[1]
    return None


def _numbers(dataset: Dataset, keyword: str) -> list[float]:
    """The finite values of a numeric element, single or multi-valued; empty when absent, empty or not numbers."""
    try:
        value = dataset.get(keyword)
        values = [] if value is None or value == "" else [value]
        numbers = [float(item) for item in (value if isinstance(value, MutableSequence) else values)]
    except (ValueError, TypeError, OverflowError, AttributeError):
        return []
    return numbers if all(math.isfinite(number) for number in numbers) else []


def _parts(dataset: Dataset, keyword: str) -> list[str]:
    """The values of an element as text, one or several."""
    value = dataset.get(keyword)
    return [str(part) for part in (value if isinstance(value, MutableSequence) else [value])] if value else []


def _code(dataset: Dataset, keyword: str) -> str | None:
    """Code strings (CS) of known words; None when one is something else: it may be a name that was typed there."""
    parts = [part.strip().upper() for part in _parts(dataset, keyword)]
    return ", ".join(parts) or None if all(part and is_term(keyword, part) for part in parts) else None


def _clean(text: str) -> str:
    """Printable ASCII of at most 100 characters, or nothing."""
    return text.strip() if re.fullmatch(r"[\w .,:;/\\+*()\[\]'\-]{1,100}", text.strip(), re.ASCII) else ""


def _header(dataset: Dataset) -> dict[str, str]:
    found = {keyword: _code(dataset, keyword) or "" for keyword in CODES}
    found |= {keyword: _clean(" ".join(_parts(dataset, keyword))) for keyword in WORDS}
    found |= {keyword: ", ".join(f"{number:g}" for number in _numbers(dataset, keyword)) for keyword in NUMBERS}
    found["TransferSyntax"] = _clean(UID(dataset.file_meta.TransferSyntaxUID).name)
    return {keyword: text for keyword, text in found.items() if text}


def _sop_class(dataset: Dataset) -> str:
    name = UID(str(dataset.get("SOPClassUID") or "")).name
    return _clean(name) or "of an unknown class"
