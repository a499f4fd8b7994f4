"""A file of the cache that is made once, and made anew when it is no longer what was written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from converters.atomic import write_bytes


def kept_file(path: Path, make: Callable[[], bytes]) -> bytes:
    """The content of a file, with its checksum in a neighbour (``NAME.sha256``).

    Args:
        path: of the file.
        make: gives the content where the file is missing or damaged.

    Raises:
        DataError: the folder cannot be written.
    """
    beside = path.with_name(f"{path.name}.sha256")
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == beside.read_text("ascii").strip():
            return content
    except (OSError, ValueError):  # not there, not both there, or no text
        pass
    content = make()
    write_bytes(path, content)
    write_bytes(beside, f"{hashlib.sha256(content).hexdigest()}\n".encode())
    return content
