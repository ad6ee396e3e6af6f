"""TIFF and BigTIFF: one picture or a stack of pages. Runs only inside the child.

tifffile reads the structure and what is uncompressed or deflated, in every number type; Pillow's libtiff decodes the
rest (LZW, JPEG, fax). A resolution tag is a printer's and never used; OME metadata say the size of a pixel. What a
slide scanner wrote, and any other tiled pyramid, goes to `inference.readers.slide`.

Does not handle: pyramids in SubIFDs (OME) that are too large to be read whole, volumes in one page (depth), complex
numbers, stacks that ImageJ keeps behind a single page, calibration by ImageJ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openslide
from numpy.typing import NDArray
from PIL import Image as Pillow
from tifffile import COMPRESSION, PHOTOMETRIC, TiffFile, TiffPage

from inference.errors import BadInput, Exhausted
from inference.readers import slide
from inference.readers.greys import TOO_MANY_FRAMES, check_size, stretch
from inference.readers.numbers import Values, foreground, foreground_note, survey
from inference.readers.ome import ome_facts, ome_spacing
from inference.readers.output import write_frames, write_preview
from inference.types import Cleaning, Decoded

if TYPE_CHECKING:
    from inference.decode import Limits

NO_PAGES = "This TIFF file has no page that can be read. Export it again and send that."
LOOP = "This TIFF file is damaged: its pages lead in a circle. Export it again and send that."
SHORT = "This TIFF file is incomplete: pixels lie beyond its end. Export it again and send that."
DEPTH = "A page of this TIFF file is a whole volume, which is not read here. Export one slice a page."
NUMBERS = "The pixels of this TIFF file are {what}, which is not read here. Export it with 8 or 16 bits a sample."
CODEC = "The pixels of this TIFF file ({name}) cannot be decompressed: they are damaged or of a kind not read here."
GROWS = "The pages of this TIFF file need {claimed:.0f} MB; at most {limit:.0f} MB are read."
TILE = "This TIFF file claims tiles of {width} x {height} pixels, which is more than the picture has."
PYRAMID = " It holds smaller copies of itself in a way that is not read here; a pyramid as SVS or plain tiled TIFF is."
LEFT_OUT = "{count} pages of another size or kind than the first are not shown."
CHANNELS = "Each page has {count} channels that are not red, green and blue; they are shown one after another."
DEEP_COLOUR = "This TIFF has {bits} bits a colour; the upper 8 of those in use are kept."
FLOAT_COLOUR = "This TIFF has colours that are fractions: they are shown from the lowest to the highest."
ALPHA = "This TIFF has an alpha channel, which is not used."

GREY = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE)
UNCOMPRESSED_OR_DEFLATED = (
    *(COMPRESSION.NONE, COMPRESSION.ADOBE_DEFLATE, COMPRESSION.DEFLATE),
    *(COMPRESSION.PACKBITS, COMPRESSION.LZMA),
)
REDUCED, MASK = 1, 4  # bits of NewSubfileType


def read(sources: Sequence[Path], folder: Path, limits: Limits, cleaning: Cleaning | None = None) -> Decoded:
    """Write preview and pixels into `folder`. Raises BadInput, Exhausted, and whatever the libraries raise on damage.

    `cleaning` changes nothing: only pixels and sizes are taken from these files.
    """
    vendor = openslide.OpenSlide.detect_format(sources[0])
    if vendor is not None and (vendor != "generic-tiff" or _is_pyramid(sources[0])):
        return slide.read(sources, folder, limits, cleaning)
    notes: list[str] = []
    with TiffFile(sources[0]) as file:
        pages = _pages(file, limits, notes)
        _check(pages, sources[0].stat().st_size, limits)
        stack = _stack(sources[0], pages, notes)
        ome = file.ome_metadata if file.is_ome else None
    return _write(folder, stack, pages[0][1], ome, notes)


def _is_pyramid(source: Path) -> bool:
    with openslide.OpenSlide(source) as opened:
        return bool(opened.level_count > 1)


def _pages(file: TiffFile, limits: Limits, notes: list[str]) -> list[tuple[int, TiffPage]]:
    """The pages to be shown, each with its number in the file: those like the first that is no thumbnail or mask."""
    found: list[tuple[int, TiffPage]] = []
    offsets: set[int] = set()
    for number in range(limits.frames + 1):
        try:
            page = file.pages[number]
        except IndexError:
            break
        if page.offset in offsets:
            raise BadInput(LOOP)
        offsets.add(page.offset)
        if isinstance(page, TiffPage):
            found.append((number, page))
    else:
        raise Exhausted(TOO_MANY_FRAMES.format(frames=f"more than {limits.frames}", limit=limits.frames))
    whole = [(number, page) for number, page in found if not int(page.subfiletype) & (REDUCED | MASK)] or found[:1]
    if not whole:
        raise BadInput(NO_PAGES)
    alike = [(number, page) for number, page in whole if _likeness(page) == _likeness(whole[0][1])]
    if len(alike) < len(whole):
        notes.append(LEFT_OUT.format(count=len(whole) - len(alike)))
    return alike


def _likeness(page: TiffPage) -> tuple[object, ...]:
    return (page.shaped, page.dtype, page.photometric, page.bitspersample)


def _check(pages: list[tuple[int, TiffPage]], length: int, limits: Limits) -> None:
    """What is claimed, before a pixel is decoded."""
    first = pages[0][1]
    try:
        check_size(first.imagelength, first.imagewidth, limits, len(pages) * max(1, _channels(first)))
    except Exhausted as error:
        raise Exhausted(f"{error}{PYRAMID if first.subifds else ''}") from error
    if first.imagedepth != 1:
        raise BadInput(DEPTH)
    if first.dtype is None or first.dtype.kind not in "buif" or first.dtype.itemsize > 8:
        raise BadInput(NUMBERS.format(what=f"of {first.bitspersample} bits, or complex"))
    claimed = len(pages) * first.size * first.dtype.itemsize
    if claimed > limits.file_bytes:
        raise Exhausted(GROWS.format(claimed=claimed / 1e6, limit=limits.file_bytes / 1e6))
    for _, page in pages:
        # Libraries pad the last tile, and some writers have one tile larger than the picture.
        if page.is_tiled and page.tilewidth * page.tilelength > max(4 * first.size, 4096**2):
            raise BadInput(TILE.format(width=page.tilewidth, height=page.tilelength))
        if any(start + size > length for start, size in zip(page.dataoffsets, page.databytecounts, strict=False)):
            raise BadInput(SHORT)


def _channels(page: TiffPage) -> int:
    """How many pictures a page holds side by side: samples that are neither colours nor an alpha channel."""
    return page.samplesperpixel if page.photometric in GREY and page.samplesperpixel > 2 else 1


def _stack(source: Path, pages: list[tuple[int, TiffPage]], notes: list[str]) -> NDArray[Any]:
    """(pages, H, W) or (pages, H, W, 3) in the file's own number type; WhiteIsZero as stored."""
    stack: NDArray[Any] | None = None
    by_pillow = any(_needs_pillow(page) for _, page in pages)
    with _pillow(source, pages[0][1]) if by_pillow else nullcontext() as lib:
        for place, (number, page) in enumerate(pages):
            frames = _by_pillow(lib, number, page) if _needs_pillow(page) else _by_tifffile(page)
            if stack is None:
                stack = np.empty((len(pages) * len(frames), *frames.shape[1:]), dtype=frames.dtype)
            stack[place * len(frames) : (place + 1) * len(frames)] = frames
    assert stack is not None
    first = pages[0][1]
    if _channels(first) > 1:
        notes.append(CHANNELS.format(count=_channels(first)))
    elif first.extrasamples:
        notes.append(ALPHA)
    return stack


