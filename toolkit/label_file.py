"""``labels.csv``: which labels each picture of a multi-label data set has.

::

    file,labels
    beach/1.jpg,sea;sky
    2.jpg,

One picture a line: its path from the folder of the file, then its labels with semicolons between them. A picture
without a label belongs to no class. The first line may name the columns.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from runtime.errors import DataError
from runtime.file_kind import shown
from runtime.files import read_file
from runtime.images import natural_key
from toolkit.class_folders import LABEL_FILE, list_pictures
from toolkit.records import SkippedFile

# Of the whole file: a million pictures with long names.
_MAX_BYTES = 256 * 1024 * 1024
_COLUMN_NAMES = frozenset({"file", "filename", "file_name", "image", "path", "picture"})
_SEPARATOR = ";"

#: Why a picture is not used that has no line in the file, and a line whose picture is not there.
NOT_LISTED = f"has no line in {LABEL_FILE}"
NOT_THERE = f"stands in {LABEL_FILE} but is not there"

Listing = tuple[tuple[str, ...], list[tuple[Path, tuple[int, ...]]], list[SkippedFile]]


def read_label_file(root: Path, least: int = 2) -> Listing:
    """Labels in natural order, pictures with the positions of their labels, and files that have no line.

    A picture that stands on several lines has the labels of all of them.

    Args:
        root: folder of the file.
        least: labels it must have, 1 or 2.

    Raises:
        DataError: not UTF-8, no CSV, a path that leads out of the folder, or too few labels.
    """
    path = root / LABEL_FILE
    rows: dict[Path, set[str]] = {}
    for number, name, labels in _rows(path):
        relative = PurePosixPath(name.replace("\\", "/"))
        if relative.is_absolute() or ".." in relative.parts or not relative.parts:
            raise DataError(f"{shown(path)}, line {number}: {name!r} is no path below the folder")
        rows.setdefault(root / relative, set()).update(labels)
    names = sorted({label for labels in rows.values() for label in labels}, key=lambda n: (natural_key(n), n))
    if len(names) < least:
        raise DataError(
            f"{shown(path)} has {len(names)} label{'s' if len(names) != 1 else ''}; a classifier needs two or more: "
            f"one picture a line, as in  beach/1.jpg,sea{_SEPARATOR}sky"
        )
    position = {name: number for number, name in enumerate(names)}
    present, others = list_pictures(root)
    skipped = [file for file in others if file.path != path]
    skipped += [SkippedFile(p, NOT_LISTED) for p in present if p not in rows]
    missing = {p for p in rows if not os.path.exists(p)}  # noqa: PTH110 - pathlib raises for a name that is too long
    skipped += [SkippedFile(p, NOT_THERE) for p in sorted(missing)]
    files = [(p, tuple(sorted(position[label] for label in rows[p]))) for p in rows if p not in missing]
    return tuple(names), sorted(files, key=lambda file: natural_key(file[0].as_posix())), skipped


def _rows(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Line number, file name and labels of each picture."""
    try:
        text = read_file(path, _MAX_BYTES, DataError).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{shown(path)} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells) or (reader.line_num == 1 and cells[0].lower() in _COLUMN_NAMES):
                continue
            if len(cells) > 2 and any(cells[2:]):
                raise DataError(
                    f"{shown(path)}, line {reader.line_num}: {len(cells)} columns; write file,label{_SEPARATOR}label"
                )
            labels = [label.strip() for label in (cells[1] if len(cells) > 1 else "").split(_SEPARATOR)]
            yield reader.line_num, cells[0], [label for label in labels if label]
    except csv.Error as error:
        raise DataError(f"{shown(path)}, line {reader.line_num}: {error}") from error
