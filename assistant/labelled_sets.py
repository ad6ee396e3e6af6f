"""Sets of a user's own images with labels, from a CSV: one column names the image, every other one is a label.

Cells of labels are 1 (present), 0 (absent) or empty (not known). Images are named by their file name or their id.
"""

import csv
import io
import uuid
from collections import defaultdict

from django.contrib.auth.models import User
from django.db import transaction

from assistant.models import Image, ImageSet, ImageSetItem
from assistant.tools.base import clean_label
from inference.errors import BadInput

MAX_BYTES = 2 * 1024 * 1024
MAX_ROWS = 20_000
MAX_LABELS = 100
MOST_NAMES = 3  # of images that are not there, in the line that says so

NO_TEXT = "This file is not a CSV in UTF-8. Save the table as CSV (UTF-8) and send it again."
TOO_LARGE = "This CSV is larger than 2 MB or longer than 20,000 rows. Split it."
NO_HEADER = "The first row must name the columns: one for the image (image, name or id), and one for each label."
TWICE = "The column {name!r} stands twice in the first row."
NO_CELL = "Row {row}: {label} is {value!r}, and must be 1, 0 or empty."
WIDTH = "Row {row} has {found} cells, and the first row has {expected}."
AMBIGUOUS = "Row {row}: {count} of your images are called {name}. Write its id instead."
AGAIN = "Row {row}: {name} was labelled in an earlier row."
NONE_THERE = "None of the {count} images in this CSV is among yours, for example {names}. Upload them first."
NO_NAME = "Give the set a name that none of your sets has yet."
COLUMNS = ("image", "name", "id", "file", "filename")

Rows = list[tuple[int, str, dict[str, int]]]


def from_csv(owner: User, name: str, raw: bytes) -> tuple[ImageSet, int]:
    """The new set, and how many rows name no image of the owner's. Raises BadInput with one line."""
    name = clean_label(name)
    if not name or ImageSet.objects.filter(owner=owner, name=name).exists():
        raise BadInput(NO_NAME)
    rows = read(raw)
    found, missing = _matched(owner, rows)
    if not found:
        names = ", ".join(said for _, said, _ in rows[:MOST_NAMES])
        raise BadInput(NONE_THERE.format(count=len(rows), names=names))
    with transaction.atomic():
        made = ImageSet.objects.create(owner=owner, name=name)
        ImageSetItem.objects.bulk_create(
            ImageSetItem(image_set=made, image=image, labels=labels) for image, labels in found
        )
    return made, missing


def read(raw: bytes) -> Rows:
    """(row number, image, {label: 0 or 1}) of each row of a CSV. Raises BadInput."""
    if len(raw) > MAX_BYTES:
        raise BadInput(TOO_LARGE)
    try:
        text = raw.decode("utf-8-sig")
        if "\0" in text:
            raise BadInput(NO_TEXT)
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(NO_TEXT) from error
    lines = [line for line in lines if any(cell.strip() for cell in line)]
    if len(lines) > MAX_ROWS:
        raise BadInput(TOO_LARGE)
    if len(lines) < 2:
        raise BadInput(NO_HEADER)
    labels = _header(lines[0])
    return [_row(number, line, labels) for number, line in enumerate(lines[1:], 2)]


def _header(line: list[str]) -> list[str]:
    names = [clean_label(cell) for cell in line]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(TWICE.format(name=name))
    if names[0].lower() not in COLUMNS or not 1 <= len(names) - 1 <= MAX_LABELS or not all(names):
        raise BadInput(NO_HEADER)
    return names[1:]


def _row(number: int, line: list[str], labels: list[str]) -> tuple[int, str, dict[str, int]]:
    if len(line) != len(labels) + 1:
        raise BadInput(WIDTH.format(row=number, found=len(line), expected=len(labels) + 1))
    known = {}
    for label, cell in zip(labels, line[1:], strict=True):
        value = cell.strip()
        if value not in ("", "0", "1", "0.0", "1.0"):
            raise BadInput(NO_CELL.format(row=number, label=label, value=value[:40]))
        if value:
            known[label] = int(float(value))
    return number, line[0].strip()[:200], known


def _matched(owner: User, rows: Rows) -> tuple[list[tuple[Image, dict[str, int]]], int]:
    by_name: dict[str, list[Image]] = defaultdict(list)
    by_id = {}
    for image in Image.objects.filter(owner=owner).only("pk", "name"):
        by_name[image.name].append(image)
        by_id[image.pk] = image
    found: dict[uuid.UUID, tuple[Image, dict[str, int]]] = {}
    missing = 0
    for number, said, labels in rows:
        called = [by_id[pk]] if (pk := _id(said)) in by_id else by_name.get(said, [])
        if len(called) > 1:
            raise BadInput(AMBIGUOUS.format(row=number, count=len(called), name=said))
        if called and called[0].pk in found:
            raise BadInput(AGAIN.format(row=number, name=said))
        if called:
            found[called[0].pk] = (called[0], labels)
        missing += not called
    return list(found.values()), missing


def _id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
