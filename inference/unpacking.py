"""A zip archive, unpacked with every claim of it doubted. Runs only in the disposable child of `inference.sorting`."""

from __future__ import annotations

import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from inference.errors import BadInput, Exhausted

if TYPE_CHECKING:
    from inference.decode import Limits

ENTRIES = 10_000
RATIO = 200  # of a file above a megabyte: real images deflate to a tenth, a bomb to a thousandth
CHUNK = 1024 * 1024
ARCHIVES = (b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")

TOO_MANY = "This archive holds {count} files; at most {limit} are read."
TOO_MUCH = "This archive grows beyond {limit:.0f} MB when it is unpacked, so it was not read."
BOMB = "This archive unpacks one file to more than {ratio} times its size, as only a bomb does, so it was not read."
OVERLAPPING = "Files of this archive lie over one another, as only those of a bomb do, so it was not read."
SPOILT = "It is damaged within the archive, so it was not unpacked. Make the archive again and send that."
LOCKED = "This archive is encrypted. Send it without a password."
DAMAGED = "This archive is damaged or incomplete. Make it again and send that."
OUTSIDE = "Its name points outside the archive, so it was not unpacked."
LINK = "It is a link, not a file, so it was not unpacked."
NESTED = "It is an archive within an archive, which is not opened. Send it on its own."
NOTHING = "This archive holds no files."


def unpack(source: Path, folder: Path, limits: Limits) -> Iterator[tuple[str, Path | str]]:
    """(name, path) of each file, written into `folder` under names of ours, or (name, why it was not unpacked).

    Folders, hidden files, DICOMDIR and what macOS adds are left out without a word. An archive with a second gzip layer
    (NIfTI) is a file like any other. Raises BadInput or Exhausted when the archive as a whole is refused.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            yield from _entries(archive, folder, limits)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, UnicodeDecodeError, ValueError) as error:
        raise BadInput(DAMAGED) from error
    except RuntimeError as error:  # zipfile's word for a missing password
        raise BadInput(LOCKED) from error


def _entries(archive: zipfile.ZipFile, folder: Path, limits: Limits) -> Iterator[tuple[str, Path | str]]:
    entries = [entry for entry in archive.infolist() if not entry.is_dir() and not _is_clutter(entry.filename)]
    if not entries:
        raise BadInput(NOTHING)
    if len(entries) > ENTRIES:
        raise Exhausted(TOO_MANY.format(count=len(entries), limit=ENTRIES))
    if _overlap(entries):
        raise BadInput(OVERLAPPING)
    left = _allowance(limits)
    for number, entry in enumerate(entries):
        name = PurePosixPath(entry.filename.replace("\\", "/")).name
        if reason := _suspicious(entry):
            yield name, reason
            continue
        path = folder / f"{number:06}"
        try:
            left -= _write(archive, entry, path, left, limits)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError) as error:
            if isinstance(error, OSError) and error.errno:  # the disk's fault
                raise
            path.unlink(missing_ok=True)
            yield name, SPOILT
            continue
        with path.open("rb") as file:
            head = file.read(8)
        if head.startswith(ARCHIVES) and not _may_be_nifti(name, head):
            path.unlink()
            yield name, NESTED
        else:
            yield name, path


def _overlap(entries: list[zipfile.ZipInfo]) -> bool:
    """Whether two files share bytes of the archive: a small one can then unpack to very much.

    A file takes its header of 30 bytes, its name, and its content; what else its header has is not known here.
    """
    ordered = sorted(entries, key=lambda entry: entry.header_offset)
    ends = [entry.header_offset + 30 + len(entry.filename) + entry.compress_size for entry in ordered]
    return any(end > after.header_offset for end, after in zip(ends, ordered[1:], strict=False))


def _allowance(limits: Limits) -> int:
    """Bytes that all files together may take: compressed slices of a series that may be uploaded fit well."""
    return 4 * limits.file_bytes


def _is_clutter(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    last = parts[-1] if parts else ""
    return "__MACOSX" in parts or last.startswith(".") or last in ("DICOMDIR", "Thumbs.db", "")


def _suspicious(entry: zipfile.ZipInfo) -> str:
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        return OUTSIDE
    mode = entry.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return LINK
    return ""


def _may_be_nifti(name: str, head: bytes) -> bool:
    return head.startswith(b"\x1f\x8b") and name.lower().endswith(".nii.gz")


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, left: int, limits: Limits) -> int:
    """Unpack one file by what comes out, never by what its header claims. Returns its size."""
    size = 0
    with archive.open(entry) as file, path.open("wb") as out:
        while chunk := file.read(CHUNK):
            size += len(chunk)
            if size > left or size > limits.file_bytes:
                raise Exhausted(TOO_MUCH.format(limit=min(_allowance(limits), limits.file_bytes) / 1e6))
            if size > CHUNK and size > RATIO * max(entry.compress_size, 1):
                raise Exhausted(BOMB.format(ratio=RATIO))
            out.write(chunk)
    return size
