"""Reads whole files that a user names, within limits."""

from __future__ import annotations

import stat
from pathlib import Path

from runtime.errors import DataError
from runtime.file_kind import shown

#: Files that desktops leave in folders; nobody means them, and nobody misses them.
SYSTEM_FILES = frozenset((".DS_Store", "Thumbs.db", "desktop.ini"))


def file_stamp(path: Path) -> tuple[int, int, int, int] | None:
    """What changes when a file is replaced or written to, without reading it; None where the system does not say."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def read_file(path: Path, max_bytes: int, error: type[DataError]) -> bytes:
    """A file's bytes.

    Args:
        path: of the file.
        max_bytes: a larger file is refused before it is read.
        error: the kind of error to raise.

    Raises:
        DataError: of the given kind; missing, no regular file, unreadable or too large.
    """
    name = shown(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise error(f"{name}: is a folder, not a file")
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device might never end
            raise error(f"{name}: is not a regular file")
        if status.st_size > max_bytes:
            raise error(f"{name}: {status.st_size / 1e6:.0f} MB, more than the limit of {max_bytes / 1e6:.0f} MB")
        return path.read_bytes()
    except FileNotFoundError:
        raise error(f"{name}: no such file") from None
    except (OSError, ValueError) as failure:  # ValueError: a NUL in the path
        raise error(f"{name}: cannot be read: {getattr(failure, 'strerror', None) or failure}") from failure