def _pillow(source: Path, page: TiffPage) -> Any:
    try:
        return Pillow.open(source, formats=["TIFF"])
    except Pillow.UnidentifiedImageError as error:
        raise BadInput(CODEC.format(name=_name(page))) from error


def _needs_pillow(page: TiffPage) -> bool:
    """True for codecs and colour models that tifffile has not without imagecodecs, which is not installed here."""
    ours = page.compression in UNCOMPRESSED_OR_DEFLATED
    plain = page.predictor == 1 or (page.predictor == 2 and page.planarconfig == 1 and page.bitspersample >= 8)
    known = page.photometric in (*GREY, PHOTOMETRIC.RGB, PHOTOMETRIC.PALETTE)
    return not (ours and plain and known and page.bitspersample in (1, 8, 16, 32, 64))


def _by_tifffile(page: TiffPage) -> NDArray[Any]:
    """(frames, H, W) or (1, H, W, 3): channels that are no colours come as frames."""
    samples = page.asarray(squeeze=False)[:, 0]  # (planes, H, W, samples), one of the two being 1
    picture = np.moveaxis(samples[..., 0], 0, -1) if samples.shape[0] > 1 else samples[0]
    picture = _upright(picture, _orientation(page))
    if page.photometric == PHOTOMETRIC.PALETTE:
        return _looked_up(picture[..., 0], page)[np.newaxis]
    if page.photometric == PHOTOMETRIC.RGB:
        return picture[np.newaxis, ..., :3]
    return np.moveaxis(picture[..., : max(1, _channels(page))], -1, 0)


def _looked_up(picture: NDArray[Any], page: TiffPage) -> NDArray[np.uint8]:
    """Colours of a palette, whose entries fill 16 bits; some writers leave 8-bit ones, whose high byte is empty."""
    colours = np.asarray(page.colormap)
    eight = (colours >> 8 if colours.max() > 255 else colours).astype(np.uint8)
    return np.moveaxis(eight[:, np.minimum(picture, eight.shape[1] - 1)], 0, -1)


