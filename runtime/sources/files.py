"""Pictures from paths and folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from runtime.errors import UsageError
from runtime.file_kind import shown
from runtime.images import find_images


def picture_paths(paths: Sequence[str]) -> Iterator[Path]:
    """Files as they are named, and the pictures of folders, all depths, in natural order.

    Raises:
        UsageError: a path that does not exist, or a folder without a picture; before anything is given.
    """
    found: list[Path] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            try:
                inside = list(find_images(path))
            except OSError as error:
                raise UsageError(f"cannot read the folder {shown(path)}: {error.strerror}") from error
            if not inside:
                raise UsageError(f"no pictures in the folder {shown(path)}")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise UsageError(f"no such file or folder: {shown(path)}")
    return iter(found)
