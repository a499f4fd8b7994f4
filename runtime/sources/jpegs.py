"""A stream of JPEGs as a camera, without OpenCV: over HTTP, or on standard input."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from typing import Protocol

from runtime.errors import SourceError, UsageError
from runtime.sources.frame import Frame, decoded_frame
from runtime.sources.jpeg_split import JpegSplitter

_CHUNK = 256 * 1024
_END = b"\xff\xd9"
# A stream that comes faster than it is read is read on for this long in search of its newest picture, seconds.
_CATCH_UP = 0.05


class Bytes(Protocol):
    """Where the bytes of a stream come from."""

    def read(self, count: int) -> bytes:
        """What is there, after waiting for at least one byte; nothing at the end.

        Raises:
            SourceError: the connection broke, or stays silent.
        """

    def more(self) -> bool:
        """Whether ``read`` would give something at once."""

    def close(self) -> None:
        """End ``read`` on other threads too."""


class JpegSource:
    """A ``FrameSource`` over a stream of JPEGs; where several have come, the newest is the next frame.

    Args:
        name: of the source.
        stream: its bytes.
        live: whether it should never end.
    """

    frame_seconds: float | None = None

    def __init__(self, name: str, stream: Bytes, *, live: bool) -> None:
        self.name, self.live = name, live
        self._stream = stream
        self._splitter = JpegSplitter()
        self._count = 0
        self._newest = b""
        # Of pictures that came together: the one behind a damaged one, which is shown first, to be counted.
        self._next: list[bytes] = []
        self._closed = False

    def grab(self) -> bool:
        """Wait for a whole picture; see ``FrameSource``."""
        found, self._next = self._next, []
        came = time.monotonic()
        while not found or (time.monotonic() - came < _CATCH_UP and self._stream.more()):
            data = self._stream.read(_CHUNK)
            if not data:
                if found:
                    break
                return self._ended()
            came = came if found else time.monotonic()
            found += self._splitter.feed(data)
        damaged = [number for number, picture in enumerate(found) if not picture.endswith(_END)]
        if damaged and damaged[0] + 1 < len(found):
            found, self._next = found[: damaged[0] + 1], found[-1:]
        self._count += len(found)
        self._newest = found[-1]
        return True

    def retrieve(self) -> Frame:
        """Decode the picture.

        Raises:
            ImageError: it is damaged.
        """
        return decoded_frame(self.name, self._count - 1, self._newest, time.perf_counter())

    def close(self) -> None:
        """End the stream."""
        self._closed = True
        self._stream.close()

    def _ended(self) -> bool:
        if self._closed:
            return False
        if not self._count:
            kind = "no JPEG picture in it" if self._splitter.rest else "nothing came"
            raise SourceError(f"--camera {self.name}: {kind}")
        if self.live:
            raise SourceError(f"--camera {self.name}: the stream ended after {self._count} frames")
        return False


def stdin_source() -> JpegSource:
    """JPEGs on standard input, as ``rpicam-vid --codec mjpeg -o -`` writes them.

    Raises:
        UsageError: standard input is a terminal, or closed.
    """
    return JpegSource("-", _StandardInput(), live=False)


def standard_input() -> int:
    """The file descriptor that pictures come from.

    Raises:
        UsageError: standard input is a terminal, or closed.
    """
    try:
        number = sys.stdin.fileno()
    except (AttributeError, ValueError, OSError):
        raise UsageError("- reads standard input, which is closed") from None
    if os.isatty(number):
        raise UsageError("- reads a picture from standard input; pipe one in: runtime classify - < photo.jpg")
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(number, os.O_BINARY)
    return number


class _StandardInput:
    def __init__(self) -> None:
        self._number = standard_input()
        self._closed = threading.Event()

    def read(self, count: int) -> bytes:
        # Looked at in turns, so that the thread ends when nobody listens any more.
        while not self._closed.is_set() and not self._readable(0.2):
            pass
        try:
            return b"" if self._closed.is_set() else os.read(self._number, count)
        except OSError as error:
            raise SourceError(f"--camera -: standard input cannot be read: {error.strerror}") from error

    def more(self) -> bool:
        return self._readable(0)

    def close(self) -> None:
        self._closed.set()

    def _readable(self, timeout: float) -> bool:
        try:
            return bool(select.select([self._number], [], [], timeout)[0])
        except (OSError, ValueError):  # Windows waits for sockets only
            return timeout > 0
