"""Pictures on standard input: one of any format, or JPEGs one behind the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial

from runtime.errors import ImageError
from runtime.images import MAX_FILE_BYTES
from runtime.sources.files import FoundPicture
from runtime.sources.jpeg_split import JpegSplitter
from runtime.sources.jpegs import standard_input

_CHUNK = 256 * 1024
_JPEG = b"\xff\xd8\xff"
# A JPEG with this in its first headers is the first part of a file with several pictures, which belong together
# (CIPA DC-007, Multi-Picture Format): phones keep a second exposure or a gain map there.
_SEVERAL = b"MPF\0"
_HEAD = 64 * 1024


def piped_pictures() -> Iterator[FoundPicture]:
    """The pictures of standard input, as they come.

    Raises:
        UsageError: standard input is a terminal, or closed; at once.
    """
    return _pictures(standard_input())


def _pictures(number: int) -> Iterator[FoundPicture]:
    seen = bytearray(_read(number, len(_JPEG)))
    if not seen.startswith(_JPEG):
        yield _found(0, partial(_rest, number, seen))
        return
    splitter, count, data = JpegSplitter(), 0, bytes(seen)
    while data:
        for picture in splitter.feed(data):
            if not count and _SEVERAL in picture[:_HEAD]:
                yield _found(0, partial(_rest, number, seen))
                return
            yield _found(count, partial(bytes, picture))
            count += 1
        data = os.read(number, _CHUNK)
        if count:
            seen.clear()
        else:
            seen += data
            if len(seen) > MAX_FILE_BYTES:
                yield _found(0, partial(_rest, number, seen))  # which refuses it
                return
    if splitter.rest.startswith(_JPEG):  # it breaks off; its decoder says so
        yield _found(count, partial(bytes, splitter.rest))


def _found(count: int, read: Callable[[], bytes]) -> FoundPicture:
    return FoundPicture("-" if not count else f"-#{count + 1}", True, None, read)


def _read(number: int, least: int) -> bytes:
    """So many bytes, or all that there are."""
    data = bytearray()
    while len(data) < least and (more := os.read(number, least - len(data))):
        data += more
    return bytes(data)


def _rest(number: int, head: bytes | bytearray) -> bytes:
    data = bytearray(head)
    more = b"more"
    while more:
        if len(data) > MAX_FILE_BYTES:
            raise ImageError(f"-: more than the limit of {MAX_FILE_BYTES / 1e6:.0f} MB")
        more = os.read(number, _CHUNK)
        data += more
    if not data:
        raise ImageError("-: nothing came on standard input")
    return bytes(data)