def _by_pillow(opened: Any, number: int, page: TiffPage) -> NDArray[Any]:
    """As `_by_tifffile`; Pillow turns pages upright itself."""
    try:
        opened.seek(number)
        if (opened.height, opened.width) not in (
            (page.imagelength, page.imagewidth),
            (page.imagewidth, page.imagelength),
        ):
            raise BadInput(CODEC.format(name=_name(page)))
        opened.load()
        mode = opened.mode
        picture = np.asarray(opened if mode in ("L", "F", "I", "RGB") or mode.startswith("I;16") else _known(opened))
    except (OSError, ValueError, SyntaxError, KeyError, EOFError) as error:
        raise BadInput(CODEC.format(name=_name(page))) from error
    if mode == "1":
        picture = picture > 0
    if mode in ("1", "L") and page.photometric == PHOTOMETRIC.MINISWHITE:
        picture = ~picture  # Pillow has inverted these, and only these
    return picture[np.newaxis].astype(picture.dtype.newbyteorder("="))


def _known(opened: Any) -> Any:
    """The picture as bilevel, grey or RGB."""
    if opened.mode in ("1", "LA"):
        return opened.convert("L")
    return opened.convert("RGB")


def _name(page: TiffPage) -> str:
    """That of the compression; a number where tifffile knows none."""
    return str(getattr(page.compression, "name", int(page.compression)))


def _orientation(page: TiffPage) -> int:
    tag = page.tags.get(274)
    return tag.value if tag is not None and tag.value in range(1, 9) else 1


def _upright(picture: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turned as the orientation tag (274) asks."""
    turned = picture.swapaxes(0, 1) if orientation > 4 else picture
    turned = turned[:, ::-1] if orientation in (2, 3, 6, 7) else turned
    return turned[::-1] if orientation in (3, 4, 7, 8) else turned


def _write(folder: Path, stack: NDArray[Any], page: TiffPage, ome: str | None, notes: list[str]) -> Decoded:
    colour, white = stack.ndim == 4, page.photometric == PHOTOMETRIC.MINISWHITE
    bits = 8 * stack.dtype.itemsize if stack.dtype != bool else 1
    if stack.dtype == bool:
        stack = np.where(stack != white, np.uint8(255), np.uint8(0))
    if colour:
        stack = _grey_if_grey(_eight_bits(stack, notes))
        colour = stack.ndim == 4
    values = survey(stack)
    window = None if stack.dtype == np.uint8 else foreground(stack, values)
    mirrored = white and bits > 1
    if window:
        if mirrored:
            window = (values.low + values.high - window[0], window[1])
        notes.append(foreground_note(window))
    frames, rows, columns = stack.shape[:3]
    shape = stack.shape[1:] if frames == 1 else stack.shape
    write_frames(folder, shape, values.dtype, _frames(stack, values, mirrored))
    first = next(_frames(stack, values, mirrored))
    write_preview(folder, stretch(first, window) if window else first)
    return Decoded(
        kind="tiff",
        modality="unknown",
        width=columns,
        height=rows,
        layout="image" if frames == 1 else "frames",
        frames=frames,
        spacing=ome_spacing(ome, turned=_orientation(page) > 4),
        photometric="RGB" if colour else "MONOCHROME1" if white else "MONOCHROME2",
        bits_stored=bits,
        inverted=white,
        window=window,
        window_source="percentiles" if window else "full range",
        header={"Compression": _name(page), "BitsPerSample": str(page.bitspersample), **ome_facts(ome)},
        notes=(*notes, *values.notes()),
    )


def _frames(stack: NDArray[Any], values: Values, mirrored: bool) -> Iterator[NDArray[Any]]:
    """Each (H, W) or (H, W, 3) as shown; mirrored within the range of all of them, which the type holds too."""
    for frame in stack:
        shown = values.of(frame)
        if mirrored:
            low, high = np.array([values.low, values.high]).astype(shown.dtype)
            shown = low + (high - shown)
        yield shown


def _eight_bits(stack: NDArray[Any], notes: list[str]) -> NDArray[np.uint8]:
    if stack.dtype == np.uint8:
        return stack
    if stack.dtype.kind == "u":
        shift = max(0, int(stack.max()).bit_length() - 8)
        notes.append(DEEP_COLOUR.format(bits=8 * stack.dtype.itemsize))
        return (stack >> shift).astype(np.uint8)
    values = survey(stack)
    notes.append(FLOAT_COLOUR)
    eight = np.empty(stack.shape, np.uint8)
    for place, frame in enumerate(stack):
        scaled = (values.of(frame).astype(np.float64) - values.low) * (255 / max(values.high - values.low, 1e-12))
        eight[place] = np.rint(scaled)
    return eight


def _grey_if_grey(stack: NDArray[Any]) -> NDArray[Any]:
    """(F, H, W) when the three channels agree everywhere."""
    if all(np.array_equal(stack[..., 0], stack[..., other]) for other in (1, 2)):
        return np.ascontiguousarray(stack[..., 0])
    return stack
