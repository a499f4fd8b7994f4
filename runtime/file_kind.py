"""Says what a file is by its first bytes, and opens model files."""

from __future__ import annotations

import mmap
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import ModelError

_COPY_AGAIN = "the download or copy went wrong, fetch it again"
_NOT_HERE = "give the model here and pictures as arguments of their own"
_CONVERT = "convert it first (`toolkit convert` makes a .tflite file of it)"

# First bytes, what the file then is, what to do. Order matters: the first match wins.
_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (rb"\xff\xd8\xff", "a JPEG picture", _NOT_HERE),
    (rb"\x89PNG\r\n", "a PNG picture", _NOT_HERE),
    (rb"GIF8|BM.{4}\0\0\0\0|RIFF.{4}WEBP", "a picture", _NOT_HERE),
    (rb".{4}ftyp(hei|hev|mif1)", "an HEIC picture", _NOT_HERE),
    (rb"%PDF", "a PDF document", "give the .tflite file"),
    (rb"version https://git-lfs", "a Git LFS pointer, not the file itself", "run `git lfs pull`"),
    (rb"\s*(?i:<!doctype html|<html|<head)", "a web page", _COPY_AGAIN),
    (rb"\s*(?i:<\?xml|<!doctype|<error|<svg)", "an XML page", _COPY_AGAIN),
    (rb"\x89HDF\r\n", "a Keras or other HDF5 file", _CONVERT),
    (rb"PK\x03\x04", "a zip archive", "unpack it and give the .tflite file in it"),
    (rb"\x1f\x8b|.{257}ustar", "a packed archive", "unpack it and give the .tflite file in it"),
    (rb"....TFL3", "a TFLite model", "give it with --model"),
    (rb"....TFL[0-9]", "a TFLite model of another schema generation", "convert its source again"),
    (rb"\s*[{\[]", "a JSON text", "give the .tflite file"),
    (rb"\0+\Z", "zeros only", _COPY_AGAIN),
)

# What no signature tells, by the end of the name.
_SUFFIXES: dict[str, tuple[str, str]] = {
    ".keras": ("a Keras model", _CONVERT),
    ".h5": ("a Keras or other HDF5 file", _CONVERT),
    ".pb": ("a TensorFlow graph", _CONVERT),
    ".onnx": ("an ONNX model", "convert it to TFLite first"),
    ".task": ("a MediaPipe task bundle", "unpack it (it is a zip archive) and give the .tflite file in it"),
}


def shown(path: str | Path) -> str:
    """A path for an error message: as it is, or quoted with escapes where it would break the line."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def describe_bytes(path: Path, head: bytes) -> str:
    """What a file without the TFLite identifier is, from its name and first bytes (1,024 are plenty).

    Returns:
        Text in the form ``(expected "TFL3" at byte 4, found ...): it looks like a JPEG picture; ...``.
    """
    kind, advice = _guess(path, head)
    found = ascii(head[4:8])[1:] if len(head) >= 8 else f"{len(head)} bytes in all"
    return f'(expected "TFL3" at byte 4, found {found}): it looks like {kind}; {advice}'


def looks_like(data: bytes) -> str:
    """What a file is, from its first bytes: ``a web page``, ``a text file``, ``data of an unknown kind``, ..."""
    return _guess(Path(), data[:1024])[0]


def _guess(path: Path, head: bytes) -> tuple[str, str]:
    suffix = path.suffix.lower()
    # A .keras or .task file is a zip archive: its name says more.
    if head.startswith(b"PK\x03\x04") and suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if head.startswith(b"PK\x03\x04") and (b"model.weights.h5" in head or b"metadata.json" in head):
        return _SUFFIXES[".keras"]
    for pattern, kind, advice in _SIGNATURES:
        if re.match(pattern, head, re.DOTALL):
            return kind, advice
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if not head.strip(bytes(range(32, 127)) + b"\t\r\n"):
        return "a text file", "give the .tflite file"
    return "data of an unknown kind", "give a .tflite file, or fetch this one again"


@contextmanager
def contents(path: Path) -> Iterator[bytes | mmap.mmap]:
    """A file's bytes, mapped where the system can and read where not; valid inside the ``with`` block only.

    Raises:
        ModelError: No such file, not a regular one, empty, unreadable, or larger than memory.
    """
    data = _load(path)
    try:
        yield data
    finally:
        if not isinstance(data, bytes):
            data.close()


def _load(path: Path) -> bytes | mmap.mmap:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ModelError(f"{shown(path)} is a folder; give the .tflite file in it")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for its other end
            raise ModelError(f"{shown(path)} is not a regular file; give a .tflite file")
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                raise ModelError(f"{shown(path)} is empty (0 bytes); {_COPY_AGAIN}")
            try:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError, OverflowError):
                return file.read()  # some network and user-space file systems cannot map
    except FileNotFoundError:
        raise ModelError(f"{shown(path)} does not exist; check the path of the model") from None
    except OSError as error:
        raise ModelError(f"{shown(path)} cannot be read: {error.strerror or error}") from error
    except ValueError:  # a NUL in the path
        raise ModelError(f"{shown(path)} is not a possible path") from None
    except MemoryError:
        raise ModelError(f"{shown(path)} does not fit into memory") from None
