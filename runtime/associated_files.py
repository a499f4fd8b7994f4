"""Reads the zip archive of associated files (labels, specification) appended to a model.

Nothing is written to disk and nothing is unpacked past a limit, so neither an archive's names nor its sizes
need to be trusted.
"""

from __future__ import annotations

import errno
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from runtime.errors import ModelError
from runtime.file_kind import shown
from runtime.spec import SPEC_FILE_NAME

MAX_ASSOCIATED_BYTES = 16 * 1024 * 1024
"""Default limit for one associated file; ImageNet's labels take 22 KB."""

# zipfile makes objects of the whole directory; a sound model lists a handful of files in some hundred bytes.
_MAX_DIRECTORY_BYTES = 1024 * 1024
# Records at the end of an archive: APPNOTE.TXT 4.3.15 and 4.3.16 of
# https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
_END_SIGNATURE, _END_SIZE, _MAX_COMMENT = b"PK\x05\x06", 22, 65535
# Of a file in it, 4.3.7.
_HEADER_SIGNATURE, _HEADER_SIZE = b"PK\x03\x04", 30
_ZIP64_SIGNATURE, _ZIP64_SIZE = b"PK\x06\x07", 20
# What zipfile and zlib raise on archives that are damaged, encrypted or packed in another way.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, RuntimeError)


def find_spec(path: str | Path) -> bytes | None:
    """The ``spec.json`` that our own exports carry, or None.

    Raises:
        ModelError: The archive is damaged or the file too large.
    """
    return read_associated_file(path, SPEC_FILE_NAME)


def read_associated_file(path: str | Path, name: str, max_bytes: int = MAX_ASSOCIATED_BYTES) -> bytes | None:
    """One file from the zip archive appended to a model.

    Args:
        path: The model.
        name: The member's exact name; it is only looked up, never used as a path.
        max_bytes: Largest size accepted, declared and unpacked.

    Returns:
        Its contents, or None when there is no archive or no such member.

    Raises:
        ModelError: The archive is damaged, encrypted, packed in an unusual way, or the file too large.
    """
    with _archive(Path(path)) as archive:
        if archive is None or name not in archive.NameToInfo:
            return None
        info = archive.getinfo(name)
        # bzip2 and LZMA are not on every device, and LZMA may ask for gigabytes.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ModelError(f"{shown(path)} holds {shown(name)} packed by method {info.compress_type}, not deflate")
        data = b""
        if info.file_size <= max_bytes:
            with archive.open(info) as file:
                data = file.read(max_bytes + 1)
        if max(info.file_size, len(data)) > max_bytes:
            raise ModelError(f"{shown(path)} holds {shown(name)} of over {max_bytes} bytes, refused as too large")
        return data


def associated_files(path: str | Path) -> tuple[str, ...]:
    """Names of the files in the zip archive appended to a model, in its order; empty without one.

    Raises:
        ModelError: The archive is damaged.
    """
    with _archive(Path(path)) as archive:
        return () if archive is None else tuple(archive.namelist())


def is_cut_short(path: str | Path, start: int) -> bool:
    """Whether an archive begins in a model's file and nothing ends it.

    Args:
        path: The model.
        start: Byte behind the model's last weights; before it nothing is taken for an archive.

    Raises:
        ModelError: The archive is damaged in another way.
    """
    with _archive(Path(path)) as archive, Path(path).open("rb") as file:
        if archive is not None:
            return False
        file.seek(start)
        rest = file.read(MAX_ASSOCIATED_BYTES)
    return any(_is_header(rest[found.start() :]) for found in re.finditer(re.escape(_HEADER_SIGNATURE), rest))


def _is_header(data: bytes) -> bool:
    """Whether a file of an archive begins here; one that is cut off counts."""
    method, length = data[8:10], int.from_bytes(data[26:28], "little")
    name = data[_HEADER_SIZE : _HEADER_SIZE + length]
    packed = int.from_bytes(method, "little") in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    return len(data) < _HEADER_SIZE or (packed and length > 0 and min(name, default=32) >= 32)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile | None]:
    """The archive appended to a file, or None; errors that come out of it name the file."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            archive = stack.enter_context(zipfile.ZipFile(file)) if _has_archive(file) else None
            yield archive
        except _ZIP_ERRORS as error:
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL: an offset before 0
                raise ModelError(f"{shown(path)}: cannot be read: {error.strerror}") from error
            raise ModelError(f"{shown(path)} has a damaged archive of associated files: {error}") from error


def _has_archive(file: BinaryIO) -> bool:
    """Whether an archive ends the file; refuses one whose directory would cost too much to read."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END_SIZE - _MAX_COMMENT - _ZIP64_SIZE))
    tail = file.read()
    end = tail.rfind(_END_SIGNATURE, 0, max(0, len(tail) - _END_SIZE + len(_END_SIGNATURE)))
    if end < 0:
        return False
    directory_bytes = int.from_bytes(tail[end + 12 : end + 16], "little")
    zip64 = tail[max(0, end - _ZIP64_SIZE) : end].startswith(_ZIP64_SIGNATURE)
    if zip64 or directory_bytes > _MAX_DIRECTORY_BYTES:
        raise zipfile.BadZipFile(f"its directory is larger than {_MAX_DIRECTORY_BYTES} bytes")
    return True
