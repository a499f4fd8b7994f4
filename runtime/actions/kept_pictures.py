"""A folder of pictures that does not outgrow its limit."""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runtime.errors import UsageError
from runtime.file_kind import shown

# One line for each picture that was put there, oldest first: its bytes, a space, its path in the folder.
_LIST = ".runtime-saved"
# Ends the names of files that are not whole yet. One that is older than so many seconds was left by a run that ended.
_HALF, _FORGOTTEN = ".runtime-part", 60.0


class KeptPictures:
    """Puts pictures into a folder; the oldest that it put there itself go when they take more than the limit.

    Which ones those are stands in a file in the folder, ``.runtime-saved``. What somebody else put there, moved
    elsewhere, renamed or changed is neither counted nor removed.

    Args:
        folder: of all pictures; made if missing.
        limit: bytes; None means none.
        replace: whether the oldest go; else nothing more is taken.
        durable: whether a picture is on the disk itself before it has its name: after a power cut, files that only the
            system's memory held are there with 0 bytes.

    Raises:
        UsageError: the folder cannot be made or written to.
    """

    def __init__(self, folder: Path, limit: int | None, *, replace: bool, durable: bool = False) -> None:
        self._folder, self._limit, self._replace, self._durable = folder, limit, replace, durable
        self._kept: deque[tuple[int, str]] = deque()
        self._bytes = self._list_bytes = 0  # of the pictures, and of the lines that name them
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _remove_halves(folder)
            self._read_list()
            with _full_disk_ignored():
                self._write_list()
        except OSError as error:
            raise UsageError(f"--save {shown(folder)}: cannot be written to: {error.strerror or error}") from error

    def put(self, data: bytes, place: str, stem: str, suffix: str) -> bool:
        """Keep a picture; False where the limit is reached.

        A file is there whole or not at all. The same bytes under the same name are kept once; others of that name get
        a number behind it.

        Args:
            data: of the file.
            place: folder in the folder.
            stem: name without its ending.
            suffix: the ending, with its dot.

        Raises:
            OSError: it cannot be written.
        """
        folder = self._folder / place
        name = self._free_name(folder, stem, suffix, data)
        if name is None:
            return True
        if self._limit is not None and not self._make_room(len(data), self._limit):
            return False
        folder.mkdir(parents=True, exist_ok=True)
        _write_whole(folder / name, data, durable=self._durable)
        entry = (len(data), f"{place}/{name}")
        self._append(entry)
        with (self._folder / _LIST).open("ab") as file:
            file.write(_line(entry))
        return True

    def _make_room(self, size: int, limit: int) -> bool:
        if size > limit or (self._bytes + size > limit and not self._replace):
            return False
        removed = False
        while self._kept and self._bytes + size > limit:
            entry = self._kept.popleft()
            self._bytes -= entry[0]
            self._list_bytes -= len(_line(entry))
            if self._is_ours(entry):
                (self._folder / entry[1]).unlink(missing_ok=True)
            removed = True
        # The list is written anew now and then only: it names a few that are gone meanwhile, which does no harm.
        if removed and (self._folder / _LIST).stat().st_size > 2 * self._list_bytes + 4096:
            self._write_list()
        return True

    def _free_name(self, folder: Path, stem: str, suffix: str, data: bytes) -> str | None:
        """A name that nothing has yet; None where the picture is there already."""
        number = 1
        while True:
            name = f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}"
            path = folder / name
            if not os.path.lexists(path):
                return name
            if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
                return None
            number += 1

    def _is_ours(self, entry: tuple[int, str]) -> bool:
        path = self._folder / entry[1]
        try:
            return path.is_file() and not path.is_symlink() and path.stat().st_size == entry[0]
        except OSError:
            return False

    def _read_list(self) -> None:
        try:
            lines = (self._folder / _LIST).read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        for line in lines:
            size, _, name = line.partition(b" ")
            path = os.fsdecode(name)
            # Two names, no more: a list that somebody made up must not lead elsewhere.
            if not size.isdigit() or path.count("/") != 1 or ".." in path.split("/") or path.startswith("/"):
                continue
            entry = (int(size), path)
            if self._is_ours(entry):
                self._append(entry)

    def _append(self, entry: tuple[int, str]) -> None:
        self._kept.append(entry)
        self._bytes += entry[0]
        self._list_bytes += len(_line(entry))

    def _write_list(self) -> None:
        _write_whole(self._folder / _LIST, b"".join(map(_line, self._kept)), durable=True)


def _write_whole(path: Path, data: bytes, *, durable: bool) -> None:
    half = path.with_name(f".{path.name.lstrip('.')}{_HALF}")
    try:
        with half.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        half.replace(path)
    except OSError:
        with suppress(OSError):
            half.unlink(missing_ok=True)
        raise


def _remove_halves(folder: Path) -> None:
    """What a run that was killed in the middle of a file has left."""
    for half in [*folder.glob(f".*{_HALF}"), *folder.glob(f"*/.*{_HALF}")]:
        with suppress(OSError):
            if half.is_file() and time.time() - half.lstat().st_mtime > _FORGOTTEN:
                half.unlink()


@contextmanager
def _full_disk_ignored() -> Iterator[None]:
    """A disk that is full now may have room later: a service is started all the same."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            raise


def _line(entry: tuple[int, str]) -> bytes:
    return b"%d %s\n" % (entry[0], os.fsencode(entry[1]))
