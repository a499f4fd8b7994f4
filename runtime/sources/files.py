"""Pictures from paths and folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from runtime.errors import UsageError
from runtime.file_kind import shown
from runtime.images import find_images


def picture_paths(paths: Sequence[str]) -> Iterator[str]:
    """Files as they are named, and the pictures of folders, all depths, in natural order.

    Raises:
        UsageError: a path that does not exist, or a folder without a picture; before anything is given.
    """
    found: list[str] = []
    for name in paths:
        try:
            found += _pictures(name)
        except OSError as error:
            raise UsageError(f"cannot read {shown(error.filename or name)}: {error.strerror}") from error
    return iter(found)


def _pictures(name: str) -> list[str]:
    path = Path(name)
    try:
        os.lstat(name)  # of the name itself: Path("") is the current folder
    except FileNotFoundError:
        raise UsageError(f"no such file or folder: {shown(name)}") from None
    if not path.is_dir():
        return [name]
    inside = [str(image) for image in find_images(path)]
    if not inside:
        raise UsageError(f"no pictures in the folder {shown(name)}")
    return inside
