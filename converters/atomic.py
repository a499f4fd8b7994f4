"""Files that are whole or absent, whenever the process is killed."""

from __future__ import annotations

import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from converters.locks import is_dead, lock, unlock
from runtime.errors import DataError
from runtime.file_kind import shown

# Stands in the names of temporary files, so that those of killed processes are known for what they are.
_MARK = ".edge-export-file-"
# Characters of the file's own name in that of its temporary neighbour: file systems take 255 bytes in all.
_LONGEST = 60


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file by way of a temporary neighbour, so that nobody ever sees half of it.

    Neighbours that killed processes left are removed. A link stays, and the file that it leads to is written.

    Raises:
        DataError: the folder cannot be made or written (permissions, full disk), or there is a device or a pipe.
    """
    temporary: Path | None = None
    alive: int | None = None
    try:
        path = _file_behind(path)
        clear_leftovers(path.parent)
        temporary, file, alive = _new_neighbour(path)
        with file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"cannot write {shown(path)}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        unlock(alive)


def is_no_file(path: Path) -> bool:
    """Whether there is a device, pipe or socket, which root could put a file in the place of."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _file_behind(path: Path) -> Path:
    if is_no_file(path):
        raise DataError(f"cannot write {shown(path)}: it is a device or a pipe; name a file")
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def clear_leftovers(folder: Path) -> None:
    """Remove what killed processes left half-written in a folder; what living ones write stays."""
    for left in folder.glob(f".*{_MARK}*"):
        if not re.fullmatch(f"{re.escape(_MARK)}[0-9a-f]{{8}}", left.name[-len(_MARK) - 8 :]):
            continue
        with suppress(OSError):
            held = lock(left)  # until it is gone: its writer might just have made it
            try:
                if held is not None or is_dead(left):
                    left.unlink(missing_ok=True)
            finally:
                unlock(held)


def _new_neighbour(path: Path) -> tuple[Path, BinaryIO, int | None]:
    """A new file beside another one, open and locked."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name[:_LONGEST]}{_MARK}{secrets.token_hex(4)}")
        try:
            file = temporary.open("xb")  # readable to whom any new file of the user is, unlike tempfile's
        except FileNotFoundError:
            if path.parent.is_dir():  # the name itself is refused
                raise
            continue  # another process has just removed the folder, which was empty
        alive = lock(temporary, wait=True)
        if temporary.exists():
            return temporary, file, alive
        file.close()  # another process has taken it for a leftover before it was locked
        unlock(alive)
